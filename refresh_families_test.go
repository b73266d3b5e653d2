package snib_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

func TestCreateRefreshTokenGivesAShortSessionThatOnlyRefreshReplaces(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{ExtendEvery: -1}})
	u := user(t, db, "ada")
	s, r := family(t, db, u)
	end := clock.Now().Add(time.Hour)
	if !s.ActiveUntil.Equal(end) || !s.IdleUntil.Equal(end) || s.RefreshTokenID != r.ID || r.SessionID != s.ID {
		t.Errorf("session %+v of %+v", s, r)
	}
	clock.Set(end.Add(-tick))
	quiet(t, db, func() {
		valid(t, db, s)
		_, err := db.RenewSession(ctx, s.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidSession)
		want := s
		want.Token, want.ReadAt = snib.Token{}, clock.Now()
		if got := must(db.ExtendSession(ctx, s.Token.Reveal()))(t); !reflect.DeepEqual(got, want) {
			t.Errorf("extended %+v, want it unchanged: %+v", got, want)
		}
	})
	clock.Set(end)
	invalid(t, db, s)
	_, err := db.GetSession(ctx, s.ID)
	wantErr(t, err, snib.ErrInvalidSession)
	_, err = db.ExtendSession(ctx, s.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidSession)

	s, _ = refresh(t, db, r) // its expiry has not ended the family
	if want := end.Add(time.Hour); !s.ActiveUntil.Equal(want) || !s.IdleUntil.Equal(want) {
		t.Errorf("the next one lives until %v and %v, want %v", s.ActiveUntil, s.IdleUntil, want)
	}
}

// A device that has slept is in the list of refresh tokens only, can come back,
// and is ended there.
func TestADeviceThatSleepsIsListedByItsRefreshToken(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	_, phone := family(t, db, u)
	clock.Advance(time.Minute)
	_, tablet := family(t, db, u)
	clock.Advance(2 * time.Hour)
	if got := must(db.ListUserSessions(ctx, u.ID))(t); len(got) != 0 {
		t.Errorf("sessions %v", got)
	}
	if got := must(db.RefreshTokens().List(ctx, u.ID))(t); len(got) != 2 || got[0].ID != phone.ID || got[1].ID != tablet.ID {
		t.Errorf("refresh tokens %v", got)
	}
	if err := db.RefreshTokens().Revoke(ctx, u.ID, phone.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, db, phone.Token.Reveal(), snib.ErrInvalidRefreshToken)
	refresh(t, db, tablet)
}

func TestEndingOneOfSessionAndFamilyEndsTheOther(t *testing.T) {
	for name, end := range map[string]func(db *snib.DB, s snib.Session, spent, r snib.RefreshToken) error{
		"RevokeSessionByID": func(db *snib.DB, s snib.Session, _, _ snib.RefreshToken) error {
			return db.RevokeSessionByID(ctx, s.ID)
		},
		"RevokeSession": func(db *snib.DB, s snib.Session, _, _ snib.RefreshToken) error {
			return db.RevokeSession(ctx, s.UserID, s.ID)
		},
		"RevokeToken session": func(db *snib.DB, s snib.Session, _, _ snib.RefreshToken) error {
			return db.RevokeToken(ctx, s.Token.Reveal())
		},
		"RevokeToken refresh": func(db *snib.DB, _ snib.Session, _, r snib.RefreshToken) error {
			return db.RevokeToken(ctx, r.Token.Reveal())
		},
		"RevokeToken spent": func(db *snib.DB, _ snib.Session, r, _ snib.RefreshToken) error {
			return db.RevokeToken(ctx, r.Token.Reveal())
		},
		"RevokeUserSessions": func(db *snib.DB, s snib.Session, _, _ snib.RefreshToken) error {
			return db.RevokeUserSessions(ctx, s.UserID)
		},
		"RefreshTokens.RevokeByID": func(db *snib.DB, _ snib.Session, _, r snib.RefreshToken) error {
			return db.RefreshTokens().RevokeByID(ctx, r.ID)
		},
		"RefreshTokens.RevokeAll": func(db *snib.DB, s snib.Session, _, _ snib.RefreshToken) error {
			return db.RefreshTokens().RevokeAll(ctx, s.UserID)
		},
		"DeleteUser": func(db *snib.DB, s snib.Session, _, _ snib.RefreshToken) error { return db.DeleteUser(ctx, s.UserID) },
		"DisableUser": func(db *snib.DB, s snib.Session, _, _ snib.RefreshToken) error {
			_, err := db.DisableUser(ctx, s.UserID, "")
			return err
		},
		"UpdateUserPassword": func(db *snib.DB, s snib.Session, _, _ snib.RefreshToken) error {
			_, err := db.UpdateUserPassword(ctx, s.UserID, password)
			return err
		},
		"RemoveUserPassword": func(db *snib.DB, s snib.Session, _, _ snib.RefreshToken) error {
			_, err := db.RemoveUserPassword(ctx, s.UserID)
			return err
		},
		"EndEverything": func(db *snib.DB, _ snib.Session, _, _ snib.RefreshToken) error { return db.EndEverything(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			db, _ := clocked(t, snib.Options{})
			u := user(t, db, "ada")
			_, spent := family(t, db, u)
			s, r := refresh(t, db, spent)
			if err := end(db, s, spent, r); err != nil {
				t.Fatal(err)
			}
			invalid(t, db, s)
			for _, r := range []snib.RefreshToken{r, spent} {
				refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
			}
			if got := must(db.RefreshTokens().List(ctx, u.ID))(t); got != nil {
				t.Errorf("still listed: %v", got)
			}
		})
	}
}

