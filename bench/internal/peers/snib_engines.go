//go:build cgo && !race && !light

package peers

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/snibpg"
	"github.com/snibdb/snib/snibsqlite"
)

// The variable names an empty database on a PostgreSQL server for the contenders
// that run there, without which they take no part. Each store is a schema, which
// stays.
const postgresVariable = "BENCH_POSTGRES"

func init() {
	base := peer.Peer{Durability: peer.Synced, OwnClock: true, MaxSessions: 100_000}
	sqlite, postgres, plain := base, base, base
	sqlite.Name, sqlite.Note, sqlite.Open = "snib-sqlite", "snib on snibsqlite, the driver of sqlite-full", openSnibSQLite
	sqlite.Modules = []string{"github.com/snibdb/snib/snibsqlite", "github.com/mattn/go-sqlite3"}
	postgres.Name, postgres.Note, postgres.Open = "snib-postgres", "snib on snibpg, serializable", openSnibPostgres
	postgres.Modules = []string{"github.com/snibdb/snib/snibpg", "github.com/jackc/pgx/v5"}
	plain.Name, plain.Note, plain.Open = "postgres-checks", "two tables on the same server, read committed, one statement an operation", openPostgres
	plain.Modules, plain.OwnClock = []string{"github.com/jackc/pgx/v5"}, false
	heavy = append(heavy, sqlite)
	if os.Getenv(postgresVariable) != "" {
		heavy = append(heavy, postgres, plain)
	}
}

func openSnibSQLite(dir string, _ peer.Options) (peer.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	engine, err := snibsqlite.Open(filepath.Join(dir, "accounts.db"), &snibsqlite.Options{Driver: "sqlite3"})
	if err != nil {
		return nil, err
	}
	return openStore(dir, engine)
}

func openSnibPostgres(dir string, _ peer.Options) (peer.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { // empty: the harness measures it
		return nil, err
	}
	engine, err := snibpg.Open(ctx, os.Getenv(postgresVariable), &snibpg.Options{Schema: schemaOf("snib", dir), MaxConns: 64})
	if err != nil {
		return nil, err
	}
	return openStore(dir, engine)
}

func openStore(dir string, engine snib.Engine) (peer.Store, error) {
	db, err := snib.OpenStore(ctx, engine, SnibOptions())
	if err != nil {
		return nil, err
	}
	return &snibStore{db, knownIn(dir)}, nil
}

// schemaOf names the schema of a store.
func schemaOf(prefix, dir string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(dir))
	return fmt.Sprintf("%s_%x", prefix, h.Sum64())
}
