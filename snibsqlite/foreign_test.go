package snibsqlite

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// TestTablesOfAnotherInOtherLetters: SQLite takes them for those of this package.
func TestTablesOfAnotherInOtherLetters(t *testing.T) {
	handle, err := sql.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "db"))
	must(t, err)
	defer handle.Close()
	for _, query := range []string{"PRAGMA journal_mode = WAL", "CREATE TABLE Snib_ONE (k BLOB PRIMARY KEY, v BLOB)", "INSERT INTO Snib_ONE VALUES (x'6b', x'00')"} {
		_, err := handle.Exec(query)
		must(t, err)
	}
	e, err := New(handle, nil)
	must(t, err)
	s, err := e.Open(ctx, setup(one))
	if !errors.Is(err, kv.ErrForeign) {
		t.Errorf("got %v", err)
	}
	if err == nil {
		must(t, s.Close())
	}
}
