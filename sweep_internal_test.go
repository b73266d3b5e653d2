package snib

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
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
	var keys []codec.OwnedKey
	for range 3 {
		s, err := db.CreateSession(ctx, u, SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		key, _ := token.Session.ParseID(string(s.ID))
		keys = append(keys, key)
	}
	now = now.Add(48 * time.Hour)
	// As the sweep reads them all three are dead. Then one is given a later
	// deadline and one is ended by somebody else.
	err = db.update(ctx, func(tx *Tx) error {
		s, err := records.OwnedRecord(&tx.rec, records.Sessions, keys[0], codec.DecodeSession)
		if err != nil {
			return err
		}
		tx.setDeadlines(&s)
		return tx.rec.PutOwned(records.Sessions, s.Key, s.Append(nil))
	})
	if err == nil {
		err = db.RevokeSessionByID(ctx, SessionID(token.Session.ID(keys[1])))
	}
	if err != nil {
		t.Fatal(err)
	}
	n, err := db.sweepBatch(ctx, records.Sessions, append(keys, codec.OwnedKey{}), (*records.Tx).LongDead)
	if n != 1 || err != nil {
		t.Errorf("%d removed, %v; want the one that is still there and dead", n, err)
	}
	if list, err := db.ListUserSessions(ctx, u.ID); len(list) != 1 || err != nil || string(list[0].ID) != token.Session.ID(keys[0]) {
		t.Errorf("left: %v, %v; want the one that was extended", list, err)
	}
	if _, err := db.Check(ctx); err != nil {
		t.Error(err)
	}
}

// TestSweepLooksAgainBeforeItEndsQuarantine: a repair may put a value under a
// key of which an older one was read.
func TestSweepLooksAgainBeforeItEndsQuarantine(t *testing.T) {
	ctx := context.Background()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	db, err := Open(filepath.Join(t.TempDir(), "accounts.db"), &Options{Now: func() time.Time { return now }, InsecureNoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	at := func(age time.Duration) []byte {
		return codec.AppendQuarantineValue(nil, now.Add(-age).UnixMilli(), nil)
	}
	values := map[string][]byte{"old": at(31 * 24 * time.Hour), "young": at(time.Hour)}
	err = db.update(ctx, func(tx *Tx) error {
		for key, value := range values {
			if err := tx.rec.Put(records.SpaceQuarantine, key, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = db.endQuarantine(ctx, [][]byte{[]byte("old"), []byte("young"), []byte("gone")})
	}
	if err != nil {
		t.Fatal(err)
	}
	err = db.view(ctx, func(tx *Tx) error {
		for key := range values {
			if _, there, err := tx.rec.R.Get(records.SpaceQuarantine, []byte(key)); err != nil || there != (key == "young") {
				t.Errorf("%s is there: %v, %v", key, there, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
