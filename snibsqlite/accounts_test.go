package snibsqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/dbtest"
	"github.com/snibdb/snib/snibsqlite"
)

// TestAccounts runs the accounts' suite of all engines.
func TestAccounts(t *testing.T) {
	dbtest.Run(t, func(tb testing.TB) kv.Engine {
		e, err := snibsqlite.Open(filepath.Join(tb.TempDir(), "accounts.db"), nil)
		if err != nil {
			tb.Fatal(err)
		}
		return e
	})
}
