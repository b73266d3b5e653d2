package snib_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/farkv"
	"github.com/snibdb/snib/snibtest"
	bolt "go.etcd.io/bbolt"
)

// TestCheckINV19Factors: a factor is under its user, and Repair removes none without leaving the account as closed as it was.
func TestCheckINV19Factors(t *testing.T) {
	for what, c := range map[string]struct {
		invariant int
		change    func(h *holder, f *codec.Factor) (key string)
		kinds     []snib.FactorKind // of ada after Repair, the recovery codes last
	}{
		"under another's owner": {19, func(h *holder, f *codec.Factor) string {
			f.Key[0] ^= 1
			return string(f.Key[:])
		}, []snib.FactorKind{snib.FactorLost, snib.FactorTOTP}},
		"of nobody": {19, func(_ *holder, f *codec.Factor) string {
			f.UserID = "usr_nobody"
			return string(f.Key[:])
		}, []snib.FactorKind{snib.FactorTOTP}},
		"not sealed": {16, func(_ *holder, f *codec.Factor) string {
			f.Secret = "12345678901234567890"
			return string(f.Key[:])
		}, []snib.FactorKind{snib.FactorLost, snib.FactorTOTP}},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHolder(t, snib.Options{})
			spare := enrol(t, h.db, h.logIn(t))
			b := handle(t, h.db)
			id := string(h.phone.id)
			f := must(codec.DecodeFactor(rawKey(id), rawGet(t, b, "factors", id)))(t)
			rawDelete(t, b, "factors", id)
			key := c.change(h, &f)
			rawPut(t, b, "factors", key, f.Append(nil))
			report, err := h.db.Check(ctx)
			wantErr(t, err, snib.ErrCorrupt)
			if p := report.Problems[0]; p.Invariant != c.invariant || p.Space != "factors" || report.Found != 1 {
				t.Errorf("%d, the first %v", report.Found, p)
			}
			must(h.db.Repair(ctx))(t)
			var kinds []snib.FactorKind
			for _, f := range must(h.db.Factors().List(ctx, h.user.ID))(t) {
				if f.Kind != snib.FactorRecoveryCodes {
					kinds = append(kinds, f.Kind)
				}
			}
			if !slices.Equal(kinds, c.kinds) {
				t.Errorf("%v are left, want %v", kinds, c.kinds)
			}
			h.phone = spare
			h.clock.Advance(time.Minute)
			h.logIn(t)
		})
	}
}

// TestALostKeyOfOwnersOpensNoAccount, though no record is under its user then.
func TestALostKeyOfOwnersOpensNoAccount(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	o := &snib.Options{Now: clock.Now, Keys: []snib.Key{testKey("k1", 1)}}
	h := &holder{db: openFile(t, path, o), clock: clock}
	u := email(t, h.db, "ada@example.com")
	h.phone = enrol(t, h.db, logIn(t, h.db, "ada@example.com"))
	rawDelete(t, handle(t, h.db), "meta", "owner_key")
	closeDB(t, h.db)
	must(snib.RepairFile(ctx, path, o))(t)
	clock.Advance(time.Minute)
	h.db = snibtest.OpenDB(t, path, o)
	_, err := h.finish(h.pend(t), h.phone.code(h.db))
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(h.db.Factors().Reset(ctx, u.ID))(t)
	logIn(t, h.db, "ada@example.com")
}

// TestAFactorOfALaterProgramIsAskedFor, though this one cannot verify it.
func TestAFactorOfALaterProgramIsAskedFor(t *testing.T) {
	h := newHolder(t, snib.Options{})
	b, id := handle(t, h.db), string(h.phone.id)
	f := must(codec.DecodeFactor(rawKey(id), rawGet(t, b, "factors", id)))(t)
	f.Type, f.Secret = 9, ""
	rawPut(t, b, "factors", id, f.Append(nil))
	wantErr(t, h.finishWrong(t), snib.ErrInvalidCredentials)
	must(h.finish(h.pend(t), h.codes[0]))(t)
	must(h.db.Check(ctx))(t)
}

