package main

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/snibdb/snib"
)

func TestTheLifeOfAnAccount(t *testing.T) {
	s := newSite(t)
	ada := s.signUp("ada")

	ada.post("/account/profile", "username", "Ada", "name", "Ada Lovelace", "about", "weaves\r\npatterns").
		want(t, "/account", http.StatusOK, "weaves\npatterns")
	ada.get("/").want(t, "/", http.StatusOK, `<a href="/account">Ada Lovelace</a>`)
	ada.post("/account/profile", "username", "Ada", "name", "", "about", "x").
		want(t, "/account", http.StatusOK, "<dt>Name</dt><dd>–</dd>")
	if _, there := s.user("ada@example.com").Attributes()[attrName]; there {
		t.Error("a name that was emptied is still kept")
	}

	ada.post("/account/email", "email", "ada@lovelace.example", "password", password).
		want(t, "/account", http.StatusOK, "Your e-mail address is changed.")
	s.browser().post("/sign-in", "email", "ada@example.com", "password", password).
		wantError(t, "/sign-in", "password", "The address or the password is wrong.")

	phone := s.signIn("ada@lovelace.example", password)
	ada.post("/account/password", "password", password, "new_password", "a moth in relay 70").
		want(t, "/account", http.StatusOK, "Your password is changed")
	phone.get("/account").want(t, "/sign-in", http.StatusOK, "Sign in")
	s.browser().post("/sign-in", "email", "ada@lovelace.example", "password", password).
		wantError(t, "/sign-in", "password", "The address or the password is wrong.")
	phone = s.signIn("Ada@Lovelace.Example", "a moth in relay 70")

	ada.post("/account/delete", "password", password).
		wantError(t, "/account/delete", "password", "That is not your password.")
	ada.post("/account/delete", "password", "a moth in relay 70").
		want(t, "/", http.StatusOK, "Your account is deleted")
	phone.get("/account").want(t, "/sign-in", http.StatusOK, "Sign in")
	s.signUp("ada") // the name and the address are free
}

// link sends what waits in the outbox, and returns the path of the last link.
func (s *site) link() string {
	s.t.Helper()
	for len(s.app.outbox.queue) > 0 {
		if err := s.app.outbox.send(s.t.Context(), <-s.app.outbox.queue); err != nil {
			s.t.Fatal(err)
		}
	}
	all := regexp.MustCompile(`http://[^/\s]+(/reset\?token=\S+)`).FindAllStringSubmatch(s.terminal.String(), -1)
	if all == nil {
		s.t.Fatalf("no link in %q", s.terminal.String())
	}
	return all[len(all)-1][1]
}

func TestAForgottenPassword(t *testing.T) {
	s := newSite(t)
	ada := s.signUp("ada")
	b := s.browser()
	unknown := b.post("/forgotten", "email", "nobody@example.com")
	unknown.want(t, "/forgotten/sent", http.StatusOK, "Look at the terminal")
	known := b.post("/forgotten", "email", "ADA@example.com")
	if known.body != unknown.body {
		t.Error("the answer tells whether there is an account")
	}
	link := s.link()
	if out := s.terminal.String(); !strings.Contains(out, "To ada@example.com:") || strings.Contains(out, "nobody") {
		t.Errorf("the terminal shows %q", out)
	}
	token := strings.TrimPrefix(link, "/reset?token=")
	for range 7 { // as many as bring ada here; the new password does not wait for them
		b.post("/sign-in", "email", "ada@example.com", "password", "is it this one?")
	}
	for range 2 { // following the link uses nothing
		page := b.get(link)
		page.want(t, "/reset", http.StatusOK, "Set a new password")
		if got := page.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("the page with the token may be stored: %q", got)
		}
	}
	b.post("/reset", "token", token, "new_password", "short").
		wantError(t, "/reset", "new_password", "Use at least 8 characters")
	b.post("/reset", "token", token, "new_password", "a moth in relay 70").
		want(t, "/sign-in", http.StatusOK, "Your new password is set.")
	ada.get("/account").want(t, "/sign-in", http.StatusOK, "Sign in")
	s.signIn("ada@example.com", "a moth in relay 70")
	b.post("/reset", "token", token, "new_password", "once more, with feeling").
		wantError(t, "/reset", "new_password", "This link was used already, or is too old.")
	b.post("/reset", "token", token, "new_password", "short"). // looked at before the password, which costs a hash
									wantError(t, "/reset", "new_password", "This link was used already, or is too old.")
	if strings.Contains(s.log.String(), token) {
		t.Error("the token was logged")
	}
}

