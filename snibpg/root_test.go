package snibpg_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/snibdb/snib/internal/kv/suite"
	"github.com/snibdb/snib/snibpg/internal/cluster"
)

// TestRoot runs the tests of the root, each database in a schema of its own. On a
// server that syncs nothing, if the tests start the server: nothing crashes here.
func TestRoot(t *testing.T) {
	s := rootSuite(t)
	s.Package, s.Least, s.Shards = ".", 230, 2
	s.Run(t)
}

// TestModel runs the model of the accounts, with two programs on one store: without
// Options.Keys, and with them.
func TestModel(t *testing.T) {
	for _, seed := range []string{"20", "21"} {
		s := rootSuite(t)
		s.Package, s.Only, s.Least, s.Excluded = "proof", "^TestModel$", 1, nil
		s.Flags = []string{"-seed=" + seed, "-steps=300"}
		s.Run(t)
	}
}

// rootSuite returns a suite with a server.
func rootSuite(t *testing.T) suite.Suite {
	at, prefix := server(t), schema(t)
	if started {
		own, err := cluster.Start(ctx, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
		must(t, err)
		t.Cleanup(func() { own.Stop() })
		at = own.DSN()
	} else {
		t.Cleanup(func() { dropAll(t, prefix) })
	}
	return suite.Suite{
		Module: "snibpg", Opener: "testdata/suite/testopen.go",
		Excluded: []string{"../internal/kv/suite/testdata/excluded.txt", "testdata/suite/excluded.txt"},
		Env:      []string{"SNIB_POSTGRES=" + at, "SNIB_SUITE_SCHEMAS=" + prefix + "_"},
	}
}

// dropAll drops the schemas of a suite.
func dropAll(t *testing.T, prefix string) {
	exec(t, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "select nspname from pg_namespace where starts_with(nspname, $1)", prefix+"_")
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := conn.Exec(ctx, "drop schema "+pgx.Identifier{name}.Sanitize()+" cascade"); err != nil {
				return err
			}
		}
		return nil
	})
}
