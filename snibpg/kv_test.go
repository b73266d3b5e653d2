package snibpg_test

import (
	"fmt"
	"hash/fnv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/kvtest"
	"github.com/snibdb/snib/snibpg"
)

// TestContract runs the contract of engines, with one schema for each directory.
func TestContract(t *testing.T) {
	server(t)
	for _, twice := range inVain {
		t.Run(fmt.Sprintf("Twice=%v", twice), func(t *testing.T) {
			var used sync.Map
			t.Cleanup(func() {
				used.Range(func(name, _ any) bool {
					exec(t, func(conn *pgx.Conn) error {
						_, err := conn.Exec(ctx, "drop schema if exists "+name.(string)+" cascade")
						return err
					})
					return true
				})
			})
			kvtest.Run(t, func(tb testing.TB, dir string, spaces []kv.SpaceSpec, again bool) kv.Store {
				h := fnv.New64a()
				h.Write([]byte(dir))
				name := fmt.Sprintf("t%x", h.Sum64())
				used.Store(name, true)
				s := store(tb, name, twice || again, spaces)
				return s
			}, kvtest.ManyWriters, kvtest.LateSnapshots)
		})
	}
}

// store opens a store of spaces, closed after the test.
func store(tb testing.TB, schema string, twice bool, spaces []kv.SpaceSpec) kv.Store {
	tb.Helper()
	return storeOn(tb, server(tb), schema, twice, spaces)
}

// storeOn is store on another server.
func storeOn(tb testing.TB, dsn, schema string, twice bool, spaces []kv.SpaceSpec) kv.Store {
	tb.Helper()
	e, err := snibpg.Open(ctx, dsn, &snibpg.Options{Schema: schema})
	must(tb, err)
	if twice {
		snibpg.Twice(e)
	}
	s, err := e.Open(ctx, kv.Setup{Spaces: spaces, BusyTimeout: time.Minute})
	must(tb, err)
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}
