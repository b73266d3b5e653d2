package snibpg_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// TestJoinByAnyProtocol: the program decides how its connections send statements.
func TestJoinByAnyProtocol(t *testing.T) {
	db, table := orders(t)
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		pool, err := pgxpool.New(ctx, with(t, "default_query_exec_mode="+mode))
		must(t, err)
		defer pool.Close()
		err = snibpg.Retry(ctx, db, pool, func(tx pgx.Tx) error {
			err := join(db, tx, func(in *snib.Tx) error {
				u, err := in.CreateUser(snib.NewUser{Provider: "email", Identifier: mode + "@example.com"})
				if err != nil {
					return err
				}
				if _, err := in.CreateSession(u, snib.SessionOptions{}); err != nil {
					return err
				}
				gone, err := in.CreateUser(snib.NewUser{Provider: "email", Identifier: "gone@example.com"})
				if err == nil {
					err = in.DeleteUser(gone.ID)
				}
				return err
			})
			if err != nil {
				return err
			}
			return insert(tx, table, mode)
		})
		if err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	if n := users(t, db); n != 5 || rows(t, table) != n {
		t.Errorf("%d users, %d rows", n, rows(t, table))
	}
}
