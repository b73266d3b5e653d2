package snibpg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// format is the version of the tables, in the row of control. A program refuses
// tables of a later one.
const format = 1

// Marks of a program that has crashed go after a week. One in use is never so
// old: a commit is settled within a minute.
const markAge = "7 days"

// open makes the tables if they are missing, and learns their names.
func (b *backend) open(ctx context.Context, init func(kv.Tx) error) error {
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return connectFailed(err)
	}
	defer conn.Release()
	if l := linkOf(conn.Conn().PgConn()); !l.sync {
		b.log.Warn("snib: " + errNoSync.Error())
	}
	err = pgx.BeginFunc(ctx, conn.Conn(), func(tx pgx.Tx) error {
		// One program makes the tables, and the others wait for it.
		if _, err := tx.Exec(ctx, "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))", "snib "+b.schema); err != nil {
			return err
		}
		n := newNames(b.schema, 1, nil, nil)
		there, err := exists(ctx, tx, n.control())
		if err != nil {
			return err
		}
		if there {
			return b.adopt(ctx, tx)
		}
		return b.create(ctx, tx, conn.Conn(), init)
	})
	if err != nil {
		return err
	}
	b.sweep(ctx, conn.Conn())
	return nil
}

func exists(ctx context.Context, q querier, table string) (there bool, err error) {
	err = q.QueryRow(ctx, "select pg_catalog.to_regclass($1) is not null", table).Scan(&there)
	return there, err
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// create makes schema and tables, and runs init in the transaction.
func (b *backend) create(ctx context.Context, tx pgx.Tx, conn *pgx.Conn, init func(kv.Tx) error) error {
	table := map[spaceName]string{}
	for _, spec := range b.specs {
		table[nameOf(spec)] = nameOf(spec).first()
	}
	n := newNames(b.schema, 1, table, b.specs)
	var schema bool
	if err := tx.QueryRow(ctx, "select exists (select from pg_catalog.pg_namespace where nspname = $1)", b.schema).Scan(&schema); err != nil {
		return err
	}
	var list []string
	if !schema {
		list = append(list, "create schema "+pgx.Identifier{b.schema}.Sanitize())
	}
	list = append(list,
		"create table "+n.control()+" (one boolean primary key check (one), format int not null, gen bigint not null)",
		"create table "+n.spaces()+" (name text, shadow boolean, tbl text not null, primary key (name, shadow))",
		"create table "+n.old()+" (tbl text primary key)",
		"create table "+n.marks()+" (id text primary key, n bigint not null, fenced boolean not null default false,"+
			" at timestamptz not null default now()) with (fillfactor = 50)",
		fmt.Sprintf("insert into %s values (true, %d, 1)", n.control(), format))
	for _, spec := range b.specs {
		there, err := exists(ctx, tx, n.of(b.space(spec)))
		if err != nil {
			return err
		}
		if there {
			return fmt.Errorf("%w: the schema has other tables", kv.ErrForeign)
		}
		list = append(list, n.makeTable(nameOf(spec).first()))
	}
	for _, sql := range list {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make the tables: %w", err)
		}
	}
	for s, t := range table {
		if err := record(ctx, tx, n, s, t); err != nil {
			return err
		}
	}
	b.names.Store(n)
	if init == nil {
		return nil
	}
	in := &session{b: b, n: n, conn: conn, mode: remote.Alone, begun: true}
	if err := remote.Fill(ctx, in, init); err != nil {
		return err
	}
	return nil
}

// space returns the number of a spec.
func (b *backend) space(spec kv.SpaceSpec) kv.Space {
	for i, s := range b.specs {
		if nameOf(s) == nameOf(spec) {
			return kv.Space(i)
		}
	}
	return kv.Space(len(b.specs))
}

// record notes the table of a space.
func record(ctx context.Context, tx pgx.Tx, n *names, s spaceName, table string) error {
	_, err := tx.Exec(ctx, "insert into "+n.spaces()+" values ($1, $2, $3) on conflict (name, shadow) do update set tbl = excluded.tbl", s.name, s.shadow, table)
	return err
}

// adopt takes tables that are there, and makes those of spaces that this program
// has and an earlier one had not.
func (b *backend) adopt(ctx context.Context, tx pgx.Tx) error {
	n, version, err := b.load(ctx, tx)
	switch {
	case err != nil:
		return fmt.Errorf("%w: the schema has another table control: %v", kv.ErrForeign, err)
	case version > format:
		return fmt.Errorf("%w: tables of version %d, and this program knows %d", snib.ErrNewerFormat, version, format)
	case version < 1:
		return fmt.Errorf("%w: tables of version %d", kv.ErrForeign, version)
	}
	table := maps.Clone(n.table)
	for _, spec := range b.specs {
		s := nameOf(spec)
		if _, ok := table[s]; ok {
			continue
		}
		if _, err := tx.Exec(ctx, n.makeTable(s.first())); err != nil {
			return fmt.Errorf("make a table: %w", err)
		}
		if err := record(ctx, tx, n, s, s.first()); err != nil {
			return err
		}
		table[s] = s.first()
	}
	b.names.Store(newNames(b.schema, n.gen, table, b.specs))
	return nil
}

// load reads the generation, the names of tables and the version.
func (b *backend) load(ctx context.Context, q querier) (*names, int, error) {
	n := newNames(b.schema, 0, nil, nil)
	rows, err := q.Query(ctx, "select gen, format, coalesce(name, ''), coalesce(shadow, false), coalesce(tbl, '') from "+n.control()+" left join "+n.spaces()+" on true")
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	table, version := map[spaceName]string{}, 0
	var gen int64
	for rows.Next() {
		var s spaceName
		var t string
		if err := rows.Scan(&gen, &version, &s.name, &s.shadow, &t); err != nil {
			return nil, 0, err
		}
		if t != "" {
			table[s] = t
		}
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	if gen == 0 {
		return nil, 0, errors.New("no generation")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return newNames(b.schema, gen, table, b.specs), version, nil
}

// sweep removes the marks of crashed programs, and tables that were replaced. It
// gives up where others are in the way: the next program tries again.
func (b *backend) sweep(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	n := b.names.Load()
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "delete from "+n.marks()+" where at < now() - interval '"+markAge+"'")
		return err
	})
	if err == nil {
		err = b.dropOld(ctx, conn)
	}
	if err != nil {
		b.log.Debug("snib: tables were not tidied", "error", err)
	}
}

// dropOld drops tables that were replaced.
func (b *backend) dropOld(ctx context.Context, conn *pgx.Conn) error {
	n := b.names.Load()
	rows, err := conn.Query(ctx, "select tbl from "+n.old())
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, t := range list {
		if err != nil {
			return err
		}
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			for _, sql := range []string{"set local lock_timeout = '2s'", "drop table if exists " + n.quote(t)} {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, "delete from "+n.old()+" where tbl = $1", t)
			return err
		})
	}
	return err
}
