package snib_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// TestCreateSessionOfASession: a log-in can be carried to another place, as
// long as it lives, and does not become a younger or longer one there.
func TestCreateSessionOfASession(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: 50 * time.Hour, Absolute: 100 * time.Hour}})
	u := user(t, db, "ada")
	first := newSession(t, db, u)
	clock.Advance(20 * time.Hour)

	second := must(db.CreateSession(ctx, first, snib.SessionOptions{}))(t)
	carried, r, err := db.CreateRefreshToken(ctx, first, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if second.UserID != u.ID || second.ID == first.ID {
		t.Errorf("the session is %+v", second)
	}
	for _, got := range []snib.Session{second, carried} {
		valid(t, db, got)
		if !got.AuthenticatedAt.Equal(first.AuthenticatedAt) || !got.AbsoluteUntil.Equal(first.AbsoluteUntil) {
			t.Errorf("log-in %v, until %v; want %v, %v", got.AuthenticatedAt, got.AbsoluteUntil, first.AuthenticatedAt, first.AbsoluteUntil)
		}
	}
	if !r.AuthenticatedAt.Equal(first.AuthenticatedAt) || !r.AbsoluteUntil.Equal(first.AbsoluteUntil) {
		t.Errorf("the refresh token: log-in %v, until %v", r.AuthenticatedAt, r.AbsoluteUntil)
	}
}

// TestCreateSessionNeedsProof: a session that has ended, is idle or was made
// up proves nothing, and neither does a User that was made up.
func TestCreateSessionNeedsProof(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: time.Hour}})
	u, other := user(t, db, "ada"), user(t, db, "bob")
	ended, idle := newSession(t, db, u), newSession(t, db, u)
	if err := db.RevokeSession(ctx, u.ID, ended.ID); err != nil {
		t.Fatal(err)
	}
	clock.Advance(2 * time.Hour)
	theirs := newSession(t, db, other)
	theirs.UserID = u.ID
	disabled := newSession(t, db, user(t, db, "eve"))
	for name, x := range map[string]struct {
		proof snib.Proof
		want  error
	}{
		"nil":               {nil, snib.ErrInvalidInput},
		"no user":           {snib.User{}, snib.ErrInvalidInput},
		"no version":        {snib.User{ID: u.ID}, snib.ErrInvalidInput},
		"no session":        {snib.Session{}, snib.ErrInvalidInput},
		"unknown user":      {snib.User{ID: "nobody", CredentialVersion: 1}, snib.ErrUserNotFound},
		"ended":             {ended, snib.ErrInvalidSession},
		"idle":              {idle, snib.ErrInvalidSession},
		"of another user":   {theirs, snib.ErrInvalidSession},
		"earlier knowledge": {snib.User{ID: u.ID, CredentialVersion: u.CredentialVersion + 1}, snib.ErrInvalidCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			quiet(t, db, func() {
				_, err := db.CreateSession(ctx, x.proof, snib.SessionOptions{})
				wantErr(t, err, x.want)
				_, _, err = db.CreateRefreshToken(ctx, x.proof, snib.SessionOptions{})
				wantErr(t, err, x.want)
			})
		})
	}
	must(db.DisableUser(ctx, disabled.UserID, ""))(t)
	_, err := db.CreateSession(ctx, disabled, snib.SessionOptions{})
	wantErr(t, err, snib.ErrInvalidSession) // it ended with that
}

// An op is one operation on a user who has this package's password, the
// identities email a@example.com and github 1, and a session s.
type op struct {
	name string
	do   func(db *snib.DB, id snib.UserID, s snib.Session) error
}

// onUser is an op of a method that returns the updated user.
func onUser(name string, do func(db *snib.DB, id snib.UserID) (snib.User, error)) op {
	return op{name, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := do(db, id)
		return err
	}}
}

