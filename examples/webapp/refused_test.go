package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// TestErrorsAreShownAtTheirFields sends forms with one thing wrong in each.
// What was typed is kept; passwords are not, of which browser.do takes care.
func TestErrorsAreShownAtTheirFields(t *testing.T) {
	s := newSite(t)
	ada := s.signUp("ada")
	before := s.user("ada@example.com")
	s.signUp("joan")
	long := strings.Repeat("x", 301)
	for _, c := range []struct {
		path, field, text string
		form              []string
	}{
		{"/sign-up", "email", "Enter your e-mail address.", []string{"username", "eve", "new_password", password}},
		{"/sign-up", "email", "Enter an address like", []string{"email", "eve", "username", "eve", "new_password", password}},
		{"/sign-up", "email", "There is an account with this address", []string{"email", "ADA@example.com", "username", "eve", "new_password", password}},
		{"/sign-up", "username", "Choose a user name.", []string{"email", "eve@example.com", "username", " ", "new_password", password}},
		{"/sign-up", "username", "Use 2 to 30 characters.", []string{"email", "eve@example.com", "username", "e", "new_password", password}},
		{"/sign-up", "username", "Use 2 to 30 characters.", []string{"email", "eve@example.com", "username", long[:31], "new_password", password}},
		{"/sign-up", "username", "Use at least one letter", []string{"email", "eve@example.com", "username", "!!", "new_password", password}},
		{"/sign-up", "username", "Use letters, digits", []string{"email", "eve@example.com", "username", "e\u0001e", "new_password", password}},
		{"/sign-up", "username", "Somebody has this user name", []string{"email", "eve@example.com", "username", "Joan", "new_password", password}},
		{"/sign-up", "new_password", "Choose a password.", []string{"email", "eve@example.com", "username", "eve"}},
		{"/sign-up", "new_password", "Use at least 8 characters", []string{"email", "eve@example.com", "username", "eve", "new_password", "1234567"}},
		{"/sign-in", "email", "Enter your e-mail address.", []string{"password", password}},
		{"/sign-in", "password", "Enter your password.", []string{"email", "ada@example.com"}},
		{"/sign-in", "password", "The address or the password", []string{"email", "ada@example.com", "password", "a wrong one"}},
		{"/sign-in", "password", "The address or the password", []string{"email", "nobody@example.com", "password", "a wrong one"}},
		{"/sign-in", "password", "The address or the password", []string{"email", "no address", "password", "a wrong one"}},
		{"/sign-in", "password", "The address or the password", []string{"email", "ada@example.com", "password", strings.Repeat("long", 500)}},
		{"/forgotten", "email", "Enter your e-mail address.", nil},
		{"/reset", "new_password", "This link was used already", []string{"token", "no token", "new_password", password}},
		{"/account/profile", "username", "Somebody has this user name", []string{"username", "JOAN"}},
		{"/account/profile", "name", "This is too long.", []string{"username", "ada", "name", long}},
		{"/account/profile", "about", "This is too long.", []string{"username", "ada", "about", long}},
		{"/account/email", "email", "There is an account with this address", []string{"email", "joan@example.com", "password", password}},
		{"/account/email", "email", "Enter an address like", []string{"email", "joan", "password", password}},
		{"/account/email", "password", "That is not your password.", []string{"email", "new@example.com", "password", "a wrong one"}},
		{"/account/email", "password", "That is not your password.", []string{"email", "new@example.com", "password", strings.Repeat("long", 500)}},
		{"/account/password", "password", "That is not your password.", []string{"password", "a wrong one", "new_password", "another one"}},
		{"/account/password", "password", "That is not your password.", []string{"password", strings.Repeat("long", 500), "new_password", "another one"}},
		{"/account/password", "new_password", "Use at least 8 characters", []string{"password", password, "new_password", "short"}},
		{"/account/delete", "password", "Enter your password.", nil},
	} {
		b := s.browser()
		if strings.HasPrefix(c.path, "/account") {
			b = ada
		}
		page := b.post(c.path, c.form...)
		page.wantError(t, c.path, c.field, c.text)
		for i := 0; i < len(c.form); i += 2 {
			if name := c.form[i]; name == "email" && !strings.Contains(page.body, `value="`+c.form[i+1]+`"`) {
				t.Errorf("%s %s: what was typed is lost", c.path, name)
			}
		}
	}
	u := s.user("ada@example.com")
	if got := u.Attributes()[attrUsername]; got != "ada" || u.CredentialVersion != before.CredentialVersion {
		t.Errorf("a refused form changed something: %v, %d", got, u.CredentialVersion)
	}
}

