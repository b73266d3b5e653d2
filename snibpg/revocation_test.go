package snibpg_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
	"github.com/snibdb/snib/snibpg/internal/cluster"
)

// reaching bounds each wait for a condition.
const reaching = patience

// reach waits until a condition holds.
func reach(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(reaching); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, reaching)
		}
	}
}

// anyOf is a dsn of both servers, the first of which is asked first.
func anyOf(one, two *cluster.Server) string {
	return fmt.Sprintf("postgres://snib@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&connect_timeout=2", one.Port, two.Port)
}

// program opens the accounts as a program of its own does: with an engine of its own.
func program(t testing.TB, dsn string, adapt func(*snibpg.Engine)) (*snib.DB, *snibpg.Watched) {
	t.Helper()
	e, err := snibpg.Open(ctx, dsn, nil)
	must(t, err)
	snibpg.Hurry(e, 0, patience)
	if adapt != nil {
		adapt(e)
	}
	w := &snibpg.Watched{Engine: e}
	db, err := openWith(w, 0)
	must(t, err)
	return db, w
}

// tokens makes sessions, fifty of one user.
func tokens(t testing.TB, db *snib.DB, n int) (list []string) {
	t.Helper()
	for i := 0; len(list) < n; i++ {
		var some []string
		must(t, db.Update(ctx, func(tx *snib.Tx) error {
			some = some[:0]
			u, err := tx.CreateUser(snib.NewUser{Provider: "email", Identifier: fmt.Sprintf("r%d@example.com", i)})
			for range 50 {
				var s snib.Session
				if err == nil {
					s, err = tx.CreateSession(u, snib.SessionOptions{})
				}
				some = append(some, s.Token.Reveal())
			}
			return err
		}))
		list = append(list, some...)
	}
	return list[:n]
}

// revocations is tokens that a program revokes and another sees.
type revocations struct {
	*testing.T
	a, b *snib.DB

	mu     sync.Mutex
	acked  []string        // whose revocation a has acknowledged
	stale  int             // that b accepted at the next call
	rounds []time.Duration // of both calls
}

// work revokes tokens one after the other.
func (r *revocations) work(list []string) {
	for _, token := range list {
		if _, err := r.b.ValidateSession(ctx, token); err != nil {
			r.Errorf("before its revocation: %v", err)
		}
		began := time.Now()
		if err := r.a.RevokeToken(ctx, token); err != nil {
			r.Errorf("revoke: %v", err)
			continue
		}
		accepted := r.accepted(token)
		r.mu.Lock()
		r.acked, r.rounds = append(r.acked, token), append(r.rounds, time.Since(began))
		if accepted {
			r.stale++
		}
		r.mu.Unlock()
	}
}

// accepted reports if b takes a token.
func (r *revocations) accepted(token string) bool {
	_, err := r.b.ValidateSession(ctx, token)
	if err != nil && !errors.Is(err, snib.ErrInvalidSession) {
		r.Errorf("validate: %v", err)
	}
	return err == nil
}

func (r *revocations) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.acked)
}

// revived counts the acknowledged revocations that b does not know.
func (r *revocations) revived() (n int) {
	r.mu.Lock()
	list := append([]string{}, r.acked...)
	r.mu.Unlock()
	for _, token := range list {
		if r.accepted(token) {
			n++
		}
	}
	return n
}

// caughtUp waits until the standby has replayed all that the primary has written.
func caughtUp(t *testing.T, primary *cluster.Server) {
	t.Helper()
	at := on(t, primary, "select pg_current_wal_flush_lsn()")
	reach(t, "the standby has all", func() bool {
		return on(t, primary, "select count(*) > 0 and bool_and(replay_lsn >= '"+at+"') from pg_stat_replication") == "t"
	})
}

// TestRevocationThroughAFailOver: a session whose revocation one program has
// acknowledged is refused at the next call of another, again and again, under load
// by a third, while the primary is killed and the standby promoted in the middle.
// Without a synchronous standby the same run must find some accepted, or it could
// not tell.
//
// SNIB_ROUNDS raises the number of revocations.
func TestRevocationThroughAFailOver(t *testing.T) {
	for _, synchronous := range []bool{true, false} {
		t.Run(map[bool]string{true: "Synchronous", false: "Asynchronous"}[synchronous], func(t *testing.T) {
			t.Parallel()
			revokeThrough(t, synchronous)
		})
	}
}

