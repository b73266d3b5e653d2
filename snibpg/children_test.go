package snibpg_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// childVariable has the schema that a child process opens.
const childVariable = "SNIBPG_TEST_SCHEMA"

// shift is how far the clock of a child is ahead.
const shiftVariable = "SNIBPG_TEST_SHIFT"

// open opens the accounts in a schema of the server, with a key for answers of
// refresh tokens.
func open(schema string, shift time.Duration) (*snib.DB, error) {
	e, err := snibpg.Open(ctx, dsn, &snibpg.Options{Schema: schema})
	if err != nil {
		return nil, err
	}
	snibpg.Hurry(e, 0, patience)
	return openWith(e, shift)
}

// patience is how long a program waits for a server: a promotion on a busy machine
// takes its time.
const patience = 3 * time.Minute

func openWith(e snib.Engine, shift time.Duration) (*snib.DB, error) {
	key, err := snib.NewKey("k1", []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		return nil, err
	}
	o := &snib.Options{Keys: []snib.Key{key}, BusyTimeout: patience, SweepEvery: -1}
	o.Passwords.Parallelism, o.Passwords.MemoryKiB, o.Passwords.Time = 1, 8, 1
	o.Now = func() time.Time { return time.Now().Add(shift) }
	return snib.OpenStore(ctx, e, o)
}

// runChild is a program that does what its standard input says, line by line.
func runChild(schema string) int {
	shift, _ := time.ParseDuration(os.Getenv(shiftVariable))
	db, err := open(schema, shift)
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	fmt.Println("ready")
	m := &mill{db: db}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		verb, arg, _ := strings.Cut(in.Text(), " ")
		fmt.Println(m.answer(verb, arg))
	}
	if err := db.Close(); err != nil {
		fmt.Println("close:", err)
		return 1
	}
	return 0
}

// answer does one thing for the parent.
func answer(db *snib.DB, verb, arg string) string {
	switch verb {
	case "revoke":
		return fmt.Sprint(db.RevokeToken(ctx, arg))
	case "user":
		u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: arg})
		return fmt.Sprint(u.ID, " ", err)
	case "refresh":
		s, r, err := db.Refresh(ctx, arg)
		if err != nil {
			return err.Error()
		}
		return s.Token.Reveal() + " " + r.Token.Reveal()
	case "load": // sessions of one user, by as many writers at once, until the end
		for range 8 {
			go func() {
				for {
					if u, err := db.GetUser(ctx, snib.UserID(arg)); err == nil {
						db.CreateSession(ctx, u, snib.SessionOptions{})
					}
				}
			}()
		}
		return "loading"
	case "rate":
		return rate(db, arg)
	}
	return "what?"
}

