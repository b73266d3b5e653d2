package snibpg_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// muted is a connection of which a server hears nothing more once a client asks what is
// in word, as if it had been frozen at that moment.
type muted struct {
	net.Conn
	word  []byte
	times *atomic.Int64 // that it is to happen
	now   bool
}

func (c *muted) Write(b []byte) (int, error) {
	if c.now = c.now || bytes.Contains(b, c.word) && c.times.Add(-1) >= 0; c.now {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestAServerThatFallsSilent while a connection to it is being made, at each question
// that is asked then, costs a timeout and not the call.
func TestAServerThatFallsSilent(t *testing.T) {
	for _, word := range []string{"pg_is_in_recovery", "pg_control_system", "server_version_num"} {
		t.Run(word, func(t *testing.T) {
			var times atomic.Int64
			e := engine(t, snibpg.Options{MaxConns: 4})
			snibpg.ConnectWithin(e, time.Second)
			snibpg.DialBy(e, func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
				return &muted{Conn: conn, word: []byte(word), times: &times}, err
			})
			w := &snibpg.Watched{Engine: e}
			db, err := snib.OpenStore(ctx, w, &snib.Options{SweepEvery: -1, BusyTimeout: 20 * time.Second})
			must(t, err)
			defer func() { must(t, db.Close()) }()
			w.Reconnect()
			times.Store(2)
			if _, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada"}); err != nil {
				t.Error(err)
			}
			if left := times.Load(); left > 0 {
				t.Errorf("%d times too few", left)
			}
		})
	}
}
