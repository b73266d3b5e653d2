package snibpg_test

import (
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/dbtest"
	"github.com/snibdb/snib/snibpg"
)

// engine returns an engine on a schema of the test's own.
func engine(t testing.TB, opts snibpg.Options) *snibpg.Engine {
	t.Helper()
	opts.Schema = schema(t)
	e, err := snibpg.Open(ctx, server(t), &opts)
	must(t, err)
	return e
}

// TestAccounts runs the promises of the accounts.
func TestAccounts(t *testing.T) {
	server(t)
	dbtest.Run(t, func(tb testing.TB) kv.Engine { return engine(tb, snibpg.Options{}) })
}
