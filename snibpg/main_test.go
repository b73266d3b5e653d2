package snibpg_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib/snibpg/internal/cluster"
)

var ctx = context.Background()

// dsn names the server of the tests. SNIB_POSTGRES is the dsn of one whose user
// may make schemas, or "auto" to start one here. Without it tests are skipped,
// and fail with SNIB_REQUIRE_SERVERS=1.
var (
	dsn     = os.Getenv("SNIB_POSTGRES")
	started bool // the server, by this process
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if child := os.Getenv(childVariable); child != "" {
		return runChild(child)
	}
	if dsn == "auto" {
		s, err := cluster.Start(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, "start PostgreSQL:", err)
			return 1
		}
		defer s.Stop()
		dsn, started = s.DSN(), true
		os.Setenv("SNIB_POSTGRES", dsn) // for children
	}
	if dsn == "" {
		fmt.Fprintln(os.Stderr, "!!!! SNIB_POSTGRES is not set: NOTHING IS TESTED ON POSTGRESQL (SNIB_POSTGRES=auto starts a server) !!!!")
	}
	return m.Run()
}

// server skips a test without a server.
func server(t testing.TB) string {
	t.Helper()
	if dsn == "" {
		if os.Getenv("SNIB_REQUIRE_SERVERS") == "1" {
			t.Fatal("SNIB_POSTGRES is not set")
		}
		t.Skip("SNIB_POSTGRES is not set")
	}
	return dsn
}

// schema returns a schema of the test's own, dropped after it.
func schema(t testing.TB) string {
	t.Helper()
	var random int64
	exec(t, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select (random() * 1e15)::bigint").Scan(&random)
	})
	name := fmt.Sprintf("t%d", random)
	t.Cleanup(func() {
		exec(t, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "drop schema if exists "+name+" cascade")
			return err
		})
	})
	return name
}

// exec runs fn on a connection of its own.
func exec(t testing.TB, fn func(conn *pgx.Conn) error) {
	t.Helper()
	conn, err := pgx.Connect(ctx, server(t))
	if err == nil {
		defer conn.Close(ctx)
		err = fn(conn)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
