package snib_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// guest makes a guest with a session.
func guest(tb testing.TB, db *snib.DB) (snib.Session, snib.User) {
	tb.Helper()
	s, u, err := db.Identities().CreateGuest(ctx, snib.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return s, u
}

func guestCount(tb testing.TB, db *snib.DB) int {
	tb.Helper()
	return must(db.Check(ctx))(tb).Guests
}

func TestCreateGuest(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	s, u := guest(t, db)
	_, seen, err := db.ValidateSessionUser(ctx, s.Token.Reveal())
	if err != nil || seen.ID != u.ID || !seen.Guest || !u.Guest || len(u.Identities) != 0 || u.HasPassword || s.Methods != 0 {
		t.Errorf("%+v, %+v, %v", s, seen, err)
	}
	if got := happened(t, db, u.ID); !slices.Equal(got, []snib.EventKind{"log-in", "guest-created"}) {
		t.Errorf("events %q", got)
	}
	if made := user(t, db, "ada"); made.Guest || guestCount(t, db) != 1 {
		t.Errorf("%d guests; ada is one: %t", guestCount(t, db), made.Guest)
	}
	must(db.Roles().Grant(ctx, u.ID, "trial"))(t) // which a guest can have, and which is not the mark
	must(db.Roles().Withdraw(ctx, u.ID, "trial"))(t)
	must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"cart": 3}))(t)
	if u := must(db.GetUser(ctx, u.ID))(t); !u.Guest || guestCount(t, db) != 1 {
		t.Error("a guest no more")
	}
	for user, err := range db.Roles().List(ctx, "*guest", snib.ListOptions{}) {
		if err == nil {
			t.Errorf("%s has the role of guests", user.ID)
		}
	}
	if err := db.DeleteUser(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	if guestCount(t, db) != 0 {
		t.Error("a guest is left")
	}
	for _, mode := range []snib.SignUpMode{snib.SignUpInvited, snib.SignUpClosed, snib.SignUpByDomain} {
		o := &snib.Options{SignUp: snib.SignUpPolicy{Mode: mode}}
		if mode == snib.SignUpByDomain {
			o.SignUp.Domains = []string{"example.com"}
		}
		db := snibtest.NewDB(t, o)
		quiet(t, db, func() {
			_, u, err := db.Identities().CreateGuest(ctx, snib.SessionOptions{})
			if wantErr(t, err, snib.ErrSignUpClosed); u.ID != "" {
				t.Errorf("%q: a user was returned", mode)
			}
		})
	}
}

