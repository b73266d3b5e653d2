package snib_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// TestMethodsTellTheirNames: the bits are frozen, and so are the words that
// clients and logs see.
func TestMethodsTellTheirNames(t *testing.T) {
	for m, want := range map[snib.Methods]string{
		0: `[]`, 1: `["password"]`, 2: `["one-time-token"]`, 4: `["provider"]`, 8: `["totp"]`,
		16: `["recovery-code"]`, 32: `["passkey"]`, 64: `["trusted-device"]`,
		snib.MethodTOTP | snib.MethodPassword: `["password","totp"]`, 1<<15 | 1: `["password","unknown"]`,
	} {
		if got := string(must(json.Marshal(m))(t)); got != want {
			t.Errorf("%d is %s, want %s", m, got, want)
		}
	}
	m := snib.MethodPassword | snib.MethodPasskey
	if m.String() != "password passkey" || !m.Has(snib.MethodPasskey) || m.Has(snib.MethodPasskey|snib.MethodTOTP) || !m.Has(0) {
		t.Errorf("%v has others than it should", m)
	}
}

// wantMethods looks at the session that was returned and at the stored one.
func wantMethods(t *testing.T, db *snib.DB, s snib.Session, want snib.Methods) snib.Session {
	t.Helper()
	if got := must(db.GetSession(ctx, s.ID))(t).Methods; got != want || s.Methods != want {
		t.Errorf("methods %v and %v, want %v", s.Methods, got, want)
	}
	return s
}

