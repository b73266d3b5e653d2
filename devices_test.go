package snib_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	spaces "github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
	"github.com/snibdb/snib/snibtest"
)

// on is the context of a client that carries the tokens of devices.
func on(devices ...snib.Device) context.Context {
	var tokens []string
	for _, d := range devices {
		tokens = append(tokens, d.Token.Reveal())
	}
	return snib.WithDevice(ctx, tokens...)
}

// remembered is a new device of a user, after a log-in.
func remembered(tb testing.TB, db *snib.DB, u snib.User) snib.Device {
	tb.Helper()
	return must(db.Devices().Remember(ctx, session(tb, db, u.ID)))(tb)
}

// tryOn makes n failed log-ins from devices, and stops at the first that is
// throttled.
func tryOn(ctx context.Context, db *snib.DB, identifier string, n int) error {
	for range n {
		if _, err := db.AuthenticateUser(ctx, "email", identifier, "a guess"); !errors.Is(err, snib.ErrInvalidCredentials) {
			return err
		}
	}
	return nil
}

// TestRememberOnceADevice: one that is carried stays, and its use is written
// once a day.
func TestRememberOnceADevice(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "ada@example.com")
	log := func() snib.Session {
		s, _, err := db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{Attributes: snib.Attributes{"at": clock.Now().Unix()}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	d := must(db.Devices().Remember(ctx, log()))(t)
	if d.Token.Reveal() == "" || d.UserID != u.ID || !d.TrustedUntil.IsZero() || d.ExpiresAt.Sub(d.CreatedAt) != 180*24*time.Hour {
		t.Fatalf("the new device is %+v", d)
	}
	clock.Advance(24*time.Hour - time.Second)
	s := log()
	quiet(t, db, func() {
		again := must(db.Devices().Remember(on(d), s))(t)
		if again.ID != d.ID || again.Token.Reveal() != "" || again.ExpiresAt != d.ExpiresAt {
			t.Errorf("within a day: %+v", again)
		}
	})
	clock.Advance(time.Second)
	s = log()
	used := must(db.Devices().Remember(on(d), s))(t)
	if at, _ := snib.Attr[int64](used.Attributes(), "at"); used.ID != d.ID || used.Token.Reveal() != "" || used.ExpiresAt.Sub(d.ExpiresAt) != 24*time.Hour || at != clock.Now().Unix() {
		t.Errorf("after a day: %+v", used)
	}
	clock.Advance(180*24*time.Hour - time.Millisecond)
	must(db.Devices().Current(on(d), u.ID))(t)
	clock.Advance(time.Millisecond)
	wantErr(t, second(db.Devices().Current(on(d), u.ID)), snib.ErrDeviceNotFound)
	if list := must(db.Devices().List(ctx, u.ID))(t); len(list) != 0 {
		t.Errorf("an expired device is listed: %+v", list)
	}
	if next := must(db.Devices().Remember(on(d), log()))(t); next.ID == d.ID || next.Token.Reveal() == "" {
		t.Errorf("in the place of an expired one: %+v", next)
	}
}

// TestRememberTakesALogIn and nothing that looks like one.
func TestRememberTakesALogIn(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "ada@example.com")
	ended := newSession(t, db, u)
	if err := db.RevokeToken(ctx, ended.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	idle := newSession(t, db, u)
	for name, remember := range map[string]func(context.Context, snib.Session) (snib.Device, error){
		"Remember": db.Devices().Remember,
		"Trust":    func(ctx context.Context, s snib.Session) (snib.Device, error) { return db.Devices().Trust(ctx, s, 0) },
	} {
		wantField(t, second(remember(ctx, snib.Session{})), "Proof")
		wantErr(t, second(remember(ctx, ended)), snib.ErrInvalidSession)
		theirs := idle
		theirs.UserID = nobody(t, db, name).ID // a forged one
		wantErr(t, second(remember(ctx, theirs)), snib.ErrInvalidSession)
	}
	clock.Advance(25 * time.Hour)
	wantErr(t, second(db.Devices().Remember(ctx, idle)), snib.ErrInvalidSession)
	if list := must(db.Devices().List(ctx, u.ID))(t); len(list) != 0 {
		t.Errorf("devices: %+v", list)
	}

	off := snibtest.NewDB(t, &snib.Options{Sessions: snib.SessionPolicy{KnownDevice: -1}})
	s := newSession(t, off, email(t, off, "ada@example.com"))
	quiet(t, off, func() {
		d := must(off.Devices().Remember(ctx, s))(t)
		if e := must(off.Devices().Trust(ctx, s, 0))(t); d.ID != "" || e.ID != "" {
			t.Errorf("switched off: %+v, %+v", d, e)
		}
	})
}

// TestStrangersDoNotThrottleAKnownDevice, in any way; and without a good token of
// the user's own a client is a stranger.
func TestStrangersDoNotThrottleAKnownDevice(t *testing.T) {
	db, clock := clocked(t, snib.Options{Throttle: snib.ThrottlePolicy{Closes: func(snib.User) bool { return true }}})
	u := email(t, db, "ada@example.com")
	d, other := remembered(t, db, u), remembered(t, db, u)
	theirs := remembered(t, db, email(t, db, "grace@example.com"))
	ended := remembered(t, db, u)
	if err := db.Devices().Revoke(ctx, u.ID, ended.ID); err != nil {
		t.Fatal(err)
	}
	strangers := map[string]context.Context{
		"without a device":   ctx,
		"of another user":    on(theirs),
		"ended":              on(ended),
		"a wrong secret":     snib.WithDevice(ctx, token.Device.Format(keyOf(d.ID), make([]byte, 32))),
		"the id":             snib.WithDevice(ctx, string(d.ID)),
		"nothing":            snib.WithDevice(ctx),
		"as a proof":         snib.WithProof(ctx, d.Token.Reveal()),
		"the sixth of those": snib.WithDevice(ctx, "1", "2", "3", "4", "5", d.Token.Reveal()),
	}
	right := func(ctx context.Context) error {
		return second(db.AuthenticateUser(ctx, "email", "Ada@example.com", password))
	}
	if err := fail(db, "ada@example.com", 5); err != nil {
		t.Fatal(err)
	}
	for name, ctx := range strangers {
		if wantThrottled(t, right(ctx), 30*time.Second); t.Failed() {
			t.Fatal(name)
		}
	}
	for _, ctx := range []context.Context{on(d), on(theirs, d), snib.WithDevice(ctx, "x", "", strings.Repeat("9", 98), theirs.Token.Reveal(), d.Token.Reveal())} {
		if err := right(ctx); err != nil {
			t.Errorf("the known device: %v", err)
		}
	}
	wantThrottled(t, right(ctx), 30*time.Second) // its success has not freed strangers

	// A network whose strangers have failed.
	for i := range 20 {
		db.AuthenticateUser(from("203.0.113.9"), "email", fmt.Sprint("no", i, "@example.com"), "a guess")
	}
	wantThrottled(t, second(db.AuthenticateUser(from("203.0.113.9"), "email", "grace@example.com", password)), 30*time.Second)
	if err := right(snib.WithDevice(from("203.0.113.9"), d.Token.Reveal())); err != nil {
		t.Errorf("in a throttled network: %v", err)
	}
	// An account that is closed to strangers.
	for range 230 {
		clock.Advance(24 * time.Hour)
		fail(db, "ada@example.com", 1)
		must(db.Devices().Remember(on(d), logInOn(t, db, d)))(t)
	}
	clock.Advance(25 * time.Hour)
	wantThrottled(t, right(ctx), 24*time.Hour)
	wantThrottled(t, right(on(theirs)), 24*time.Hour)
	if err := right(on(d)); err != nil {
		t.Errorf("of a closed account: %v", err)
	}
	wantErr(t, second(db.Devices().Current(on(other), u.ID)), snib.ErrDeviceNotFound) // expired meanwhile
}

// logInOn logs ada in on a device.
func logInOn(tb testing.TB, db *snib.DB, d snib.Device) snib.Session {
	tb.Helper()
	s, _, err := db.LogIn(on(d), "email", "ada@example.com", password, snib.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestAKnownDeviceHasTenGuesses in a row, of its own, and is a stranger then,
// until its user logs in and it gets another secret.
func TestAKnownDeviceHasTenGuesses(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "ada@example.com")
	d, other := remembered(t, db, u), remembered(t, db, u)
	if err := tryOn(on(d), db, "ada@example.com", 5); err != nil {
		t.Fatal(err)
	}
	wantThrottled(t, tryOn(on(d), db, "ada@example.com", 1), 30*time.Second)
	for _, ctx := range []context.Context{ctx, on(other)} { // neither has failed
		if err := tryOn(ctx, db, "ada@example.com", 4); err != nil {
			t.Errorf("another: %v", err)
		}
	}
	for _, wait := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute} {
		must(db.Devices().Current(on(d), u.ID))(t)
		clock.Advance(wait)
		if err := tryOn(on(d), db, "ada@example.com", 1); err != nil {
			t.Fatalf("after %v: %v", wait, err)
		}
	}
	wantErr(t, second(db.Devices().Current(on(d), u.ID)), snib.ErrDeviceNotFound)
	// As a stranger it shares the rest of their tries.
	if err := tryOn(on(d), db, "ada@example.com", 1); err != nil {
		t.Errorf("the fifth of strangers: %v", err)
	}
	wantThrottled(t, tryOn(on(d), db, "ada@example.com", 1), 30*time.Second)
	clock.Advance(time.Minute)
	next := must(db.Devices().Remember(on(d), logInOn(t, db, d)))(t)
	if next.ID == d.ID || next.Token.Reveal() == "" {
		t.Errorf("the device that was spent goes on: %+v", next)
	}
	list := must(db.Devices().List(ctx, u.ID))(t)
	if len(list) != 2 || list[0].ID != other.ID || list[1].ID != next.ID {
		t.Errorf("listed: %+v", list)
	}
	if err := tryOn(on(next), db, "ada@example.com", 5); err != nil {
		t.Errorf("the new one: %v", err)
	}
}

// TestGuessesOfADeviceCountAtOnceAndThroughARestart.
func TestGuessesOfADeviceCountAtOnceAndThroughARestart(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	options := &snib.Options{Now: clock.Now}
	db := snibtest.OpenDB(t, path, options)
	d := remembered(t, db, email(t, db, "ada@example.com"))
	var made atomic.Int64
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if errors.Is(tryOn(on(d), db, "ada@example.com", 1), nil) {
				made.Add(1)
			}
		})
	}
	all.Wait()
	if n := made.Load(); n != 5 {
		t.Errorf("%d guesses at once, want 5", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = snibtest.OpenDB(t, path, options)
	wantThrottled(t, tryOn(on(d), db, "ada@example.com", 1), 30*time.Second)
	logIn(t, db, "ada@example.com") // strangers have not failed
	clock.Advance(30 * time.Second)
	logInOn(t, db, d) // which ends the run
	if err := tryOn(on(d), db, "ada@example.com", 5); err != nil {
		t.Errorf("after a log-in: %v", err)
	}
}

// A spy counts the lookups of devices.
type spy struct {
	kv.Store
	n *int
}

type spySnapshot struct {
	kv.Snapshot
	n *int
}

func (s spy) Pin(ctx context.Context) (kv.Snapshot, error) {
	inner, err := s.Store.Pin(ctx)
	return spySnapshot{inner, s.n}, err
}

func (r spySnapshot) Unwrap() kv.Reader { return r.Snapshot }

func (r spySnapshot) Get(space kv.Space, key []byte) ([]byte, bool, error) {
	if space == spaces.SpaceDevices {
		*r.n++
	}
	return r.Snapshot.Get(space, key)
}

// TestLookupsOfDevicesTellNothing: they are as many for every name.
func TestLookupsOfDevicesTellNothing(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	ada, grace := email(t, db, "ada@example.com"), email(t, db, "grace@example.com")
	gone := remembered(t, db, ada)
	mine := remembered(t, db, ada)
	theirs := remembered(t, db, grace)
	if err := db.Devices().Revoke(ctx, ada.ID, gone.ID); err != nil {
		t.Fatal(err)
	}
	n := 0
	defer db.WrapStore(func(s kv.Store) kv.Store { return spy{s, &n} })()
	for _, name := range []string{"ada@example.com", "grace@example.com", "nobody@example.com", "not an address"} {
		for _, order := range [][]snib.Device{{mine, gone, theirs}, {theirs, mine, gone}} {
			n = 0
			if err := tryOn(on(order...), db, name, 1); err != nil || n != 3 {
				t.Errorf("%s: %d lookups, %v", name, n, err)
			}
		}
	}
}

// TestTrust has its bounds, gives another secret, and ends with the password.
func TestTrust(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{KnownDevice: 40 * 24 * time.Hour}})
	u := email(t, db, "ada@example.com")
	s := newSession(t, db, u)
	d := must(db.Devices().Remember(ctx, s))(t)
	for _, life := range []time.Duration{-1, time.Second - 1, 90*24*time.Hour + 1} {
		wantField(t, second(db.Devices().Trust(on(d), s, life)), "Duration")
	}
	trusted := must(db.Devices().Trust(on(d), s, 0))(t)
	if trusted.ID != d.ID || trusted.Token.Reveal() == "" || trusted.TrustedUntil != clock.Now().Add(30*24*time.Hour) {
		t.Fatalf("trusted: %+v", trusted)
	}
	wantErr(t, second(db.Devices().Current(on(d), u.ID)), snib.ErrDeviceNotFound) // a copy taken before
	clock.Advance(30*24*time.Hour - time.Millisecond)
	if got := must(db.Devices().Current(on(trusted), u.ID))(t); got.TrustedUntil.IsZero() {
		t.Error("trust has ended too soon")
	}
	clock.Advance(time.Millisecond)
	if got := must(db.Devices().Current(on(trusted), u.ID))(t); !got.TrustedUntil.IsZero() {
		t.Errorf("trusted until %v, at %v", got.TrustedUntil, clock.Now())
	}
	long := must(db.Devices().Trust(on(trusted), newSession(t, db, u), 90*24*time.Hour))(t)
	if long.TrustedUntil != long.ExpiresAt {
		t.Errorf("trusted until %v, known until %v", long.TrustedUntil, long.ExpiresAt)
	}
	fresh := must(db.Devices().Trust(ctx, newSession(t, db, u), time.Hour))(t) // not known before
	if fresh.ID == long.ID || fresh.TrustedUntil.IsZero() {
		t.Errorf("a new one: %+v", fresh)
	}
	kept := newSession(t, db, u)
	must(db.ChangePassword(ctx, kept.Token.Reveal(), password, "a new passphrase"))(t)
	for _, d := range []snib.Device{long, fresh} {
		wantErr(t, second(db.Devices().Current(on(d), u.ID)), snib.ErrDeviceNotFound)
	}
}