// TestAGuestIsUpgradedInPlace: the same id with the same rows, under another token,
// and whatever a stranger may have planted has ended.
func TestAGuestIsUpgradedInPlace(t *testing.T) {
	for name, upgrade := range map[string]func(tx *snib.Tx, id snib.UserID, hash snib.PasswordHash) error{
		"Verify": func(tx *snib.Tx, id snib.UserID, _ snib.PasswordHash) error {
			return second(tx.Identities().Verify(ctx, id, "email", "ada@example.com"))
		},
		"LinkIdentity": func(tx *snib.Tx, id snib.UserID, _ snib.PasswordHash) error {
			return second(tx.LinkIdentity(id, "github", "42"))
		},
		"UpdateUserProviderID": func(tx *snib.Tx, id snib.UserID, _ snib.PasswordHash) error {
			return second(tx.UpdateUserProviderID(id, "github", "42"))
		},
		"UpdateUserPassword": func(tx *snib.Tx, id snib.UserID, hash snib.PasswordHash) error {
			return second(tx.UpdateUserPassword(id, hash))
		},
	} {
		db, clock := clocked(t, snib.Options{Owned: []string{"notes"}})
		own, u := guest(t, db)
		putRows(t, db, "notes", 3, u.ID)
		planted := must(db.CreateSession(ctx, own, snib.SessionOptions{}))(t)
		_, family, err := db.CreateRefreshToken(ctx, own, snib.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		device := must(db.Devices().Remember(ctx, planted))(t)
		hash := must(db.HashPassword(ctx, password))(t)
		s, err := db.ChangeCredentials(ctx, own.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error { return upgrade(tx, s.UserID, hash) })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		now := must(db.GetUser(ctx, u.ID))(t)
		if now.Guest || now.CredentialVersion == u.CredentialVersion || s.UserID != u.ID || guestCount(t, db) != 0 || rowsOfUsers(t, db, "notes")[u.ID] != 3 {
			t.Errorf("%s: %+v", name, now)
		}
		valid(t, db, s)
		invalid(t, db, own)
		invalid(t, db, planted)
		_, _, err = db.Refresh(ctx, family.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidRefreshToken)
		wantErr(t, second(db.Devices().Current(on(device), u.ID)), snib.ErrDeviceNotFound)
		if got := happened(t, db, u.ID); !slices.Contains(got, snib.EventGuestUpgraded) {
			t.Errorf("%s: events %q", name, got)
		}
		clock.Advance(365 * 24 * time.Hour)
		must(db.Sweep(ctx))(t)
		if err := second(db.GetUser(ctx, u.ID)); err != nil {
			t.Errorf("%s: swept: %v", name, err)
		}
		snibtest.CheckAndClose(t, db)
	}
}

// TestAnUpgradeEndsWhatAStrangerLeft in a guest whose session was planted: an API key
// and a passkey open nothing, and an authenticator is asked for by no log-in.
func TestAnUpgradeEndsWhatAStrangerLeft(t *testing.T) {
	for _, passkey := range []bool{false, true} {
		db := snibtest.NewDB(t, &snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
		planted, u := guest(t, db)
		if passkey {
			newKeyring(t, db, &planted)
		} else {
			enrolIn(t, db, &planted)
		}
		key := must(db.APIKeys().Create(ctx, planted, snib.NewAPIKey{Name: "n", TTL: time.Hour}))(t)
		hash := must(db.HashPassword(ctx, password))(t)
		must(db.ChangeCredentials(ctx, planted.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
			return errors.Join(second(tx.Identities().Verify(ctx, s.UserID, "email", "ada@example.com")), second(tx.UpdateUserPassword(s.UserID, hash)))
		}))(t)
		if all := must(db.Factors().List(ctx, u.ID))(t); len(all) != 0 {
			t.Errorf("left: %+v", all)
		}
		_, _, err := db.APIKeys().Validate(ctx, key.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidAPIKey)
		logIn(t, db, "ada@example.com")
		snibtest.CheckAndClose(t, db)
	}
}

// TestAPlantedGuestPushesNothingOutOfTheHistory of the account into which it is merged.
func TestAPlantedGuestPushesNothingOutOfTheHistory(t *testing.T) {
	p := newPair(t, vouching())
	p.from, _ = guest(t, p.db)
	verify(t, p.db, p.ada.ID, "email", "ada@example.com")
	verify(t, p.db, p.ada.ID, "google", "0")
	must(p.db.UnlinkIdentity(ctx, p.ada.ID, "google", "0"))(t)
	for range 60 {
		var err error
		p.from, err = p.db.ChangeCredentials(ctx, p.from.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
			return tx.RevokeUserSessions(s.UserID)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	before := len(must(p.db.Events().List(ctx, p.ada.ID))(t))
	must(p.merge())(t)
	wantErr(t, second(resolve(p.db, asserted("google", "1", "ada@example.com"))), snib.ErrLinkRequired)
	if all := must(p.db.Events().List(ctx, p.ada.ID))(t); len(all) != before+1 || all[0].Kind != snib.EventUserMerged {
		t.Errorf("%d events, %d before", len(all), before)
	}
}

// TestASweepRemovesGuestsUnseenFor30Days, to the millisecond, with their rows, and
// whatever has told when they were seen.
func TestASweepRemovesGuestsUnseenFor30Days(t *testing.T) {
	const days = 24 * time.Hour
	for name, c := range map[string]struct {
		policy snib.SessionPolicy
		see    func(t *testing.T, db *snib.DB, clock *snibtest.Clock, s *snib.Session)
		after  time.Duration // the last sight
	}{
		"never seen again": {snib.SessionPolicy{}, nil, time.Hour * 24}, // as long as the session was active
		"signed out": {snib.SessionPolicy{}, func(t *testing.T, db *snib.DB, _ *snibtest.Clock, s *snib.Session) {
			wantErr(t, db.RevokeToken(ctx, s.Token.Reveal()), nil)
		}, 0},
		"extended after a week": {snib.SessionPolicy{}, func(t *testing.T, db *snib.DB, clock *snibtest.Clock, s *snib.Session) {
			clock.Advance(7 * days)
			must(db.ExtendSession(ctx, s.Token.Reveal()))(t)
		}, 8 * days},
		"of short sessions": {snib.SessionPolicy{Active: time.Hour, Idle: -1}, func(t *testing.T, db *snib.DB, clock *snibtest.Clock, s *snib.Session) {
			for range 50 { // two days of use
				clock.Advance(time.Hour - tick)
				must(db.ExtendSession(ctx, s.Token.Reveal()))(t)
			}
		}, 51*time.Hour - 50*tick},
		"refreshed": {snib.SessionPolicy{}, func(t *testing.T, db *snib.DB, clock *snibtest.Clock, s *snib.Session) {
			_, f, err := db.CreateRefreshToken(ctx, *s, snib.SessionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			clock.Advance(10 * days)
			if _, _, err := db.Refresh(ctx, f.Token.Reveal()); err != nil {
				t.Fatal(err)
			}
		}, 10*days + time.Hour},
		"of a session that lives": {snib.SessionPolicy{Active: 60 * days}, nil, 60 * days},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the sweeps rest
			db, clock := clocked(t, snib.Options{Sessions: c.policy, Owned: []string{"notes"}})
			s, u := guest(t, db)
			putRows(t, db, "notes", 3, u.ID)
			start := clock.Now()
			if c.see != nil {
				c.see(t, db, clock, &s)
			}
			due := start.Add(c.after + 30*days)
			for next := clock.Now(); next.Before(due); next = next.Add(6 * time.Hour) { // sweeps on the way remove what tells
				clock.Advance(next.Sub(clock.Now()))
				must(db.Sweep(ctx))(t)
				must(db.Check(ctx))(t)
			}
			clock.Advance(due.Sub(clock.Now()) - tick)
			must(db.Sweep(ctx))(t)
			if err := second(db.GetUser(ctx, u.ID)); err != nil {
				t.Fatalf("before 30 days: %v", err)
			}
			clock.Advance(tick)
			n := must(db.Sweep(ctx))(t)
			wantErr(t, second(db.GetUser(ctx, u.ID)), snib.ErrUserNotFound)
			if r := must(db.Check(ctx))(t); n != 1 || r.Rows != 0 || r.Guests != 0 || r.Records["sessions"] != 0 || r.Records["events"] != 0 {
				t.Errorf("%d were removed; %+v", n, r)
			}
		})
	}
}

// TestASweepOfManyGuests: live ones and users stay, whoever their neighbours are; one
// with all there may be, and the last holder of a protected role.
func TestASweepOfManyGuests(t *testing.T) {
	db, clock := clocked(t, snib.Options{Owned: []string{"notes"}, Roles: snib.RolePolicy{Protected: []string{"admin"}}, Outbox: []string{"mail"}})
	_, holder := guest(t, db)
	must(db.Roles().Grant(ctx, holder.ID, "admin"))(t)
	_, rich := guest(t, db)
	putRows(t, db, "notes", 10_001, rich.ID)
	for range 300 {
		session(t, db, rich.ID)
	}
	var old []snib.User
	for range 120 {
		_, u := guest(t, db)
		old = append(old, u)
	}
	clock.Advance(20 * 24 * time.Hour)
	var young []snib.User
	for range 60 {
		_, u := guest(t, db)
		young = append(young, u)
	}
	ada := user(t, db, "ada")
	queued := unread(t, db, "mail")
	wantErr(t, db.Events().Ack(ctx, "mail", queued[len(queued)-1].Position), nil)
	clock.Advance(12 * 24 * time.Hour)
	must(db.Sweep(ctx))(t)
	for _, u := range append(old, rich) {
		wantErr(t, second(db.GetUser(ctx, u.ID)), snib.ErrUserNotFound)
	}
	for _, u := range append(young, holder, ada) {
		must(db.GetUser(ctx, u.ID))(t)
	}
	if r := must(db.Check(ctx))(t); r.Guests != 61 || r.Rows != 0 || r.Leaving != 0 {
		t.Errorf("%+v", r)
	}
	deleted := 0
	for _, e := range unread(t, db, "mail") {
		if e.Kind == snib.EventUserDeleted {
			deleted++
		}
	}
	if deleted != 121 {
		t.Errorf("%d are told to be deleted", deleted)
	}
}

// TestASweepOfGuestsThatFailsGoesOn: a guest is there with all or not at all.
func TestASweepOfGuestsThatFailsGoesOn(t *testing.T) {
	db, clock := clocked(t, snib.Options{Owned: []string{"notes"}})
	for range 3 {
		_, u := guest(t, db)
		putRows(t, db, "notes", 2, u.ID)
	}
	clock.Advance(40 * 24 * time.Hour)
	failing(t, db, func() error { return second(db.Sweep(ctx)) }, func(n int64) {
		if r := must(db.Check(ctx))(t); r.Rows != 2*r.Guests || r.OrphanRows != 0 {
			t.Fatalf("operation %d failed: %+v", n, r)
		}
	})
	if r := must(db.Check(ctx))(t); r.Guests != 0 || r.Users != 0 {
		t.Errorf("%+v", r)
	}
}

// TestAGuestIsUpgradedWhileASweepRuns: kept with all, or gone before, and never
// half.
func TestAGuestIsUpgradedWhileASweepRuns(t *testing.T) {
	for round := range 12 {
		db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: 24 * time.Hour}, Owned: []string{"notes"}})
		_, u := guest(t, db)
		putRows(t, db, "notes", 3, u.ID)
		clock.Advance(40 * 24 * time.Hour)
		var all sync.WaitGroup
		var swept, upgraded error
		all.Go(func() { _, swept = db.Sweep(ctx) })
		all.Go(func() {
			_, upgraded = db.Identities().Verify(ctx, u.ID, "email", fmt.Sprintf("a%d@example.com", round))
		})
		all.Wait()
		if swept != nil || upgraded != nil && !errors.Is(upgraded, snib.ErrUserNotFound) {
			t.Fatal(swept, upgraded)
		}
		r := must(db.Check(ctx))(t)
		if want := map[bool]int{true: 1}[upgraded == nil]; r.Users != want || r.Rows != 3*want || r.Guests != 0 {
			t.Errorf("upgraded %t: %+v", upgraded == nil, r)
		}
	}
}

