package snibpg_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
	"github.com/snibdb/snib/snibpg/internal/cluster"
)

// number is a bound of the tests, which a variable of the environment can raise.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// pair starts a primary and its standby.
func pair(t *testing.T, sync bool) (primary, standby *cluster.Server) {
	t.Helper()
	return pairOn(t, sync, cluster.Host{}, cluster.Host{})
}

// pairOn starts them on hosts.
func pairOn(t *testing.T, sync bool, one, two cluster.Host) (primary, standby *cluster.Server) {
	t.Helper()
	server(t) // skips
	stop := func(s *cluster.Server) {
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	primary, err := cluster.StartAt(ctx, one)
	if errors.Is(err, cluster.ErrMissing) && os.Getenv("SNIB_REQUIRE_SERVERS") != "1" {
		t.Skip(err)
	}
	must(t, err)
	stop(primary)
	standby, err = primary.StandbyAt(ctx, two, "wal_retrieve_retry_interval=100ms") // or it promotes up to 5 s later
	must(t, err)
	stop(standby)
	must(t, primary.AwaitStandby(ctx))
	if sync {
		on(t, primary, "alter system set synchronous_standby_names = 'standby'")
		on(t, primary, "select pg_reload_conf()")
		for reloaded := ""; reloaded == ""; {
			reloaded = on(t, primary, "show synchronous_standby_names")
		}
	}
	return primary, standby
}

// on runs one statement on a server and returns the last text of its result.
func on(t *testing.T, s *cluster.Server, sql string) (text string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, s.DSN())
	must(t, err)
	defer conn.Close(ctx)
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	must(t, err)
	for _, r := range results {
		for _, row := range r.Rows {
			text = string(row[0])
		}
	}
	return text
}

// ledger is what the workers were told of one user.
type ledger struct {
	name    string
	id      snib.UserID
	live    []string // tokens of sessions
	revoked []string
	deleted bool
}

// workload is programs that create, read and delete at once, each step at one and
// its proof at the other.
type workload struct {
	*testing.T
	dbs     [2]*snib.DB
	stop    chan struct{}
	group   sync.WaitGroup
	mu      sync.Mutex
	ledgers []*ledger
	acked   atomic.Int64
	stale   atomic.Int64 // reads that did not see an acknowledged write
	unknown atomic.Int64
	lossy   bool // acknowledged users may be gone
}

func (w *workload) worker(n int) {
	for i := 0; ; i++ {
		select {
		case <-w.stop:
			return
		default:
		}
		if err := w.round(w.dbs[(n+i)%2], w.dbs[(n+i+1)%2], fmt.Sprintf("w%d-%d@example.com", n, i), i); err != nil && !(w.lossy && errors.Is(err, snib.ErrUserNotFound)) {
			w.unknown.Add(1)
			w.Errorf("worker %d: %v", n, err)
		}
	}
}

// round is the life of one user. a writes and b reads.
func (w *workload) round(a, b *snib.DB, name string, i int) error {
	u, err := a.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: name})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	l := &ledger{name: name, id: u.ID}
	w.mu.Lock()
	w.ledgers = append(w.ledgers, l)
	w.mu.Unlock()
	w.acked.Add(1)
	seen, err := b.GetUser(ctx, u.ID)
	if errors.Is(err, snib.ErrUserNotFound) {
		w.stale.Add(1)
		return nil
	} else if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	for range 2 {
		s, err := a.CreateSession(ctx, seen, snib.SessionOptions{})
		if err != nil {
			return fmt.Errorf("session: %w", err)
		}
		w.acked.Add(1)
		l.live = append(l.live, s.Token.Reveal())
	}
	if err := w.revoke(a, b, l); err != nil {
		return err
	}
	if i%2 == 0 {
		return nil
	}
	if err := a.DeleteUser(ctx, u.ID); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	w.acked.Add(1)
	l.deleted = true
	if _, err := b.ValidateSession(ctx, l.live[0]); err == nil {
		w.stale.Add(1)
	} else if !errors.Is(err, snib.ErrInvalidSession) {
		return fmt.Errorf("validate: %w", err)
	}
	return nil
}

// revoke ends the last session.
func (w *workload) revoke(a, b *snib.DB, l *ledger) error {
	token := l.live[len(l.live)-1]
	l.live = l.live[:len(l.live)-1]
	if err := a.RevokeToken(ctx, token); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	w.acked.Add(1)
	l.revoked = append(l.revoked, token)
	_, err := b.ValidateSession(ctx, token)
	switch {
	case err == nil:
		w.stale.Add(1)
	case !errors.Is(err, snib.ErrInvalidSession):
		return fmt.Errorf("validate: %w", err)
	}
	return nil
}

// fallBehind stops the process that sends commits to the standby.
func fallBehind(t *testing.T, primary *cluster.Server) {
	t.Helper()
	pid, err := strconv.Atoi(on(t, primary, "select pid from pg_stat_replication"))
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
}

// fallBehind leaves the standby behind, and waits for more commits.
func (w *workload) fallBehind(primary *cluster.Server) {
	w.Helper()
	fallBehind(w.T, primary)
	for n := w.acked.Load(); w.acked.Load() < n+50; {
		time.Sleep(10 * time.Millisecond)
	}
}

// losses compares the ledgers with db: acknowledged creates, sessions,
// revocations and deletes that it does not have.
func (w *workload) losses(db *snib.DB) (users, sessions, revocations, deletes int) {
	for _, l := range w.ledgers {
		_, err := db.GetUserByProviderID(ctx, "email", l.name)
		there := err == nil
		if err != nil && !errors.Is(err, snib.ErrUserNotFound) {
			w.Errorf("look up: %v", err)
		}
		switch {
		case there && l.deleted:
			deletes++
		case !there && !l.deleted:
			users++
			continue
		}
		for _, token := range l.live {
			if _, err := db.ValidateSession(ctx, token); (err == nil) == l.deleted {
				sessions++
			}
		}
		for _, token := range l.revoked {
			if _, err := db.ValidateSession(ctx, token); err == nil {
				revocations++
			}
		}
	}
	return users, sessions, revocations, deletes
}

