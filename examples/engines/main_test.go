package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

var ctx = context.Background()

// cheap are options that hash with next to no work.
func cheap() (o snib.Options) {
	o.Passwords.Parallelism, o.Passwords.MemoryKiB, o.Passwords.Time, o.Passwords.QueueTime = 1, 8, 1, -1
	o.BusyTimeout = time.Minute
	return o
}

func engines(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, cheap(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// everywhere runs a test on each engine, with a new store by each call.
func everywhere(t *testing.T, test func(t *testing.T, store func() string)) {
	for name, store := range map[string]func(testing.TB) string{
		"file":   func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "accounts.db") },
		"sqlite": func(tb testing.TB) string { return "sqlite:" + filepath.Join(tb.TempDir(), "accounts.sqlite") },
		"etcd":   etcdStore, "postgres": postgresStore,
	} {
		t.Run(name, func(t *testing.T) { test(t, func() string { return store(t) }) })
	}
}

// within opens the accounts of a store, and checks them.
func within(t *testing.T, name string, fn func(db *snib.DB)) {
	t.Helper()
	opts := cheap()
	s, err := storeOf(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	db, err := s.open(ctx, &opts)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fn(db)
	if report, err := db.Check(ctx); err != nil || report.Found > 0 {
		t.Errorf("check: %v, %v", report.Problems, err)
	}
}

var lives = regexp.MustCompile(`^sign-up   (usr_\w+)
log-in    (ses_\w+) active
refresh   ses_\w+
revoke    ses_\w+ is refused
(?:notes     1
)?delete    usr_\w+ with all its sessions
$`)

func TestTheLifeOfAnAccount(t *testing.T) {
	everywhere(t, func(t *testing.T, store func() string) {
		name := store()
		for range 2 { // the store is made, and is there
			code, out, errs := engines("-store", name)
			if code != 0 || !lives.MatchString(out) {
				t.Fatalf("exit code %d, stdout %q, stderr %q", code, out, errs)
			}
		}
		within(t, name, func(db *snib.DB) {
			for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
				t.Errorf("left behind: %s, %v", u.ID, err)
			}
		})
	})
}

