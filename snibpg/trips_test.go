package snibpg_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/lan"
	"github.com/snibdb/snib/snibpg"
)

// TestTrips pins how often the calls of an application go to the server: all that
// counts in a network.
func TestTrips(t *testing.T) { trips(t, engine(t, snibpg.Options{}), 0) }

// oneWay is the delay of a long wire, as between two cities.
const oneWay = 20 * time.Millisecond

// TestTripsOverALongWire: the trips are the same, and the times that snib sets are
// long enough, also for many writers of one user, who lose to each other.
func TestTripsOverALongWire(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig(server(t))
	must(t, err)
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	e, at := engine(t, snibpg.Options{}), lan.Slow(t, network, address, oneWay)
	snibpg.DialBy(e, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", at)
	})
	db := trips(t, e, oneWay)
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "busy@example.com"})
	must(t, err)
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if _, err := db.CreateSession(ctx, u, snib.SessionOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	must(t, db.RevokeUserSessions(ctx, u.ID))
	check(t, db)
}

// trips pins them, on a wire with a delay each way.
func trips(t *testing.T, e *snibpg.Engine, delay time.Duration) *snib.DB {
	t.Helper()
	w := &snibpg.Watched{Engine: e}
	o := &snib.Options{SweepEvery: -1}
	o.Passwords.Parallelism, o.Passwords.MemoryKiB, o.Passwords.Time = 1, 8, 1
	db, err := snib.OpenStore(ctx, w, o)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	const password = "correct horse battery"
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com", Password: password})
	must(t, err)
	s, err := db.CreateSession(ctx, u, snib.SessionOptions{})
	must(t, err)
	_, r, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	must(t, err)
	for range 2 {
		_, err := db.CreateSession(ctx, u, snib.SessionOptions{})
		must(t, err)
	}
	other, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "b@example.com"})
	must(t, err)
	tx, err := ownPool(t).BeginTx(ctx, serializable)
	must(t, err)
	defer tx.Rollback(ctx)
	for _, test := range []struct {
		name string
		most int64
		call func() error
	}{
		{"ValidateSession", 1, func() error { _, err := db.ValidateSession(ctx, s.Token.Reveal()); return err }},
		{"ValidateSessionUser", 2, func() error { _, _, err := db.ValidateSessionUser(ctx, s.Token.Reveal()); return err }},
		{"GetUser", 1, func() error { _, err := db.GetUser(ctx, u.ID); return err }},
		{"GetUserByProviderID", 2, func() error { _, err := db.GetUserByProviderID(ctx, "email", "a@example.com"); return err }},
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
		{"RevokeToken", 3, func() error { return db.RevokeToken(ctx, s.Token.Reveal()) }},
		{"RevokeUserSessions", 8, func() error { return db.RevokeUserSessions(ctx, u.ID) }},
		{"CreateUser in Join", 6, func() error { return join(db, tx, create("d@example.com")) }},
		{"Rollback", 0, func() error { return tx.Rollback(ctx) }},
		{"DeleteUser", 4, func() error { return db.DeleteUser(ctx, other.ID) }},
	} {
		before, _ := w.Figures()
		began := time.Now()
		must(t, test.call())
		took := time.Since(began)
		after, _ := w.Figures()
		trips := after.Trips - before.Trips
		t.Logf("%-20s %d", test.name, trips)
		if trips > test.most {
			t.Errorf("%s: %d trips, want %d", test.name, trips, test.most)
		}
		if least := time.Duration(trips) * 2 * delay; took < least && test.name != "CreateUser in Join" {
			t.Errorf("%s: %d trips in %v", test.name, trips, took)
		}
	}
	return db
}
