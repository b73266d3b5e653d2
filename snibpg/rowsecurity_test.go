package snibpg_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// TestRowSecurityThatCameLater keeps the user: it would hide rows from the deletion.
func TestRowSecurityThatCameLater(t *testing.T) {
	s := programSchema(t)
	execute(t, s, "create table $.notes (user_id text, body text)")
	role, as := limited(t, "")
	execute(t, s, "grant usage on schema "+s+" to "+role, "grant select, update, delete on $.notes to "+role)
	e, err := snibpg.Open(ctx, as, &snibpg.Options{Schema: schema(t)})
	must(t, err)
	db, err := owning(t, e, s, "$.notes")
	must(t, err)
	id, merge := mergeOf(t, db, s, "insert into $.notes values (?)", "insert into $.notes values (?)")
	execute(t, s, "alter table $.notes enable row level security")
	refused := func(tx *snib.Tx) error { _, err := merge(tx); return err }
	if err := db.Update(ctx, refused); err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("a merge: %v", err)
	}
	for _, lent := range []bool{false, true} {
		err := db.Update(ctx, func(tx *snib.Tx) error {
			if lent {
				snibpg.Conn(tx)
			}
			return tx.DeleteUser(id)
		})
		if err == nil || !strings.Contains(err.Error(), "row-level security") {
			t.Errorf("lent %v: %v", lent, err)
		}
	}
	execute(t, s, "alter table $.notes disable row level security")
	must(t, db.DeleteUser(ctx, id))
	if n := count(t, s, "$.notes where user_id = $1", string(id)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// TestJoinUnderRowSecurity: the role of the program sees some rows, and deletes no
// user with those of which it sees nothing.
func TestJoinUnderRowSecurity(t *testing.T) {
	s, own := programSchema(t), schema(t)
	execute(t, s, "create table $.notes (user_id text, body text)", "alter table $.notes enable row level security")
	e, err := snibpg.Open(ctx, server(t), &snibpg.Options{Schema: own})
	must(t, err)
	db, err := owning(t, e, s, "$.notes")
	must(t, err)
	ada := account(t, db, "ada")
	execute(t, s, "insert into $.notes values ('"+string(ada)+"')")
	role, _ := limited(t, "")
	execute(t, s, "grant usage on schema "+s+", "+own+" to "+role, "grant select, insert, update, delete on all tables in schema "+own+" to "+role,
		"grant select, delete on $.notes to "+role)
	err = snibpg.Retry(ctx, db, ownPool(t), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local role "+role); err != nil {
			return err
		}
		return join(db, tx, func(tx *snib.Tx) error { return tx.DeleteUser(ada) })
	})
	if err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("got %v", err)
	}
	if n := count(t, s, "$.notes"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	must(t, snibpg.Retry(ctx, db, ownPool(t), func(tx pgx.Tx) error {
		return join(db, tx, func(tx *snib.Tx) error { return tx.DeleteUser(ada) })
	}))
	if n := count(t, s, "$.notes"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}
