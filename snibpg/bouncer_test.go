package snibpg_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/kvtest"
	"github.com/snibdb/snib/snibpg/internal/cluster"
)

// TestThroughPgBouncer runs the contract through a pooler that gives each
// transaction another connection, and fewer than there are clients.
func TestThroughPgBouncer(t *testing.T) {
	server(t)
	s, err := cluster.Start(ctx)
	if errors.Is(err, cluster.ErrMissing) && os.Getenv("SNIB_REQUIRE_SERVERS") != "1" {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, s.Stop()) })
	b, err := s.Bouncer(ctx, "transaction")
	if errors.Is(err, cluster.ErrNoBouncer) && os.Getenv("SNIB_REQUIRE_SERVERS") != "1" {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, b.Stop()) })
	kvtest.Run(t, func(tb testing.TB, dir string, spaces []kv.SpaceSpec, again bool) kv.Store {
		h := fnv.New64a()
		h.Write([]byte(dir))
		return storeOn(tb, b.DSN(), fmt.Sprintf("t%x", h.Sum64()), again, spaces)
	}, kvtest.ManyWriters, kvtest.LateSnapshots)
}
