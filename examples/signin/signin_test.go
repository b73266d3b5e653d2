package main

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"
	"github.com/oauth2-proxy/mockoidc"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

const (
	origin   = "https://app.example.com"
	address  = "ada@example.com"
	password = "correct horse battery"
)

var ctx = context.Background()

// opened is the program with one user, whose address is verified.
func opened(t *testing.T) (*app, snib.User) {
	t.Helper()
	opts := snibtest.Fast(&snib.Options{
		Keys:       []snib.Key{snib.KeyFile(filepath.Join(t.TempDir(), "key"))},
		VouchesFor: map[string][]string{providerName: {"gmail.com"}},
	})
	a, err := open(origin, filepath.Join(t.TempDir(), "accounts.db"), *opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { snibtest.CheckAndClose(t, a.db) })
	u, err := a.db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: address, Password: password, Verified: true})
	if err != nil {
		t.Fatal(err)
	}
	return a, u
}

// browser keeps cookies.
type browser struct {
	t   *testing.T
	h   http.Handler
	jar http.CookieJar
}

func newBrowser(t *testing.T, a *app) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, a.handler(), jar}
}

// do sends a request and wants a status.
func (b *browser) do(method, path, kind, body string, want int) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, origin+path, strings.NewReader(body))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", kind)
	for _, c := range b.jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	b.jar.SetCookies(r.URL, w.Result().Cookies())
	if w.Code != want {
		b.t.Errorf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, want)
	}
	return w
}

func (b *browser) signIn() {
	b.t.Helper()
	form := url.Values{"email": {address}, "password": {password}}
	b.do("POST", "/sign-in", "application/x-www-form-urlencoded", form.Encode(), http.StatusOK)
}

// who is the user who is signed in, "" without one.
func (b *browser) who(a *app) snib.UserID {
	at, _ := url.Parse(origin)
	for _, c := range b.jar.Cookies(at) {
		if c.Name == "__Host-signin" {
			s, err := a.db.ValidateSession(ctx, c.Value)
			if err == nil {
				return s.UserID
			}
		}
	}
	return ""
}

// ofProvider goes to the provider, where a user is signed in, and returns the path
// of the callback.
func (b *browser) ofProvider(m *mockoidc.MockOIDC, subject, mail string) string {
	b.t.Helper()
	m.QueueUser(&mockoidc.MockUser{Subject: subject, Email: mail, EmailVerified: true})
	to := b.do("GET", "/provider", "", "", http.StatusSeeOther).Header().Get("Location")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(to)
	if err != nil {
		b.t.Fatal(err)
	}
	answer.Body.Close()
	back, err := url.Parse(answer.Header.Get("Location"))
	if err != nil {
		b.t.Fatal(err)
	}
	return back.RequestURI()
}

func TestProvider(t *testing.T) {
	a, ada := opened(t)
	m, err := mockoidc.Run()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Shutdown()
	a.provider, err = newProvider(ctx, m.Issuer(), m.ClientID, m.ClientSecret, origin+"/provider/callback")
	if err != nil {
		t.Fatal(err)
	}

	// A stranger of the provider is a new user, and comes back by the subject.
	bob := newBrowser(t, a)
	callback := bob.ofProvider(m, "1", "bob@gmail.com")
	newBrowser(t, a).do("GET", callback, "", "", http.StatusUnauthorized) // in another browser it is nobody's
	parts, _ := url.Parse(callback)
	q := parts.Query()
	q.Set("state", "another")
	forged := newBrowser(t, a)
	forged.ofProvider(m, "1", "bob@gmail.com") // has a cookie, of its own state
	forged.do("GET", callback, "", "", http.StatusUnauthorized)
	forged.do("GET", parts.Path+"?"+q.Encode(), "", "", http.StatusUnauthorized)
	bob.do("GET", callback, "", "", http.StatusSeeOther)
	id := bob.who(a)
	if id == "" || id == ada.ID {
		t.Fatalf("signed in as %q", id)
	}
	bob.do("GET", callback, "", "", http.StatusUnauthorized) // once
	bob.do("GET", bob.ofProvider(m, "1", "bob.new@gmail.com"), "", "", http.StatusSeeOther)
	if again := bob.who(a); again != id {
		t.Errorf("came back as %q, not %q", again, id)
	}

	// Ada's address, for which the provider does not vouch, opens nothing until she
	// has signed in.
	b := newBrowser(t, a)
	b.do("GET", b.ofProvider(m, "2", address), "", "", http.StatusSeeOther)
	if who := b.who(a); who != "" {
		t.Fatalf("the provider's word alone has signed in %q", who)
	}
	b.do("POST", "/provider/link", "", "", http.StatusUnauthorized)
	b.signIn()
	b.do("POST", "/provider/link", "", "", http.StatusOK)
	c := newBrowser(t, a)
	c.do("GET", c.ofProvider(m, "2", address), "", "", http.StatusSeeOther)
	if who := c.who(a); who != ada.ID {
		t.Errorf("linked, and signed in as %q", who)
	}
}

func TestPasskey(t *testing.T) {
	a, ada := opened(t)
	rp := virtualwebauthn.RelyingParty{Name: "Example", ID: "app.example.com", Origin: origin}
	phone := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: []byte(ada.ID)})
	key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)

	newBrowser(t, a).do("POST", "/passkey/options", "", "", http.StatusUnauthorized)
	b := newBrowser(t, a)
	b.signIn()
	options, err := virtualwebauthn.ParseAttestationOptions(b.do("POST", "/passkey/options", "", "", http.StatusOK).Body.String())
	if err != nil {
		t.Fatal(err)
	}
	registration := virtualwebauthn.CreateAttestationResponse(rp, phone, key, *options)
	b.do("POST", "/passkey", "application/json", registration, http.StatusOK)
	phone.AddCredential(key)
	if b.who(a) != ada.ID {
		t.Error("the session of the registration has ended")
	}
	b.do("POST", "/passkey", "application/json", registration, http.StatusConflict) // once

	c := newBrowser(t, a)
	challenge, err := virtualwebauthn.ParseAssertionOptions(c.do("POST", "/passkey/challenge", "", "", http.StatusOK).Body.String())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := rp
	elsewhere.Origin = "https://app.example.net"
	c.do("POST", "/passkey/sign-in", "application/json", virtualwebauthn.CreateAssertionResponse(elsewhere, phone, key, *challenge), http.StatusUnauthorized)
	other := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	c.do("POST", "/passkey/sign-in", "application/json", virtualwebauthn.CreateAssertionResponse(rp, phone, other, *challenge), http.StatusUnauthorized)
	answer := virtualwebauthn.CreateAssertionResponse(rp, phone, key, *challenge)
	c.do("POST", "/passkey/sign-in", "application/json", answer, http.StatusOK)
	if who := c.who(a); who != ada.ID {
		t.Fatalf("signed in as %q", who)
	}
	newBrowser(t, a).do("POST", "/passkey/sign-in", "application/json", answer, http.StatusUnauthorized) // once
}
