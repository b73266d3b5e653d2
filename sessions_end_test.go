package snib_test

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

func TestRevokeSessionByIDEndsOneSession(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	ada, bob := user(t, db, "ada"), user(t, db, "bob")
	gone, other, theirs := newSession(t, db, ada), newSession(t, db, ada), newSession(t, db, bob)

	if err := db.RevokeSessionByID(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, db, gone)
	valid(t, db, other)
	before, _ := content(t, db)
	if err := errors.Join(db.RevokeSessionByID(ctx, gone.ID), db.RevokeSession(ctx, ada.ID, gone.ID)); err != nil {
		t.Errorf("an unknown id: %v", err)
	}
	for _, id := range []snib.SessionID{"", "ses_", snib.SessionID(ada.ID), snib.SessionID(other.Token.Reveal()), snib.SessionID(strings.Repeat("x", 1<<20))} {
		wantField(t, db.RevokeSessionByID(ctx, id), "SessionID")
		wantField(t, db.RevokeSession(ctx, ada.ID, id), "SessionID")
		wantField(t, db.RevokeUserSessions(ctx, ada.ID, id), "Except")
	}
	for _, id := range []snib.UserID{"", "a\x00b", snib.UserID(other.Token.Reveal())} {
		wantField(t, db.RevokeSession(ctx, id, other.ID), "UserID")
	}
	for _, id := range []snib.UserID{bob.ID, "nobody"} { // from a form
		if err := db.RevokeSession(ctx, id, other.ID); err != nil {
			t.Errorf("a session of another user: %v", err)
		}
	}
	if after, _ := content(t, db); !maps.Equal(before, after) {
		t.Error("ending what is not there, or not the user's, changed something")
	}
	if err := db.RevokeSession(ctx, ada.ID, other.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, db, other)
	valid(t, db, theirs)
}

func TestRevokeUserSessionsEndsAllButTheExcepted(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: time.Hour, Idle: -1}})
	ada, bob := user(t, db, "ada"), user(t, db, "bob")
	dead := newSession(t, db, ada)
	clock.Advance(2 * time.Hour)
	kept, gone, theirs := newSession(t, db, ada), newSession(t, db, ada), newSession(t, db, bob)
	keptFam, keptToken := family(t, db, ada)
	goneFam, goneToken := family(t, db, ada)

	quiet(t, db, func() {
		wantField(t, db.RevokeUserSessions(ctx, ada.ID, kept.ID, theirs.ID), "Except")
		wantField(t, db.RevokeUserSessions(ctx, ada.ID, make([]snib.SessionID, 1001)...), "Except")
	})
	if err := db.RevokeUserSessions(ctx, ada.ID, kept.ID, keptFam.ID, dead.ID); err != nil {
		t.Fatal(err)
	}
	for _, s := range []snib.Session{kept, keptFam, theirs} {
		valid(t, db, s)
	}
	for _, s := range []snib.Session{gone, goneFam, dead} {
		invalid(t, db, s)
	}
	_, _, err := db.Refresh(ctx, goneToken.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
	next, _ := refresh(t, db, keptToken)
	valid(t, db, next)

	if err := db.RevokeUserSessions(ctx, ada.ID); err != nil {
		t.Fatal(err)
	}
	for _, s := range []snib.Session{kept, next} {
		invalid(t, db, s)
	}
	valid(t, db, theirs)
}

