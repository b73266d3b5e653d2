package snib_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// changes are changes of the ways in, and whether they end other sessions.
func changes(hash snib.PasswordHash) map[string]struct {
	do   func(tx *snib.Tx, id snib.UserID) error
	ends bool
} {
	type change = struct {
		do   func(tx *snib.Tx, id snib.UserID) error
		ends bool
	}
	return map[string]change{
		"LinkIdentity":   {func(tx *snib.Tx, id snib.UserID) error { return second(tx.LinkIdentity(id, "github", "2")) }, false},
		"UnlinkIdentity": {func(tx *snib.Tx, id snib.UserID) error { return second(tx.UnlinkIdentity(id, "github", "1")) }, false},
		"UpdateUserProviderID": {func(tx *snib.Tx, id snib.UserID) error {
			return second(tx.UpdateUserProviderID(id, "email", "b@example.com"))
		}, false},
		"UpdateUserPassword": {func(tx *snib.Tx, id snib.UserID) error { return second(tx.UpdateUserPassword(id, hash)) }, true},
		"RemoveUserPassword": {func(tx *snib.Tx, id snib.UserID) error { return second(tx.RemoveUserPassword(id)) }, true},
		"RevokeUserSessions": {func(tx *snib.Tx, id snib.UserID) error { return tx.RevokeUserSessions(id) }, true},
		"nothing":            {func(*snib.Tx, snib.UserID) error { return nil }, false},
	}
}

// TestChangeCredentialsGivesANewToken: the thief who has copied the session is
// out, and its user goes on as before.
func TestChangeCredentialsGivesANewToken(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	hash := must(db.HashPassword(ctx, "a new passphrase"))(t)
	for name, c := range changes(hash) {
		t.Run(name, func(t *testing.T) {
			u := opUser(t, db)
			defer db.DeleteUser(ctx, u.ID)
			old := must(db.CreateSession(ctx, u, snib.SessionOptions{
				Attributes: snib.Attributes{"device": "laptop"}, Methods: snib.MethodProvider, Persistent: true,
			}))(t)
			other := newSession(t, db, u)
			clock.Advance(time.Hour)
			var s snib.Session
			commits(t, db, 1, func() {
				s = must(db.ChangeCredentials(ctx, old.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
					if s.ID != old.ID || s.Token.Reveal() != "" {
						t.Errorf("the session is %+v", s)
					}
					return c.do(tx, s.UserID)
				}))(t)
			})
			invalid(t, db, old)
			valid(t, db, s)
			if c.ends {
				invalid(t, db, other)
			} else {
				valid(t, db, other)
			}
			got := must(db.GetSession(ctx, s.ID))(t)
			if !got.AuthenticatedAt.Equal(old.AuthenticatedAt) || !got.AbsoluteUntil.Equal(old.AbsoluteUntil) || got.Methods != old.Methods ||
				!got.Persistent || got.Attributes()["device"] != "laptop" || !got.ActiveUntil.Equal(clock.Now().Add(24*time.Hour)) {
				t.Errorf("the session is now %+v", got)
			}
		})
	}
}