// raising are the operations after which an earlier proof of identity is
// worth nothing.
var raising = []op{
	onUser("UpdateUserPassword", func(db *snib.DB, id snib.UserID) (snib.User, error) {
		return db.UpdateUserPassword(ctx, id, "a new passphrase")
	}),
	onUser("UpdateUserPassword to the same", func(db *snib.DB, id snib.UserID) (snib.User, error) {
		return db.UpdateUserPassword(ctx, id, password)
	}),
	{"ChangePassword", func(db *snib.DB, _ snib.UserID, s snib.Session) error {
		return second(db.ChangePassword(ctx, s.Token.Reveal(), password, "a new passphrase"))
	}},
	onUser("RemoveUserPassword", func(db *snib.DB, id snib.UserID) (snib.User, error) { return db.RemoveUserPassword(ctx, id) }),
	onUser("DisableUser", func(db *snib.DB, id snib.UserID) (snib.User, error) { return db.DisableUser(ctx, id, "spam") }),
	onUser("UpdateUserProviderID", func(db *snib.DB, id snib.UserID) (snib.User, error) {
		return db.UpdateUserProviderID(ctx, id, "email", "b@example.com")
	}),
	onUser("UpdateUserProviderID of another provider", func(db *snib.DB, id snib.UserID) (snib.User, error) {
		return db.UpdateUserProviderID(ctx, id, "github", "2")
	}),
	onUser("UnlinkIdentity", func(db *snib.DB, id snib.UserID) (snib.User, error) {
		return db.UnlinkIdentity(ctx, id, "github", "1")
	}),
	onUser("UnlinkIdentity of the primary", func(db *snib.DB, id snib.UserID) (snib.User, error) {
		return db.UnlinkIdentity(ctx, id, "email", "a@example.com")
	}),
	{"RevokeUserSessions", func(db *snib.DB, id snib.UserID, s snib.Session) error {
		return db.RevokeUserSessions(ctx, id, s.ID)
	}},
	{"RefreshTokens.RevokeAll", func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		return db.RefreshTokens().RevokeAll(ctx, id)
	}},
}

// keeping are operations that leave the credentials as they are.
var keeping = []op{
	onUser("UpdateUserProviderID, spelling only", func(db *snib.DB, id snib.UserID) (snib.User, error) {
		return db.UpdateUserProviderID(ctx, id, "email", "A@EXAMPLE.com")
	}),
	onUser("LinkIdentity", func(db *snib.DB, id snib.UserID) (snib.User, error) { return db.LinkIdentity(ctx, id, "github", "2") }),
	onUser("UnlinkIdentity of what is not linked", func(db *snib.DB, id snib.UserID) (snib.User, error) {
		return db.UnlinkIdentity(ctx, id, "github", "2")
	}),
	onUser("UpdateUserAttributes", func(db *snib.DB, id snib.UserID) (snib.User, error) {
		return db.UpdateUserAttributes(ctx, id, snib.Attributes{"a": 1})
	}),
	onUser("EnableUser of an enabled one", func(db *snib.DB, id snib.UserID) (snib.User, error) { return db.EnableUser(ctx, id) }),
	{"LogIn", func(db *snib.DB, _ snib.UserID, _ snib.Session) error {
		_, _, err := db.LogIn(ctx, "email", "a@example.com", password, snib.SessionOptions{})
		return err
	}},
	onUser("AuthenticateUser", func(db *snib.DB, _ snib.UserID) (snib.User, error) {
		return db.AuthenticateUser(ctx, "email", "a@example.com", password)
	}),
	{"RevokeSessionByID", func(db *snib.DB, _ snib.UserID, s snib.Session) error { return db.RevokeSessionByID(ctx, s.ID) }},
	{"RevokeToken", func(db *snib.DB, _ snib.UserID, s snib.Session) error {
		return db.RevokeToken(ctx, s.Token.Reveal())
	}},
	{"DeleteDeadUserSessions", func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.DeleteDeadUserSessions(ctx, id)
		return err
	}},
	{"CreateRefreshToken, Refresh, Revoke", func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		u, err := db.GetUser(ctx, id)
		if err != nil {
			return err
		}
		_, r, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
		_, _, err2 := db.Refresh(ctx, r.Token.Reveal())
		return errors.Join(err, err2, db.RefreshTokens().RevokeByID(ctx, r.ID))
	}},
	{"EndEverything", func(db *snib.DB, _ snib.UserID, _ snib.Session) error { return db.EndEverything(ctx) }},
}