func TestEveryErrorOfAFormIsShownAtOnce(t *testing.T) {
	page := newSite(t).browser().post("/sign-up")
	if n := strings.Count(page.body, `aria-invalid="true"`); n != 3 || strings.Count(page.body, " autofocus") != 1 {
		t.Errorf("%d errors:\n%s", n, page.body)
	}
}

func TestPagesThatNeedASession(t *testing.T) {
	b := newSite(t).browser()
	for _, path := range []string{"/account", "/account/profile", "/account/email", "/account/password", "/account/delete"} {
		page := b.get(path)
		page.want(t, "/sign-in", http.StatusOK, `name="next" value="`+path+`"`)
		if path == "/account" {
			continue
		}
		b.post(path).want(t, path, http.StatusUnauthorized, "You are signed out")
	}
	b.get("/nothing").want(t, "/nothing", http.StatusNotFound, "There is no such page")
}

func TestAfterSigningInNobodyIsLedElsewhere(t *testing.T) {
	s := newSite(t)
	s.signUp("ada")
	for wanted, want := range map[string]string{
		"/account/profile":         "/account/profile",
		"":                         "/account",
		"//elsewhere.example":      "/account",
		"https://elsewhere.test/":  "/account",
		"/\\elsewhere.example":     "/account",
		"/account/../sign-up":      "/account",
		"/account/../..//x":        "/account",
		"/account/./profile":       "/account/profile",
		"javascript:alert(1)":      "/account",
		"/account/%0d%0aSet-Cooki": "/account/%0d%0aSet-Cooki",
	} {
		b := s.browser()
		var at string
		b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			at = r.URL.Host + r.URL.Path
			return http.ErrUseLastResponse
		}
		b.post("/sign-in", "email", "ada@example.com", "password", password, "next", wanted)
		if at != strings.TrimPrefix(s.url, "http://")+want {
			t.Errorf("%q led to %q", wanted, at)
		}
	}
}

func TestOtherSitesCanSendNothing(t *testing.T) {
	s := newSite(t)
	ada := s.signUp("ada")
	for name, change := range map[string]func(*http.Request){
		"another port": func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") },
		"no origin":    func(r *http.Request) { r.Header.Del("Origin") },
		"another host": func(r *http.Request) { r.Host = "elsewhere.example" },
	} {
		for _, path := range []string{"/sign-in", "/sign-up", "/sign-out", "/account/delete", "/forgotten"} {
			r, err := http.NewRequest("POST", s.url+path, strings.NewReader("password="+strings.ReplaceAll(password, " ", "+")))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", s.url)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			change(r)
			res, err := ada.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusForbidden && res.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("%s, %s: %d", name, path, res.StatusCode)
			}
		}
	}
	ada.get("/account").want(t, "/account", http.StatusOK, "ada@example.com")
}

// TestNoPasswordInAnAddress: addresses are in logs and histories. A form that
// comes in one is as if it had not come.
func TestNoPasswordInAnAddress(t *testing.T) {
	s := newSite(t)
	s.signUp("ada")
	query := "?" + url.Values{"email": {"ada@example.com"}, "username": {"eve"}, "password": {password}, "new_password": {password}}.Encode()
	b := s.browser()
	b.post("/sign-in"+query).wantError(t, "/sign-in", "email", "Enter your e-mail address.")
	b.post("/sign-in"+query, "email", "ada@example.com").wantError(t, "/sign-in", "password", "Enter your password.")
	b.post("/sign-up"+query).wantError(t, "/sign-up", "email", "Enter your e-mail address.")
	b.get("/account").want(t, "/sign-in", http.StatusOK, "Sign in")
}

// TestNoticesAreNotForged: a link on another site leads to a page that says
// nothing has been done.
func TestNoticesAreNotForged(t *testing.T) {
	s := newSite(t)
	for site, want := range map[string]bool{"same-origin": true, "": true, "cross-site": false, "same-site": false, "none": false} {
		r, err := http.NewRequest("GET", s.url+"/?done=deleted", nil)
		if err != nil {
			t.Fatal(err)
		}
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if got := strings.Contains(string(text), "Your account is deleted"); err != nil || got != want {
			t.Errorf("from %q: says so: %v, %v", site, got, err)
		}
	}
}

