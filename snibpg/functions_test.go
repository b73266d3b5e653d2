package snibpg_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// with adds a setting to the dsn of the tests.
func with(t *testing.T, setting string) string {
	if dsn := server(t); !strings.Contains(dsn, "://") {
		return dsn + " " + setting
	} else if strings.Contains(dsn, "?") {
		return dsn + "&" + setting
	}
	return server(t) + "?" + setting
}

// TestFunctionsOfOthers: functions and operators in the search path, which fit the
// calls of this package better than those of the server, are not run.
func TestFunctionsOfOthers(t *testing.T) {
	evil, name := schema(t), schema(t)
	exec(t, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, strings.ReplaceAll(`create schema evil;
			create function evil.caught() returns bigint language plpgsql as $$ begin raise exception 'another''s function was run'; end $$;
			create function evil.hashtextextended(text, int) returns bigint language sql as 'select evil.caught()';
			create function evil.unnest(bytea[]) returns setof bytea language sql as 'select null::bytea from evil.caught()';
			create function evil.times(numeric, int) returns numeric language sql as 'select evil.caught()::numeric';
			create function evil.times(float8, int) returns float8 language sql as 'select evil.caught()::float8';
			create function evil.floor(anyelement) returns bigint language sql as 'select evil.caught()';
			create function evil.set_config(text, name, boolean) returns bigint language sql as 'select evil.caught()';
			create operator evil.* (function = evil.times, leftarg = numeric, rightarg = int);
			create operator evil.* (function = evil.times, leftarg = float8, rightarg = int)`, "evil", evil))
		return err
	})
	e, err := snibpg.Open(ctx, with(t, "search_path="+evil), &snibpg.Options{Schema: name})
	must(t, err)
	db, err := snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1})
	must(t, err)
	defer db.Close()
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com"})
	must(t, err)
	must(t, db.DeleteUser(ctx, u.ID))
}
