package snibetcd

import (
	"context"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/lan"
)

// watched is an Engine whose store tells its figures.
type watched struct {
	*Engine
	s *store
}

func (w *watched) Open(ctx context.Context, setup kv.Setup) (kv.Store, error) {
	s, err := w.Engine.Open(ctx, setup)
	if err == nil {
		w.s = s.(*store)
	}
	return s, err
}

// TestTrips pins how often the calls of an application go to the cluster.
func TestTrips(t *testing.T) { trips(t, connect(t), "/trips/", 0) }

// oneWay is the delay of a long wire, as between two cities.
const oneWay = 20 * time.Millisecond

// TestTripsOverALongWire: the trips are the same, and the times that snib sets are
// long enough, also for many writers of one user, who lose to each other.
func TestTripsOverALongWire(t *testing.T) {
	t.Parallel()
	connect(t) // starts it
	at := lan.Slow(t, "unix", folder+"/client.sock:0", oneWay)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + at}, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	db := trips(t, c, "/far/", oneWay)
	u, err := db.CreateUser(t.Context(), snib.NewUser{Provider: "email", Identifier: "busy@example.com"})
	must(t, err)
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if _, err := db.CreateSession(t.Context(), u, snib.SessionOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	must(t, db.RevokeUserSessions(t.Context(), u.ID))
	report, err := db.Check(t.Context())
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("Check: %v, %v", report.Problems, err)
	}
}

// trips pins them, on a wire with a delay each way.
func trips(t *testing.T, c *clientv3.Client, prefix string, delay time.Duration) *snib.DB {
	t.Helper()
	e, err := Open(c, &Options{Prefix: prefix})
	must(t, err)
	w := &watched{Engine: e}
	o := &snib.Options{SweepEvery: -1}
	o.Passwords.Parallelism, o.Passwords.MemoryKiB, o.Passwords.Time = 1, 8, 1
	ctx := t.Context()
	db, err := snib.OpenStore(ctx, w, o)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	const password = "correct horse battery"
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com", Password: password})
	must(t, err)
	gone, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "b@example.com"})
	must(t, err)
	s, err := db.CreateSession(ctx, u, snib.SessionOptions{})
	must(t, err)
	_, r, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	must(t, err)
	for range 10 {
		_, err := db.CreateSession(ctx, gone, snib.SessionOptions{})
		must(t, err)
	}
	for _, test := range []struct {
		name string
		most int64
		call func() error
	}{
		{"ValidateSession", 1, func() error { _, err := db.ValidateSession(ctx, s.Token.Reveal()); return err }},
		{"ValidateSessionUser", 2, func() error { _, _, err := db.ValidateSessionUser(ctx, s.Token.Reveal()); return err }},
		{"ListUserSessions", 2, func() error { _, err := db.ListUserSessions(ctx, u.ID); return err }},
		{"CreateUser", 2, func() error {
			_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "c@example.com"})
			return err
		}},
		{"CreateSession", 4, func() error { _, err := db.CreateSession(ctx, u, snib.SessionOptions{}); return err }},
		{"LogIn", 4, func() error {
			_, _, err := db.LogIn(ctx, "email", "a@example.com", password, snib.SessionOptions{})
			return err
		}},
		{"Refresh", 4, func() error { _, _, err := db.Refresh(ctx, r.Token.Reveal()); return err }},
		{"DeleteUser", 4, func() error { return db.DeleteUser(ctx, gone.ID) }},
	} {
		before := w.s.Figures().Trips
		began := time.Now()
		must(t, test.call())
		took := time.Since(began)
		trips := w.s.Figures().Trips - before
		t.Logf("%-20s %d", test.name, trips)
		if trips > test.most {
			t.Errorf("%s: %d trips, want %d at most", test.name, trips, test.most)
		}
		if least := time.Duration(trips) * 2 * delay; took < least {
			t.Errorf("%s: %d trips in %v", test.name, trips, took)
		}
	}
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
