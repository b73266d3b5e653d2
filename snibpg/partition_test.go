package snibpg_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/lan"
	"github.com/snibdb/snib/snibpg"
	"github.com/snibdb/snib/snibpg/internal/cluster"
)

// parted is a primary with a synchronous standby and two programs, each on a host of
// its own in a network that parts.
type parted struct {
	*testing.T
	net              *lan.LAN
	primary, standby *cluster.Server
	near, far        *snib.DB
	watched          *snibpg.Watched // of far
	dsn              string
}

const (
	trip   = time.Second     // of both programs
	settle = 3 * time.Second // of the one that is cut off for good
)

func newParted(t *testing.T) *parted {
	server(t) // skips
	p := &parted{T: t, net: lan.New(t, "primary", "standby", "near", "far")}
	at := func(name string) cluster.Host {
		return cluster.Host{Address: p.net.Address(name), Run: p.net.Run(name)}
	}
	p.primary, p.standby = pairOn(t, true, at("primary"), at("standby"))
	p.dsn = fmt.Sprintf("postgres://snib@%s:%d,%s:%d/postgres?sslmode=disable&connect_timeout=2", p.net.Address("primary"), p.primary.Port, p.net.Address("standby"), p.standby.Port)
	p.near, _ = p.program("near", patience)
	p.far, p.watched = p.program("far", patience)
	return p
}

// program opens the accounts on a host.
func (p *parted) program(host string, settle time.Duration) (*snib.DB, *snibpg.Watched) {
	p.Helper()
	var e *snibpg.Engine
	must(p.T, p.net.Run(host)(func() (err error) {
		e, err = snibpg.Open(ctx, p.dsn, nil)
		return err
	}))
	snibpg.DialBy(e, p.net.Dial(host))
	snibpg.Hurry(e, trip, settle)
	w := &snibpg.Watched{Engine: e}
	db, err := openWith(w, 0)
	must(p.T, err)
	p.Cleanup(func() { must(p.T, db.Close()) })
	return db, w
}

// waiting waits until the primary has a commit that waits for its standby, or the call
// has ended.
func (p *parted) waiting(done chan error) {
	p.Helper()
	reach(p.T, "a commit that waits for the standby", func() bool {
		return len(done) > 0 || on(p.T, p.primary, "select count(*) from pg_stat_activity where wait_event = 'SyncRep'") != "0"
	})
}

// follows waits until the standby is synchronous again.
func (p *parted) follows() {
	p.Helper()
	reach(p.T, "the standby follows", func() bool {
		return on(p.T, p.primary, "select count(*) from pg_stat_replication where sync_state in ('sync', 'quorum') and state = 'streaming'") != "0"
	})
}

// whole is a user with a session, in one transaction.
func whole(name string) func(*snib.Tx) error {
	return func(tx *snib.Tx) error {
		u, err := tx.CreateUser(snib.NewUser{Provider: "email", Identifier: name})
		if err == nil {
			_, err = tx.CreateSession(u, snib.SessionOptions{})
		}
		return err
	}
}

// wholly reports if near has such a user. One of the halves is an error.
func (p *parted) wholly(name string) bool {
	p.Helper()
	u, err := p.near.GetUserByProviderID(ctx, "email", name)
	if errors.Is(err, snib.ErrUserNotFound) {
		return false
	}
	must(p.T, err)
	list, err := p.near.ListUserSessions(ctx, u.ID)
	if err != nil || len(list) != 1 {
		p.Errorf("%s: half is there: %d sessions, %v", name, len(list), err)
	}
	return true
}

// lost runs an Update whose commit reaches the primary, and whose answer has no way
// back. It returns when the commit has happened and the answer is on its way.
func (p *parted) lost(db *snib.DB, host, name string) (done chan error) {
	p.Helper()
	p.net.Part(p.T, "standby") // holds the commit up
	done = make(chan error, 1)
	go func() { done <- db.Update(ctx, whole(name)) }()
	p.waiting(done)
	p.net.Part(p.T, "standby", host)
	p.net.Part(p.T, host)
	p.follows()
	return done
}