// child is a process that has the accounts open.
type child struct {
	t   testing.TB
	cmd *osexec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// newChild starts a process. It ends with the test.
func newChild(t testing.TB, schema string, shift time.Duration) *child {
	t.Helper()
	return newChildOn(t, server(t), schema, shift)
}

// newChildOn is newChild on another server.
func newChildOn(t testing.TB, dsn, schema string, shift time.Duration) *child {
	t.Helper()
	c := &child{t: t, cmd: osexec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childVariable+"="+schema, shiftVariable+"="+shift.String(), "SNIB_POSTGRES="+dsn)
	c.cmd.Stderr = os.Stderr
	var err error
	c.in, err = c.cmd.StdinPipe()
	must(t, err)
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	c.out = bufio.NewScanner(out)
	must(t, c.cmd.Start())
	t.Cleanup(func() { c.cmd.Process.Kill(); c.cmd.Wait() })
	if line := c.line(); line != "ready" {
		t.Fatalf("child: %s", line)
	}
	return c
}

func (c *child) line() string {
	c.out.Scan()
	return c.out.Text()
}

// ask sends a line and returns the answer.
func (c *child) ask(line string) string {
	fmt.Fprintln(c.in, line)
	return c.line()
}

// together opens the accounts here and in n processes more.
func together(t testing.TB, n int, shift time.Duration) (*snib.DB, []*child, string) {
	t.Helper()
	name := schema(t)
	db, err := open(name, 0)
	must(t, err)
	t.Cleanup(func() {
		report, err := db.Check(ctx)
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("check: %v, %v", report.Problems, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	var children []*child
	for range n {
		children = append(children, newChild(t, name, shift))
	}
	return db, children, name
}

func newUser(t testing.TB, db *snib.DB) snib.User {
	t.Helper()
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com"})
	must(t, err)
	return u
}

// TestRevocationBetweenProcesses: a session that another process has revoked is
// refused by the next call here. SNIB_ROUNDS raises the number of times.
func TestRevocationBetweenProcesses(t *testing.T) {
	db, children, _ := together(t, 2, 0)
	u := newUser(t, db)
	for i := range number("SNIB_ROUNDS", 300) {
		s, err := db.CreateSession(ctx, u, snib.SessionOptions{})
		must(t, err)
		token := s.Token.Reveal()
		if _, err := db.ValidateSession(ctx, token); err != nil {
			t.Fatal(err)
		}
		if got := children[i%2].ask("revoke " + token); got != "<nil>" {
			t.Fatal(got)
		}
		if _, err := db.ValidateSession(ctx, token); !errors.Is(err, snib.ErrInvalidSession) {
			t.Fatalf("round %d: %v after the revocation", i, err)
		}
	}
}

// TestRefreshAtTwoProcesses: two processes that are given one refresh token at
// once give one answer, and all that comes of it lives on.
func TestRefreshAtTwoProcesses(t *testing.T) {
	db, children, _ := together(t, 2, 0)
	u := newUser(t, db)
	_, r, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	must(t, err)
	token := r.Token.Reveal()
	for round := range 20 {
		var answers [2]string
		var group sync.WaitGroup
		for i, c := range children {
			group.Go(func() { answers[i] = c.ask("refresh " + token) })
		}
		group.Wait()
		session, next, ok := strings.Cut(answers[0], " ")
		if answers[0] != answers[1] || !ok || strings.Contains(next, " ") {
			t.Fatalf("round %d: two answers", round)
		}
		if _, err := db.ValidateSession(ctx, session); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		token = next
	}
}

// TestAClockThatIsWrong: a process whose clock is 25 hours ahead, or behind,
// changes nothing: time is the server's.
func TestAClockThatIsWrong(t *testing.T) {
	for _, shift := range []time.Duration{25 * time.Hour, -25 * time.Hour} {
		db, children, _ := together(t, 1, shift)
		u := newUser(t, db)
		s, err := db.CreateSession(ctx, u, snib.SessionOptions{})
		must(t, err)
		if got := children[0].ask("user b@example.com"); !strings.HasSuffix(got, "<nil>") {
			t.Errorf("create at the wrong clock: %s", got)
		}
		if _, err := db.ValidateSession(ctx, s.Token.Reveal()); err != nil {
			t.Errorf("shift %v: %v", shift, err)
		}
		b, err := db.GetUserByProviderID(ctx, "email", "b@example.com")
		must(t, err)
		if d := b.CreatedAt.Sub(u.CreatedAt).Abs(); d > time.Hour {
			t.Errorf("shift %v: two users made %v apart", shift, d)
		}
	}
}

// TestARevocationIsNotStarved measures a revocation of all sessions of a user for
// whom sixteen writers in two processes make sessions without a pause.
func TestARevocationIsNotStarved(t *testing.T) {
	db, children, _ := together(t, 2, 0)
	u := newUser(t, db)
	for _, c := range children {
		c.ask("load " + string(u.ID))
	}
	times := make([]time.Duration, number("SNIB_REVOCATIONS", 20))
	for i := range times {
		began := time.Now()
		must(t, db.RevokeUserSessions(ctx, u.ID))
		times[i] = time.Since(began)
	}
	report(t, "revocation under load", times)
	for _, c := range children {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
}

// report logs the distribution of times.
func report(t testing.TB, what string, times []time.Duration) {
	sorted := append([]time.Duration{}, times...)
	for i := range sorted {
		for j := i; j > 0 && sorted[j] < sorted[j-1]; j-- {
			sorted[j], sorted[j-1] = sorted[j-1], sorted[j]
		}
	}
	at := func(p int) time.Duration { return sorted[min(len(sorted)*p/100, len(sorted)-1)] }
	t.Logf("%s: %d, p50 %v, p99 %v, max %v", what, len(times), at(50), at(99), sorted[len(sorted)-1])
}
