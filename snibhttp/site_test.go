package snibhttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
	"github.com/snibdb/snib/snibtest"
)

// A ledger holds every token that was issued, and everything that was shown
// where none must be.
type ledger struct {
	mu     sync.Mutex
	tokens map[string]bool
	shown  []string
}

func (l *ledger) issue(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tokens == nil {
		l.tokens = make(map[string]bool)
	}
	l.tokens[token] = true
}

func (l *ledger) show(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown = append(l.shown, text)
}

// Write makes a log of it.
func (l *ledger) Write(p []byte) (int, error) { l.show(string(p)); return len(p), nil }

// leaks returns what was shown with the secret of a token in it.
func (l *ledger) leaks() (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.shown {
		for token := range l.tokens {
			_, secret, _ := strings.Cut(token, ".")
			if secret != "" && strings.Contains(text, secret[:len(secret)/2]) {
				found = append(found, text)
			}
		}
	}
	return found
}

// all is the ledger of every test of this package: see TestMain.
var all ledger

// TestMain looks, after all tests, whether a token was in the body or a header
// other than Set-Cookie of any answer, or in any line of a log.
func TestMain(m *testing.M) {
	code := m.Run()
	for _, text := range all.leaks() {
		fmt.Fprintf(os.Stderr, "a token was shown in: %s\n", text)
		code = 1
	}
	if code == 0 && len(all.shown) > 0 && len(all.tokens) == 0 {
		fmt.Fprintln(os.Stderr, "no token was looked for")
		code = 1
	}
	os.Exit(code)
}

func TestTheLedgerFindsAToken(t *testing.T) {
	var l ledger
	l.issue("snses_1.abcdefgh")
	l.show("nothing")
	if found := l.leaks(); len(found) != 0 {
		t.Errorf("found %q", found)
	}
	l.show(`{"t":"snses_1.abcdefgh"}`)
	if found := l.leaks(); len(found) != 1 {
		t.Errorf("found %q", found)
	}
}

// A site is a small application behind a Manager.
type site struct {
	t     *testing.T
	db    *snib.DB
	m     *snibhttp.Manager
	clock *countingClock
	log   *bytes.Buffer // of the Manager; not for use while requests run
	user  snib.User     // ada@example.com, with the password of that name
	mux   *http.ServeMux
}

const password = "correct horse battery"

// countingClock counts readings: every transaction reads the clock once.
type countingClock struct {
	*snibtest.Clock
	mu    sync.Mutex
	reads int
}

func (c *countingClock) Now() time.Time {
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
	return c.Clock.Now()
}

