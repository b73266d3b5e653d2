package snibpg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// ddlTimeout bounds the statements that replace tables. The locks that they wait
// for are those of commits.
const ddlTimeout = time.Minute

var errNoSession = errors.New("the transaction has ended or failed, or is of another store")

// SwapShadows implements kv.Shadower. It writes down that the tables of the
// shadows are those of the spaces now. The tables that they replace stay until no
// transaction reads them.
func (s *store) SwapShadows(w kv.Tx, names ...string) error {
	return s.replace(w, func(t *session) []spaceName {
		for _, name := range names {
			main, shadow := spaceName{name, false}, spaceName{name, true}
			if table, ok := t.replaced.table[shadow]; ok {
				t.replaced.table[main], t.replaced.table[shadow] = table, t.replaced.table[main]
			}
		}
		return t.n.shadows()
	})
}

// DropShadows implements kv.Shadower.
func (s *store) DropShadows(w kv.Tx) error {
	return s.replace(w, func(t *session) []spaceName { return t.n.shadows() })
}

// replace begins a generation of tables: after change has moved some, each of the
// spaces that it returns gets an empty one.
func (s *store) replace(w kv.Tx, change func(t *session) []spaceName) error {
	t, _ := remote.SessionOf(w).(*session)
	if t == nil {
		return fmt.Errorf("replace tables: %w", errNoSession)
	}
	ctx, cancel := context.WithTimeout(context.Background(), ddlTimeout)
	defer cancel()
	from := t.n
	t.replaced = newNames(from.schema, from.gen+1, maps.Clone(from.table), nil)
	fresh := change(t)
	to := t.replaced
	steps := []step{
		{sql: "alter table " + from.marks() + " rename to " + pgx.Identifier{marksName(to.gen)}.Sanitize()},
		{sql: "update " + from.control() + " set gen = $1", args: []any{to.gen}},
	}
	for _, s := range fresh {
		steps = append(steps, step{sql: "insert into " + from.old() + " values ($1)", args: []any{to.table[s]}})
		to.table[s] = fmt.Sprintf("%s_%d", s.first(), to.gen)
		steps = append(steps, step{sql: to.makeTable(to.table[s])})
	}
	for _, s := range slices.SortedFunc(maps.Keys(to.table), compareNames) {
		if to.table[s] != from.table[s] {
			steps = append(steps, step{sql: "update " + from.spaces() + " set tbl = $3 where name = $1 and shadow = $2", args: []any{s.name, s.shadow, to.table[s]}})
		}
	}
	for _, s := range steps { // one by one: tables must be there before they are named
		if err := t.send(ctx, s); err != nil {
			return err
		}
	}
	s.b.mu.Lock()
	t.n = newNames(from.schema, to.gen, to.table, s.b.specs)
	s.b.mu.Unlock()
	t.replaced = t.n
	return nil
}

func compareNames(a, b spaceName) int {
	switch {
	case a.first() < b.first():
		return -1
	case a.first() > b.first():
		return 1
	}
	return 0
}