// TestTheOtherExamplesPlayHere: quickstart twice, the second time on a store that is
// there, and leaves nothing; movein moves users of its export in, who log in.
func TestTheOtherExamplesPlayHere(t *testing.T) {
	all, err := os.ReadFile("../internal/mover/lucia_users.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	some := filepath.Join(t.TempDir(), "export.jsonl") // one of each system; their hashes take long
	if err := os.WriteFile(some, []byte(strings.Join(strings.SplitAfter(string(all), "\n")[:3], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	everywhere(t, func(t *testing.T, store func() string) {
		name := store()
		for range 2 {
			code, out, errs := engines("-store", name, "-play", "quickstart")
			if code != 0 || !strings.Contains(out, " 1  open                 "+name) || !strings.Contains(out, "15  check                every record, checksum and index verified: 0 problems") {
				t.Fatalf("quickstart: exit code %d, stdout %q, stderr %q", code, out, errs)
			}
		}
		within(t, name, func(db *snib.DB) {
			for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
				t.Errorf("quickstart has left %s, %v", u.ID, err)
			}
		})
		code, out, errs := engines("-store", name, "-play", "movein", some)
		if code != 0 || !regexp.MustCompile(`users moved in +3 (?s:.*) 3 logged in with it, of 3 (?s:.*) 0 problems`).MatchString(out) {
			t.Fatalf("movein: exit code %d, stdout %q, stderr %q", code, out, errs)
		}
	})
}

// TestAFileKeepsItsDeclarations: to play an example on it redeclares nothing.
func TestAFileKeepsItsDeclarations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db, err := snib.Open(path, &snib.Options{Indexes: []snib.Index{{Name: "nick"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := engines("-store", path, "-play", "quickstart"); code != 1 || !strings.Contains(errs, "name a new one") {
		t.Errorf("exit code %d, stderr %q", code, errs)
	}
	within(t, path, func(db *snib.DB) {
		for _, err := range db.ListUsersByAttribute(ctx, "nick", "ada", snib.ListOptions{}) {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// TestAMoveKeepsSessions moves accounts from a file to each engine and from there
// back to a file. A session, a refresh token and a password go on.
func TestAMoveKeepsSessions(t *testing.T) {
	everywhere(t, func(t *testing.T, store func() string) {
		first := filepath.Join(t.TempDir(), "first.db")
		var session snib.Session
		var token snib.RefreshToken
		within(t, first, func(db *snib.DB) {
			u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: resident, Password: password})
			if err == nil {
				session, token, err = db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		second, third := store(), filepath.Join(t.TempDir(), "third.db")
		for _, step := range [][2]string{{first, second}, {second, third}} {
			code, out, errs := engines("-move-from", step[0], "-store", step[1])
			if code != 0 || !strings.HasPrefix(out, "moved 1 users, ") {
				t.Fatalf("exit code %d, stdout %q, stderr %q", code, out, errs)
			}
			within(t, step[1], func(db *snib.DB) {
				s, u, err := db.ValidateSessionUser(ctx, session.Token.Reveal())
				if err != nil || s.ID != session.ID || u.ID != session.UserID {
					t.Errorf("the session: %v", err)
				}
				if _, err := db.AuthenticateUser(ctx, "email", resident, password); err != nil {
					t.Errorf("the password: %v", err)
				}
			})
		}
		within(t, third, func(db *snib.DB) {
			if _, _, err := db.Refresh(ctx, token.Token.Reveal()); err != nil {
				t.Errorf("the refresh token: %v", err)
			}
		})
		// There are accounts now, which stay as they are.
		if code, _, errs := engines("-move-from", first, "-store", second); code != 1 || !strings.Contains(errs, "has accounts already") {
			t.Errorf("moved once more: exit code %d, stderr %q", code, errs)
		}
	})
}

// TestAMoveFromNothingMakesNothing: a mistyped path makes no empty accounts at
// either end.
func TestAMoveFromNothingMakesNothing(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "no.db"), filepath.Join(dir, "new.db")
	for _, from := range []string{from, "sqlite:" + from} {
		if code, _, errs := engines("-move-from", from, "-store", to); code != 1 || !strings.Contains(errs, "no.db") {
			t.Errorf("exit code %d, stderr %q", code, errs)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestErrorsEndWithTheirExitCode(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"argument":     {[]string{"x"}, 2, ""},
		"unknown flag": {[]string{"-x"}, 2, "Usage"},
		"unknown play": {[]string{"-play", "chess"}, 2, "Usage"},
		"no server":    {[]string{"-play", "movein", "-serve", "127.0.0.1:0"}, 2, "Usage"},
		"help":         {[]string{"-h"}, 0, "move-from"},
		"unknown":      {[]string{"-store", "oracle://x"}, 1, "oracle is no store"},
		"no directory": {[]string{"-store", filepath.Join(t.TempDir(), "no", "accounts.db")}, 1, "no such"},
		"address":      {[]string{"-store", filepath.Join(t.TempDir(), "a.db"), "-serve", "127.0.0.1:x"}, 1, "unknown port"},
		"not loopback": {[]string{"-store", filepath.Join(t.TempDir(), "a.db"), "-serve", "0.0.0.0:0"}, 1, "Hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := engines(c.args...)
			if code != c.code || !strings.Contains(strings.ToLower(errs), strings.ToLower(c.want)) {
				t.Errorf("exit code %d, stderr %q; want %d, %q", code, errs, c.code, c.want)
			}
		})
	}
}

// server runs the program as a server until the test ends, and returns its URL.
func server(t *testing.T, args ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	out := &lines{found: make(chan string, 1)}
	var errs bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, cheap(), append(args, "-serve", "127.0.0.1:0"), out, &errs) }()
	t.Cleanup(stop)
	select {
	case at := <-out.found:
		t.Cleanup(func() {
			stop()
			if code := <-ended; code != 0 {
				t.Errorf("exit code %d, stderr %q", code, errs.String())
			}
		})
		return at
	case code := <-ended:
		t.Fatalf("exit code %d, stderr %q", code, errs.String())
	}
	return ""
}

// lines looks for the address in the output of a server.
type lines struct {
	once  sync.Once
	found chan string
}

func (l *lines) Write(p []byte) (int, error) {
	if _, rest, ok := strings.Cut(string(p), "serving   "); ok {
		at, _, _ := strings.Cut(rest, " ")
		l.once.Do(func() { l.found <- at })
	}
	return len(p), nil
}

// TestThreeServersOnOneStore: a session made at one server is good at the second,
// and refused by the second as soon as the third has ended it.
func TestThreeServersOnOneStore(t *testing.T) {
	everywhere(t, func(t *testing.T, store func() string) {
		name := store()
		key := filepath.Join(t.TempDir(), "key")
		servers := []string{server(t, "-store", name, "-key", key)}
		if scheme, _, ok := strings.Cut(name, ":"); ok && len(scheme) > 1 {
			servers = append(servers, server(t, "-store", name, "-key", key), server(t, "-store", name, "-key", key))
		} else {
			// One program at a time has a file open: a second one is told so.
			if code, _, errs := engines("-store", name); code != 1 || !strings.Contains(errs, snib.ErrLocked.Error()) {
				t.Errorf("a second program: exit code %d, stderr %q", code, errs)
			}
			servers = append(servers, servers[0], servers[0])
		}
		jar, err := cookiejar.New(nil) // cookies know no ports
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar}
		send := func(method, target string, form url.Values, want int) {
			t.Helper()
			r, err := http.NewRequest(method, target, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			answer, err := browser.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%s %s: %s, want %d", method, target, answer.Status, want)
			}
		}
		send("GET", servers[1]+"/", nil, http.StatusUnauthorized)
		send("POST", servers[0]+"/sign-in", url.Values{"email": {resident}, "password": {"wrong"}}, http.StatusUnauthorized)
		send("POST", servers[0]+"/sign-in", url.Values{"email": {resident}, "password": {password}}, http.StatusOK)
		kept := jar.Cookies(must(url.Parse(servers[1])))
		send("GET", servers[1]+"/", nil, http.StatusOK)
		send("POST", servers[2]+"/sign-out", nil, http.StatusOK)
		// A copy of the cookie is worth nothing.
		jar.SetCookies(must(url.Parse(servers[1])), kept)
		send("GET", servers[1]+"/", nil, http.StatusUnauthorized)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestAMoveNeedsTheKey: what is sealed does not move without its key, and then
// moves with it.
func TestAMoveNeedsTheKey(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from.db"), filepath.Join(t.TempDir(), "to.db")
	key := filepath.Join(t.TempDir(), "key")
	opts := cheap()
	opts.Keys = []snib.Key{snib.KeyFile(key)}
	opts.Passwords.Seal = true
	db, err := snib.Open(from, &opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: resident, Password: password}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := engines("-move-from", from, "-store", to); code != 1 || !strings.Contains(errs, snib.ErrNoKey.Error()) {
		t.Errorf("without the key: exit code %d, stderr %q", code, errs)
	}
	if code, out, errs := engines("-move-from", from, "-store", to, "-key", key); code != 0 || !strings.HasPrefix(out, "moved 1 ") {
		t.Errorf("with the key: exit code %d, stdout %q, stderr %q", code, out, errs)
	}
}