// TestAForwardedPort is another than the one that the program listens on.
func TestAForwardedPort(t *testing.T) {
	s := newSite(t)
	for host, want := range map[string]int{"localhost:9000": 200, "127.0.0.1:9000": 200, "[::1]:9000": 200, "elsewhere.example:9000": 421} {
		r, err := http.NewRequest("GET", s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s", host, res.Status)
		}
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	s := newSite(t)
	b := s.signUp("ada")
	for _, path := range []string{"/", "/account", "/sign-up", "/static/style.css", "/static/icon.svg", "/nothing"} {
		page := b.get(path)
		for name, want := range map[string]string{
			"Content-Security-Policy":    "default-src 'none'",
			"X-Content-Type-Options":     "nosniff",
			"Referrer-Policy":            "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := page.Header.Get(name); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s: %q", path, name, got)
			}
		}
		if got := page.Header.Get("Cache-Control"); !strings.HasPrefix(path, "/static/") && got != "no-store" {
			t.Errorf("%s: may be stored: %q", path, got)
		}
		if strings.Contains(page.body, " style=") || strings.Contains(page.body, "<script") || strings.Contains(page.body, "<style") && path != "/static/icon.svg" {
			t.Errorf("%s: has what its policy forbids", path)
		}
	}
}

func TestTheOutboxIsBounded(t *testing.T) {
	s := newSite(t)
	s.signUp("ada")
	for range 5 {
		s.browser().post("/forgotten", "email", "ada@example.com").want(t, "/forgotten/sent", http.StatusOK, "terminal")
	}
	s.browser().post("/forgotten", "email", "ada@example.com").want(t, "/forgotten", http.StatusTooManyRequests, "")
	request, err := s.app.db.Tokens().BeginReset(snib.AsOperator(t.Context()), provider, "ada@example.com", resetFor)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * cap(s.app.outbox.queue) {
		s.app.outbox.sendReset(request)
	}
	s.link()
	if n := strings.Count(s.terminal.String(), "/reset?token="); n != 1 { // one a minute
		t.Errorf("%d links were sent", n)
	}
}

// TestTheProgramServesUntilItIsInterrupted runs all of it.
func TestTheProgramServesUntilItIsInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	ctx, interrupt := context.WithCancel(t.Context())
	terminal, output := io.Pipe()
	var stderr lockedBuffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"-addr", "localhost:0", "-db", path}, output, &stderr)
		output.Close()
	}()
	var seen bytes.Buffer
	buffer := make([]byte, 1024)
	for !strings.Contains(seen.String(), "Interrupt to stop.") {
		n, err := terminal.Read(buffer)
		if err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
		seen.Write(buffer[:n])
	}
	_, rest, _ := strings.Cut(seen.String(), "Open ")
	address, _, _ := strings.Cut(rest, " ")
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	res, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), "Accounts that live") {
		t.Errorf("%v: %s", err, body)
	}
	if got := run(ctx, []string{"-addr", "localhost:0", "-db", filepath.Dir(path)}, io.Discard, io.Discard); got != 1 {
		t.Errorf("a folder as the file: exit code %d", got)
	}
	interrupt()
	if got := <-code; got != 0 || !strings.Contains(seen.String(), path) {
		t.Errorf("exit code %d, stdout %q, stderr %q", got, seen.String(), stderr.String())
	}
}

func TestWrongArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-h"}, 0, "loopback only"},
		{[]string{"more"}, 2, "loopback only"},
		{[]string{"-x"}, 2, "not defined"},
		{[]string{"-addr", "0.0.0.0:0"}, 1, "can be reached from other machines"},
		{[]string{"-addr", ":0"}, 1, "can be reached from other machines"},
		{[]string{"-addr", "localhost"}, 1, "missing port"},
		{[]string{"-addr", "localhost:0", "-active", "1ms"}, 1, "Active"},
	} {
		var stderr bytes.Buffer
		args := append([]string{"-db", filepath.Join(t.TempDir(), "accounts.db")}, c.args...)
		if code := run(t.Context(), args, io.Discard, &stderr); code != c.code || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%q: exit code %d, %q", c.args, code, stderr.String())
		}
	}
}