// TestAHolderWhoWasDisabledIsAskedAgain: neither that nor a sweep ends a factor.
func TestAHolderWhoWasDisabledIsAskedAgain(t *testing.T) {
	h := newHolder(t, snib.Options{})
	must(h.db.DisableUser(ctx, h.user.ID, ""))(t)
	must(h.db.Check(ctx))(t)
	must(h.db.Sweep(ctx))(t)
	must(h.db.EnableUser(ctx, h.user.ID))(t)
	h.clock.Advance(40 * 24 * time.Hour)
	must(h.db.Sweep(ctx))(t)
	h.logIn(t)
}

// TestAHolderUnderOneOwnerWithAnother: a factor is of the user that it names.
func TestAHolderUnderOneOwnerWithAnother(t *testing.T) {
	h := newHolder(t, snib.Options{})
	b := handle(t, h.db)
	bob := nobody(t, h.db, "bob")
	owner := ownerOf(t, b, bob.ID)
	id := string(h.phone.id)
	f := must(codec.DecodeFactor(rawKey(id), rawGet(t, b, "factors", id)))(t)
	copy(f.Key[:], owner[:])
	rawPut(t, b, "factors", string(f.Key[:]), f.Append(nil))
	valid(t, h.db, session(t, h.db, bob.ID)) // of whom none is
	rawDelete(t, b, "factors", string(f.Key[:]))
}

// TestAFactorThatWaitsClosesNoAccount after the loss of the key of owners either.
func TestAFactorThatWaitsClosesNoAccount(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	o := &snib.Options{Now: clock.Now, Keys: []snib.Key{testKey("k1", 1)}}
	db := openFile(t, path, o)
	u := email(t, db, "ada@example.com")
	must(db.Factors().BeginTOTP(ctx, logIn(t, db, "ada@example.com"), "Notes", "phone"))(t)
	rawDelete(t, handle(t, db), "meta", "owner_key")
	closeDB(t, db)
	must(snib.RepairFile(ctx, path, o))(t)
	db = snibtest.OpenDB(t, path, o)
	logIn(t, db, "ada@example.com")
	if left := must(db.Factors().List(ctx, u.ID))(t); len(left) != 0 {
		t.Errorf("%+v", left)
	}
}

// TestSurplusFactorsOverANetwork: a Check that reads in pages counts what waits of each
// user, also where the page has no other records of that user.
func TestSurplusFactorsOverANetwork(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	b := handle(t, db)
	const users = 5
	for i := range users {
		name := string(rune('a'+i)) + "@example.com"
		email(t, db, name)
		must(db.Factors().BeginTOTP(ctx, logIn(t, db, name), "Notes", "phone"))(t)
	}
	var seconds []codec.Factor
	rawBucket(t, b, "factors", func(b *bolt.Bucket) error {
		return b.ForEach(func(key, value []byte) error {
			f := must(codec.DecodeFactor(key, value))(t)
			f.Key[len(f.Key)-1] ^= 1
			seconds = append(seconds, f)
			return nil
		})
	})
	for _, f := range seconds {
		rawPut(t, b, "factors", string(f.Key[:]), f.Append(nil))
	}
	surplus := func() (n int) {
		report, err := db.Check(ctx)
		wantErr(t, err, snib.ErrCorrupt)
		for _, p := range report.Problems {
			if p.Invariant == 19 {
				n++
			}
		}
		return n
	}
	if n := surplus(); n != users {
		t.Errorf("%d of %d users have one too many", n, users)
	}
	near := db.WrapStore(func(inner kv.Store) kv.Store { return farkv.Wrap(inner) })
	if n := surplus(); n != users {
		t.Errorf("over a network, %d of %d users have one too many", n, users)
	}
	near()
	must(db.Repair(ctx))(t)
}
