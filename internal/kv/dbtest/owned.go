package dbtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
)

// Rows is a store with rows of the program's own, for [RunOwned].
type Rows struct {
	Engine kv.Engine // of OpenStore
	Path   string    // or of Open, without an Engine

	// Names of two sets for Options.Owned, which are there and empty.
	Names [2]string

	// Put puts n rows of a user into a set, as a program does, and Count counts all
	// rows by user.
	Put   func(tx *snib.Tx, set string, id snib.UserID, n int) error
	Count func(tx *snib.Tx, set string) (map[snib.UserID]int, error)
}

// RunOwned checks that rows of the program's own leave with their user, on an engine
// or on a file. Each subtest has a store of its own, which new makes.
func RunOwned(t *testing.T, new func(testing.TB) Rows) {
	for _, s := range []struct {
		name string
		run  func(*shelf)
	}{
		{"rows go with their user", (*shelf).goes},
		{"rows stay with the user", (*shelf).stays},
		{"many rows", (*shelf).many},
		{"a program that was not told", (*shelf).untold},
		{"orphans", (*shelf).orphans},
		{"an export", (*shelf).exported},
		{"a guest", (*shelf).guest},
		{"a merge", (*shelf).merges},
		{"a row and its user at once", (*shelf).race},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(newShelf(t, new(t))) })
	}
}

// A shelf is a store under test.
type shelf struct {
	*lab
	Rows
	ahead time.Duration // of a file's clock
}

func newShelf(t *testing.T, r Rows) *shelf { return &shelf{lab: newLab(t, r.Engine), Rows: r} }

// begin opens the store with names of sets, and returns how it is closed.
func (s *shelf) begin(owned ...string) (db *snib.DB, end func()) {
	s.Helper()
	o := options(&snib.Options{Owned: owned})
	var err error
	if s.Rows.Engine != nil {
		db, err = snib.OpenStore(s.ctx, s.lab.engine, o)
	} else {
		ahead := s.ahead
		o.InsecureNoSync, o.Now = true, func() time.Time { return time.Now().Add(ahead) }
		db, err = snib.Open(s.Path, o)
	}
	s.fine(err)
	return db, func() {
		s.Helper()
		s.checked(db)
		s.fine(db.Close())
	}
}

// later sets the clock forward; on a file, that of the next program.
func (s *shelf) later(d time.Duration) {
	s.lab.engine.Advance(d)
	s.ahead += d
}

func (s *shelf) put(db *snib.DB, set string, n int, ids ...snib.UserID) {
	s.Helper()
	s.fine(db.Update(s.ctx, func(tx *snib.Tx) error {
		for _, id := range ids {
			if err := s.Put(tx, set, id, n); err != nil {
				return err
			}
		}
		return nil
	}))
}

// holds fails unless a set has so many rows by user.
func (s *shelf) holds(db *snib.DB, set string, want map[snib.UserID]int) {
	s.Helper()
	var got map[snib.UserID]int
	s.fine(db.View(s.ctx, func(tx *snib.Tx) (err error) { got, err = s.Count(tx, set); return err }))
	if !maps.Equal(got, want) {
		s.Errorf("rows of %s: %v, want %v", set, got, want)
	}
}

// counts fails unless Check counts so.
func (s *shelf) counts(db *snib.DB, rows, orphans, leaving int) snib.CheckReport {
	s.Helper()
	r, err := db.Check(s.ctx)
	s.fine(err)
	if r.Rows != rows || r.OrphanRows != orphans || r.Leaving != leaving {
		s.Errorf("%d rows, %d orphans, %d leaving; want %d, %d, %d", r.Rows, r.OrphanRows, r.Leaving, rows, orphans, leaving)
	}
	return r
}

func (s *shelf) moveIn(db *snib.DB, ids ...snib.UserID) {
	s.Helper()
	for _, id := range ids {
		_, err := db.ImportUser(s.ctx, snib.UserImport{ID: id, Provider: "x", Identifier: string(id)})
		s.fine(err)
	}
}

