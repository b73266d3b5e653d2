package snibpg

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib/internal/kv"
)

// All functions in statements of this package have their schema, and all operators
// the types of those of pg_catalog: else the server runs one in the search path that
// fits better, which another role may have made.

// names says in which tables the spaces are, in one generation. Building an index
// puts other tables in the place of some, and begins a generation.
//
// A transaction keeps the names that it began with. If they are of an earlier
// generation, the first read tells, because it reads the number as well; and a
// commit fails, because the table of its mark has another name by then.
type names struct {
	schema string
	gen    int64
	tables []string // of each space, quoted; "" if there is no table
	table  map[spaceName]string
}

// spaceName is a space as the server knows it.
type spaceName struct {
	name   string
	shadow bool
}

func nameOf(s kv.SpaceSpec) spaceName { return spaceName{s.Name, s.Shadow} }

// first is the name of the first table of a space.
func (s spaceName) first() string {
	if s.shadow {
		return s.name + "_shadow"
	}
	return s.name
}

// newNames returns the names of specs, for tables that the server has recorded.
func newNames(schema string, gen int64, table map[spaceName]string, specs []kv.SpaceSpec) *names {
	n := &names{schema: schema, gen: gen, table: table, tables: make([]string, len(specs))}
	for i, spec := range specs {
		if t, ok := table[nameOf(spec)]; ok {
			n.tables[i] = n.quote(t)
		}
	}
	return n
}

// quote returns the name of a table as SQL.
func (n *names) quote(table string) string { return pgx.Identifier{n.schema, table}.Sanitize() }

// of returns the table of a space, "" if there is none.
func (n *names) of(s kv.Space) string {
	if s < 0 || int(s) >= len(n.tables) {
		return ""
	}
	return n.tables[s]
}

func (n *names) control() string { return n.quote("control") }
func (n *names) spaces() string  { return n.quote("spaces") }
func (n *names) old() string     { return n.quote("old") }
func (n *names) marks() string   { return n.quote(marksName(n.gen)) }

func marksName(gen int64) string { return fmt.Sprintf("marks_%d", gen) }

// makeTable is the SQL that makes the table of a space.
func (n *names) makeTable(table string) string {
	return "create table " + n.quote(table) + " (k bytea primary key, v bytea not null)"
}

// head is a row of the generation and the time, which is not that of the
// transaction but of the moment.
func (n *names) head() string {
	return "select -1, pg_catalog.int8send(gen) || pg_catalog.int8send(pg_catalog.floor(" +
		"pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000::float8)::bigint) from " + n.control() + " where one"
}

// maxUnion is how many keys one statement reads by name. There are few lists of
// spaces in use, so that the server has few statements to prepare.
const maxUnion = 8

// read is a statement that reads the head and each of refs, of which there are
// maxUnion at most: rows of a number and a value. tag tells statements of one text
// apart that are planned under different settings.
func (n *names) read(tag string, refs []kv.Ref) (string, []any) {
	var b strings.Builder
	b.WriteString(tag)
	b.WriteString(n.head())
	args := make([]any, 0, len(refs))
	for i, r := range refs {
		if t := n.of(r.Space); t != "" {
			args = append(args, r.Key)
			b.WriteString(" union all select " + strconv.Itoa(i) + ", v from " + t + " where k = $" + strconv.Itoa(len(args)))
		}
	}
	return b.String(), args
}

// many is a statement that reads keys of one space: rows of key and value.
func (n *names) many(s kv.Space) string { return "select k, v from " + n.of(s) + " where k = any($1)" }

// scan is a statement that reads a range. Its last parameter is the limit.
func (n *names) scan(s kv.Space, bounded, keysOnly bool) string {
	columns, to, limit := "k, v", "", "$2"
	if keysOnly {
		columns = "k, null::bytea"
	}
	if bounded {
		to, limit = " and k < $2", "$3"
	}
	return "select " + columns + " from " + n.of(s) + " where k >= $1" + to + " order by k limit " + limit
}

func (n *names) put(s kv.Space) string {
	return "insert into " + n.of(s) + " (k, v) select * from rows from (pg_catalog.unnest($1::bytea[]), pg_catalog.unnest($2::bytea[])) on conflict (k) do update set v = excluded.v"
}

func (n *names) remove(s kv.Space) string { return "delete from " + n.of(s) + " where k = any($1)" }

// mark stores the number of a commit. It divides by zero if that number, or a
// later one, is stored already, and so fails the commit.
func (n *names) mark() string {
	return "insert into " + n.marks() + " as m (id, n) values ($1, $2) on conflict (id) do update" +
		" set n = excluded.n / (case when m.n < excluded.n then 1 else 0 end), fenced = false, at = now()"
}

// resolve stores a fence, unless the commit has happened. It always writes, so
// that its own commit confirms the one that it finds, on the standby too.
func (n *names) resolve() string {
	return "insert into " + n.marks() + " as m (id, n, fenced) values ($1, $2, true) on conflict (id) do update" +
		" set n = greatest(m.n, excluded.n), fenced = m.fenced or m.n < excluded.n, at = now() returning fenced"
}

// shadows returns the spaces that are shadows, in order.
func (n *names) shadows() (list []spaceName) {
	for s := range n.table {
		if s.shadow {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b spaceName) int { return strings.Compare(a.name, b.name) })
	return list
}
