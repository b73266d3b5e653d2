package snibops

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// folder returns a folder that only its owner can write, with a short path.
func folder(tb testing.TB) string {
	tb.Helper()
	dir := must(os.MkdirTemp("", "ops"))(tb)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// open opens a database of equal ids and times on each call.
func open(tb testing.TB, path string, opts snib.Options) *snib.DB {
	tb.Helper()
	clock := snibtest.NewClock()
	opts.Now, opts.Rand, opts.SweepEvery = clock.Now, rand.NewChaCha8([32]byte{}), -1
	return snibtest.OpenDB(tb, path, &opts)
}

// live serves a database on a socket and connects to it.
func live(tb testing.TB, db *snib.DB, path string, opts *Options) *Client {
	tb.Helper()
	s := must(Listen(db, path, opts))(tb)
	tb.Cleanup(func() { _ = s.Close() })
	c := must(Dial(tb.Context(), path, opts))(tb)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func local(tb testing.TB, db *snib.DB, opts *Options) *Client {
	c := Local(db, opts)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// settles waits until a condition holds that another goroutine brings about.
func settles(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for range 6000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatalf("after a minute, not yet: %s", what)
}

// idle waits until no snapshot is held.
func idle(tb testing.TB, db *snib.DB) {
	tb.Helper()
	settles(tb, "no reader is open", func() bool {
		return must(db.Stats(context.Background()))(tb).OpenReaders == 0
	})
}

// raw is a connection with its handshake done, that misbehaves by hand.
func raw(tb testing.TB, path string) net.Conn {
	tb.Helper()
	conn := must(net.Dial("unix", SocketPath(path)))(tb)
	tb.Cleanup(func() { _ = conn.Close() })
	handshake(tb, conn)
	return conn
}

func handshake(tb testing.TB, conn net.Conn) {
	tb.Helper()
	if err := writeJSON(conn, kindHello, hello{Protocol: Protocol}); err != nil {
		tb.Fatal(err)
	}
	if k, payload, err := readFrame(conn, MaxFrame); err != nil || k != kindHello {
		tb.Fatalf("handshake: %c %s %v", k, payload, err)
	}
}

func ask(tb testing.TB, conn net.Conn, verb string, args any) {
	tb.Helper()
	if err := writeJSON(conn, kindRequest, request{verb, must(json.Marshal(args))(tb)}); err != nil {
		tb.Fatal(err)
	}
}

// fill makes a database of n users with long attributes.
func fill(tb testing.TB, db *snib.DB, n int) {
	tb.Helper()
	text := strings.Repeat("x", 60<<10)
	for i := range n {
		if err := db.Update(tb.Context(), func(tx *snib.Tx) error {
			_, err := tx.CreateUser(snib.NewUser{
				Provider: "username", Identifier: "u" + strings.Repeat("a", i%50) + "-" + string(rune('a'+i/50)), Attributes: snib.Attributes{"long": text},
			})
			return err
		}); err != nil {
			tb.Fatal(err)
		}
	}
}

func dbPath(tb testing.TB) string { return filepath.Join(folder(tb), "a.db") }
