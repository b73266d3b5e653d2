package snib_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/snibtest"
)

// validKey presents a key.
func validKey(db *snib.DB, k snib.APIKey) error {
	_, _, err := db.APIKeys().Validate(ctx, k.Token.Reveal())
	return err
}

// newKey makes a key as an operator does.
func newKey(tb testing.TB, db *snib.DB, u snib.User, ttl time.Duration, scopes ...string) snib.APIKey {
	tb.Helper()
	return must(db.APIKeys().CreateFor(ctx, u.ID, snib.NewAPIKey{Name: "backup", Scopes: scopes, TTL: ttl}))(tb)
}

// oneKey returns the one key of a user.
func oneKey(tb testing.TB, db *snib.DB, u snib.User) snib.APIKey {
	tb.Helper()
	keys := must(db.APIKeys().List(ctx, u.ID))(tb)
	if len(keys) != 1 {
		tb.Fatalf("%d keys, want 1", len(keys))
	}
	return keys[0]
}

func TestCreateAPIKeyHasScopesAndItsTokenOnce(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	scopes := []string{"notes", "files:read", "notes"}
	k := must(db.APIKeys().Create(ctx, s, snib.NewAPIKey{Name: "Søren's backup", Scopes: scopes, TTL: time.Hour}))(t)
	if scopes[0] != "notes" || scopes[1] != "files:read" {
		t.Errorf("the caller's scopes are now %q", scopes)
	}
	for what, got := range map[string]snib.APIKey{"created": k, "listed": oneKey(t, db, u)} {
		if got.ID != k.ID || got.UserID != u.ID || got.Name != "Søren's backup" || !slices.Equal(got.Scopes, []string{"files:read", "notes"}) ||
			!got.CreatedAt.Equal(clock.Now()) || !got.ExpiresAt.Equal(clock.Now().Add(time.Hour)) || !got.LastUsedAt.IsZero() {
			t.Errorf("%s: %+v", what, got)
		}
		if (got.Token.Reveal() != "") != (what == "created") || strings.Contains(fmt.Sprintf("%+v", got), secretText(k)) {
			t.Errorf("%s: the token is there, or shown", what)
		}
	}
	if !k.HasScope("notes") || k.HasScope("note") || k.HasScope("files") || k.HasScope("") {
		t.Errorf("scopes: %q", k.Scopes)
	}
	v, of, err := db.APIKeys().Validate(ctx, k.Token.Reveal())
	if err != nil || v.ID != k.ID || v.Token.Reveal() != "" || of.ID != u.ID || !of.HasPassword {
		t.Errorf("%+v of %+v, %v", v, of, err)
	}
	if never := newKey(t, db, u, snib.Never); !never.ExpiresAt.IsZero() {
		t.Errorf("without an end: %v", never.ExpiresAt)
	}
}

func secretText(k snib.APIKey) string {
	_, secret, _ := strings.Cut(k.Token.Reveal(), ".")
	return secret
}

func TestCreateAPIKeyRefusesWhatIsOutOfBounds(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	away := user(t, db, "away")
	must(db.DisableUser(ctx, away.ID, ""))(t)
	good := snib.NewAPIKey{Name: strings.Repeat("n", 64), Scopes: strings.Split("abcdefghijklmnop", ""), TTL: 10 * 365 * 24 * time.Hour}
	quiet(t, db, func() {
		for field, change := range map[string][]func(*snib.NewAPIKey){
			"Name": {
				func(k *snib.NewAPIKey) { k.Name = "" }, func(k *snib.NewAPIKey) { k.Name += "n" },
				func(k *snib.NewAPIKey) { k.Name = "a\nb" }, func(k *snib.NewAPIKey) { k.Name = "\xff" },
			},
			"Scopes": {
				func(k *snib.NewAPIKey) { k.Scopes = strings.Split("abcdefghijklmnopq", "") },
				func(k *snib.NewAPIKey) { k.Scopes = []string{""} }, func(k *snib.NewAPIKey) { k.Scopes = []string{"Notes"} },
				func(k *snib.NewAPIKey) { k.Scopes = []string{"a b"} }, func(k *snib.NewAPIKey) { k.Scopes = []string{"*"} },
				func(k *snib.NewAPIKey) { k.Scopes = []string{strings.Repeat("s", 33)} },
			},
			"TTL": { // 0 is no word for ever
				func(k *snib.NewAPIKey) { k.TTL = 0 }, func(k *snib.NewAPIKey) { k.TTL = -1 },
				func(k *snib.NewAPIKey) { k.TTL = time.Second - 1 }, func(k *snib.NewAPIKey) { k.TTL++ },
				func(k *snib.NewAPIKey) { k.TTL = snib.Never - 1 },
			},
		} {
			for _, change := range change {
				k := good
				change(&k)
				wantField(t, second(db.APIKeys().CreateFor(ctx, u.ID, k)), field)
				wantField(t, second(db.APIKeys().Create(ctx, s, k)), field)
			}
		}
		wantErr(t, second(db.APIKeys().CreateFor(ctx, "nobody", good)), snib.ErrUserNotFound)
		wantErr(t, second(db.APIKeys().CreateFor(ctx, away.ID, good)), snib.ErrUserDisabled)
		wantField(t, second(db.APIKeys().Create(ctx, snib.Session{}, good)), "Proof")
	})
	must(db.APIKeys().CreateFor(ctx, u.ID, good))(t)
}