// TestPartitions: a primary, its synchronous standby and two programs are cut off from
// each other without a word, and find together again.
func TestPartitions(t *testing.T) {
	t.Parallel()
	p := newParted(t)
	for _, step := range []struct {
		name string
		run  func(p *parted)
	}{
		{"TheStandby", cutOffTheStandby},
		{"TheAnswer", cutOffTheAnswer},
		{"TheAnswerForGood", cutOffForGood},
		{"TheCommit", cutOffTheCommit},
		{"Retry", cutOffRetry},
		{"ARead", cutOffARead},
	} {
		t.Run(step.name, func(t *testing.T) {
			q := *p
			q.T = t
			defer func() { p.net.Heal(t); q.follows() }()
			step.run(&q)
		})
	}
	t.Run("Load", func(t *testing.T) {
		q := *p
		q.T = t
		cutUnderLoad(&q)
	})
	for _, db := range []*snib.DB{p.near, p.far} { // both meet the new primary
		check(t, db)
	}
	p.net.Heal(t)
}

// cutOffTheStandby: a commit that the standby cannot confirm is not acknowledged, and
// is when the network has healed.
func cutOffTheStandby(p *parted) {
	p.net.Part(p.T, "standby")
	done := make(chan error, 1)
	go func() { done <- p.far.Update(ctx, whole("standby@example.com")) }()
	p.waiting(done)
	select {
	case err := <-done:
		p.Fatalf("acknowledged by a primary that is alone: %v", err)
	case <-time.After(2 * trip):
	}
	p.net.Heal(p.T)
	must(p.T, <-done)
	if !p.wholly("standby@example.com") {
		p.Error("acknowledged, and not there")
	}
}

// cutOffTheAnswer: the mark tells that a commit has happened whose answer was lost.
func cutOffTheAnswer(p *parted) {
	_, before := p.watched.Figures()
	done := p.lost(p.far, "far", "answer@example.com")
	select {
	case err := <-done:
		p.Fatalf("nothing came back, and the call has returned: %v", err)
	case <-time.After(2 * trip):
	}
	p.net.Heal(p.T)
	must(p.T, <-done)
	if _, after := p.watched.Figures(); after == before || !p.wholly("answer@example.com") {
		p.Errorf("%d commits were settled; there: %v", after-before, p.wholly("answer@example.com"))
	}
}

// cutOffForGood: a call that learns nothing ends all the same, and says that it does
// not know. What it did is whole, and known once the network has healed.
func cutOffForGood(p *parted) {
	db, _ := p.program("far", settle)
	if err := <-p.lost(db, "far", "good@example.com"); !errors.Is(err, snib.ErrUnknown) {
		p.Errorf("got %v, want ErrUnknown", err)
	}
	p.net.Heal(p.T)
	if !p.wholly("good@example.com") {
		p.Error("the commit was sent and is not there")
	}
	if err := db.Update(ctx, whole("good@example.com")); !errors.Is(err, snib.ErrIdentityTaken) {
		p.Errorf("once more: %v", err)
	}
}

// cutOffTheCommit: a commit that cannot get through is fenced off when the network
// heals, and may arrive late. It is done once.
func cutOffTheCommit(p *parted) {
	cut := false
	done := make(chan error, 1)
	go func() {
		done <- p.far.Update(ctx, func(tx *snib.Tx) error {
			err := whole("commit@example.com")(tx)
			if err == nil && !cut {
				cut = true
				p.net.Part(p.T, "far")
			}
			return err
		})
	}()
	select {
	case err := <-done:
		p.Fatalf("nothing got through, and the call has returned: %v", err)
	case <-time.After(2 * trip):
	}
	if p.wholly("commit@example.com") {
		p.Error("it has got through")
	}
	p.net.Heal(p.T)
	must(p.T, <-done)
	if !p.wholly("commit@example.com") {
		p.Error("acknowledged, and not there")
	}
}

