package snibpg_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// TestRowsBesideADeletion: rows that are written beside the deletion of their user
// stay if nothing ties them to the user. A foreign key to a table of Options.Owned with
// a row for each user does, for any writer; so does a lookup of the user in the
// transaction that writes.
func TestRowsBesideADeletion(t *testing.T) {
	for _, how := range []string{"untied", "foreign key", "lookup"} {
		t.Run(how, func(t *testing.T) {
			s := programSchema(t)
			execute(t, s, "create table $.people (user_id text primary key)", "create table $.notes (user_id text not null)", "create index on $.notes (user_id)")
			if how == "foreign key" {
				execute(t, s, "alter table $.notes add foreign key (user_id) references $.people on delete cascade")
			}
			db, err := owning(t, engine(t, snibpg.Options{}), s, "$.people", "$.notes")
			must(t, err)
			var group sync.WaitGroup
			for n := range 8 {
				group.Go(func() { besideDeletion(t, db, s, how, fmt.Sprintf("u%d", n)) })
			}
			group.Wait()
			r, err := db.Check(ctx)
			must(t, err)
			if (r.OrphanRows > 0) != (how == "untied") || r.Rows != r.OrphanRows {
				t.Errorf("%d rows, %d of nobody, %d leaving, %d users, %d people, %d notes, %d dangling", r.Rows, r.OrphanRows, r.Leaving, r.Users, count(t, s, "$.people"), count(t, s, "$.notes"), count(t, s, "$.notes n where not exists (select from $.people p where p.user_id = n.user_id)"))
			}
		})
	}
}

// besideDeletion deletes a user while another connection writes rows, before and after.
func besideDeletion(t *testing.T, db *snib.DB, schema, how, name string) {
	var id snib.UserID
	err := db.Update(ctx, func(tx *snib.Tx) error {
		u, err := tx.CreateUser(snib.NewUser{Provider: "username", Identifier: name})
		if id = u.ID; err == nil {
			_, err = snibpg.Conn(tx).Exec(ctx, "insert into "+schema+".people values ($1)", string(id))
		}
		return err
	})
	if err != nil {
		t.Error(err)
		return
	}
	conn, err := pgx.Connect(ctx, server(t))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(ctx)
	write := func() error {
		insert := "insert into " + schema + ".notes values ($1)"
		if how != "lookup" {
			_, err := conn.Exec(ctx, insert, string(id))
			return err
		}
		return db.Update(ctx, func(tx *snib.Tx) error {
			_, err := tx.GetUser(id)
			if err == nil {
				_, err = snibpg.Conn(tx).Exec(ctx, insert, string(id))
			}
			return err
		})
	}
	written, deleted := make(chan struct{}), make(chan error, 1)
	go func() { <-written; deleted <- db.DeleteUser(ctx, id) }()
	for n, after := 0, false; !after; n++ {
		select {
		case err := <-deleted:
			if err != nil {
				t.Error(err)
			}
			after = true // and one more
		default:
		}
		err := write()
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "23503" || errors.Is(err, snib.ErrUserNotFound) {
			err = nil // that is gone
		}
		if err != nil {
			t.Error(err)
		}
		if n == 1 {
			close(written)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
