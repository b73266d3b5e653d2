package snib

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// What is extended or used between the reading and the deleting survives.
func TestSweepLooksAgainBeforeItDeletes(t *testing.T) {
	ctx := context.Background()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	db, err := Open(filepath.Join(t.TempDir(), "accounts.db"), &Options{
		Now: func() time.Time { return now }, InsecureNoSync: true, Sessions: SessionPolicy{Active: time.Second, Idle: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	u, err := db.CreateUser(ctx, NewUser{Provider: "x", Identifier: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 3 {
		s, err := db.CreateSession(ctx, u, SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(s.ID))
	}
	now = now.Add(48 * time.Hour)
	// As the sweep reads them all three are dead. Then one is given a later
	// deadline and one is ended by somebody else.
	err = db.update(ctx, func(tx *Tx) error {
		s, err := tx.session(ids[0])
		if err != nil {
			return err
		}
		tx.setDeadlines(&s)
		return tx.put(spaceSessions, s.ID, s.Append(nil))
	})
	if err == nil {
		err = db.RevokeSessionByID(ctx, SessionID(ids[1]))
	}
	if err != nil {
		t.Fatal(err)
	}
	n, err := db.sweepBatch(ctx, kindSession, append(ids, "ses_00000000000000000000000000"), (*Tx).longDead)
	if n != 1 || err != nil {
		t.Errorf("%d removed, %v; want the one that is still there and dead", n, err)
	}
	if list, err := db.ListUserSessions(ctx, u.ID); len(list) != 1 || err != nil || string(list[0].ID) != ids[0] {
		t.Errorf("left: %v, %v; want the one that was extended", list, err)
	}
	if _, err := db.Check(ctx); err != nil {
		t.Error(err)
	}
}