// TestCreateAPIKeyNeedsAFreshLogIn: neither use nor renewal of a stolen session
// makes a key that would outlive it; the password does.
func TestCreateAPIKeyNeedsAFreshLogIn(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	n := snib.NewAPIKey{Name: "n", TTL: time.Hour}
	clock.Advance(snib.FreshFor)
	must(db.APIKeys().Create(ctx, s, n))(t)
	clock.Advance(tick)
	carried := must(db.CreateSession(ctx, s, snib.SessionOptions{}))(t)
	renewed := must(db.RenewSession(ctx, s.Token.Reveal()))(t)
	quiet(t, db, func() {
		wantErr(t, second(db.APIKeys().Create(ctx, carried, n)), snib.ErrNotFresh)
		wantErr(t, second(db.APIKeys().Create(ctx, renewed, n)), snib.ErrNotFresh)
		wantErr(t, second(db.APIKeys().Create(ctx, s, n)), snib.ErrInvalidSession) // it was renewed
		lying := renewed
		lying.AuthenticatedAt = clock.Now() // the record counts
		wantErr(t, second(db.APIKeys().Create(ctx, lying, n)), snib.ErrNotFresh)
		lying.UserID = user(t, snibtest.NewDB(t, nil), "bob").ID
		wantErr(t, second(db.APIKeys().Create(ctx, lying, n)), snib.ErrInvalidSession)
	})
	again := must(db.Reauthenticate(ctx, renewed.Token.Reveal(), password))(t)
	k := must(db.APIKeys().Create(ctx, again, n))(t)
	if err := db.RevokeUserSessions(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	wantErr(t, second(db.APIKeys().Create(ctx, again, n)), snib.ErrInvalidSession)
	wantErr(t, validKey(db, k), nil)
}

// TestCreateAPIKeyAtTheBound: no key that lives is evicted, for whoever asks;
// one that has expired or was revoked makes room.
func TestCreateAPIKeyAtTheBound(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	keys := []snib.APIKey{newKey(t, db, u, time.Minute)}
	for range snib.MaxAPIKeys - 1 {
		keys = append(keys, newKey(t, db, u, snib.Never))
	}
	full := func() {
		t.Helper()
		quiet(t, db, func() {
			n := snib.NewAPIKey{Name: "n", TTL: time.Hour}
			wantErr(t, second(db.APIKeys().Create(ctx, s, n)), snib.ErrAPIKeyLimit)
			wantErr(t, second(db.APIKeys().CreateFor(ctx, u.ID, n)), snib.ErrAPIKeyLimit)
		})
	}
	full()
	newKey(t, db, user(t, db, "bob"), time.Hour) // whose keys are their own
	clock.Advance(time.Minute)
	newKey(t, db, u, time.Hour)
	full()
	wantErr(t, db.APIKeys().Revoke(ctx, u.ID, keys[1].ID), nil)
	newKey(t, db, u, time.Hour)
	full()
	for _, k := range keys[2:] {
		wantErr(t, validKey(db, k), nil)
	}
}

// TestValidateAPIKeyRefuses: every reason is one error, and nothing is written.
func TestValidateAPIKeyRefuses(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	revoked, all, expired := newKey(t, db, u, time.Hour), newKey(t, db, user(t, db, "all"), snib.Never), newKey(t, db, u, time.Minute)
	away, gone := user(t, db, "away"), user(t, db, "gone")
	disabled, deleted := newKey(t, db, away, time.Hour), newKey(t, db, gone, time.Hour)
	other := snibtest.NewDB(t, nil)
	elsewhere := newKey(t, other, user(t, other, "ada"), time.Hour)
	clock.Advance(time.Minute - tick)
	wantErr(t, validKey(db, expired), nil)
	clock.Advance(tick)
	must(db.DisableUser(ctx, away.ID, ""))(t)
	if err := errors.Join(db.APIKeys().Revoke(ctx, u.ID, revoked.ID), db.APIKeys().RevokeAll(ctx, all.UserID), db.DeleteUser(ctx, gone.ID)); err != nil {
		t.Fatal(err)
	}
	live := newKey(t, db, u, time.Hour)
	texts := map[string]string{
		"revoked": revoked.Token.Reveal(), "all revoked": all.Token.Reveal(), "expired": expired.Token.Reveal(),
		"of a disabled user": disabled.Token.Reveal(), "of a deleted user": deleted.Token.Reveal(), "of another file": elsewhere.Token.Reveal(),
		"a wrong secret": makeToken(string(live.ID), make([]byte, 32)), "an id": string(live.ID), "nothing": "",
		"a session": newSession(t, db, u).Token.Reveal(),
	}
	quiet(t, db, func() {
		for what, text := range texts {
			k, of, err := db.APIKeys().Validate(ctx, text)
			if !errors.Is(err, snib.ErrInvalidAPIKey) || k.ID != "" || of.ID != "" || err.Error() != "snib: validate API key: invalid API key" {
				t.Errorf("%s: %v of %v, %v", what, k.ID, of.ID, err)
			}
		}
		for _, err := range []error{
			second(db.ValidateSession(ctx, live.Token.Reveal())), second(db.RenewSession(ctx, live.Token.Reveal())),
			second(db.ExtendSession(ctx, live.Token.Reveal())), second(db.Reauthenticate(ctx, live.Token.Reveal(), password)),
		} {
			wantErr(t, err, snib.ErrInvalidSession)
		}
	})
	must(db.EnableUser(ctx, away.ID))(t)
	wantErr(t, validKey(db, disabled), nil)
	wantErr(t, validKey(db, live), nil)
}

// TestAPIKeysOutliveWhatIsNoReset: the user who gives the old password keeps
// them, and a program may keep them at a reset too.
func TestAPIKeysOutliveWhatIsNoReset(t *testing.T) {
	for _, keep := range []bool{false, true} {
		db := snibtest.NewDB(t, &snib.Options{Passwords: snib.PasswordPolicy{ResetKeepsAPIKeys: keep}})
		u := email(t, db, "a@example.com")
		for name, c := range map[string]struct {
			reset bool
			act   func(s snib.Session) error
		}{
			"ChangePassword": {false, func(s snib.Session) error {
				return second(db.ChangePassword(ctx, s.Token.Reveal(), password, password))
			}},
			"UpdateUserPassword in ChangeCredentials": {true, func(s snib.Session) error {
				hash := must(db.HashPassword(ctx, password))(t)
				return second(db.ChangeCredentials(ctx, s.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
					return second(tx.UpdateUserPassword(s.UserID, hash))
				}))
			}},
			"a reset by a one-time token": {true, func(snib.Session) error {
				l := link(t, db, u, fmt.Sprint("purpose-", purposes.Add(1)), time.Hour)
				hash := must(db.HashPassword(ctx, password))(t)
				return db.Update(ctx, func(tx *snib.Tx) error {
					if _, err := tx.Tokens().Use(ctx, l.Purpose, l.Token.Reveal()); err != nil {
						return err
					}
					return second(tx.UpdateUserPassword(u.ID, hash))
				})
			}},
			"RemoveUserPassword": {true, func(snib.Session) error {
				err := second(db.RemoveUserPassword(ctx, u.ID))
				return errors.Join(err, second(db.UpdateUserPassword(ctx, u.ID, password)))
			}},
		} {
			s := logIn(t, db, "a@example.com")
			k := must(db.APIKeys().Create(ctx, s, snib.NewAPIKey{Name: "n", TTL: snib.Never}))(t)
			if err := c.act(s); err != nil {
				t.Fatal(err)
			}
			if err := validKey(db, k); (err == nil) != (keep || !c.reset) {
				t.Errorf("%s, keeping %t: %v", name, keep, err)
			}
		}
	}
}

