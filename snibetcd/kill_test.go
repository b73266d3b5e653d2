package snibetcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// TestKills: two programs create users and sessions, revoke and delete, while
// members of the cluster are killed and frozen. What was acknowledged is there,
// what was refused is not, nothing is half, and no outcome stays unknown.
//
// SNIB_ETCD_SECONDS is the time between two misfortunes, 2 by default.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	pause := 2 * time.Second
	if n, err := strconv.Atoi(os.Getenv("SNIB_ETCD_SECONDS")); err == nil {
		pause = time.Duration(n) * time.Second
	}
	seats := cluster(t)
	var endpoints []string
	for _, s := range seats {
		endpoints = append(endpoints, s.Client)
	}
	dbs := make([]*snib.DB, 2)
	var admin *clientv3.Client
	for i := range dbs {
		c, err := clientv3.New(clientv3.Config{
			Endpoints: endpoints, Logger: zap.NewNop(), DialTimeout: 5 * time.Second,
			DialKeepAliveTime: 2 * time.Second, DialKeepAliveTimeout: 2 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		e, err := Open(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		e.settle = 5 * time.Minute // members begin slowly on a machine with other work
		if dbs[i], err = open(t, e); err != nil {
			t.Fatal(err)
		}
		admin = c
	}
	w := &work{T: t, dbs: dbs}
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() { w.run(ctx, i) })
	}
	for _, misfortune := range []struct {
		name string
		act  func()
	}{
		{"a follower is killed", func() { restart(t, pause, follower(t, admin, seats)) }},
		{"the leader is killed", func() { restart(t, pause, leader(t, admin, seats)) }},
		{"the leader is frozen", func() { leader(t, admin, seats).freeze(2 * pause) }},
		{"all are killed", func() { restart(t, pause, seats...) }},
	} {
		time.Sleep(pause)
		misfortune.act()
		t.Log(misfortune.name, w.acked.Load())
	}
	time.Sleep(pause)
	stop()
	group.Wait()
	t.Logf("%d acknowledged, %d refused, %d unknown", w.acked.Load(), w.refused.Load(), w.unknown.Load())
	if w.acked.Load() == 0 || w.unknown.Load() > 0 {
		t.Error("nothing was done, or an outcome is unknown")
	}
	report, err := dbs[0].Check(t.Context())
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("Check: %v, %v", report.Problems, err)
	}
}

// open opens the accounts, as soon as the cluster has a leader.
func open(t *testing.T, e *Engine) (db *snib.DB, err error) {
	for range 60 {
		o := snibtest.Fast(&snib.Options{BusyTimeout: 5 * time.Minute})
		o.InsecureNoSync = false
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		db, err = snib.OpenStore(ctx, e, o)
		cancel()
		if err == nil {
			t.Cleanup(func() { db.Close() })
			return db, nil
		}
		time.Sleep(500 * time.Millisecond)
	}
	return nil, err
}

func restart(t *testing.T, pause time.Duration, seats ...*seat) {
	for _, s := range seats {
		s.kill()
	}
	time.Sleep(pause / 2)
	for _, s := range seats {
		s.start(t)
	}
}

func leader(t *testing.T, c *clientv3.Client, seats []*seat) *seat {
	for range 100 {
		for _, s := range seats {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			r, err := c.Status(ctx, s.Client)
			cancel()
			if err == nil && r.Leader == r.Header.MemberId {
				return s
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("no leader")
	return nil
}

func follower(t *testing.T, c *clientv3.Client, seats []*seat) *seat {
	l := leader(t, c, seats)
	for _, s := range seats {
		if s != l {
			return s
		}
	}
	return nil
}

// work is what programs do, and its record.
type work struct {
	*testing.T
	dbs                     []*snib.DB
	acked, refused, unknown atomic.Int64
}

// run creates a user, session after session, and takes them away again. Each step
// is read back through the other program.
func (w *work) run(ctx context.Context, lane int) {
	steps := context.WithoutCancel(ctx) // the last step is to end
	for n := 0; ctx.Err() == nil; n++ {
		here, there := w.dbs[(lane+n)%2], w.dbs[(lane+n+1)%2]
		u, err := here.CreateUser(steps, snib.NewUser{Provider: "username", Identifier: fmt.Sprintf("u%d.%d", lane, n)})
		if !w.done(err) {
			if _, err := again(func() (snib.User, error) {
				return there.GetUserByProviderID(steps, "username", fmt.Sprintf("u%d.%d", lane, n))
			}); !errors.Is(err, snib.ErrUserNotFound) {
				w.Errorf("a user that was refused: %v", err)
			}
			continue
		}
		if _, err := again(func() (snib.User, error) { return there.GetUser(steps, u.ID) }); err != nil {
			w.Errorf("a user that was acknowledged: %v", err)
		}
		s, err := here.CreateSession(steps, u, snib.SessionOptions{})
		if w.done(err) {
			if _, err := again(func() (snib.Session, error) { return there.ValidateSession(steps, s.Token.Reveal()) }); err != nil {
				w.Errorf("a session that was acknowledged: %v", err)
			}
			if w.done(there.RevokeSession(steps, u.ID, s.ID)) {
				if _, err := again(func() (snib.Session, error) { return here.ValidateSession(steps, s.Token.Reveal()) }); !errors.Is(err, snib.ErrInvalidSession) {
					w.Errorf("a session whose revocation was acknowledged: %v", err)
				}
			}
		}
		if rand.IntN(2) == 0 && w.done(there.DeleteUser(steps, u.ID)) {
			if _, err := again(func() (snib.User, error) { return here.GetUser(steps, u.ID) }); !errors.Is(err, snib.ErrUserNotFound) {
				w.Errorf("a user whose deletion was acknowledged: %v", err)
			}
		}
	}
}

// done counts the outcome of a write.
func (w *work) done(err error) bool {
	switch {
	case err == nil:
		w.acked.Add(1)
	case errors.Is(err, snib.ErrUnknown):
		w.unknown.Add(1)
	default:
		w.refused.Add(1)
	}
	return err == nil
}

// again repeats a read as long as the cluster cannot be reached.
func again[T any](read func() (T, error)) (out T, err error) {
	for range 30 {
		if out, err = read(); !errors.Is(err, snib.ErrBusy) {
			return out, err
		}
	}
	return out, err
}
