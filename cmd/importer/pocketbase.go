package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

// openPocketBase reads one auth collection of PocketBase's data.db, with the
// identities of external providers.
func openPocketBase(ctx context.Context, s *Source, at time.Time) (*Reader, error) {
	d, err := openSQLite(ctx, s.Path)
	if err != nil {
		return nil, err
	}
	r, err := pocketBase(ctx, d, s.Params["collection"], at)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return r, nil
}

// A collection is a row of _collections.
type collection struct {
	id, name string
	secret   []string // columns of the type password
}

func pocketBase(ctx context.Context, d *database, name string, at time.Time) (*Reader, error) {
	c, err := d.authCollection(ctx, name)
	if err != nil {
		return nil, err
	}
	columns, err := d.need(ctx, c.name, "id", "email", "tokenKey", "verified")
	if err != nil {
		return nil, err
	}
	total, err := d.count(ctx, c.name)
	if err != nil {
		return nil, err
	}
	rows := func(yield func(Row, error) bool) {
		if err := d.mergePocketBase(ctx, c, columns, at, yield); err != nil {
			yield(Row{}, err)
		}
	}
	return &Reader{Unit: "user", rows: rows, total: total, done: func() int64 { return d.rows }, close: d.close}, nil
}

// authCollection looks a collection up. The error names the others.
func (d *database) authCollection(ctx context.Context, name string) (*collection, error) {
	columns, err := d.need(ctx, "_collections", "id", "type", "name")
	if err != nil {
		return nil, err
	}
	list := "fields" // "schema" before 0.23
	if !slices.Contains(columns, list) {
		list = "schema"
	}
	rows, err := d.conn.QueryContext(ctx, "SELECT id, name, "+quote(list)+" FROM _collections WHERE type = 'auth' ORDER BY name")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var others []string
	for rows.Next() {
		var c collection
		var fields []byte
		if err := rows.Scan(&c.id, &c.name, &fields); err != nil {
			return nil, err
		}
		if c.name != name && c.id != name {
			others = append(others, short(c.name))
			continue
		}
		var types []struct{ Name, Type string }
		if err := json.Unmarshal(fields, &types); err != nil {
			return nil, errors.New("the fields of the collection are not JSON")
		}
		for _, f := range types {
			if f.Type == "password" {
				c.secret = append(c.secret, f.Name)
			}
		}
		return &c, nil
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("no auth collection %.40q; there are: %s", name, strings.Join(others, ", "))
}

// mergePocketBase steps through records and external identities side by side.
func (d *database) mergePocketBase(ctx context.Context, c *collection, columns []string, at time.Time, yield func(Row, error) bool) error {
	users, err := d.sorted(ctx, c.name, columns, "id", "")
	if err != nil {
		return err
	}
	defer users.rows.Close()
	external, err := d.externalAuths(ctx, c)
	if err != nil {
		return err
	}
	defer external.close()
	for ; users.current != nil; err = users.next() {
		id := users.key("id")
		own, err := external.of(id)
		if err != nil {
			return err
		}
		d.rows++
		if !yield(pocketBaseUser(int(d.rows), id, c, users.current, own, at), nil) {
			return nil
		}
	}
	return err
}

// externals steps through _externalAuths of one collection.
type externals struct {
	at    *cursor // nil without such a table
	owner string  // column of the record's id
	conn  interface{ Close() error }
}

// externalAuths opens the table by the names that its columns have in this version.
func (d *database) externalAuths(ctx context.Context, c *collection) (*externals, error) {
	columns, err := d.columns(ctx, "_externalAuths")
	if err != nil || columns == nil {
		return &externals{}, err
	}
	x := &externals{owner: "recordRef"}
	of := "collectionRef"
	if !slices.Contains(columns, of) {
		x.owner, of = "recordId", "collectionId"
	}
	second := &database{DB: d.DB}
	if second.conn, err = d.connect(ctx); err != nil {
		return nil, err
	}
	x.conn = second.conn
	x.at, err = second.sorted(ctx, "_externalAuths", []string{x.owner, "provider", "providerId", "created"}, x.owner,
		" WHERE "+quote(of)+" = ?", c.id)
	if err != nil {
		return nil, errors.Join(err, x.conn.Close())
	}
	return x, nil
}

func (x *externals) close() {
	if x.at != nil {
		_ = x.at.rows.Close()
		_ = x.conn.Close()
	}
}

// of returns the rows of one record. Records come in the order of their ids.
func (x *externals) of(id string) (own []map[string]any, err error) {
	for x.at != nil && x.at.current != nil && err == nil && x.at.key(x.owner) <= id {
		if x.at.key(x.owner) == id && len(own) <= snib.MaxIdentities {
			own = append(own, x.at.current)
		}
		err = x.at.next()
	}
	return own, err
}

func pocketBaseUser(n int, id string, c *collection, fields map[string]any, external []map[string]any, at time.Time) Row {
	r := &columnRow{fields: fields, at: at}
	u := snib.UserImport{Row: n, ID: snib.UserID(id), CreatedAt: r.created("created")}
	r.add("email", "email", r.yes("verified"))
	r.add("username", "username", false)
	for _, x := range external {
		r.addExternal(x, "provider", "providerId", "created")
	}
	u.PasswordHash = orElse(r.text("password"), r.text("passwordHash")) // before 0.23
	u.Attributes = r.attributes(slices.Concat(c.secret, []string{
		"id", "email", "emailVisibility", "verified", "username", "password", "passwordHash", "tokenKey", "created", "updated",
		"lastResetSentAt", "lastVerificationSentAt", "lastLoginAlertSentAt",
	}))
	return r.row(u, nil)
}