func TestRevokeTokenSignsOutInEveryState(t *testing.T) {
	for name, c := range map[string]struct {
		advance time.Duration
		token   func(s snib.Session, spent, current snib.RefreshToken) snib.Token
		session bool // the plain one ends, not the family
	}{
		"active session":        {0, func(s snib.Session, _, _ snib.RefreshToken) snib.Token { return s.Token }, true},
		"idle session":          {30 * time.Hour, func(s snib.Session, _, _ snib.RefreshToken) snib.Token { return s.Token }, true},
		"dead session":          {20 * 24 * time.Hour, func(s snib.Session, _, _ snib.RefreshToken) snib.Token { return s.Token }, true},
		"current refresh token": {0, func(_ snib.Session, _, r snib.RefreshToken) snib.Token { return r.Token }, false},
		"spent refresh token":   {time.Hour, func(_ snib.Session, r, _ snib.RefreshToken) snib.Token { return r.Token }, false},
		"dead refresh token":    {40 * 24 * time.Hour, func(_ snib.Session, _, r snib.RefreshToken) snib.Token { return r.Token }, false},
	} {
		t.Run(name, func(t *testing.T) {
			db, clock := clocked(t, snib.Options{})
			u := user(t, db, "ada")
			s := newSession(t, db, u)
			_, spent := family(t, db, u)
			fs, current := refresh(t, db, spent)
			clock.Advance(c.advance)
			if err := db.RevokeToken(ctx, c.token(s, spent, current).Reveal()); err != nil {
				t.Fatal(err)
			}
			for id, ended := range map[string]bool{
				string(s.ID): c.session, string(fs.ID): !c.session, string(current.ID): !c.session,
			} {
				if left := withoutEvents(mentions(t, db, id)); (len(left) == 0) != ended {
					t.Errorf("%s is mentioned in %q; ended should be %t", id, left, ended)
				}
			}
		})
	}
}

func TestRevokeTokenOfWhatIsNothingIsNoError(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	s := newSession(t, db, u)
	_, r := family(t, db, u)
	link := must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil))(t)
	_, revoked := family(t, db, u)
	reuse(t, db, revoked)
	ended := newSession(t, db, u)
	if err := db.RevokeToken(ctx, ended.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	flip := func(secret []byte) { secret[0] ^= 1 }
	quiet(t, db, func() {
		for name, token := range map[string]string{
			"empty": "", "garbage": "garbage", "megabytes": strings.Repeat("x", 2<<20),
			"ended":                        ended.Token.Reveal(),
			"wrong secret":                 forge(t, s.Token, flip),
			"wrong family secret":          forge(t, r.Token, flip),
			"one-time token":               link.Token.Reveal(),
			"token of a revoked family":    revoked.Token.Reveal(),
			"truncated":                    s.Token.Reveal()[:len(s.Token.Reveal())-1],
			"altered":                      strings.ToUpper(s.Token.Reveal()),
			"id of the session":            string(s.ID),
			"session as a refresh token":   strings.Replace(s.Token.Reveal(), "ses_", "rft_", 1),
			"refresh token as a session's": strings.Replace(r.Token.Reveal(), "rft_", "ses_", 1),
		} {
			if err := db.RevokeToken(ctx, token); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	// The tombstone is still one, and the rest lives.
	_, _, err := db.Refresh(ctx, revoked.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
	valid(t, db, s)
	refresh(t, db, r)
	must(db.Tokens().Use(ctx, "reset", link.Token.Reveal()))(t)
}

func TestDeleteDeadUserSessionsRemovesOnlyTheDead(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: time.Hour, Idle: time.Hour}})
	ada, bob := user(t, db, "ada"), user(t, db, "bob")
	dead := []snib.Session{newSession(t, db, ada), newSession(t, db, ada)}
	theirs := newSession(t, db, bob)
	clock.Advance(time.Hour)
	idle := newSession(t, db, ada)
	clock.Advance(time.Hour)
	active := newSession(t, db, ada)

	if n := must(db.DeleteDeadUserSessions(ctx, ada.ID))(t); n != 2 {
		t.Errorf("removed %d, want 2", n)
	}
	for _, s := range dead {
		if left := withoutEvents(mentions(t, db, string(s.ID))); len(left) > 0 {
			t.Errorf("a dead session is in %q", left)
		}
	}
	if len(mentions(t, db, string(theirs.ID))) == 0 {
		t.Error("a session of another user is gone")
	}
	if got, want := sessionIDs(t, db, ada.ID), []snib.SessionID{idle.ID, active.ID}; !reflect.DeepEqual(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
	for _, id := range []snib.UserID{ada.ID, "nobody", "", "a\x00b"} {
		if n := must(db.DeleteDeadUserSessions(ctx, id))(t); n != 0 {
			t.Errorf("%q: removed %d, want 0", id, n)
		}
	}
}

func TestCreateSessionEvictsADeadOneFirst(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: time.Hour, Idle: -1, ExtendEvery: -1, MaxPerUser: 3}})
	u := user(t, db, "ada")
	other := newSession(t, db, user(t, db, "bob"))
	a := newSession(t, db, u)
	clock.Advance(20 * time.Minute)
	dies, b := newSession(t, db, u), newSession(t, db, u)
	clock.Advance(30 * time.Minute)
	a, b = extend(t, db, a), extend(t, db, b)
	clock.Advance(40 * time.Minute) // dies is dead; a is the oldest and lives

	c := newSession(t, db, u)
	for _, s := range []snib.Session{a, b, c} {
		valid(t, db, s)
	}
	if left := withoutEvents(mentions(t, db, string(dies.ID))); len(left) > 0 {
		t.Errorf("the dead one is still in %q", left)
	}
	a = extend(t, db, a)
	d := newSession(t, db, u) // now b has the earliest deadline
	invalid(t, db, b)
	for _, s := range []snib.Session{a, c, d} {
		valid(t, db, s)
	}
	must(db.RenewSession(ctx, d.Token.Reveal()))(t)
	for _, s := range []snib.Session{a, c} {
		valid(t, db, s) // a renewal is not one more
	}
	if n := len(sessionIDs(t, db, u.ID)); n != 3 {
		t.Errorf("%d sessions, want 3", n)
	}
	if len(mentions(t, db, string(other.ID))) == 0 {
		t.Error("a session of another user made room")
	}
}