// TestChangeCredentialsWritesNothingIfItFails, not even what change has written.
func TestChangeCredentialsWritesNothingIfItFails(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := opUser(t, db)
	s, idle := newSession(t, db, u), newSession(t, db, u)
	fails := errors.New("it fails")
	link := func(tx *snib.Tx, s snib.Session) error { return second(tx.LinkIdentity(s.UserID, "github", "2")) }
	quiet(t, db, func() {
		for want, change := range map[error]func(*snib.Tx, snib.Session) error{
			fails:                func(tx *snib.Tx, s snib.Session) error { return errors.Join(link(tx, s), fails) },
			snib.ErrUserNotFound: func(tx *snib.Tx, s snib.Session) error { return tx.DeleteUser(s.UserID) },
			snib.ErrUserDisabled: func(tx *snib.Tx, s snib.Session) error { return second(tx.DisableUser(s.UserID, "")) },
		} {
			_, err := db.ChangeCredentials(ctx, s.Token.Reveal(), change)
			wantErr(t, err, want)
			err = db.Update(ctx, func(tx *snib.Tx) error { // goes on as if nothing were
				wantErr(t, second(tx.ChangeCredentials(s.Token.Reveal(), change)), want)
				return nil
			})
			wantErr(t, err, want)
		}
		for _, token := range []string{"", "no token", string(s.ID)} {
			_, err := db.ChangeCredentials(ctx, token, link)
			wantErr(t, err, snib.ErrInvalidSession)
		}
		err := db.View(ctx, func(tx *snib.Tx) error { return second(tx.ChangeCredentials(s.Token.Reveal(), link)) })
		wantErr(t, err, snib.ErrReadOnly)
	})
	valid(t, db, s)
	clock.Advance(25 * time.Hour)
	_, err := db.ChangeCredentials(ctx, idle.Token.Reveal(), link)
	wantErr(t, err, snib.ErrInvalidSession)
}

// TestChangeCredentialsInAFamily: the session stays that of its refresh token as
// long as there is one.
func TestChangeCredentialsInAFamily(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := opUser(t, db)
	old, r := family(t, db, u)
	clock.Advance(time.Minute)
	change := func(s snib.Session, change func(tx *snib.Tx, s snib.Session) error) snib.Session {
		t.Helper()
		next := must(db.ChangeCredentials(ctx, s.Token.Reveal(), change))(t)
		invalid(t, db, s)
		valid(t, db, next)
		return next
	}
	s := change(old, func(tx *snib.Tx, s snib.Session) error { return second(tx.LinkIdentity(s.UserID, "github", "2")) })
	if s.RefreshTokenID != r.ID || !s.ActiveUntil.Equal(clock.Now().Add(time.Hour)) || !s.AuthenticatedAt.Equal(old.AuthenticatedAt) {
		t.Errorf("the session is now %+v", s)
	}
	s = change(s, func(tx *snib.Tx, s snib.Session) error { return tx.RevokeUserSessions(s.UserID, s.ID) })
	next, r := refresh(t, db, r)
	invalid(t, db, s)

	clock.Advance(time.Minute)
	s = change(next, func(tx *snib.Tx, s snib.Session) error { return tx.RevokeUserSessions(s.UserID) })
	if s.RefreshTokenID != "" || !s.AbsoluteUntil.Equal(next.ActiveUntil) || !s.IdleUntil.Equal(next.ActiveUntil) {
		t.Errorf("the session is now %+v", s)
	}
	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
}

