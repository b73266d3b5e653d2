package snib

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
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
	steps := db.steps()
	n, done, err := steps.RemoveDead(ctx, records.Sessions, append(keys, codec.OwnedKey{}), (*records.Tx).LongDead)
	if n != 1 || done != 4 || err != nil {
		t.Errorf("%d removed of %d, %v; want the one that is still there and dead", n, done, err)
	}
	if list, err := db.ListUserSessions(ctx, u.ID); len(list) != 1 || err != nil || string(list[0].ID) != token.Session.ID(keys[0]) {
		t.Errorf("left: %v, %v; want the one that was extended", list, err)
	}
	if _, err := db.Check(ctx); err != nil {
		t.Error(err)
	}
}

// resting is a context that ends in the rests of a sweep: in the n-th of them.
type resting struct {
	context.Context
	rests, end int
	done       chan struct{}
}

func (c *resting) Done() <-chan struct{} {
	var callers [8]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); !strings.HasSuffix(f.Function, "passes.Pause") {
			continue
		}
		if c.rests++; c.rests == c.end {
			close(c.done)
		}
	}
	return c.done
}

func (c *resting) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

// A sweep rests between its steps, and ends there with its context. What it has
// removed by then is gone and counted, all else is there for the next one.
func TestSweepRestsBetweenItsSteps(t *testing.T) {
	ctx := context.Background()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	db, err := Open(filepath.Join(t.TempDir(), "accounts.db"), &Options{
		Now: func() time.Time { return now }, InsecureNoSync: true, SweepEvery: -1, Sessions: SessionPolicy{MaxPerUser: 1000},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	u, err := db.CreateUser(ctx, NewUser{Provider: "x", Identifier: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	create := func(n int) {
		if err := db.Update(ctx, func(tx *Tx) error {
			for range n {
				if _, err := tx.CreateSession(u, SessionOptions{}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	left := func() int {
		list, err := db.Check(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return list.Records["sessions"]
	}
	const dead, live = 800, 5
	create(dead / 2)
	create(dead / 2)
	now = now.Add(60 * 24 * time.Hour)
	create(live)
	partly, total := 0, 0
	for end := 1; total < dead; end++ {
		c := &resting{Context: ctx, end: end, done: make(chan struct{})}
		n, err := db.Sweep(c)
		total += n
		if n > 0 && err != nil {
			partly++
		}
		if err != nil && !errors.Is(err, context.Canceled) || err == nil && total < dead {
			t.Fatalf("a sweep that ends in rest %d removed %d: %v", end, n, err)
		}
		if got := left(); got != dead+live-total || c.rests > end {
			t.Fatalf("%d left after %d of %d were removed, %d rests of %d", got, total, dead+live, c.rests, end)
		}
	}
	if n, err := db.Sweep(ctx); partly == 0 || n != 0 || err != nil || total != dead || left() != live {
		t.Errorf("%d removed of %d, %d times in part, %d more, %v", total, dead, partly, n, err)
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
		steps := db.steps()
		_, err = steps.EndQuarantine(ctx, [][]byte{[]byte("old"), []byte("young"), []byte("gone")})
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