// TestDevicesOfAnotherUserAreOutOfReach.
func TestDevicesOfAnotherUserAreOutOfReach(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	ada, eve := email(t, db, "ada@example.com"), email(t, db, "eve@example.com")
	d, evil := remembered(t, db, ada), remembered(t, db, eve)
	if err := db.Devices().Revoke(ctx, eve.ID, d.ID); err != nil {
		t.Errorf("another user's device: %v, want nil as for an unknown one", err)
	}
	for _, id := range []snib.DeviceID{"", "dev_", snib.DeviceID(d.Token.Reveal()), snib.DeviceID("ses_" + d.ID[4:]), d.ID + "0"} {
		wantField(t, db.Devices().Revoke(ctx, ada.ID, id), "DeviceID")
	}
	if err := db.Devices().RevokeAll(ctx, eve.ID); err != nil {
		t.Fatal(err)
	}
	wantErr(t, db.Devices().RevokeAll(ctx, "usr_unknown"), snib.ErrUserNotFound)
	must(db.Devices().Current(on(d), ada.ID))(t)
	wantErr(t, second(db.Devices().Current(on(d), eve.ID)), snib.ErrDeviceNotFound)
	wantErr(t, second(db.Devices().Current(on(evil), eve.ID)), snib.ErrDeviceNotFound)
	// Eve's log-in in ada's browser makes a device of eve's own.
	s, _, err := db.LogIn(on(d), "email", "eve@example.com", password, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := must(db.Devices().Remember(on(d), s))(t); got.ID == d.ID || got.UserID != eve.ID {
		t.Errorf("eve's device is %+v", got)
	}
	must(db.Devices().Current(on(d), ada.ID))(t)
}

// TestRememberEvictsTheLeastRecentlyUsed, and not the oldest.
func TestRememberEvictsTheLeastRecentlyUsed(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "ada@example.com")
	var devices []snib.Device
	for range snib.MaxDevices {
		devices = append(devices, remembered(t, db, u))
		clock.Advance(time.Hour)
	}
	clock.Advance(24 * time.Hour)
	must(db.Devices().Remember(on(devices[0]), newSession(t, db, u)))(t)
	remembered(t, db, u)
	must(db.Devices().Current(on(devices[0]), u.ID))(t)
	wantErr(t, second(db.Devices().Current(on(devices[1]), u.ID)), snib.ErrDeviceNotFound)
	must(db.Devices().Current(on(devices[2]), u.ID))(t)
}