func TestExpiryCapAndCleaningNeverCrossBetweenSessionAndFamily(t *testing.T) {
	db, clock := clocked(t, snib.Options{
		Sessions: snib.SessionPolicy{MaxPerUser: 2},
		Refresh:  snib.RefreshPolicy{MaxPerUser: 2, Idle: 40 * time.Hour},
	})
	u := user(t, db, "ada")
	_, r := family(t, db, u)
	clock.Advance(2 * time.Hour) // expired
	if n := must(db.DeleteDeadUserSessions(ctx, u.ID))(t); n != 1 {
		t.Fatalf("removed %d sessions, want 1", n)
	}
	_, r = refresh(t, db, r)
	clock.Advance(30 * time.Hour)
	if n := must(db.Sweep(ctx))(t); n != 1 {
		t.Fatalf("swept %d, want the dead session", n)
	}
	s, r := refresh(t, db, r)
	plain := newSession(t, db, u)
	clock.Advance(tick)
	newSession(t, db, u) // the cap: s has the earliest deadline
	invalid(t, db, s)
	s, r = refresh(t, db, r)
	valid(t, db, s)
	invalid(t, db, plain) // made room, by the earliest deadline

	// The other way: the cap and the expiry of families.
	clock.Advance(time.Second)
	family(t, db, u)
	last, young := family(t, db, u)
	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
	valid(t, db, last)
	clock.Set(young.IdleUntil)
	s = newSession(t, db, u)
	refused(t, db, young.Token.Reveal(), snib.ErrInvalidRefreshToken)
	clock.Advance(25 * time.Hour)
	must(db.Sweep(ctx))(t)
	must(db.GetSession(ctx, s.ID))(t)
}

func TestASessionOutlivesItsExpiredFamily(t *testing.T) {
	db, clock := clocked(t, snib.Options{Refresh: snib.RefreshPolicy{Idle: time.Minute, MaxPerUser: 1}})
	u := user(t, db, "ada")
	s, r := family(t, db, u)
	clock.Set(r.IdleUntil)
	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
	valid(t, db, s)
	s2, _ := family(t, db, u) // takes the place of the expired one
	s3, _ := family(t, db, u) // and of the live one
	for _, s := range []snib.Session{s, s2, s3} {
		valid(t, db, s)
	}
	if err := db.RevokeToken(ctx, s.Token.Reveal()); err != nil { // its family is gone
		t.Fatal(err)
	}
	invalid(t, db, s)
	valid(t, db, s3)
}

func TestRefreshRepeatedHasASessionEvenIfThatMadeRoom(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 1}})
	u := user(t, db, "ada")
	_, first := family(t, db, u)
	s, second := refresh(t, db, first)
	newSession(t, db, u)
	invalid(t, db, s)
	clock.Advance(time.Second)
	var s2 snib.Session
	var r2 snib.RefreshToken
	commits(t, db, 1, func() { s2, r2 = refresh(t, db, first) })
	valid(t, db, s2)
	if r2.Token.Reveal() != second.Token.Reveal() {
		t.Error("the repetition gave another refresh token")
	}
	if s2.ID == s.ID || s2.Token.Reveal() == s.Token.Reveal() { // it has ended for good
		t.Error("the repetition gave the session that has ended")
	}
	invalid(t, db, s)
	quiet(t, db, func() {
		if s3, _ := refresh(t, db, first); s3.Token.Reveal() != s2.Token.Reveal() {
			t.Error("one more repetition gave another session")
		}
	})
	_, third := refresh(t, db, second)
	refresh(t, db, third)
}

func TestCreateRefreshTokenEvictsAnExpiredOneFirst(t *testing.T) {
	db, clock := clocked(t, snib.Options{Refresh: snib.RefreshPolicy{Idle: time.Hour, MaxPerUser: 3}})
	u := user(t, db, "ada")
	other, _ := family(t, db, user(t, db, "bob"))
	_, a := family(t, db, u)
	_, b := family(t, db, u)
	clock.Advance(time.Minute)
	_, revoked := family(t, db, u)
	reuse(t, db, revoked)

	_, c := family(t, db, u) // in place of none: the revoked one does not count
	refused(t, db, revoked.Token.Reveal(), snib.ErrRefreshTokenReused)
	_, a = refresh(t, db, a) // now b is the first to expire
	_, d := family(t, db, u)
	refused(t, db, b.Token.Reveal(), snib.ErrInvalidRefreshToken)

	clock.Advance(30 * time.Minute)
	_, c = refresh(t, db, c)
	_, d = refresh(t, db, d)
	clock.Set(a.IdleUntil) // a is expired
	_, e := family(t, db, u)
	// Its session stays to its own deadline, and names it.
	if left := withoutEvents(mentions(t, db, string(a.ID))); len(left) != 1 || !strings.HasPrefix(left[0], "sessions/") {
		t.Errorf("the expired family is mentioned in %q", left)
	}
	for _, r := range []snib.RefreshToken{c, d, e} {
		refresh(t, db, r)
	}
	if len(mentions(t, db, string(other.RefreshTokenID))) == 0 {
		t.Error("a family of another user made room")
	}
}