// TestAPIKeyLastUse: its hour, known at once, written by the sweep and by Close
// and by no request.
func TestAPIKeyLastUse(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	o := &snib.Options{Now: clock.Now, SweepEvery: -1}
	db := openFile(t, path, o)
	u := user(t, db, "ada")
	clock.Set(clock.Now().Truncate(time.Hour).Add(50 * time.Minute))
	k := newKey(t, db, u, snib.Never)
	seen := func(when string, want time.Time) {
		t.Helper()
		if got := oneKey(t, db, u).LastUsedAt; !got.Equal(want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	use := func() { t.Helper(); wantErr(t, validKey(db, k), nil) }
	quiet(t, db, func() {
		seen("made", time.Time{})
		clock.Advance(time.Minute)
		use()
		seen("used in its first hour", k.CreatedAt)
		clock.Advance(2*time.Hour + 5*time.Minute) // 52:56
		use()
		seen("used", k.CreatedAt.Truncate(time.Hour).Add(2*time.Hour))
	})
	commits(t, db, 1, func() { must(db.Sweep(ctx))(t) })
	quiet(t, db, func() { use(); must(db.Sweep(ctx))(t) }) // the hour is in the record
	last := k.CreatedAt.Truncate(time.Hour).Add(2 * time.Hour)
	snib.ForgetKeyUses(db) // as a crash does
	seen("after a crash, as swept", last)
	clock.Advance(time.Hour)
	use()
	snib.ForgetKeyUses(db)
	seen("after a crash before the sweep", last)
	use()
	closeDB(t, db)
	db = openFile(t, path, o)
	seen("after Close", last.Add(time.Hour))
	clock.Set(last) // the wall clock goes back, and time does not
	use()
	seen("with a clock that is behind", last.Add(time.Hour))
}

// TestAPIKeyUseBringsNothingBack: a use that is in memory when its key ends
// makes no record; one that cannot be written stays in memory.
func TestAPIKeyUseBringsNothingBack(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	gone, kept := newKey(t, db, u, snib.Never), newKey(t, db, u, snib.Never)
	wantErr(t, errors.Join(validKey(db, gone), validKey(db, kept)), nil)
	if err := db.APIKeys().RevokeByID(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	restore := db.WrapStore(func(inner kv.Store) kv.Store { return full{inner} })
	wantErr(t, second(db.Sweep(ctx)), snib.ErrFull)
	restore()
	must(db.Sweep(ctx))(t)
	wantErr(t, validKey(db, gone), snib.ErrInvalidAPIKey)
	snib.ForgetKeyUses(db)
	if k := oneKey(t, db, u); k.ID != kept.ID || k.LastUsedAt.IsZero() {
		t.Errorf("%+v", k)
	}
}

// full is a store without space.
type full struct{ kv.Store }

func (full) Apply(context.Context, func(kv.Tx) error) error { return kv.ErrFull }

func TestAPIKeysAreOfOneUser(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u, other := user(t, db, "ada"), user(t, db, "bob")
	k, theirs := newKey(t, db, u, time.Hour), newKey(t, db, other, time.Hour)
	for _, id := range []snib.APIKeyID{"", "key_", snib.APIKeyID(k.Token.Reveal())} {
		wantField(t, db.APIKeys().Revoke(ctx, u.ID, id), "APIKeyID")
		wantField(t, db.APIKeys().RevokeByID(ctx, id), "APIKeyID")
	}
	wantField(t, db.APIKeys().Revoke(ctx, "", k.ID), "UserID")
	wantErr(t, db.APIKeys().RevokeAll(ctx, "nobody"), snib.ErrUserNotFound)
	wantErr(t, db.APIKeys().Revoke(ctx, u.ID, theirs.ID), nil)
	wantErr(t, validKey(db, theirs), nil)
	for range 2 { // again is no error
		wantErr(t, db.APIKeys().Revoke(ctx, u.ID, k.ID), nil)
		wantErr(t, validKey(db, k), snib.ErrInvalidAPIKey)
	}
	if keys := must(db.APIKeys().List(ctx, "nobody"))(t); len(keys) != 0 {
		t.Errorf("of nobody: %v", keys)
	}
	wantErr(t, db.APIKeys().RevokeByID(ctx, theirs.ID), nil)
	wantErr(t, validKey(db, theirs), snib.ErrInvalidAPIKey)
}

func TestAPIKeysOfATransaction(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	var kept snib.APIKeys
	var k snib.APIKey
	undo := errors.New("undo")
	err := db.Update(ctx, func(tx *snib.Tx) (err error) {
		kept = tx.APIKeys()
		if k, err = kept.CreateFor(ctx, u.ID, snib.NewAPIKey{Name: "n", TTL: time.Hour}); err != nil {
			return err
		}
		_, of, err := kept.Validate(ctx, k.Token.Reveal())
		if err != nil || of.ID != u.ID {
			t.Errorf("in its transaction: %v, %v", of.ID, err)
		}
		return undo
	})
	wantErr(t, err, undo)
	wantErr(t, validKey(db, k), snib.ErrInvalidAPIKey)
	must(db.Sweep(ctx))(t) // the use that was noted is of no key
	_, _, err = kept.Validate(ctx, k.Token.Reveal())
	wantErr(t, err, snib.ErrTxClosed)
	if err := db.View(ctx, func(tx *snib.Tx) error {
		wantErr(t, second(tx.APIKeys().CreateFor(ctx, u.ID, snib.NewAPIKey{Name: "n", TTL: time.Hour})), snib.ErrReadOnly)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// endings returns the names of the keys whose end was announced, oldest first.
func endings(tb testing.TB, db *snib.DB, u snib.UserID) (names []string) {
	tb.Helper()
	for _, e := range must(db.Events().List(ctx, u, snib.EventAPIKeyEnding))(tb) {
		if e.Actor != snib.ActorLibrary || !strings.HasPrefix(e.Subject, "key_") {
			tb.Errorf("%+v", e)
		}
		names = append([]string{e.Detail}, names...)
	}
	return names
}

// TestTheEndOfAnAPIKeyIsAnnouncedOnce: 14 days before, for the mail too, and
// never of a key that was made for less, or is without an end.
func TestTheEndOfAnAPIKeyIsAnnouncedOnce(t *testing.T) {
	db, clock := clocked(t, snib.Options{Outbox: []string{"mail"}})
	u, away, gone := user(t, db, "ada"), user(t, db, "away"), user(t, db, "gone")
	make := func(u snib.User, name string, ttl time.Duration) snib.APIKey {
		return must(db.APIKeys().CreateFor(ctx, u.ID, snib.NewAPIKey{Name: name, Scopes: []string{"s"}, TTL: ttl}))(t)
	}
	const days = 24 * time.Hour
	make(u, "short", 14*days-tick)
	make(u, "never", snib.Never)
	k := make(u, "month", 30*days)
	revoked := make(u, "revoked", 30*days)
	make(u, "year", 365*days)
	make(away, "of a disabled user", 30*days)
	make(gone, "of a deleted user", 30*days)
	must(db.DisableUser(ctx, away.ID, ""))(t)
	if err := errors.Join(db.APIKeys().Revoke(ctx, u.ID, revoked.ID), db.DeleteUser(ctx, gone.ID)); err != nil {
		t.Fatal(err)
	}
	sweeps := func(want ...string) {
		t.Helper()
		for range 2 {
			must(db.Sweep(ctx))(t)
		}
		if got := endings(t, db, u.ID); !slices.Equal(got, want) {
			t.Fatalf("announced %q, want %q", got, want)
		}
	}
	sweeps()
	clock.Advance(16*days - tick)
	sweeps()
	clock.Advance(tick)
	wantErr(t, validKey(db, k), nil)
	sweeps("month")
	queued := slices.DeleteFunc(unread(t, db, "mail"), func(e snib.Event) bool { return e.Kind != snib.EventAPIKeyEnding })
	if len(queued) != 1 || queued[0].Subject != string(k.ID) || queued[0].UserID != u.ID {
		t.Errorf("in the outbox %+v", queued)
	}
	if got := endings(t, db, away.ID); got != nil {
		t.Errorf("of a disabled user: %q", got)
	}
	must(db.EnableUser(ctx, away.ID))(t)
	sweeps("month")
	if got := endings(t, db, away.ID); !slices.Equal(got, []string{"of a disabled user"}) {
		t.Errorf("of a user who was enabled again: %q", got)
	}
	if err := validKey(db, k); err != nil { // and goes on
		t.Error(err)
	}
	clock.Advance(14 * days) // it is dead, and nothing is late
	sweeps("month")
	clock.Advance(365*days - 44*days)
	sweeps("month", "year")
}

// TestTheEndOfAnAPIKeyIsAnnouncedOrNot: a sweep that fails has written both the
// event and the flag, or neither, and the next one goes on.
func TestTheEndOfAnAPIKeyIsAnnouncedOrNot(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	newKey(t, db, u, 20*24*time.Hour)
	clock.Advance(7 * 24 * time.Hour)
	failing(t, db, func() error { return second(db.Sweep(ctx)) }, func(n int64) {
		if got := len(endings(t, db, u.ID)); got != 0 {
			t.Fatalf("operation %d failed: %d events", n, got)
		}
	})
	must(db.Sweep(ctx))(t)
	if got := len(endings(t, db, u.ID)); got != 1 {
		t.Errorf("%d events", got)
	}
}