// TestADamagedDeviceIsAStranger, and keeps its user out of nothing.
func TestADamagedDeviceIsAStranger(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "ada@example.com")
	d := remembered(t, db, u)
	b := handle(t, db)
	sound := rawGet(t, b, "devices", string(d.ID))
	broken := append([]byte{}, sound...)
	broken[len(broken)/2] ^= 1
	rawPut(t, b, "devices", string(d.ID), broken)
	logInOn(t, db, d)
	fail(db, "ada@example.com", 5)
	wantThrottled(t, tryOn(on(d), db, "ada@example.com", 1), 30*time.Second)
	rawPut(t, b, "devices", string(d.ID), sound)
	logInOn(t, db, d)
}

// TestRestoreEndsKnownDevices, even where sessions go on: one that was revoked or
// trusted no longer since would be again.
func TestRestoreEndsKnownDevices(t *testing.T) {
	path, backup := filepath.Join(t.TempDir(), "a.db"), filepath.Join(t.TempDir(), "b.db")
	db := snibtest.OpenDB(t, path, nil)
	u := email(t, db, "ada@example.com")
	s := newSession(t, db, u)
	d := must(db.Devices().Trust(ctx, s, 0))(t)
	if err := db.File().BackupFile(ctx, backup, nil); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "c.db")
	report := must(snib.Restore(ctx, backup, restored, &snib.RestoreOptions{KeepSessions: true}))(t)
	again := snibtest.OpenDB(t, restored, nil)
	valid(t, again, s)
	wantErr(t, second(again.Devices().Current(on(d), u.ID)), snib.ErrDeviceNotFound)
	if report.Records["devices"] != 1 || report.Ended != 1 {
		t.Errorf("%d devices, %d ended", report.Records["devices"], report.Ended)
	}
}