func (c *countingClock) count(f func()) int {
	c.mu.Lock()
	c.reads = 0
	c.mu.Unlock()
	f()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

// busyTimeout is for tests that keep the writer: short, yet long enough for
// what comes before on a machine with other work. They wait side by side.
const busyTimeout = time.Second

// newSite makes a site. change, which may be nil, has the last word on the
// options.
func newSite(t *testing.T, change func(*snib.Options, *snibhttp.Options)) *site {
	t.Helper()
	s := &site{t: t, clock: &countingClock{Clock: snibtest.NewClock()}, log: new(bytes.Buffer), mux: http.NewServeMux()}
	o := &snib.Options{Now: s.clock.Now, Logger: slog.New(slog.NewTextHandler(&all, nil))}
	h := &snibhttp.Options{
		App:    "notes",
		Logger: slog.New(slog.NewTextHandler(io.MultiWriter(s.log, &all), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(o, h)
	}
	s.db = snibtest.NewDB(t, o)
	var err error
	if s.m, err = snibhttp.New(s.db, h); err != nil {
		t.Fatal(err)
	}
	if s.user, err = s.db.CreateUser(t.Context(), snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password}); err != nil {
		t.Fatal(err)
	}
	s.routes()
	return s
}

// routes are handlers as an application has them; they answer with who is
// signed in.
func (s *site) routes() {
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, user, ok := snibhttp.FromContext(r.Context())
		if !ok {
			io.WriteString(w, "nobody")
			return
		}
		fmt.Fprint(w, user.ID, session) // whose Token prints as REDACTED
	})
	s.mux.Handle("/open", s.m.Optional(who))
	s.mux.Handle("/closed", s.m.Require(who))
	s.mux.Handle("/both", s.m.Optional(s.m.Optional(s.m.Require(who))))
	s.mux.Handle("/protected", s.m.Protect(who))
	s.mux.HandleFunc("/log-in", func(w http.ResponseWriter, r *http.Request) {
		session, _, err := s.db.LogIn(r.Context(), "email", "ada@example.com", password, s.m.SessionOptions(r))
		if err == nil {
			err = s.m.SetSession(w, r, session)
		}
		s.answer(w, r, err)
	})
	s.mux.HandleFunc("/sign-in", func(w http.ResponseWriter, r *http.Request) {
		o := s.m.SessionOptions(r)
		o.Attributes["device"] = "laptop"
		session, err := s.m.LogIn(w, r, s.user, o)
		if err == nil && session.Token.Reveal() != "" {
			err = errors.New("the session has its token")
		}
		s.answer(w, r, err)
	})
	for path, act := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/sign-out": s.m.LogOut, "/others": s.m.LogOutOthers, "/everywhere": s.m.LogOutEverywhere,
	} {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, act(w, r)) })
		s.mux.Handle(path, handler)
		s.mux.Handle("/looked"+path, s.m.Optional(handler))
	}
	s.mux.Handle("/token", s.m.TokenHandler())
	s.mux.Handle("/revoke", s.m.RevokeHandler())
}

func (s *site) answer(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		s.m.Error(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// do serves a request and shows the answer to the ledger.
func (s *site) do(r *http.Request) *http.Response {
	s.t.Helper()
	return s.serve(s.mux, r)
}

func (s *site) serve(h http.Handler, r *http.Request) *http.Response {
	s.t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	res := rec.Result()
	for _, c := range res.Cookies() {
		all.issue(c.Value)
	}
	header := res.Header.Clone()
	header.Del("Set-Cookie")
	all.show(fmt.Sprint(r.Method, " ", r.URL.Path, header))
	if r.URL.Path != "/token" || res.StatusCode != http.StatusOK { // which is there to give tokens
		all.show(rec.Body.String())
	}
	return res
}

// request is one of the site's own pages, with headers "Name: value" added. A
// token of one of ours in a header is known to the ledger by its issue.
func (s *site) request(method, path string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "https://notes.example"+path, nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// session makes a session of the user's and returns its token.
func (s *site) session() (snib.Session, string) {
	s.t.Helper()
	session, err := s.db.CreateSession(context.Background(), s.refreshed(), snib.SessionOptions{Persistent: true})
	if err != nil {
		s.t.Fatal(err)
	}
	all.issue(session.Token.Reveal())
	return session, session.Token.Reveal()
}

// valid reports whether a token is still good.
func (s *site) valid(token string) bool {
	_, err := s.db.ValidateSession(context.Background(), token)
	if err != nil && !errors.Is(err, snib.ErrInvalidSession) {
		s.t.Errorf("validating: %v", err)
	}
	return err == nil
}

func (s *site) commits() int64 {
	stats, err := s.db.Stats(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return stats.Commits
}

// cookieOf returns the value of the cookie that an answer sets, which must be
// one and in force.
func cookieOf(t *testing.T, res *http.Response) string {
	t.Helper()
	list := slices.DeleteFunc(res.Cookies(), func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, ".device") })
	if len(list) != 1 || list[0].Value == "" || list[0].MaxAge <= 0 {
		t.Fatalf("%d: Set-Cookie is %q, want one cookie", res.StatusCode, res.Header["Set-Cookie"])
	}
	return list[0].Value
}

func wantStatus(t *testing.T, res *http.Response, want int) {
	t.Helper()
	if res.StatusCode != want {
		t.Errorf("got %s, want %d", res.Status, want)
	}
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
