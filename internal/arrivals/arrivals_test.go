package arrivals

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/testrecords"
)

// opened is tx with hashes that are not sealed.
func opened(tx *records.Tx) Tx {
	return Tx{
		Tx: tx, Open: func(u *codec.User) (string, error) { return u.PasswordHash, nil },
		Store: func(_, hash string) (string, error) { return hash, nil }, Reset: records.PasswordReset,
	}
}

// errDry ends the transactions of a rehearsal.
var errDry = errors.New("dry run")

// newRun is an import into records, with digests that cost nothing. The gate has no
// room for the first so many of them.
func newRun(in func(fn func(*records.Tx) error) error, busy int32) *Run {
	var at *records.File
	var tried atomic.Int32
	return &Run{
		View: func(_ context.Context, fn func(Tx) error) error {
			return in(func(tx *records.Tx) error { return fn(opened(tx)) })
		},
		Commit: func(_ context.Context, fn func(kv.Tx) error) error {
			return in(func(tx *records.Tx) error { at = tx.File; return fn(tx.W) })
		},
		Begin: func(w kv.Tx) (Tx, func(), error) {
			tx := new(records.Tx)
			err := tx.Begin(at, w, w)
			return opened(tx), func() {}, err
		},
		Hash: func(_ context.Context, f phc.Foreign, _ phc.Hash) (phc.Hash, error) {
			if tried.Add(1) <= busy {
				return "", kv.ErrBusy
			}
			return phc.Hash("hashed " + f.Text), nil
		},
	}
}

func user(id, name string) *User {
	return &User{ID: id, Identities: []Identity{{Provider: "email", Identifier: name + "@example.com"}}}
}

