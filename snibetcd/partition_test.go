package snibetcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/lan"
	"github.com/snibdb/snib/snibtest"
)

// onLAN starts three members, each on a host of its own.
func onLAN(t *testing.T, l *lan.LAN, hosts []string) []*seat {
	t.Helper()
	var seats []*seat
	var all string
	for _, host := range hosts {
		dir := t.TempDir()
		at := func(port int) string { return fmt.Sprintf("http://%s:%d", l.Address(host), port) }
		s := &seat{Name: host, Dir: dir, Client: at(2379), Peer: at(2380), run: l.Run(host)}
		seats, all = append(seats, s), all+","+host+"="+s.Peer
	}
	for _, s := range seats {
		s.Cluster = all[1:]
		s.start(t)
		t.Cleanup(s.kill)
	}
	return seats
}

// clientOf is the client of a program on a host that knows some members.
func clientOf(t *testing.T, l *lan.LAN, host string, seats ...*seat) *clientv3.Client {
	t.Helper()
	var endpoints []string
	for _, s := range seats {
		endpoints = append(endpoints, s.Client)
	}
	dial := l.Dial(host)
	c, err := clientv3.New(clientv3.Config{
		Endpoints: endpoints, Logger: zap.NewNop(), DialTimeout: 5 * time.Second,
		DialKeepAliveTime: time.Second, DialKeepAliveTimeout: time.Second,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, at string) (net.Conn, error) { return dial(ctx, "tcp", at) })},
	})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// openAt opens the accounts on a client, with a time for each call.
func openAt(t *testing.T, c *clientv3.Client, busy time.Duration) *snib.DB {
	t.Helper()
	e, err := Open(c, nil)
	must(t, err)
	e.settle, e.trip = 5*time.Minute, 2*time.Second
	var db *snib.DB
	for range 60 {
		o := snibtest.Fast(&snib.Options{BusyTimeout: busy})
		o.InsecureNoSync = false
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		db, err = snib.OpenStore(ctx, e, o)
		cancel()
		if err == nil {
			t.Cleanup(func() { db.Close() })
			return db
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal(err)
	return nil
}

// TestPartition: the leader is cut off from the two others, with a program that knows
// no other member. That program reads nothing stale and is not told that a write was
// done; what the others acknowledge meanwhile holds everywhere once the network has
// healed.
func TestPartition(t *testing.T) {
	t.Parallel()
	names := []string{"n0", "n1", "n2"}
	l := lan.New(t, "n0", "n1", "n2", "few", "many")
	seats := onLAN(t, l, names)
	admin := clientOf(t, l, "many", seats...)
	many := openAt(t, admin, 5*time.Minute)
	u, err := many.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: "ada"})
	must(t, err)
	lead := leader(t, admin, seats)
	var others []*seat
	for _, s := range seats {
		if s != lead {
			others = append(others, s)
		}
	}
	few := openAt(t, clientOf(t, l, "few", lead), 2*time.Second)  // and says then that it has no answer
	late := openAt(t, clientOf(t, l, "few", lead), 5*time.Minute) // and waits
	side := openAt(t, clientOf(t, l, "many", others...), 5*time.Minute)
	var live []string
	for range 3 {
		s, err := many.CreateSession(t.Context(), u, snib.SessionOptions{})
		must(t, err)
		live = append(live, s.Token.Reveal())
	}
	for _, db := range []*snib.DB{few, late, side} {
		for _, token := range live {
			_, err := again(func() (snib.Session, error) { return db.ValidateSession(t.Context(), token) })
			must(t, err)
		}
	}

	l.Part(t, lead.Name, "few")
	var group sync.WaitGroup
	var created error
	group.Go(func() { // on its way from the first moment on
		_, created = late.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: "late"})
	})
	must(t, side.RevokeToken(t.Context(), live[0])) // by a new leader
	if _, err := side.ValidateSession(t.Context(), live[0]); !errors.Is(err, snib.ErrInvalidSession) {
		t.Errorf("revoked on this side: %v", err)
	}
	for i, token := range live {
		if _, err := few.ValidateSession(t.Context(), token); !errors.Is(err, snib.ErrBusy) {
			t.Errorf("session %d, read from a leader that is alone: %v", i, err)
		}
	}
	_, err = few.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: "few"})
	if !errors.Is(err, snib.ErrBusy) {
		t.Errorf("a write to a leader that is alone: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := late.ValidateSession(short, live[1]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a read with a context: %v", err)
	}
	must(t, side.RevokeToken(t.Context(), live[1]))

	l.Heal(t)
	group.Wait()
	must(t, created)
	for what, db := range map[string]*snib.DB{"few": few, "late": late, "side": side, "many": many} {
		for i, token := range live {
			_, err := again(func() (snib.Session, error) { return db.ValidateSession(t.Context(), token) })
			if want := i < 2; errors.Is(err, snib.ErrInvalidSession) != want || !want && err != nil {
				t.Errorf("%s, session %d after it: %v", what, i, err)
			}
		}
		for name, want := range map[string]error{"late": nil, "few": snib.ErrUserNotFound} {
			_, err := again(func() (snib.User, error) { return db.GetUserByProviderID(t.Context(), "username", name) })
			if !errors.Is(err, want) {
				t.Errorf("%s: the user %s: %v", what, name, err)
			}
		}
	}
	report, err := many.Check(t.Context())
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("Check: %v, %v", report.Problems, err)
	}
}