// TestASweepDecidesAnewAboutAGuest: a snapshot that is old removes no user.
func TestASweepDecidesAnewAboutAGuest(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	_, u := guest(t, db)
	_, back := guest(t, db)
	clock.Advance(40 * 24 * time.Hour)
	must(db.LinkIdentity(ctx, u.ID, "github", "42"))(t)
	session(t, db, back.ID)
	if n, err := snib.EndGuests(db, string(u.ID), string(back.ID), "nobody"); n != 0 || err != nil {
		t.Errorf("%d removed, %v", n, err)
	}
	must(db.GetUser(ctx, u.ID))(t)
	must(db.GetUser(ctx, back.ID))(t)
}

// TestAnImportOverAGuestUpgrades: a sweep removes no user with an identity.
func TestAnImportOverAGuestUpgrades(t *testing.T) {
	for _, dry := range []bool{true, false} {
		db, clock := clocked(t, snib.Options{})
		s, g, err := db.Identities().CreateGuest(ctx, snib.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		rows := func(yield func(snib.UserImport, error) bool) {
			yield(snib.UserImport{Row: 1, ID: g.ID, Provider: "email", Identifier: "ada@example.com"}, nil)
		}
		r := must(db.ImportUsers(ctx, rows, snib.ImportOptions{Update: true, DryRun: dry}))(t)
		if r.Updated != 1 {
			t.Errorf("%+v", r)
		}
		if dry {
			valid(t, db, s)
			continue
		}
		must(db.Check(ctx))(t)
		invalid(t, db, s) // somebody else may have planted or copied it
		clock.Advance(100 * 24 * time.Hour)
		must(db.Sweep(ctx))(t)
		if asNow(t, db, g.ID).Guest {
			t.Error("is a guest")
		}
		if !slices.Contains(happened(t, db, g.ID), snib.EventGuestUpgraded) {
			t.Error("no event")
		}
	}
}

// TestCheckINV24Guests.
func TestCheckINV24Guests(t *testing.T) {
	db := must(snib.Open(t.TempDir()+"/a.db", snibtest.Fast(nil)))(t)
	_, g := guest(t, db)
	ada := user(t, db, "ada")
	b := handle(t, db)
	edit := func(id snib.UserID, change func(*codec.User)) {
		value := rawGet(t, b, "users", string(id))
		u := must(codec.DecodeUser([]byte(id), value))(t)
		change(&u)
		rawPut(t, b, "users", string(id), u.Append(nil))
	}
	for name, spoil := range map[string]func(){
		"an ordinary user as a guest": func() { edit(ada.ID, func(u *codec.User) { u.GuestSeenAt = 1 }) },
		"a guest without an entry":    func() { rawDelete(t, b, "roles", pair("*guest", string(g.ID))) },
		"an entry of no guest":        func() { rawPut(t, b, "roles", pair("*guest", string(ada.ID)), nil) },
	} {
		spoil()
		report, err := db.Check(ctx)
		wantErr(t, err, snib.ErrCorrupt)
		for _, p := range report.Problems {
			if p.Invariant != 24 && p.Invariant != 22 || p.Severity != snib.Mendable {
				t.Errorf("%s: %v", name, p)
			}
		}
		must(db.Repair(ctx))(t)
		must(db.Check(ctx))(t)
		if !must(db.GetUser(ctx, g.ID))(t).Guest || must(db.GetUser(ctx, ada.ID))(t).Guest {
			t.Errorf("%s: guests after a repair", name)
		}
	}
	closeDB(t, db)
}

// TestMergeOfAGuest: a visitor who logs in to an account of before keeps the rows. A
// guest has nothing to log in with anew, so an old session will do.
func TestMergeOfAGuest(t *testing.T) {
	p := newPair(t, snib.Options{Sessions: snib.SessionPolicy{Active: 60 * 24 * time.Hour}})
	var g snib.User
	p.from, g = guest(t, p.db)
	putRows(t, p.db, "notes", 3, g.ID)
	p.clock.Advance(20 * 24 * time.Hour)
	p.refuses(t, snib.MergeNotFresh, false, "", snib.ErrNotFresh) // the account itself must be
	p.into = logIn(t, p.db, "ada@example.com")
	m := must(p.merge())(t)
	if m.User.Guest || !m.From.Guest || m.From.ID != g.ID || m.Rows != 3 || rowsOfUsers(t, p.db, "notes")[p.ada.ID] != 3 {
		t.Errorf("%+v", m)
	}
	if guestCount(t, p.db) != 0 {
		t.Error("the guest is still there")
	}
	p.clock.Advance(40 * 24 * time.Hour)
	must(p.db.Sweep(ctx))(t)
	if r := checkedReport(t, p.db); r.Rows != 3 || r.Users != 2 {
		t.Errorf("after the time of the guest: %+v", r)
	}
}

// TestMergeOfTwoGuests: two visits before the sign-up are one guest.
func TestMergeOfTwoGuests(t *testing.T) {
	p := newPair(t, snib.Options{})
	p.into, _ = guest(t, p.db)
	p.from, _ = guest(t, p.db)
	putRows(t, p.db, "notes", 2, p.from.UserID)
	m := must(p.merge())(t)
	if !m.User.Guest || m.Rows != 2 || guestCount(t, p.db) != 1 {
		t.Errorf("%+v", m)
	}
	valid(t, p.db, m.Session)
}

// TestMergeIntoAPlantedGuest: a stranger with another session, a refresh token, a key or
// a passkey of the guest that stays does not share what the visitor brings.
func TestMergeIntoAPlantedGuest(t *testing.T) {
	for name, inside := range map[string]bool{"alone": false, "within ChangeCredentials": true} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, snib.Options{})
			planted, g := guest(t, p.db)
			strangers := must(p.db.CreateSession(ctx, planted, snib.SessionOptions{}))(t)
			_, family, err := p.db.CreateRefreshToken(ctx, planted, snib.SessionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			key := must(p.db.APIKeys().CreateFor(ctx, g.ID, snib.NewAPIKey{Name: "n", TTL: time.Hour}))(t)
			device := must(p.db.Devices().Remember(ctx, strangers))(t)
			l := link(t, p.db, g, "x", time.Hour)
			g = asNow(t, p.db, g.ID)
			p.into = planted
			p.from, _ = guest(t, p.db)
			putRows(t, p.db, "notes", 2, p.from.UserID)
			var kept snib.Session
			if inside {
				kept = must(p.db.ChangeCredentials(ctx, planted.Token.Reveal(), func(tx *snib.Tx, _ snib.Session) error {
					_, err := tx.Identities().Merge(ctx, planted.Token.Reveal(), p.from.Token.Reveal())
					return err
				}))(t)
			} else {
				m := must(p.merge())(t)
				kept = m.Session
				if m.User.CredentialVersion != asNow(t, p.db, g.ID).CredentialVersion {
					t.Errorf("the result is of before: %+v", m.User)
				}
			}
			valid(t, p.db, kept)
			invalid(t, p.db, planted)
			invalid(t, p.db, strangers)
			wantErr(t, thirdError(p.db.Refresh(ctx, family.Token.Reveal())), snib.ErrInvalidRefreshToken)
			wantErr(t, thirdError(p.db.APIKeys().Validate(ctx, key.Token.Reveal())), snib.ErrInvalidAPIKey)
			wantErr(t, second(p.db.Tokens().Use(ctx, "x", l.Token.Reveal())), snib.ErrInvalidOneTimeToken)
			wantErr(t, second(p.db.CreateSession(ctx, g, snib.SessionOptions{})), snib.ErrInvalidCredentials)
			if all := must(p.db.Devices().List(ctx, g.ID))(t); len(all) != 0 {
				t.Errorf("devices %+v beside %s", all, device.ID)
			}
			if rowsOfUsers(t, p.db, "notes")[g.ID] != 2 {
				t.Error("the rows have not come")
			}
		})
	}
}