func TestALinkIsMadeOfWhatTheProgramKnows(t *testing.T) {
	s := newSite(t)
	s.signUp("ada")
	s.browser().post("/forgotten", "email", "ada@example.com")
	s.link()
	if !strings.Contains(s.terminal.String(), "\n"+s.url+"/reset?token=") {
		t.Errorf("the terminal shows %q", s.terminal.String())
	}
}

func TestTheProgramRestartsAndEverybodyIsStillSignedIn(t *testing.T) {
	s := newSite(t)
	ada := s.signUp("ada")
	s.stop()
	s.start(strings.TrimPrefix(s.url, "http://"))
	ada.get("/account").want(t, "/account", http.StatusOK, "ada@example.com")
}

var deviceID = regexp.MustCompile(`name="session" value="(ses_\w+)"`)

func TestSessionsCanBeEnded(t *testing.T) {
	s := newSite(t)
	laptop := s.signUp("ada")
	phone, tablet, tv := s.signIn("ada@example.com", password), s.signIn("ada@example.com", password), s.signIn("ada@example.com", password)
	page := phone.get("/account").body
	if n := strings.Count(page, "Firefox on Linux <span"); n != 1 || strings.Count(page, "This device") != 1 {
		t.Fatalf("the current device is shown %d times:\n%s", n, page)
	}
	ids := deviceID.FindAllStringSubmatch(page, -1)
	if len(ids) != 3 {
		t.Fatalf("%d other devices, want 3", len(ids))
	}
	phone.post("/account/sessions/end", "session", ids[0][1]).want(t, "/account", http.StatusOK, "That device is signed out.")
	tv.get("/account").want(t, "/sign-in", http.StatusOK, "Sign in")
	tablet.get("/account").want(t, "/account", http.StatusOK, "Your account")

	// Nobody ends a session of somebody else's.
	eve := s.signUp("eve")
	eve.post("/account/sessions/end", "session", ids[1][1])
	eve.post("/account/sessions/end", "session", "no id")
	tablet.get("/account").want(t, "/account", http.StatusOK, "Your account")

	phone.post("/account/sessions/end-others").want(t, "/account", http.StatusOK, "Every other device is signed out.")
	tablet.get("/account").want(t, "/sign-in", http.StatusOK, "Sign in")
	laptop.get("/account").want(t, "/sign-in", http.StatusOK, "Sign in")
	phone.get("/account").want(t, "/account", http.StatusOK, "This device")
	phone.post("/sign-out").want(t, "/", http.StatusOK, "You are signed out.")
	phone.get("/account").want(t, "/sign-in", http.StatusOK, "Sign in")
	eve.get("/account").want(t, "/account", http.StatusOK, "eve@example.com")
	s.signUp("joan") // a session more is no trouble
}

// TestAProofIsWorthNothingAfterAChange: what a password allows happens in a
// transaction of its own, before which the password may be changed.
func TestAProofIsWorthNothingAfterAChange(t *testing.T) {
	s := newSite(t)
	s.signUp("ada")
	ctx, db := t.Context(), s.app.db
	proven, err := db.AuthenticateUser(ctx, provider, "ada@example.com", password)
	if err != nil {
		t.Fatal(err)
	}
	holds := func() error {
		return db.Update(ctx, func(tx *snib.Tx) error { return stillHolds(tx, proven) })
	}
	if err := holds(); err != nil {
		t.Errorf("before the change: %v", err)
	}
	if _, err := db.UpdateUserPassword(ctx, proven.ID, "a moth in relay 70"); err != nil {
		t.Fatal(err)
	}
	if err := holds(); !errors.Is(err, snib.ErrInvalidCredentials) {
		t.Errorf("after it: %v", err)
	}
}