// TestChangePasswordDetachesTheSession: its family ends, and it lives to the
// deadline that it has, under its new token.
func TestChangePasswordDetachesTheSession(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	s, r := family(t, db, u)
	clock.Advance(10 * time.Minute)
	invalidated := s
	s = must(db.ChangePassword(ctx, s.Token.Reveal(), password, "a new passphrase"))(t)
	invalid(t, db, invalidated)

	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
	got := must(db.ValidateSession(ctx, s.Token.Reveal()))(t)
	want := s
	want.Token, want.RefreshTokenID, want.ActiveUntil = snib.Token{}, "", invalidated.ActiveUntil
	want.IdleUntil, want.AbsoluteUntil = want.ActiveUntil, want.ActiveUntil // it cannot be extended beyond what it had
	want.AuthenticatedAt, want.Methods = clock.Now(), snib.MethodPassword
	if !reflect.DeepEqual(got, want) {
		t.Errorf("kept %+v, want %+v", got, want)
	}
	if err := db.RevokeToken(ctx, r.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	valid(t, db, s)
	clock.Set(s.ActiveUntil)
	invalid(t, db, s)
}

func TestRefreshTokensRevokeByIDLeavesTheRestAlone(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	plain := newSession(t, db, u)
	s, r := family(t, db, u)
	gone, revoked := family(t, db, u)
	if err := db.RefreshTokens().RevokeByID(ctx, revoked.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, db, gone)
	valid(t, db, s)
	other := user(t, db, "bob")
	before, _ := content(t, db)
	if err := errors.Join(db.RefreshTokens().RevokeByID(ctx, revoked.ID), db.RefreshTokens().Revoke(ctx, u.ID, revoked.ID)); err != nil {
		t.Errorf("an unknown id: %v", err)
	}
	if err := db.RefreshTokens().Revoke(ctx, other.ID, r.ID); err != nil {
		t.Errorf("a family of another user: %v", err)
	}
	for _, id := range []snib.RefreshTokenID{"", "rft_", snib.RefreshTokenID(s.ID), snib.RefreshTokenID(r.Token.Reveal()), snib.RefreshTokenID(strings.Repeat("x", 1<<20))} {
		wantField(t, db.RefreshTokens().RevokeByID(ctx, id), "RefreshTokenID")
		wantField(t, db.RefreshTokens().Revoke(ctx, u.ID, id), "RefreshTokenID")
	}
	wantField(t, db.RefreshTokens().Revoke(ctx, "", r.ID), "UserID")
	if after, _ := content(t, db); !reflect.DeepEqual(before, after) {
		t.Error("revoking what is not there changed something")
	}
	if err := db.RefreshTokens().RevokeAll(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, db, s)
	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
	valid(t, db, plain)
	for _, id := range []snib.UserID{u.ID, "nobody", "a\x00b"} {
		if got := must(db.RefreshTokens().List(ctx, id))(t); got != nil {
			t.Errorf("%q has %v", id, got)
		}
	}
}

func TestRefreshTokensRevokeAllEndsTheSessionsOfEvictedOnes(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Refresh: snib.RefreshPolicy{MaxPerUser: 1}})
	u := email(t, db, "a@example.com")
	evicted, _, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{}); err != nil {
		t.Fatal(err)
	}
	valid(t, db, evicted)
	plain := logIn(t, db, "a@example.com")
	if err := db.RefreshTokens().RevokeAll(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, db, evicted)
	valid(t, db, plain)
}

// The memory of reuse is not pushed out by log-ins, and bounded by itself.
func TestRefreshTombstonesStayWhateverIsCreated(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	var revoked []snib.RefreshToken
	for range 22 {
		clock.Advance(time.Second)
		_, r := family(t, db, u)
		reuse(t, db, r)
		revoked = append(revoked, r)
	}
	_, first := family(t, db, u)
	for range 99 {
		clock.Advance(time.Second)
		family(t, db, u)
	}
	for i, r := range revoked {
		want := snib.ErrRefreshTokenReused
		if i < 2 { // 20 are kept
			want = snib.ErrInvalidRefreshToken
		}
		refused(t, db, r.Token.Reveal(), want)
	}
	if got := must(db.Check(ctx))(t); got.Records["refresh_families"] != 120 {
		t.Errorf("%d families in the file", got.Records["refresh_families"])
	}
	family(t, db, u) // one more than 100
	refused(t, db, first.Token.Reveal(), snib.ErrInvalidRefreshToken)
	if got := must(db.RefreshTokens().List(ctx, u.ID))(t); len(got) != 100 {
		t.Errorf("%d families listed", len(got))
	}
}