// TestReauthenticateInAFamily makes the session fresh and no other of the
// refresh token: its bearer may be a thief, to whom the owner's password must
// give nothing.
func TestReauthenticateInAFamily(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	begun := clock.Now()
	_, parent := family(t, db, u)
	clock.Advance(10 * time.Minute)
	old, r := refresh(t, db, parent)
	clock.Advance(10 * time.Second)

	s := replaced(t, db, old)
	if !s.AuthenticatedAt.Equal(clock.Now()) || s.RefreshTokenID != r.ID || !s.AbsoluteUntil.Equal(old.AbsoluteUntil) || s.Methods != snib.MethodPassword {
		t.Errorf("the session is %+v", s)
	}
	if got := must(db.RefreshTokens().List(ctx, u.ID))(t)[0]; !got.AuthenticatedAt.Equal(begun) || got.SessionID != s.ID {
		t.Errorf("the family is %+v", got)
	}
	// The parent is still in its grace: the same refresh token, and not the
	// session that was made fresh.
	again, same := refresh(t, db, parent)
	if same.Token.Reveal() != r.Token.Reveal() || again.ID == s.ID || !again.AuthenticatedAt.Equal(begun) || again.Methods != 0 {
		t.Errorf("the parent gives %+v", again)
	}
	invalid(t, db, s)

	s = replaced(t, db, again)
	next, r := refresh(t, db, r)
	if !next.AuthenticatedAt.Equal(begun) || next.Methods != 0 {
		t.Errorf("the next session is %+v", next)
	}
	invalid(t, db, s)
	_, _, err := db.Refresh(ctx, parent.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
	refused(t, db, r.Token.Reveal(), snib.ErrRefreshTokenReused)
}

// TestReauthenticateShowsThatTheAnswerArrived: the session of a rotation was
// used, so its parent, presented later, is reuse.
func TestReauthenticateShowsThatTheAnswerArrived(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	_, parent := family(t, db, email(t, db, "a@example.com"))
	old, _ := refresh(t, db, parent)
	replaced := must(db.Reauthenticate(ctx, old.Token.Reveal(), password))(t)
	clock.Advance(time.Minute)
	_, _, err := db.Refresh(ctx, parent.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
	invalid(t, db, replaced)
}

// TestChangePasswordByTwoBearers of one token: one of them changes it.
func TestChangePasswordByTwoBearers(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	var won atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			next, err := db.ChangePassword(ctx, s.Token.Reveal(), password, "a new passphrase")
			if err == nil {
				won.Add(1)
				valid(t, db, next)
			} else if !errors.Is(err, snib.ErrInvalidSession) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have changed it", won.Load())
	}
}

// TestNothingIsCommittedAfterAMethodThatFailedHalfWay, though the function of the
// program ignores the error.
func TestNothingIsCommittedAfterAMethodThatFailedHalfWay(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := email(t, db, "ada@example.com")
	s := logIn(t, db, "ada@example.com")
	refused := errors.New("refused")
	halfWay := func(tx *snib.Tx) {
		_, err := tx.ChangeCredentials(s.Token.Reveal(), func(tx *snib.Tx, _ snib.Session) error {
			must(tx.UpdateUserAttributes(u.ID, snib.Attributes{"half": true}))(t)
			return refused
		})
		wantErr(t, err, refused)
	}
	code := must(db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com"))(t)
	must(0, db.Codes().Store(ctx, code))(t)
	use := func(do func(*snib.Tx, snib.User) error) error {
		return db.Codes().Use(ctx, "sign-in", code.Handle.Reveal(), code.Digits.Reveal(), do)
	}
	quiet(t, db, func() {
		_, err := db.ChangeCredentials(ctx, s.Token.Reveal(), func(tx *snib.Tx, _ snib.Session) error {
			halfWay(tx)
			return nil
		})
		wantErr(t, err, refused)
		wantErr(t, use(func(tx *snib.Tx, _ snib.User) error {
			halfWay(tx)
			return nil
		}), refused)
	})
	valid(t, db, s)
	must(0, use(func(*snib.Tx, snib.User) error { return nil }))(t)
}

// TestMergeWithinChangeCredentials gives the session one new token.
func TestMergeWithinChangeCredentials(t *testing.T) {
	p := newPair(t, snib.Options{})
	s := must(p.db.ChangeCredentials(ctx, p.into.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		m, err := tx.Identities().Merge(ctx, p.into.Token.Reveal(), p.from.Token.Reveal())
		if err == nil && (m.Session.ID != s.ID || m.Session.Token.Reveal() != "") {
			t.Errorf("%+v", m.Session)
		}
		return err
	}))(t)
	invalid(t, p.db, p.into)
	valid(t, p.db, s)
	if n := len(must(p.db.ListUserSessions(ctx, p.ada.ID))(t)); n != 1 {
		t.Errorf("%d sessions", n)
	}
	p = newPair(t, snib.Options{})
	quiet(t, p.db, func() {
		_, err := p.db.ChangeCredentials(ctx, p.from.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
			return second(tx.Identities().Merge(ctx, p.into.Token.Reveal(), p.from.Token.Reveal()))
		})
		wantErr(t, err, snib.ErrUserNotFound)
	})
}