func TestCreateSessionEvictsOneOfAnEarlierEpochFirst(t *testing.T) {
	db, _ := clocked(t, snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 2}})
	u := user(t, db, "ada")
	ended := newSession(t, db, u)
	if err := db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	a, _ := family(t, db, u) // ends long before the other would have
	b := newSession(t, db, u)
	invalid(t, db, ended)
	if left := withoutEvents(mentions(t, db, string(ended.ID))); len(left) > 0 {
		t.Errorf("the dead one is still in %q", left)
	}
	valid(t, db, a)
	valid(t, db, b)
}

func TestCreateSessionEvictsADamagedOne(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 2}})
	u := email(t, db, "a@example.com")
	s := must(db.CreateSession(ctx, u, snib.SessionOptions{}))(t)
	kept := must(db.CreateSession(ctx, u, snib.SessionOptions{}))(t)
	b := handle(t, db)
	rawPut(t, b, "sessions", string(s.ID), flip(rawGet(t, b, "sessions", string(s.ID)), 50))
	logIn(t, db, "a@example.com")
	valid(t, db, kept)
	must(db.Check(ctx))(t)
}

// Damage to one record keeps nobody in who should be out.
func TestDamageKeepsNoSessionAlive(t *testing.T) {
	for name, shut := range map[string]func(c *checked) error{
		"DisableUser":             func(c *checked) error { return second(c.db.DisableUser(ctx, c.ada.ID, "")) },
		"UpdateUserPassword":      func(c *checked) error { return second(c.db.UpdateUserPassword(ctx, c.ada.ID, "a new passphrase")) },
		"RevokeUserSessions":      func(c *checked) error { return c.db.RevokeUserSessions(ctx, c.ada.ID) },
		"DeleteUser":              func(c *checked) error { return c.db.DeleteUser(ctx, c.ada.ID) },
		"RefreshTokens.RevokeAll": func(c *checked) error { return c.db.RefreshTokens().RevokeAll(ctx, c.ada.ID) },
		"RevokeSessionByID":       func(c *checked) error { return c.db.RevokeSessionByID(ctx, c.famSession.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newChecked(t)
			for space, key := range map[string]string{"refresh_families": string(c.family.ID), "one_time_tokens": string(c.link.ID)} {
				rawPut(t, c.b, space, key, flip(rawGet(t, c.b, space, key), 40))
			}
			if err := shut(c); err != nil {
				t.Fatal(err)
			}
			invalid(t, c.db, c.famSession)
			if name != "RefreshTokens.RevokeAll" && name != "RevokeSessionByID" {
				invalid(t, c.db, c.session)
			}
		})
	}
}