// TestKills ends all connections at once, again and again, and then the primary,
// while two programs write; the standby takes over. With a synchronous standby no
// acknowledged write is lost, none is half done, and no outcome stays unknown.
// Without one the same run must lose some, or it could not tell.
//
// SNIB_KILL_WORKERS, SNIB_KILL_MS (of load before and after) and SNIB_KILL_CUTS
// raise its counts.
func TestKills(t *testing.T) {
	for _, sync := range []bool{true, false} {
		t.Run(map[bool]string{true: "Synchronous", false: "Asynchronous"}[sync], func(t *testing.T) { kill(t, sync) })
	}
}

func kill(t *testing.T, synchronous bool) {
	primary, standby := pair(t, synchronous)
	dsn := fmt.Sprintf("postgres://snib@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&connect_timeout=2", primary.Port, standby.Port)
	e, err := snibpg.Open(ctx, dsn, nil)
	must(t, err)
	snibpg.Hurry(e, 0, patience)
	watched := &snibpg.Watched{Engine: e}
	w := &workload{T: t, stop: make(chan struct{}), lossy: !synchronous}
	for i := range w.dbs {
		w.dbs[i], err = snib.OpenStore(ctx, watched, &snib.Options{BusyTimeout: patience, SweepEvery: -1})
		must(t, err)
	}
	load := time.Duration(number("SNIB_KILL_MS", 700)) * time.Millisecond
	for n := range number("SNIB_KILL_WORKERS", 8) {
		w.group.Go(func() { w.worker(n) })
	}
	time.Sleep(load)
	for range number("SNIB_KILL_CUTS", 8) {
		on(t, primary, "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'")
		time.Sleep(50 * time.Millisecond)
	}
	if !synchronous {
		w.fallBehind(primary)
	}
	primary.Kill()
	began := time.Now()
	must(t, standby.Promote(ctx))
	pause := time.Since(began)
	time.Sleep(load)
	close(w.stop)
	w.group.Wait()

	users, sessions, revocations, deletes := w.losses(w.dbs[0])
	report, err := w.dbs[1].Check(ctx)
	must(t, err)
	f, settled := watched.Figures()
	t.Logf("%d acknowledged, %d unknown, %d stale reads, %d commits settled, %d replays, promotion took %v", w.acked.Load(), w.unknown.Load(), w.stale.Load(), settled, f.Replays, pause.Round(time.Millisecond))
	t.Logf("lost: %d users, %d sessions, %d revocations, %d deletes", users, sessions, revocations, deletes)
	lost := users + sessions + revocations + deletes
	switch {
	case synchronous && lost > 0:
		t.Errorf("%d acknowledged writes were lost", lost)
	case !synchronous && lost == 0:
		t.Error("nothing was lost without a synchronous standby: this test could not tell")
	}
	if synchronous && w.stale.Load() > 0 {
		t.Errorf("%d reads did not see an acknowledged write", w.stale.Load())
	}
	for _, p := range report.Problems {
		t.Errorf("check: %v", p)
	}
	for _, db := range w.dbs {
		must(t, db.Close())
	}
}

// TestAStandbyIsRefused: its answers would be late.
func TestAStandbyIsRefused(t *testing.T) {
	primary, standby := pair(t, true)
	_, err := snibpg.Open(ctx, standby.DSN(), nil)
	if err == nil || !strings.Contains(err.Error(), "standby in recovery") {
		t.Errorf("got %v, want a refusal of the standby", err)
	}
	both := fmt.Sprintf("postgres://snib@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable", standby.Port, primary.Port)
	e, err := snibpg.Open(ctx, both, &snibpg.Options{RequireSync: true})
	must(t, err)
	snibpg.Hurry(e, time.Second, time.Minute)
	db, err := snib.OpenStore(ctx, e, nil)
	must(t, err)
	waits(t, db, primary, standby)
	must(t, db.Close())

	// Asked for, a synchronous standby is asked for on each connection.
	on(t, primary, "alter system set synchronous_standby_names = ''")
	on(t, primary, "select pg_reload_conf()")
	for on(t, primary, "show synchronous_standby_names") != "" {
	}
	if _, err := snibpg.Open(ctx, both, &snibpg.Options{RequireSync: true}); err == nil || !strings.Contains(err.Error(), "no synchronous standby") {
		t.Errorf("got %v, want a refusal without a synchronous standby", err)
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if db, err := snib.OpenStore(short, e, &snib.Options{BusyTimeout: time.Second}); err == nil {
		db.Close()
		t.Error("opened without a synchronous standby")
	}
}

// waits shows that a commit of Retry waits for the standby, also where a connection of
// the program cancels what takes too long: the server then says that the commit is
// done.
func waits(t *testing.T, db *snib.DB, primary, standby *cluster.Server) {
	config, err := pgxpool.ParseConfig(primary.DSN())
	must(t, err)
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Minute}
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	must(t, err)
	defer pool.Close()
	done := make(chan error, 1)
	standby.Freeze()
	go func() {
		done <- snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error { return join(db, tx, create("w@example.com")) })
	}()
	select {
	case err := <-done:
		t.Errorf("the standby does not answer, and the commit is acknowledged: %v", err)
		done <- err
	case <-time.After(3 * time.Second): // three trips
	}
	standby.Thaw()
	must(t, <-done)
}
