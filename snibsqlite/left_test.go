package snibsqlite

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// TestLeftInAView: what a program has left open on the connection of a View shows
// no old moment to the reads after it.
func TestLeftInAView(t *testing.T) {
	leave := map[string]func(c *sql.Conn) error{
		"a transaction": func(c *sql.Conn) error { _, err := c.ExecContext(ctx, "BEGIN"); return err },
		"a savepoint":   func(c *sql.Conn) error { _, err := c.ExecContext(ctx, "SAVEPOINT mine"); return err },
		"rows": func(c *sql.Conn) error {
			rows, err := c.QueryContext(ctx, "SELECT name FROM sqlite_schema")
			if err == nil && !rows.Next() {
				err = errors.New("no row")
			}
			return err
		},
	}
	for name, leave := range leave {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			s, other := openAt(t, path, false, one), openAt(t, path, false, one)
			must(t, s.View(ctx, func(r kv.Reader) error {
				u, _ := kv.As[kv.Underlier](r)
				return leave(u.Underlying().(*sql.Conn))
			}))
			must(t, put(other, "k", "v"))
			must(t, s.View(ctx, func(r kv.Reader) error {
				_, ok, err := r.Get(0, []byte("k"))
				if !ok {
					t.Error("does not see what was committed before it")
				}
				return err
			}))
		})
	}
}
