package drive

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib/bench/http/internal/surface"
)

// A forgetful server keeps users and sessions in a file, but for what its
// environment tells it to do wrong. It is this test's own program.
const fault = "DRIVE_TEST_FAULT"

func TestMain(m *testing.M) {
	if os.Getenv(fault) == "" {
		os.Exit(m.Run())
	}
	if err := forgetful(os.Args[2], os.Getenv(fault)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// forgetful keeps a line "+token" for each session and "-token" for its end.
func forgetful(dir, fault string) error {
	file, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	alive, users := map[string]bool{}, map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		alive[lines.Text()[1:]] = lines.Text()[0] == '+'
	}
	note := func(sign, token string, keep bool) {
		alive[token] = sign == "+"
		if keep {
			_, _ = io.WriteString(file, sign+token+"\n")
		}
	}
	token := func(r *http.Request) string {
		return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	mux := http.NewServeMux()
	enter := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var c struct{ Email, Password string }
		_ = json.NewDecoder(r.Body).Decode(&c)
		if c.Password != password && fault != "password" || r.URL.Path == "/signup" && users[c.Email] {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if users[c.Email] = true; fault == "break" && len(users) > 20 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		t := fmt.Sprint(len(alive))
		note("+", t, fault != "lose")
		fmt.Fprintf(w, `{"token":%q}`, t)
	}
	mux.HandleFunc("POST /signup", enter)
	mux.HandleFunc("POST /login", enter)
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !alive[token(r)] {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		note("-", token(r), fault != "revive")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	surface.Announce(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, mux)
}

func self(t *testing.T, what string) string {
	t.Helper()
	t.Setenv(fault, what)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// TestKill: what a server forgets over a kill is counted, and nothing else.
func TestKill(t *testing.T) {
	for _, what := range []string{"none", "lose", "revive"} {
		got, err := Kill(self(t, what), Contender{}, t.TempDir(), 4, 100)
		if err != nil {
			t.Fatal(err)
		}
		if got.SignUps == 0 || got.LogOuts == 0 {
			t.Errorf("%s: nothing acknowledged: %+v", what, got)
		}
		if (got.Lost > 0) != (what == "lose") || (got.Revived > 0) != (what == "revive") {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// TestKillOfABrokenServer: a refusal is an error, and no loss.
func TestKillOfABrokenServer(t *testing.T) {
	var status statusError
	if _, err := Kill(self(t, "break"), Contender{}, t.TempDir(), 4, 100); !errors.As(err, &status) || status != http.StatusInternalServerError {
		t.Errorf("got %v", err)
	}
}

// TestCheck: a server that accepts a wrong password is not measured, nor is one of
// which a log-out does more than its row says.
func TestCheck(t *testing.T) {
	good := Contender{LogOut: one}
	if err := Check(self(t, "none"), good, t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := Check(self(t, "password"), good, t.TempDir()); err == nil {
		t.Error("a wrong password is accepted, and the check passes")
	}
	if err := Check(self(t, "none"), Contender{LogOut: "all"}, t.TempDir()); err == nil {
		t.Error("another session lives on, and the check passes")
	}
}

// TestMeasure: each work is done by each number of clients, at least once by each.
func TestMeasure(t *testing.T) {
	r, err := Measure(self(t, "none"), Contender{}, t.TempDir(), Limits{Clients: []int{1, 5}, For: time.Millisecond, Most: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, work := range Works() {
		for _, n := range []int{1, 5} {
			if s := r.Samples[work][n]; s.Requests < n || s.Requests > 50 || s.PerSecond <= 0 || s.P50 <= 0 || s.P99 < s.P50 {
				t.Errorf("%s by %d: %+v", work, n, s)
			}
		}
	}
	if r.RestMB <= 0 || r.PeakMB <= 0 {
		t.Errorf("memory: %+v", r)
	}
}

// TestPersist: 503 is asked again, and another refusal is an error.
func TestPersist(t *testing.T) {
	calls := 0
	refused, _, err := persist(nil, 0, func(*client, int) error {
		if calls++; calls < 3 {
			return statusError(503)
		}
		return nil
	})
	if refused != 2 || err != nil {
		t.Errorf("refused %d, %v", refused, err)
	}
	if _, _, err := persist(nil, 0, func(*client, int) error { return statusError(400) }); err == nil {
		t.Error("400 is taken for an answer")
	}
}

// TestSessionOf: cookies and what goes with them, or a bearer token.
func TestSessionOf(t *testing.T) {
	header := http.Header{"Set-Cookie": {"a=1; Path=/", "b=2; Secure"}, "X-Csrf-Token": {"c"}}
	if s, err := sessionOf(header, nil); err != nil || s != "Cookie: a=1; b=2\r\nX-CSRF-Token: c\r\n" {
		t.Errorf("%q, %v", s, err)
	}
	if s, err := sessionOf(nil, []byte(`{"token":"t"}`)); err != nil || s != "Authorization: Bearer t\r\n" {
		t.Errorf("%q, %v", s, err)
	}
	if _, err := sessionOf(nil, []byte(`{"ok":true}`)); err == nil {
		t.Error("an answer without a session is taken for one")
	}
}

// TestBuildLeavesOut: a server of which there is no checkout is left out, and says so.
func TestBuildLeavesOut(t *testing.T) {
	for _, c := range Contenders() {
		if foreign[c.Module] == nil {
			continue
		}
		if _, err := Build("../..", t.TempDir(), c, nil); !errors.Is(err, ErrNotHere) || !strings.Contains(err.Error(), c.Library) {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Error(err)
	}
}
