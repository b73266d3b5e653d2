package snibsqlite

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/kvtest"
)

var ctx = context.Background()

// must ends the test on an error.
func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func setup(spaces ...kv.SpaceSpec) kv.Setup {
	return kv.Setup{Spaces: spaces, BusyTimeout: 2 * time.Minute, Logger: slog.New(slog.DiscardHandler)}
}

// openAt opens a store of some spaces and closes it when the test has ended, with
// a look at the whole file.
func openAt(tb testing.TB, path string, twice bool, spaces ...kv.SpaceSpec) *Store {
	tb.Helper()
	e, err := Open(path, nil)
	must(tb, err)
	e.twice = twice
	s, err := e.Open(ctx, setup(spaces...))
	must(tb, err)
	store := s.(*Store)
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
		intact(tb, path)
	})
	return store
}

// intact has SQLite check the file.
func intact(tb testing.TB, path string) {
	tb.Helper()
	at, err := openFile("sqlite3", path)
	must(tb, err)
	defer at.close()
	var text string
	must(tb, at.db.QueryRow("PRAGMA integrity_check").Scan(&text))
	if text != "ok" {
		tb.Errorf("integrity_check: %s", text)
	}
}

func TestContract(t *testing.T) {
	kvtest.Run(t, func(tb testing.TB, dir string, spaces []kv.SpaceSpec, twice bool) kv.Store {
		return openAt(tb, filepath.Join(dir, "accounts.db"), twice, spaces...)
	})
}
