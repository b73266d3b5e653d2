package importer

import (
	"context"
	"errors"
	"time"

	"github.com/snibdb/snib"
)

// betterAuthKnown are columns of "user" that are no attributes.
func betterAuthKnown() []string {
	return []string{
		"id", "email", "emailVerified", "createdAt", "updatedAt", "username", "phoneNumber", "phoneNumberVerified",
		"banned", "banReason", "banExpires", "twoFactorEnabled",
	}
}

// openBetterAuth reads the tables user and account of Better Auth, and the columns
// that its plug-ins for user names, phone numbers and administration add.
func openBetterAuth(ctx context.Context, s *Source, at time.Time) (*Reader, error) {
	d, err := openSQLite(ctx, s.Path)
	if err != nil {
		return nil, err
	}
	r, err := betterAuth(ctx, d, at)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return r, nil
}

func betterAuth(ctx context.Context, d *database, at time.Time) (*Reader, error) {
	columns, err := d.need(ctx, "user", "id", "email", "emailVerified", "createdAt")
	if err != nil {
		return nil, err
	}
	if _, err := d.need(ctx, "account", "accountId", "providerId", "userId", "password", "createdAt"); err != nil {
		return nil, err
	}
	total, err := d.count(ctx, "user")
	if err != nil {
		return nil, err
	}
	rows := func(yield func(Row, error) bool) {
		if err := mergeBetterAuth(ctx, d, columns, at, yield); err != nil {
			yield(Row{}, err)
		}
	}
	return &Reader{Unit: "user", rows: rows, total: total, done: func() int64 { return d.rows }, close: d.close}, nil
}

// mergeBetterAuth steps through users and accounts side by side. There may be no
// index by which the accounts of a user could be looked up.
func mergeBetterAuth(ctx context.Context, d *database, columns []string, at time.Time, yield func(Row, error) bool) error {
	users, err := d.sorted(ctx, "user", columns, "id", "")
	if err != nil {
		return err
	}
	defer users.rows.Close()
	second := &database{DB: d.DB}
	if second.conn, err = d.connect(ctx); err != nil {
		return err
	}
	defer second.conn.Close()
	accounts, err := second.sorted(ctx, "account", []string{"accountId", "providerId", "userId", "password", "createdAt"}, "userId", "")
	if err != nil {
		return err
	}
	defer accounts.rows.Close()
	for ; users.current != nil; err = users.next() {
		id := users.key("id")
		for accounts.current != nil && accounts.key("userId") < id {
			if err := accounts.next(); err != nil {
				return err
			}
		}
		var own []map[string]any
		for accounts.current != nil && accounts.key("userId") == id {
			if len(own) <= snib.MaxIdentities { // more are refused anyway
				own = append(own, accounts.current)
			}
			if err := accounts.next(); err != nil {
				return err
			}
		}
		d.rows++
		if !yield(betterAuthUser(int(d.rows), id, users.current, own, at), nil) {
			return nil
		}
	}
	return err
}

func betterAuthUser(n int, id string, fields map[string]any, accounts []map[string]any, at time.Time) Row {
	r := &columnRow{fields: fields, at: at}
	u := snib.UserImport{Row: n, ID: snib.UserID(id), CreatedAt: r.created("createdAt")}
	r.add("email", "email", r.yes("emailVerified"))
	r.add("username", "username", false)
	r.add("phone", "phoneNumber", r.yes("phoneNumberVerified"))
	for _, account := range accounts {
		own := &columnRow{fields: account}
		if own.text("providerId") != "credential" {
			r.addExternal(account, "providerId", "accountId", "createdAt")
			continue
		}
		u.PasswordHash, u.PasswordSource = own.text("password"), "better-auth"
		r.check(own.fault)
	}
	if u.PasswordHash == "" {
		u.PasswordSource = ""
	}
	u.Disabled = r.yes("banned")
	if until := r.moment("banExpires"); !until.IsZero() && until.Before(time.Now()) {
		u.Disabled = false
	}
	if u.Disabled {
		u.DisabledReason = cut(r.text("banReason"), 256)
	}
	var left []string
	if r.yes("twoFactorEnabled") {
		left = []string{"second factor"}
	}
	u.Attributes = r.attributes(betterAuthKnown())
	return r.row(u, left)
}