// cutOffRetry: the same for a commit of the program's own, on its own connection.
func cutOffRetry(p *parted) {
	config, err := pgxpool.ParseConfig(p.dsn)
	must(p.T, err)
	config.ConnConfig.DialFunc = p.net.Dial("far")
	pool, err := pgxpool.NewWithConfig(ctx, config)
	must(p.T, err)
	defer pool.Close()
	done, runs := make(chan error, 1), 0
	p.net.Part(p.T, "standby")
	go func() {
		done <- snibpg.Retry(ctx, p.far, pool, func(tx pgx.Tx) error {
			runs++
			return join(p.far, tx, whole("retry@example.com"))
		})
	}()
	p.waiting(done)
	p.net.Part(p.T, "standby", "far")
	p.net.Part(p.T, "far")
	p.follows()
	select {
	case err := <-done:
		p.Fatalf("nothing came back, and Retry has returned: %v", err)
	case <-time.After(2 * trip):
	}
	p.net.Heal(p.T)
	must(p.T, <-done)
	if runs != 1 || !p.wholly("retry@example.com") {
		p.Errorf("%d runs; there: %v", runs, p.wholly("retry@example.com"))
	}
}

// cutOffARead: a read that is cut off ends by the caller's context.
func cutOffARead(p *parted) {
	token := tokens(p.T, p.near, 1)[0]
	if _, err := p.far.ValidateSession(ctx, token); err != nil {
		p.Fatal(err)
	}
	p.net.Part(p.T, "far")
	short, cancel := context.WithTimeout(ctx, trip/2)
	defer cancel()
	if _, err := p.far.ValidateSession(short, token); !errors.Is(err, context.DeadlineExceeded) {
		p.Errorf("got %v, want the end of the context", err)
	}
	must(p.T, p.near.RevokeToken(ctx, token)) // the others go on
	p.net.Heal(p.T)
	if _, err := p.far.ValidateSession(ctx, token); !errors.Is(err, snib.ErrInvalidSession) {
		p.Errorf("revoked beside the cut: %v", err)
	}
}

// cutUnderLoad: what two programs were told while the network parted and healed is
// there, and none of it was read late: on the standby, which is promoted at the end, in
// the place of a primary that is cut off.
//
// SNIB_CUTS raises the number of partitions.
func cutUnderLoad(p *parted) {
	w := &workload{T: p.T, stop: make(chan struct{}), dbs: [2]*snib.DB{p.near, p.far}}
	for n := range 6 {
		w.group.Go(func() { w.worker(n) })
	}
	further := func(what string) {
		from := w.acked.Load()
		reach(p.T, what, func() bool { return w.acked.Load() >= from+12 })
	}
	cuts := [][]string{{"far"}, {"standby"}, {"primary"}, {"near", "far"}, {"primary", "far"}}
	for i := range number("SNIB_CUTS", 4) {
		further("acknowledged calls")
		p.net.Part(p.T, cuts[i%len(cuts)]...)
		time.Sleep(time.Duration(i%3) * trip)
		p.net.Heal(p.T)
	}
	further("acknowledged calls after the last")
	close(w.stop)
	w.group.Wait()
	p.net.Part(p.T, "primary")
	must(p.T, p.standby.Promote(ctx))
	users, sessions, revocations, deletes := w.losses(p.near)
	_, settled := p.watched.Figures()
	p.Logf("%d acknowledged, %d unknown, %d stale reads, %d settled at one; lost: %d users, %d sessions, %d revocations, %d deletes", w.acked.Load(), w.unknown.Load(), w.stale.Load(), settled, users, sessions, revocations, deletes)
	if users+sessions+revocations+deletes > 0 || w.stale.Load() > 0 {
		p.Error("acknowledged writes were lost, or not seen")
	}
}