// TestSessionMethodsAreThoseOfTheProof, and go with the session wherever it goes.
func TestSessionMethodsAreThoseOfTheProof(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	const byPassword, byLink, byProvider = snib.MethodPassword, snib.MethodOneTimeToken, snib.MethodProvider
	wantMethods(t, db, logIn(t, db, "a@example.com"), byPassword)
	wantMethods(t, db, newSession(t, db, u), 0)
	known := must(db.AuthenticateUser(ctx, "email", "a@example.com", password))(t)
	s := wantMethods(t, db, must(db.CreateSession(ctx, known, snib.SessionOptions{Methods: snib.MethodTOTP}))(t), byPassword|snib.MethodTOTP)
	s = wantMethods(t, db, must(db.RenewSession(ctx, s.Token.Reveal()))(t), byPassword|snib.MethodTOTP)
	wantMethods(t, db, must(db.CreateSession(ctx, s, snib.SessionOptions{}))(t), byPassword|snib.MethodTOTP)

	s = wantMethods(t, db, must(db.CreateSession(ctx, u, snib.SessionOptions{Methods: byProvider}))(t), byProvider)
	s = wantMethods(t, db, must(db.Reauthenticate(ctx, s.Token.Reveal(), password))(t), byProvider|byPassword)
	born, family, err := db.CreateRefreshToken(ctx, s, snib.SessionOptions{Methods: byLink})
	if err != nil {
		t.Fatal(err)
	}
	wantMethods(t, db, born, byProvider|byPassword|byLink)
	born, _, err = db.Refresh(ctx, family.Token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	wantMethods(t, db, born, byProvider|byPassword|byLink)

	_, err = db.CreateSession(ctx, u, snib.SessionOptions{Methods: 1 << 15})
	wantField(t, err, "Methods")
	_, _, err = db.LogIn(ctx, "email", "a@example.com", password, snib.SessionOptions{Methods: 1 << 7})
	wantField(t, err, "Methods")
}

// TestOneTimeTokenIsAProof once it is used, as long as nothing has voided it.
func TestOneTimeTokenIsAProof(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	link := func() snib.OneTimeToken {
		clock.Advance(time.Minute)
		return must(db.Tokens().Create(ctx, u.ID, "log-in", time.Hour, nil))(t)
	}
	made := link()
	peeked := must(db.Tokens().Peek(ctx, "log-in", made.Token.Reveal()))(t)
	for _, unused := range []snib.OneTimeToken{made, peeked, {UserID: u.ID}} {
		_, err := db.CreateSession(ctx, unused, snib.SessionOptions{})
		wantField(t, err, "Proof")
	}
	used := must(db.Tokens().Use(ctx, "log-in", made.Token.Reveal()))(t)
	s := wantMethods(t, db, must(db.CreateSession(ctx, used, snib.SessionOptions{}))(t), snib.MethodOneTimeToken)
	if !s.AuthenticatedAt.Equal(clock.Now()) {
		t.Errorf("authenticated at %v", s.AuthenticatedAt)
	}
	must(db.UpdateUserPassword(ctx, u.ID, "a new passphrase"))(t)
	_, err := db.CreateSession(ctx, used, snib.SessionOptions{})
	wantErr(t, err, snib.ErrInvalidCredentials)
	used = must(db.Tokens().Use(ctx, "log-in", link().Token.Reveal()))(t)
	must(db.DisableUser(ctx, u.ID, ""))(t)
	_, err = db.CreateSession(ctx, used, snib.SessionOptions{})
	wantErr(t, err, snib.ErrUserDisabled)
	if err := db.DeleteUser(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = db.CreateRefreshToken(ctx, used, snib.SessionOptions{})
	wantErr(t, err, snib.ErrUserNotFound)
}

// TestSessionOptionsShortenTheLife: of a session at a kiosk, whatever is done
// with it.
func TestSessionOptionsShortenTheLife(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	o := snib.SessionOptions{Active: 5 * time.Minute, Idle: -1, Absolute: time.Hour}
	s := must(db.CreateSession(ctx, u, o))(t)
	begun := clock.Now()
	want := func(s snib.Session, active time.Duration) {
		t.Helper()
		until := clock.Now().Add(active)
		if !s.ActiveUntil.Equal(until) || !s.IdleUntil.Equal(until) || !s.AbsoluteUntil.Equal(begun.Add(time.Hour)) {
			t.Fatalf("lives until %v, %v, %v", s.ActiveUntil, s.IdleUntil, s.AbsoluteUntil)
		}
	}
	want(s, 5*time.Minute)
	for range 14 {
		clock.Advance(4 * time.Minute)
		s = extend(t, db, s)
		if s.ActiveUntil.Before(begun.Add(time.Hour)) {
			want(s, 5*time.Minute)
		}
	}
	want(s, 4*time.Minute) // 56 minutes are over, and the absolute deadline cuts
	s = must(db.RenewSession(ctx, s.Token.Reveal()))(t)
	want(s, 4*time.Minute)
	s = replaced(t, db, s)
	want(s, 4*time.Minute)
	clock.Advance(4 * time.Minute)
	invalid(t, db, s)

	s = must(db.CreateSession(ctx, u, snib.SessionOptions{Active: time.Minute, Idle: time.Hour}))(t)
	clock.Advance(30 * time.Minute) // idle
	s = extend(t, db, s)
	if got, idle := s.ActiveUntil.Sub(clock.Now()), s.IdleUntil.Sub(s.ActiveUntil); got != time.Minute || idle != time.Hour {
		t.Errorf("active for %v, then idle for %v", got, idle)
	}
}

// TestSessionOptionsDoNotLengthenTheLife beyond the policy, now or when that is
// lowered.
func TestSessionOptionsDoNotLengthenTheLife(t *testing.T) {
	path := t.TempDir() + "/a.db"
	clock := snibtest.NewClock()
	o := &snib.Options{Now: clock.Now}
	db := openFile(t, path, o)
	u := email(t, db, "a@example.com")
	for field, o := range map[string]snib.SessionOptions{
		"Active":    {Active: 24*time.Hour + 1},
		"Idle":      {Idle: 14*24*time.Hour + 1},
		"Absolute":  {Absolute: 90*24*time.Hour + 1},
		"Active ":   {Active: time.Second - 1},
		"Absolute ": {Absolute: -1},
	} {
		field = strings.TrimSpace(field)
		_, err := db.CreateSession(ctx, u, o)
		wantField(t, err, field)
		_, _, err = db.LogIn(ctx, "email", "a@example.com", "a guess", o)
		wantField(t, err, field)
		_, _, err = db.CreateRefreshToken(ctx, u, o)
		wantField(t, err, field)
	}
	s := must(db.CreateSession(ctx, u, snib.SessionOptions{Active: time.Hour, Idle: time.Hour}))(t)
	_, family, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{Absolute: time.Hour, Persistent: true})
	if err != nil || !family.AbsoluteUntil.Equal(clock.Now().Add(time.Hour)) || !family.IdleUntil.Equal(family.AbsoluteUntil) {
		t.Fatalf("the family lives until %v, %v; %v", family.IdleUntil, family.AbsoluteUntil, err)
	}
	born, _, err := db.Refresh(ctx, family.Token.Reveal())
	if err != nil || !born.Persistent || born.AbsoluteUntil != family.AbsoluteUntil {
		t.Errorf("persistent %t until %v, %v", born.Persistent, born.AbsoluteUntil, err)
	}
	closeDB(t, db)
	o.Sessions.Active, o.Sessions.Idle = time.Minute, -1
	db = openFile(t, path, o)
	clock.Advance(time.Minute)
	s = must(db.RenewSession(ctx, s.Token.Reveal()))(t)
	if until := clock.Now().Add(time.Minute); !s.ActiveUntil.Equal(until) || !s.IdleUntil.Equal(until) {
		t.Errorf("lives until %v, %v", s.ActiveUntil, s.IdleUntil)
	}
}

// TestSessionPersistentStays through all that gives the session another token.
func TestSessionPersistentStays(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	for _, persistent := range []bool{false, true} {
		s := must(db.CreateSession(ctx, u, snib.SessionOptions{Persistent: persistent}))(t)
		renewed := must(db.RenewSession(ctx, s.Token.Reveal()))(t)
		again := replaced(t, db, renewed)
		if s.Persistent != persistent || renewed.Persistent != persistent || must(db.ValidateSession(ctx, again.Token.Reveal()))(t).Persistent != persistent {
			t.Errorf("%t became %t, %t, %t", persistent, s.Persistent, renewed.Persistent, again.Persistent)
		}
	}
}
