package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
	"github.com/snibdb/snib/snibsqlite"
)

// A shelf is where a store keeps notes of users: rows of the program's, in a bucket
// of a file or in a table. They leave with their user, because Options.Owned names it.
type shelf struct {
	name  string // for Options.Owned
	make  func(ctx context.Context, tx *snib.Tx) error
	put   func(ctx context.Context, tx *snib.Tx, id snib.UserID, text string) error
	count func(ctx context.Context, tx *snib.Tx, id snib.UserID) (int, error)
}

// shelves are those of stores by their scheme. etcd has none.
var shelves = map[string]shelf{
	"file": {"notes",
		func(_ context.Context, tx *snib.Tx) error {
			_, err := tx.Bolt().CreateBucketIfNotExists([]byte("notes"))
			return err
		},
		func(_ context.Context, tx *snib.Tx, id snib.UserID, text string) error {
			return tx.Bolt().Bucket([]byte("notes")).Put(snib.OwnedKey(id, text), nil)
		},
		func(_ context.Context, tx *snib.Tx, id snib.UserID) (n int, err error) {
			c, of := tx.Bolt().Bucket([]byte("notes")).Cursor(), snib.OwnedKey(id, "")
			for k, _ := c.Seek(of); bytes.HasPrefix(k, of); k, _ = c.Next() {
				n++
			}
			return n, nil
		},
	},
	"sqlite": {"notes",
		func(ctx context.Context, tx *snib.Tx) error {
			_, err := snibsqlite.Conn(tx).ExecContext(ctx, "create table if not exists notes (user_id text not null, body text not null)")
			if err == nil {
				_, err = snibsqlite.Conn(tx).ExecContext(ctx, "create index if not exists notes_user on notes (user_id)")
			}
			return err
		},
		func(ctx context.Context, tx *snib.Tx, id snib.UserID, text string) error {
			_, err := snibsqlite.Conn(tx).ExecContext(ctx, "insert into notes values (?, ?)", string(id), text)
			return err
		},
		func(ctx context.Context, tx *snib.Tx, id snib.UserID) (n int, err error) {
			err = snibsqlite.Conn(tx).QueryRowContext(ctx, "select count(*) from notes where user_id = ?", string(id)).Scan(&n)
			return n, err
		},
	},
	"postgres": {"engines.notes",
		func(ctx context.Context, tx *snib.Tx) error {
			_, err := snibpg.Conn(tx).Exec(ctx, `create schema if not exists engines;
				create table if not exists engines.notes (user_id text not null, body text not null);
				create index if not exists notes_user on engines.notes (user_id)`)
			return err
		},
		func(ctx context.Context, tx *snib.Tx, id snib.UserID, text string) error {
			_, err := snibpg.Conn(tx).Exec(ctx, "insert into engines.notes values ($1, $2)", string(id), text)
			return err
		},
		func(ctx context.Context, tx *snib.Tx, id snib.UserID) (n int, err error) {
			err = snibpg.Conn(tx).QueryRow(ctx, "select count(*) from engines.notes where user_id = $1", string(id)).Scan(&n)
			return n, err
		},
	},
}

// openWithNotes opens the accounts of a store, after it has made the place for notes.
func (s store) openWithNotes(ctx context.Context, opts *snib.Options) (*snib.DB, error) {
	if s.notes.make == nil {
		return s.open(ctx, opts)
	}
	db, err := s.open(ctx, opts)
	if err != nil {
		return nil, err
	}
	err = db.Update(ctx, func(tx *snib.Tx) error { return s.notes.make(ctx, tx) })
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	with := *opts
	with.Owned = []string{s.notes.name}
	return s.open(ctx, &with)
}

// note writes one, in the transaction that sees its user.
func (s shelf) note(ctx context.Context, db *snib.DB, id snib.UserID, text string, out io.Writer) error {
	if s.put == nil {
		return nil
	}
	n := 0
	err := db.Update(ctx, func(tx *snib.Tx) error {
		_, err := tx.GetUser(id)
		if err == nil {
			err = s.put(ctx, tx, id, text)
		}
		if err == nil {
			n, err = s.count(ctx, tx, id)
		}
		return err
	})
	if err == nil {
		fmt.Fprintln(out, "notes    ", n)
	}
	return err
}

// gone returns nil if a deleted user has no notes.
func (s shelf) gone(ctx context.Context, db *snib.DB, id snib.UserID) error {
	if s.count == nil {
		return nil
	}
	return db.View(ctx, func(tx *snib.Tx) error {
		n, err := s.count(ctx, tx, id)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d notes of a deleted user", n)
		}
		return err
	})
}