// opUser makes the user whom an op is about.
func opUser(tb testing.TB, db *snib.DB) snib.User {
	tb.Helper()
	return must(db.LinkIdentity(ctx, email(tb, db, "a@example.com").ID, "github", "1"))(tb)
}

func TestWhatRaisesTheCredentialVersion(t *testing.T) {
	for delta, ops := range map[uint64][]op{1: raising, 0: keeping} {
		for _, o := range ops {
			t.Run(o.name, func(t *testing.T) {
				db := snibtest.NewDB(t, nil)
				u := opUser(t, db)
				if u.CredentialVersion == 0 || u.CredentialVersion>>63 != 0 {
					t.Errorf("it starts at %d, want 63 bits", u.CredentialVersion)
				}
				if err := o.do(db, u.ID, newSession(t, db, u)); err != nil {
					t.Fatal(err)
				}
				if got := must(db.GetUser(ctx, u.ID))(t).CredentialVersion; got != u.CredentialVersion+delta {
					t.Errorf("it is %d, want %d more than %d", got, delta, u.CredentialVersion)
				}
			})
		}
	}
}

// The same id means somebody else after it was deleted and imported anew, and
// no proof of the one serves for the other.
func TestCreateSessionRefusesTheProofOfADeletedUser(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	as := func(address string) snib.User {
		return must(db.ImportUser(ctx, snib.UserImport{ID: "old-4711", Provider: "email", Identifier: address}))(t)
	}
	before := as("a@example.com")
	if err := db.DeleteUser(ctx, before.ID); err != nil {
		t.Fatal(err)
	}
	now := as("b@example.com")
	wantErr(t, second(db.CreateSession(ctx, before, snib.SessionOptions{})), snib.ErrInvalidCredentials)
	wantErr(t, thirdError(db.CreateRefreshToken(ctx, before, snib.SessionOptions{})), snib.ErrInvalidCredentials)
	newSession(t, db, now)
}

func TestCreateSessionRefusesAStaleCredentialVersion(t *testing.T) {
	for _, o := range raising {
		t.Run(o.name, func(t *testing.T) {
			db := snibtest.NewDB(t, nil)
			u := opUser(t, db)
			if err := o.do(db, u.ID, newSession(t, db, u)); err != nil {
				t.Fatal(err)
			}
			want := snib.ErrInvalidCredentials
			if o.name == "DisableUser" {
				want = snib.ErrUserDisabled
			}
			quiet(t, db, func() {
				for _, v := range []uint64{u.CredentialVersion, u.CredentialVersion + 7} {
					proof := snib.User{ID: u.ID, CredentialVersion: v}
					_, err := db.CreateSession(ctx, proof, snib.SessionOptions{})
					wantErr(t, err, want)
					_, _, err = db.CreateRefreshToken(ctx, proof, snib.SessionOptions{})
					wantErr(t, err, want)
				}
			})
			if o.name == "DisableUser" {
				must(db.EnableUser(ctx, u.ID))(t)
				_, err := db.CreateSession(ctx, u, snib.SessionOptions{})
				wantErr(t, err, snib.ErrInvalidCredentials) // nothing comes back
			}
			valid(t, db, must(db.CreateSession(ctx, asNow(t, db, u.ID), snib.SessionOptions{}))(t))
		})
	}
}

// once sets f as what happens between the next verification of a password and
// the transaction that relies on it.
func once(db *snib.DB, f func()) {
	db.SetVerified(func() {
		db.SetVerified(nil)
		f()
	})
}

// passwordStays are those of raising, and one more, after which the password
// that was verified before is still the one with which this identity logs in.
var passwordStays = []op{
	named("UnlinkIdentity"), named("RevokeUserSessions"), named("RefreshTokens.RevokeAll"),
	named("UpdateUserProviderID of another provider"),
	{"DisableUser and EnableUser", func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.DisableUser(ctx, id, "")
		_, err2 := db.EnableUser(ctx, id)
		return errors.Join(err, err2)
	}},
}

func named(name string) op {
	return raising[slices.IndexFunc(raising, func(o op) bool { return o.name == name })]
}