// TestDevicesInATransaction end with it, and are one with the rest of it.
func TestDevicesInATransaction(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "ada@example.com")
	failed := errors.New("no")
	var d snib.Device
	making := func(end error) func(tx *snib.Tx) error {
		return func(tx *snib.Tx) error {
			s, err := tx.CreateSession(u, snib.SessionOptions{})
			if err != nil {
				return err
			}
			if d, err = tx.Devices().Remember(ctx, s); err != nil {
				return err
			}
			return end
		}
	}
	wantErr(t, db.Update(ctx, making(failed)), failed)
	wantErr(t, second(db.Devices().Current(on(d), u.ID)), snib.ErrDeviceNotFound)
	commits(t, db, 1, func() {
		if err := db.Update(ctx, making(nil)); err != nil {
			t.Fatal(err)
		}
	})
	must(db.Devices().Current(on(d), u.ID))(t)
}

func TestCheckINV18KnownDevices(t *testing.T) {
	device := func(tb testing.TB, c *checked, change func(*codec.Device)) breach {
		d := must(c.db.Devices().Remember(ctx, c.session))(tb)
		edit(tb, c, "devices", string(d.ID), codec.DecodeDevice, func(d *codec.Device) []byte { return d.Append(nil) }, change)
		return breach{18, "devices", string(d.ID)}
	}
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"of a later epoch": func(tb testing.TB, c *checked) breach {
			return device(tb, c, func(d *codec.Device) { d.Epoch++ })
		},
		"of a user who is missing": func(tb testing.TB, c *checked) breach {
			b := device(tb, c, func(*codec.Device) {})
			value := rawGet(tb, c.b, "devices", b.id)
			d := must(codec.DecodeDevice(rawKey(b.id), value))(tb)
			d.UserID, d.Key = "usr_missing", c.key(tb, "usr_missing", 1)
			rawDelete(tb, c.b, "devices", b.id)
			rawBucket(tb, c.b, "devices", func(b *bolt.Bucket) error { return b.Put(d.Key[:], d.Append(nil)) })
			return breach{18, "devices", token.Device.ID(d.Key)}
		},
		"trusted for too long": func(tb testing.TB, c *checked) breach {
			return device(tb, c, func(d *codec.Device) { d.TrustedUntil = d.ExpiresAt + 1 })
		},
		"a 21st": func(tb testing.TB, c *checked) breach {
			c.fill(tb, "devices", snib.MaxDevices+1, func(key codec.OwnedKey) []byte {
				d := codec.Device{Key: key, UserID: string(c.bob.ID), Epoch: 1}
				return d.Append(nil)
			})
			return breach{7, "devices", string(c.bob.ID)}
		},
	})
}

