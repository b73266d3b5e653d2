package snibsqlite

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/snibdb/snib/internal/kv"
)

// SwapShadows implements kv.Shadower: tables change their names, and no row is
// copied. The shadows of other spaces are dropped.
func (s *Store) SwapShadows(w kv.Tx, names ...string) error {
	return s.reshadow(w, names)
}

// DropShadows implements kv.Shadower.
func (s *Store) DropShadows(w kv.Tx) error { return s.reshadow(w, nil) }

func (s *Store) reshadow(w kv.Tx, names []string) error {
	t, ok := kv.As[*tx](w)
	if !ok || t.bounded {
		return errors.New("snibsqlite: shadows are swapped in an Exclusive of this engine")
	}
	if err := t.writable(); err != nil {
		return err
	}
	t.touched = true
	before, err := t.l.pragma("PRAGMA legacy_alter_table")
	if err != nil {
		return t.fail("swap", err)
	}
	// Else SQLite reads all views and triggers of the application, and fails if
	// one of them is broken.
	statements := []string{"PRAGMA legacy_alter_table = ON"}
	for _, at := range *s.tables.Load() {
		name, isShadow := strings.CutPrefix(at.name, shadow)
		if !isShadow {
			continue
		}
		if slices.Contains(names, name) {
			statements = append(statements,
				fmt.Sprintf("DROP TABLE IF EXISTS %q", prefix+name),
				fmt.Sprintf("ALTER TABLE %q RENAME TO %q", at.name, prefix+name))
		} else {
			statements = append(statements, fmt.Sprintf("DROP TABLE IF EXISTS %q", at.name))
		}
		statements = append(statements, at.create)
	}
	statements = append(statements, "PRAGMA legacy_alter_table = "+before)
	for _, query := range statements {
		if err := t.l.once(query); err != nil {
			return t.fail("swap", err)
		}
	}
	return nil
}