func seq(rows ...Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// run imports rows and returns their outcomes.
func run(t *testing.T, m *Run, rows ...Row) (out []Arrival) {
	t.Helper()
	m.Each = func(a Arrival) { out = append(out, a) }
	if err := m.All(context.Background(), seq(rows...)); err != nil {
		t.Fatal(err)
	}
	return out
}

func wantOutcomes(t *testing.T, got []Arrival, want ...Outcome) {
	t.Helper()
	var outcomes []Outcome
	for _, a := range got {
		outcomes = append(outcomes, a.Outcome)
	}
	if fmt.Sprint(outcomes) != fmt.Sprint(want) {
		t.Errorf("outcomes %v, want %v: %+v", outcomes, want, got)
	}
}

// TestAllDecidesByTheRecords: rows come again, collide and change, each with the
// outcome of its rule.
func TestAllDecidesByTheRecords(t *testing.T) {
	in := testrecords.Open(t)
	first := run(t, newRun(in, 0), Row{User: user("a", "ada")}, Row{User: user("b", "bob")}, Row{User: user("c", "Ada")}, Row{User: user("", "bob")})
	wantOutcomes(t, first, Imported, Imported, Refused, Unchanged)
	if a := first[2]; a.Holder != "a" || a.HolderRow != 1 || !errors.Is(a.Err, records.ErrIdentityTaken) {
		t.Errorf("the collision is %+v", a)
	}
	moved, disabled := user("a", "countess"), user("b", "bob")
	disabled.Disabled = true
	wantOutcomes(t, run(t, newRun(in, 0), Row{User: moved}, Row{User: disabled}), Refused, Kept)
	m := newRun(in, 0)
	m.Update = true
	wantOutcomes(t, run(t, m, Row{User: moved}, Row{User: disabled}, Row{User: disabled}), Updated, Updated, Unchanged)
	if r := m.Report; r.Rows != 3 || r.Of[Updated] != 2 || r.Of[Unchanged] != 1 {
		t.Errorf("%+v", r)
	}
}

// TestAllKeepsChangedUsers: an update must not undo a change that was made here.
func TestAllKeepsChangedUsers(t *testing.T) {
	in := testrecords.Open(t)
	run(t, newRun(in, 0), Row{User: user("a", "ada")})
	if err := in(func(tx *records.Tx) error {
		u, err := tx.User("a")
		before := u
		u.UpdatedAt++
		return errors.Join(err, tx.PutUser(&before, &u))
	}); err != nil {
		t.Fatal(err)
	}
	m := newRun(in, 0)
	m.Update = true
	wantOutcomes(t, run(t, m, Row{User: user("a", "countess")}), Kept)
}

// TestAllHashesWeakDigests: also those for which the gate had no room at first. The
// digest of a kept user is not hashed.
func TestAllHashesWeakDigests(t *testing.T) {
	in := testrecords.Open(t)
	weak := func(id string) Row {
		u := user(id, id)
		u.Foreign.Text = "md5 of " + id
		return Row{User: u, Weak: true}
	}
	wantOutcomes(t, run(t, newRun(in, 2), weak("a"), weak("b"), weak("c")), Imported, Imported, Imported)
	for _, id := range []string{"a", "b", "c"} {
		if err := in(func(tx *records.Tx) error {
			u, err := tx.User(id)
			if u.PasswordHash != "hashed md5 of "+id || u.HashClass != records.HashForeign {
				t.Errorf("%+v", u)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	m := newRun(in, 0)
	m.Hash = func(context.Context, phc.Foreign, phc.Hash) (phc.Hash, error) { return "", errDry }
	wantOutcomes(t, run(t, m, weak("a")), Kept)
}

// TestAllAfterAnErrorOfTheInput: the rows before it are committed and counted.
func TestAllAfterAnErrorOfTheInput(t *testing.T) {
	in := testrecords.Open(t)
	m := newRun(in, 0)
	err := m.All(context.Background(), func(yield func(Row, error) bool) {
		_ = yield(Row{User: user("a", "ada")}, nil) && yield(Row{}, errDry) && yield(Row{User: user("b", "bob")}, nil)
	})
	if !errors.Is(err, errDry) || m.Report.Rows != 1 {
		t.Errorf("%v, %+v", err, m.Report)
	}
}

// TestTimesAreBelievedFrom1970ToNow: one a little ahead is now, a later one is refused.
func TestTimesAreBelievedFrom1970ToNow(t *testing.T) {
	in, now := testrecords.Open(t), testrecords.Now
	for _, c := range []struct {
		at, want time.Time
		refused  bool
	}{
		{now.Add(-time.Hour), now.Add(-time.Hour), false}, {time.Time{}, now, false}, {now.Add(clock.Tolerance), now, false},
		{now.Add(clock.Tolerance + time.Millisecond), now, true}, {time.Unix(0, 0), now, true},
	} {
		u := user("", fmt.Sprint(c.at.Unix()))
		u.CreatedAt = c.at
		var got codec.User
		err := in(func(tx *records.Tx) (err error) { got, err = opened(tx).Create(u); return err })
		e, refused := errors.AsType[*testrecords.InputError](err)
		if refused != c.refused || refused && (e.Field != "CreatedAt" || e.Code != fold.OutOfRange) || !refused && got.CreatedAt != c.want.UnixMilli() {
			t.Errorf("%v: %v, %v", c.at, got.CreatedAt, err)
		}
	}
}

// TestHashFaultNamesTheField: each kind of refusal has its field and code, and other
// errors are no fault.
func TestHashFaultNamesTheField(t *testing.T) {
	for err, want := range map[error]string{
		phc.ErrUnknownSource: "PasswordSource unsupported", phc.ErrMissing: "PasswordHash not_allowed", phc.ErrAmbiguous: "PasswordHash ambiguous",
		phc.ErrSlow: "PasswordHash not_allowed", phc.ErrWeak: "PasswordHash unsupported", phc.ErrMalformed: "PasswordHash malformed", errDry: " ",
	} {
		if field, f := HashFault(err, false); field+" "+f.Code != want {
			t.Errorf("%v: %s %s, want %s", err, field, f.Code, want)
		}
	}
	if field, _ := HashFault(phc.ErrMalformed, true); field != "PasswordKey" {
		t.Errorf("of a hash in parts: %s", field)
	}
}