// TestATrustedDeviceStandsForTheFactor at log-ins by the password, as long as it
// is trusted, and for nothing else.
func TestATrustedDeviceStandsForTheFactor(t *testing.T) {
	h := newHolder(t, snib.Options{})
	in := func(ctx context.Context) (snib.Session, error) {
		s, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
		return s, err
	}
	complete := h.logIn(t)
	known := must(h.db.Devices().Remember(ctx, complete))(t)
	_, err := in(on(known))
	wantErr(t, err, snib.ErrSecondFactor) // known is not trusted

	trusted := must(h.db.Devices().Trust(ctx, complete, 24*time.Hour))(t)
	s := must(in(on(trusted)))(t)
	if !s.Methods.Has(snib.MethodPassword | snib.MethodTrustedDevice) {
		t.Errorf("methods %v", s.Methods)
	}
	// It makes no other device trusted and changes no factor.
	wantErr(t, second(h.db.Devices().Trust(ctx, s, 0)), snib.ErrNotFresh)
	wantErr(t, second(h.db.Devices().Trust(on(trusted), s, 0)), snib.ErrNotFresh)
	h.clock.Advance(snib.FreshFor + time.Millisecond) // a stolen session has the factor, from long ago
	wantErr(t, second(h.db.Devices().Trust(on(known), complete, 0)), snib.ErrNotFresh)
	wantErr(t, second(h.db.Factors().CreateRecoveryCodes(ctx, s)), snib.ErrNotFresh)
	// So does the User of AuthenticateUser, as snibhttp's LogIn has it.
	user := must(h.db.AuthenticateUser(on(trusted), "email", "ada@example.com", password))(t)
	carried := must(h.db.CreateSession(ctx, user, snib.SessionOptions{}))(t)
	if !carried.Methods.Has(snib.MethodPassword | snib.MethodTrustedDevice) {
		t.Errorf("methods %v", carried.Methods)
	}
	// Another way in takes no notice of it, nor does another user's device.
	_, err = h.db.CreateSession(on(trusted), asNow(t, h.db, h.user.ID), snib.SessionOptions{})
	wantErr(t, err, snib.ErrSecondFactor)
	eve := email(t, h.db, "eve@example.com")
	theirs := must(h.db.Devices().Trust(ctx, newSession(t, h.db, eve), 0))(t)
	_, err = in(on(theirs))
	wantErr(t, err, snib.ErrSecondFactor)

	var d snib.Device
	for name, end := range map[string]func(){
		"trusted anew":        func() { must(h.db.Devices().Trust(on(d), h.logIn(t), 24*time.Hour))(t) },
		"everything ended":    func() { must(0, h.db.EndEverything(ctx))(t) },
		"a day":               func() { h.clock.Advance(24 * time.Hour) },
		"revoked":             func() { must(0, h.db.Devices().RevokeAll(ctx, h.user.ID))(t) },
		"signed out":          func() { must(0, h.db.RevokeUserSessions(ctx, h.user.ID))(t) },
		"a new password":      func() { must(h.db.UpdateUserPassword(ctx, h.user.ID, password))(t) },
		"a change of factors": func() { must(h.db.Factors().CreateRecoveryCodes(ctx, h.logIn(t)))(t) },
	} {
		h.clock.Advance(time.Minute)
		d = must(h.db.Devices().Trust(ctx, h.logIn(t), 24*time.Hour))(t)
		must(in(on(d)))(t)
		user := must(h.db.AuthenticateUser(on(d), "email", "ada@example.com", password))(t)
		end()
		if _, err := h.db.CreateSession(ctx, user, snib.SessionOptions{}); err == nil {
			t.Errorf("after %s: a log-in under way gets in", name)
		}
		if _, err := in(on(d)); !errors.Is(err, snib.ErrSecondFactor) {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

// TestDevicesThatThePolicyRulesOutAreStrangers, also those that were remembered
// and trusted before.
func TestDevicesThatThePolicyRulesOutAreStrangers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snib.db")
	o := snib.Options{Keys: []snib.Key{testKey("k1", 1)}}
	db := openFile(t, path, &o)
	u := email(t, db, "ada@example.com")
	s := logIn(t, db, "ada@example.com")
	enrolIn(t, db, &s) // s has proven it
	trusted := must(db.Devices().Trust(ctx, s, 0))(t)
	if _, _, err := db.LogIn(on(trusted), "email", "ada@example.com", password, snib.SessionOptions{}); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)

	o.Sessions.KnownDevice = -1
	db = openFile(t, path, &o)
	wantErr(t, second(db.Devices().Current(on(trusted), u.ID)), snib.ErrDeviceNotFound)
	_, _, err := db.LogIn(on(trusted), "email", "ada@example.com", password, snib.SessionOptions{})
	wantErr(t, err, snib.ErrSecondFactor)
}