// goes: the rows of the user in all sets, and no others, whatever the ids are like.
func (s *shelf) goes() {
	db, end := s.begin(s.Names[:]...)
	defer end()
	ids := []snib.UserID{"a", "A", "aa", "a!", "a~", "a%", "a_", "0", "00", "1e2", "100", `a'--`, `a"`, `a\`, "$1", "?1"}
	s.moveIn(db, ids...)
	made := s.user(db)
	ids = append(ids, made.ID)
	left := map[snib.UserID]int{}
	for _, id := range ids {
		left[id] = 2
	}
	for _, set := range s.Names {
		s.put(db, set, 2, ids...)
	}
	for _, id := range ids {
		s.fine(db.DeleteUser(s.ctx, id))
		delete(left, id)
		for _, set := range s.Names {
			s.holds(db, set, left)
		}
	}
	s.counts(db, 0, 0, 0)
}

// stays: what is not committed, and what a user got who has the id again.
func (s *shelf) stays() {
	db, end := s.begin(s.Names[:]...)
	defer end()
	s.moveIn(db, "ada", "bob")
	s.put(db, s.Names[0], 3, "ada", "bob")
	mine := errors.New("mine")
	s.wants(db.Update(s.ctx, func(tx *snib.Tx) error {
		if err := tx.DeleteUser("ada"); err != nil {
			return err
		}
		got, err := s.Count(tx, s.Names[0])
		if err == nil && (got["ada"] != 0 || got["bob"] != 3) {
			s.Errorf("inside: %v", got)
		}
		return errors.Join(err, mine)
	}), mine)
	s.holds(db, s.Names[0], map[snib.UserID]int{"ada": 3, "bob": 3})
	s.wants(db.View(s.ctx, func(tx *snib.Tx) error { return tx.DeleteUser("ada") }), snib.ErrReadOnly)
	s.fine(db.Update(s.ctx, func(tx *snib.Tx) error { // rows of this transaction go, too
		return errors.Join(s.Put(tx, s.Names[1], "ada", 1), tx.DeleteUser("ada"))
	}))
	s.moveIn(db, "ada")
	s.put(db, s.Names[1], 1, "ada")
	s.fine(db.DeleteUser(s.ctx, "nobody"))
	_, err := db.Sweep(s.ctx)
	s.fine(err)
	s.holds(db, s.Names[0], map[snib.UserID]int{"bob": 3})
	s.holds(db, s.Names[1], map[snib.UserID]int{"ada": 1})
	s.counts(db, 4, 0, 0)
}

// many: 10,000 rows go at once, in all sets together; of one more the user is gone
// as well, the id is not free, and the sweep of any program removes the rest.
func (s *shelf) many() {
	db, end := s.begin(s.Names[:]...)
	s.moveIn(db, "ada", "bob", "eve")
	s.put(db, s.Names[0], 6000, "ada", "bob")
	s.put(db, s.Names[1], 4000, "ada")
	s.put(db, s.Names[1], 8500, "bob")
	s.put(db, s.Names[1], 3, "eve")
	s.fine(db.DeleteUser(s.ctx, "ada"))
	s.counts(db, 14_503, 0, 0)
	s.moveIn(db, "ada")
	s.fine(db.DeleteUser(s.ctx, "bob"))
	s.counts(db, 4503, 0, 1)
	_, err := db.ImportUser(s.ctx, snib.UserImport{ID: "bob", Provider: "x", Identifier: "bob"})
	s.wants(err, snib.ErrInvalidInput)
	end()

	db, end = s.begin()
	defer end()
	if n, err := db.Sweep(s.ctx); err != nil || n != 4500 {
		s.Errorf("the sweep removed %d (%v), want 4500", n, err)
	}
	s.counts(db, 3, 0, 0)
	s.moveIn(db, "bob")
	s.holds(db, s.Names[1], map[snib.UserID]int{"eve": 3})
}

// untold: the names stay with the store.
func (s *shelf) untold() {
	db, end := s.begin(s.Names[0])
	s.moveIn(db, "ada", "bob")
	s.put(db, s.Names[0], 2, "ada", "bob")
	s.put(db, s.Names[1], 2, "ada", "bob")
	end()
	db, end = s.begin()
	s.fine(db.DeleteUser(s.ctx, "ada"))
	s.holds(db, s.Names[0], map[snib.UserID]int{"bob": 2})
	s.holds(db, s.Names[1], map[snib.UserID]int{"ada": 2, "bob": 2})
	end()
	db, end = s.begin(s.Names[1])
	s.fine(db.DeleteUser(s.ctx, "bob"))
	s.counts(db, 2, 2, 0)
	end()
}

func (s *shelf) orphans() {
	db, end := s.begin(s.Names[:]...)
	defer end()
	s.moveIn(db, "bob")
	s.put(db, s.Names[0], 2, "ada", "bob", "eve")
	s.put(db, s.Names[1], 3, "ada")
	r := s.counts(db, 9, 7, 0)
	got := map[snib.Orphans]bool{}
	for _, o := range r.Orphans {
		got[o] = true
	}
	want := map[snib.Orphans]bool{
		{Bucket: s.Names[0], UserID: "ada", Rows: 2}: true, {Bucket: s.Names[0], UserID: "eve", Rows: 2}: true,
		{Bucket: s.Names[1], UserID: "ada", Rows: 3}: true,
	}
	if !maps.Equal(got, want) {
		s.Errorf("orphans %v, want %v", r.Orphans, want)
	}
	s.fine(db.DeleteUser(s.ctx, "ada"))
	s.counts(db, 4, 2, 0)
	s.moveIn(db, "eve")
	s.counts(db, 4, 0, 0)
}

// exported: the rows of the user, and of no other.
func (s *shelf) exported() {
	db, end := s.begin(s.Names[:]...)
	defer end()
	s.moveIn(db, "ada", "adam")
	s.put(db, s.Names[0], 2500, "ada", "adam")
	s.put(db, s.Names[1], 1500, "ada", "adam")
	var out bytes.Buffer
	s.fine(db.ExportUser(s.ctx, "ada", &out))
	var got struct {
		Rows map[string][]map[string]any
	}
	s.fine(json.Unmarshal(out.Bytes(), &got))
	if first, second := len(got.Rows[s.Names[0]]), len(got.Rows[s.Names[1]]); first != 2500 || second != 1500 || len(got.Rows) != 2 {
		s.Errorf("%d and %d rows in %d sets, want 2500 and 1500 in 2", first, second, len(got.Rows))
	}
	if bytes.Contains(out.Bytes(), []byte("adam")) {
		s.Error("another's row is in it")
	}
}

// guest: the sweep removes a guest with the rows.
func (s *shelf) guest() {
	db, end := s.begin(s.Names[:]...)
	_, gone, err := db.Identities().CreateGuest(s.ctx, snib.SessionOptions{})
	s.fine(err)
	s.moveIn(db, "ada")
	s.put(db, s.Names[0], 3, gone.ID, "ada")
	end()
	s.later(200 * 24 * time.Hour)
	db, end = s.begin(s.Names[:]...)
	defer end()
	_, err = db.Sweep(s.ctx)
	s.fine(err)
	_, err = db.GetUser(s.ctx, gone.ID)
	s.wants(err, snib.ErrUserNotFound)
	s.holds(db, s.Names[0], map[snib.UserID]int{"ada": 3})
}

// merges: the rows of the account that goes are those of the one that stays, or the
// merge is refused and nothing is written.
func (s *shelf) merges() {
	db, end := s.begin(s.Names[:]...)
	defer end()
	ada := s.user(db)
	stays, err := db.CreateSession(s.ctx, ada, snib.SessionOptions{Methods: snib.MethodPassword})
	s.fine(err)
	s.moveIn(db, "bob")
	s.put(db, s.Names[0], 1, "bob")
	s.put(db, s.Names[1], 1, "bob", ada.ID)
	goes, guest, err := db.Identities().CreateGuest(s.ctx, snib.SessionOptions{})
	s.fine(err)
	s.put(db, s.Names[0], 10_001, guest.ID)
	_, err = db.Identities().Merge(s.ctx, stays.Token.Reveal(), goes.Token.Reveal())
	if e, ok := errors.AsType[*snib.MergeError](err); !ok || e.Code != snib.MergeRows {
		s.Errorf("10,001 rows: %v", err)
	}
	s.holds(db, s.Names[0], map[snib.UserID]int{"bob": 1, guest.ID: 10_001})
	_, err = db.GetUser(s.ctx, guest.ID)
	s.fine(err)
	goes, guest, err = db.Identities().CreateGuest(s.ctx, snib.SessionOptions{})
	s.fine(err)
	before := s.counts(db, 10_004, 0, 0)
	s.put(db, s.Names[0], 3, guest.ID)
	m, err := db.Identities().Merge(s.ctx, stays.Token.Reveal(), goes.Token.Reveal())
	s.fine(err)
	if m.Rows != 3 {
		s.Errorf("%d rows were moved, want 3", m.Rows)
	}
	if after := s.counts(db, 10_007, 0, 0); after.Users != before.Users-1 {
		s.Errorf("%d users, before %d", after.Users, before.Users)
	}
	var got map[snib.UserID]int
	s.fine(db.View(s.ctx, func(tx *snib.Tx) (err error) { got, err = s.Count(tx, s.Names[0]); return err }))
	if got[ada.ID] != 3 || got[guest.ID] != 0 {
		s.Errorf("rows: %v", got)
	}
	s.holds(db, s.Names[1], map[snib.UserID]int{"bob": 1, ada.ID: 1})
}

// race: a program that looks the user up in the transaction of the row leaves no
// orphan, though the user is deleted meanwhile, where the engine lets it.
func (s *shelf) race() {
	db, end := s.begin(s.Names[:]...)
	defer end()
	s.moveIn(db, "ada")
	deleted := make(chan error, 1)
	var once sync.Once
	err := db.Update(s.ctx, func(tx *snib.Tx) error {
		if _, err := tx.GetUser("ada"); err != nil {
			return err
		}
		once.Do(func() {
			done := make(chan struct{})
			go func() {
				deleted <- db.DeleteUser(s.ctx, "ada")
				close(done)
			}()
			select { // where one writes at a time, it waits for this one
			case <-done:
			case <-time.After(time.Second):
			}
		})
		return s.Put(tx, s.Names[0], "ada", 1)
	})
	if err != nil && !errors.Is(err, snib.ErrUserNotFound) {
		s.Errorf("a row: %v", err)
	}
	s.fine(<-deleted)
	s.counts(db, 0, 0, 0)
}
