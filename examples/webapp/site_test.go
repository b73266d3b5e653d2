package main

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

const password = "correct horse battery"

// A site is the application being served, with its terminal.
type site struct {
	t        *testing.T
	path     string
	app      *app
	url      string
	terminal lockedBuffer
	log      lockedBuffer
	stop     func()
}

func newSite(t *testing.T) *site {
	s := &site{t: t, path: filepath.Join(t.TempDir(), "accounts.db")}
	s.start("127.0.0.1:0")
	t.Cleanup(func() {
		s.stop()
		if strings.Contains(s.log.String()+s.terminal.String(), password) {
			t.Error("a password was logged")
		}
	})
	return s
}

// start serves on an address, and stop ends that.
func (s *site) start(addr string) {
	s.t.Helper()
	l, hosts, err := listen(addr)
	if err != nil {
		s.t.Fatal(err)
	}
	o := snibtest.Fast(nil)
	o.Now = stepping()
	s.app, err = open(config{path: s.path, hosts: hosts, options: *o, terminal: &s.terminal, log: &s.log})
	if err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s.app.handler())
	server.Listener.Close()
	server.Listener = l
	server.Start()
	s.url = s.app.origin
	s.stop = func() {
		server.Close()
		snibtest.CheckAndClose(s.t, s.app.db)
	}
}

// stepping returns a clock that never gives the same millisecond twice, so that
// sessions are listed in the order in which they were made.
func stepping() func() time.Time {
	var mu sync.Mutex
	var last time.Time
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(last) >= time.Millisecond {
			last = now
		} else {
			last = last.Add(time.Millisecond)
		}
		return last
	}
}

// A browser keeps cookies and follows redirects.
type browser struct {
	t      *testing.T
	site   *site
	client *http.Client
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{t: s.t, site: s, client: &http.Client{Jar: jar}}
}

// A reply is where a request ended.
type reply struct {
	*http.Response
	body string
}

func (b *browser) get(path string) reply { return b.do("GET", path, nil) }

// post sends a form as a page of the site does: name, value, name, value, …
func (b *browser) post(path string, pairs ...string) reply {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do("POST", path, strings.NewReader(form.Encode()))
}

func (b *browser) do(method, path string, body io.Reader) reply {
	b.t.Helper()
	r, err := http.NewRequest(method, b.site.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Origin", b.site.url)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if strings.Contains(string(text), password) {
		b.t.Errorf("%s %s: a password is in the page", method, path)
	}
	return reply{res, string(text)}
}

// want fails the test unless the request ended at a path, with a status, on a
// page that says something.
func (r reply) want(t *testing.T, path string, status int, text string) {
	t.Helper()
	if r.Request.URL.Path != path || r.StatusCode != status || !strings.Contains(html.UnescapeString(r.body), text) {
		t.Fatalf("at %s with %d, want %s with %d and %q:\n%s", r.Request.URL, r.StatusCode, path, status, text, r.body)
	}
}

// wantError is want for a form that comes back with an error at a field, and
// the focus there.
func (r reply) wantError(t *testing.T, path, field, text string) {
	t.Helper()
	r.want(t, path, http.StatusUnprocessableEntity, text)
	r.wantErrorAt(t, field, text)
}

func (r reply) wantErrorAt(t *testing.T, field, text string) {
	t.Helper()
	for _, pattern := range []string{
		`<title>Error: `,
		`id="` + field + `-error"><span class="hidden">Error: </span>` + regexp.QuoteMeta(html.EscapeString(text)),
		`<(input|textarea) id="` + field + `"[^>]* aria-describedby="` + field + `-error[ "][^>]*aria-invalid="true"[^>]* autofocus`,
	} {
		if !regexp.MustCompile(pattern).MatchString(r.body) {
			t.Errorf("no %s in the page:\n%s", pattern, r.body)
		}
	}
}

// signUp makes an account, in whose browser somebody is signed in then.
func (s *site) signUp(name string) *browser {
	s.t.Helper()
	b := s.browser()
	b.post("/sign-up", "email", name+"@example.com", "username", name, "new_password", password).
		want(s.t, "/account", http.StatusOK, name+"@example.com")
	return b
}

// signIn signs a further browser in.
func (s *site) signIn(address, with string) *browser {
	s.t.Helper()
	b := s.browser()
	b.post("/sign-in", "email", address, "password", with).want(s.t, "/account", http.StatusOK, "Your account")
	return b
}

// user returns the user with an address, or fails the test.
func (s *site) user(address string) snib.User {
	s.t.Helper()
	u, err := s.app.db.GetUserByProviderID(s.t.Context(), provider, address)
	if err != nil {
		s.t.Fatal(fmt.Errorf("%s: %w", address, err))
	}
	return u
}

// lockedBuffer is a writer that can be read meanwhile.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