func revokeThrough(t *testing.T, synchronous bool) {
	primary, standby := pair(t, synchronous)
	r := &revocations{T: t}
	r.a, _ = program(t, anyOf(primary, standby), nil)
	r.b, _ = program(t, anyOf(primary, standby), nil)
	third, _ := program(t, anyOf(primary, standby), nil)
	rounds, workers := number("SNIB_ROUNDS", 400), 4
	if !synchronous {
		rounds = min(rounds, 400)
	}
	list := tokens(t, r.a, rounds)
	caughtUp(t, primary)
	if synchronous {
		readTheStandby(t, r.a, primary, standby)
	}

	w := &workload{T: t, dbs: [2]*snib.DB{third, third}, stop: make(chan struct{}), lossy: !synchronous}
	var group sync.WaitGroup
	for n := range workers {
		w.group.Go(func() { w.worker(n) })
		group.Go(func() { r.work(list[n*rounds/workers : (n+1)*rounds/workers]) })
	}
	reach(t, "half of the revocations", func() bool { return r.count() >= rounds/2 })
	if !synchronous {
		w.fallBehind(primary)
		from := r.count()
		reach(t, "revocations that the standby does not get", func() bool { return r.count() >= min(from+20, rounds) })
	}
	primary.Kill()
	before := r.count()
	must(t, standby.Promote(ctx))
	revived := r.revived()
	group.Wait()
	close(w.stop)
	w.group.Wait()
	revived += r.revived()

	t.Logf("%d revocations, %d before the kill, %d calls of others acknowledged: %d accepted at the next call, %d after the promotion", len(r.acked), before, w.acked.Load(), r.stale, revived)
	report(t, "revoked at one, refused at the other", r.rounds)
	switch {
	case synchronous && r.stale+revived > 0:
		t.Error("a revoked session was accepted")
	case synchronous && (len(r.acked) != rounds || w.unknown.Load() > 0):
		t.Errorf("%d of %d revocations, %d errors", len(r.acked), rounds, w.unknown.Load())
	case !synchronous && revived == 0:
		t.Error("all were refused without a synchronous standby: this test could not tell")
	}
	check(t, r.b)
	for _, db := range []*snib.DB{r.a, r.b, third} {
		must(t, db.Close())
	}
}

// check reports the problems of the accounts.
func check(t *testing.T, db *snib.DB) {
	t.Helper()
	report, err := db.Check(ctx)
	must(t, err)
	for _, p := range report.Problems {
		t.Errorf("check: %v", p)
	}
}

// readTheStandby shows what the refusal of standbys is for: one that has the
// revocation on its disk and has not replayed it takes the token. A program whose
// server turns out to be a standby has an error instead.
func readTheStandby(t *testing.T, a *snib.DB, primary, standby *cluster.Server) {
	u, err := a.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "replica@example.com"})
	must(t, err)
	s, err := a.CreateSession(ctx, u, snib.SessionOptions{})
	must(t, err)
	caughtUp(t, primary)
	token := s.Token.Reveal()
	var target atomic.Value
	target.Store("")
	to := func() string { return target.Load().(string) }
	careless, cw := program(t, primary.DSN(), func(e *snibpg.Engine) { snibpg.Redirect(e, to, true) })
	guarded, gw := program(t, primary.DSN(), func(e *snibpg.Engine) { snibpg.Redirect(e, to, false) })
	target.Store(fmt.Sprintf("127.0.0.1:%d", standby.Port))
	cw.Reconnect()
	gw.Reconnect()
	if _, err := careless.ValidateSession(ctx, token); err != nil {
		t.Fatalf("a session that is on the standby: %v", err)
	}
	on(t, standby, "select pg_wal_replay_pause()")
	reach(t, "a pause of the replay", func() bool { return on(t, standby, "select pg_get_wal_replay_pause_state()") == "paused" })
	must(t, a.RevokeToken(ctx, token))
	if _, err := careless.ValidateSession(ctx, token); err != nil {
		t.Errorf("read from a late standby: %v: this test could not tell", err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := guarded.ValidateSession(short, token); err == nil {
		t.Error("a standby has answered")
	}
	on(t, standby, "select pg_wal_replay_resume()")
	target.Store("")
	cw.Reconnect()
	must(t, careless.Close())
	must(t, guarded.Close())
}