func stays(o op) bool {
	return slices.ContainsFunc(passwordStays, func(s op) bool { return s.name == o.name })
}

// The right password is right, though the sessions end while it is verified.
func TestLogInWhileAnotherDeviceSignsOutEverywhere(t *testing.T) {
	for _, o := range passwordStays {
		for name, enter := range entrances {
			t.Run(o.name+", "+name, func(t *testing.T) {
				db := snibtest.NewDB(t, nil)
				u := opUser(t, db)
				s := newSession(t, db, u)
				once(db, func() {
					if err := o.do(db, u.ID, s); err != nil {
						t.Fatal(err)
					}
				})
				if err := enter(db, "a@example.com", password); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A User of AuthenticateUser is evidence as a log-in is, also with a change
// between the two calls; one that was only read is void.
func TestCreateSessionOfAVerifiedPasswordDecidesAnew(t *testing.T) {
	for _, o := range append(passwordStays, raising...) {
		t.Run(o.name, func(t *testing.T) {
			db := snibtest.NewDB(t, nil)
			u := opUser(t, db)
			proof := must(db.AuthenticateUser(ctx, "email", "a@example.com", password))(t)
			if err := o.do(db, u.ID, newSession(t, db, u)); err != nil {
				t.Fatal(err)
			}
			_, err := db.CreateSession(ctx, u, snib.SessionOptions{})
			if o.name == "DisableUser" {
				wantErr(t, err, snib.ErrUserDisabled)
			} else {
				wantErr(t, err, snib.ErrInvalidCredentials)
			}
			s, err := db.CreateSession(ctx, proof, snib.SessionOptions{})
			switch {
			case stays(o) && err == nil:
				valid(t, db, s)
			case stays(o):
				t.Error(err)
			case o.name == "DisableUser":
				wantErr(t, err, snib.ErrUserDisabled)
			default:
				wantErr(t, err, snib.ErrInvalidCredentials)
			}
			mixed := proof
			mixed.ID = user(t, db, "eve").ID // nobody else's evidence
			wantErr(t, second(db.CreateSession(ctx, mixed, snib.SessionOptions{})), snib.ErrInvalidCredentials)
		})
	}
}

func TestLogInVerifiedBeforeAChangeLetsNobodyInAfterIt(t *testing.T) {
	gone := []op{
		{"DeleteUser", func(db *snib.DB, id snib.UserID, _ snib.Session) error { return db.DeleteUser(ctx, id) }},
		{"DeleteUser, and another takes the identity", func(db *snib.DB, id snib.UserID, _ snib.Session) error {
			return errors.Join(db.DeleteUser(ctx, id), take(db))
		}},
	}
	for _, o := range slices.DeleteFunc(append(gone, raising...), stays) {
		t.Run(o.name, func(t *testing.T) {
			for _, enter := range entrances {
				db := snibtest.NewDB(t, nil)
				u := opUser(t, db)
				s := newSession(t, db, u)
				var after map[string]string
				once(db, func() {
					if err := o.do(db, u.ID, s); err != nil {
						t.Fatal(err)
					}
					after, _ = content(t, db)
				})
				wantErr(t, enter(db, "a@example.com", password), snib.ErrInvalidCredentials)
				if now, _ := content(t, db); after == nil || !maps.Equal(now, after) {
					t.Error("the late log-in has written something")
				}
			}
		})
	}
}

// take makes another user with the identity of an op's.
func take(db *snib.DB) error {
	_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com", Password: password})
	return err
}

func TestLogInWhileNoCredentialChangesLetsIn(t *testing.T) {
	for _, o := range keeping {
		t.Run(o.name, func(t *testing.T) {
			db := snibtest.NewDB(t, nil)
			u := opUser(t, db)
			s := newSession(t, db, u)
			once(db, func() {
				if err := o.do(db, u.ID, s); err != nil {
					t.Fatal(err)
				}
			})
			s, got, err := db.LogIn(ctx, "email", "a@example.com", password, snib.SessionOptions{})
			if err != nil || got.ID != u.ID {
				t.Fatalf("log in: %v", err)
			}
			valid(t, db, s)
		})
	}
}
