package snib_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
	"github.com/snibdb/snib/snibtest"
)

// scene is a database in which every writing method has something to do.
type scene struct {
	db                   *snib.DB
	user                 snib.User
	session, born, other snib.Session
	family, spent        snib.RefreshToken
	link, move           snib.OneTimeToken
	asked                snib.ResetRequest
	reset                snib.Reset
	pending              string    // a pending link
	drawn, code          snib.Code // the latter is stored
	key                  snib.APIKey
	claim                snib.Token
	signUp               snib.Token
	invitation           snib.Invitation
	hash                 snib.PasswordHash
	away                 snib.User // disabled
	device               snib.Device
	factors              *factorScene
	twin                 snib.Session // of another account of ada's
}

func newScene(tb testing.TB, db *snib.DB) *scene {
	tb.Helper()
	s := &scene{db: db}
	s.user = must(db.CreateUser(ctx, snib.NewUser{
		Provider: "email", Identifier: "ada@example.com", Password: password,
		Attributes: snib.Attributes{"nick": "Ada", "team": "blue"},
	}))(tb)
	s.user = must(db.LinkIdentity(ctx, s.user.ID, "google", "second"))(tb)
	s.session, s.other = logIn(tb, db, "ada@example.com"), logIn(tb, db, "ada@example.com")
	var err error
	if s.born, s.family, err = db.CreateRefreshToken(ctx, s.user, snib.SessionOptions{}); err != nil {
		tb.Fatal(err)
	}
	if _, s.spent, err = db.CreateRefreshToken(ctx, s.user, snib.SessionOptions{}); err != nil {
		tb.Fatal(err)
	}
	_, next, err := db.Refresh(ctx, s.spent.Token.Reveal())
	if err != nil {
		tb.Fatal(err)
	}
	if _, _, err = db.Refresh(ctx, next.Token.Reveal()); err != nil {
		tb.Fatal(err)
	}
	s.link = must(db.Tokens().Create(ctx, s.user.ID, "reset", time.Hour, nil))(tb)
	s.asked = must(db.Tokens().BeginReset(ctx, "email", "ada@example.com", time.Hour))(tb)
	s.key = must(db.APIKeys().Create(ctx, s.session, snib.NewAPIKey{Name: "backup", Scopes: []string{"files"}, TTL: time.Hour}))(tb)
	must(db.Roles().Grant(ctx, s.user.ID, "billing"))(tb)
	s.claim, _ = db.Roles().ClaimToken(ctx, "admin") // if it is a role here
	mover := must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "mover"}))(tb)
	s.move = must(db.Identities().BeginMove(ctx, mover.ID, "x", "moved", time.Hour))(tb)
	must(db.Identities().Verify(ctx, s.user.ID, "email", "ada@example.com"))(tb)
	_, refused := db.Identities().ResolveExternal(ctx, snib.External{Provider: "sso", Subject: "7", AddressProvider: "email", Address: "ada@example.com"})
	if e, ok := errors.AsType[*snib.LinkRequiredError](refused); ok {
		s.pending = e.Pending.Reveal()
	} else {
		tb.Fatal(refused)
	}
	s.drawn = must(db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com"))(tb)
	s.code = must(db.Codes().Begin(ctx, "sign-in", "x", "mover"))(tb)
	if err := db.Codes().Store(ctx, s.code); err != nil {
		tb.Fatal(err)
	}
	s.device = must(db.Devices().Remember(ctx, s.session))(tb)
	s.hash = must(db.HashPassword(ctx, "another passphrase"))(tb)
	putRows(tb, db, "notes", 3, s.user.ID)
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "forgetful@example.com", Password: password}))(tb)
	s.reset = must(db.Tokens().StoreReset(ctx, must(db.Tokens().BeginReset(ctx, "email", "forgetful@example.com", time.Hour))(tb)))(tb)
	s.away = must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "away"}))(tb)
	must(db.DisableUser(ctx, s.away.ID, "left"))(tb)
	s.signUp = must(db.Identities().BeginSignUp(ctx, "x", "away", time.Hour))(tb).Token
	s.invitation = must(db.Identities().Invite(ctx, snib.NewInvitation{Provider: "email", Identifier: "invited@example.com", TTL: time.Hour, Roles: []string{"support"}, Attributes: snib.Attributes{"team": "red"}}))(tb)
	twin := must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "twin", Attributes: snib.Attributes{"nick": "twin"}}))(tb)
	must(db.Roles().Grant(ctx, twin.ID, "twins"))(tb)
	s.twin = must(db.CreateSession(ctx, twin, snib.SessionOptions{}))(tb)
	rowOf(tb, db, "notes", twin.ID, "of the twin", "a row")
	s.factors = newFactorScene(tb, db)
	return s
}

// A factorScene is a user with a second factor, one that waits, and two log-ins
// that wait for theirs. It is nil in a database without keys.
type factorScene struct {
	session                          snib.Session
	phone                            *authenticator
	waiting                          snib.TOTPEnrolment
	pending, pendingFamily, recovery string

	key *keyring
}

func newFactorScene(tb testing.TB, db *snib.DB) *factorScene {
	tb.Helper()
	u := email(tb, db, "eve@example.com")
	f := &factorScene{session: logIn(tb, db, "eve@example.com")}
	if _, err := db.Factors().BeginTOTP(ctx, f.session, "Notes", "phone"); errors.Is(err, snib.ErrNoKey) {
		return nil
	}
	f.phone = enrolIn(tb, db, &f.session)
	f.recovery = printCodes(tb, db, &f.session)[0]
	f.key = newKeyring(tb, db, &f.session)
	f.waiting = must(db.Factors().BeginTOTP(ctx, f.session, "Notes", "tablet"))(tb)
	u = asNow(tb, db, u.ID)
	f.pending = pendingOf(tb, second(db.CreateSession(ctx, u, snib.SessionOptions{})))
	_, _, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	f.pendingFamily = pendingOf(tb, err)
	return f
}

// writes are the writing methods of DB, each with something to do in a scene.
var writes = map[string]func(*scene) error{
	"CreateUser": func(s *scene) error {
		_, err := s.db.CreateUser(ctx, snib.NewUser{Provider: "github", Identifier: "1", Attributes: snib.Attributes{"nick": "bob"}})
		return err
	},
	"ImportUser": func(s *scene) error {
		_, err := s.db.ImportUser(ctx, snib.UserImport{ID: "u1", Provider: "github", Identifier: "1", Roles: []string{"support"}, PasswordHash: "$2b$06$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu"})
		return err
	},
	"ImportUsers": func(s *scene) error {
		_, err := s.db.ImportUsers(ctx, rowsOf(snib.UserImport{ID: "u1", Provider: "github", Identifier: "1"}, snib.UserImport{ID: "u2", Provider: "github", Identifier: "2"}), snib.ImportOptions{})
		return err
	},
	"UpdateUserProviderID": func(s *scene) error {
		_, err := s.db.UpdateUserProviderID(ctx, s.user.ID, "email", "moved@example.com")
		return err
	},
	"Codes.Store": func(s *scene) error { return s.db.Codes().Store(ctx, s.drawn) },
	"Codes.Use": func(s *scene) error {
		return s.db.Codes().Use(ctx, "sign-in", s.code.Handle.Reveal(), s.code.Digits.Reveal(), func(tx *snib.Tx, u snib.User) error {
			_, err := tx.CreateSession(u, snib.SessionOptions{})
			return err
		})
	},
	"Identities.Verify": func(s *scene) error { // which another user loses
		_, err := s.db.Identities().Verify(ctx, s.user.ID, "x", "away")
		return err
	},
	"Identities.ResolveExternal": func(s *scene) error {
		_, err := s.db.Identities().ResolveExternal(ctx, snib.External{Provider: "github", Subject: "1", Attributes: snib.Attributes{"nick": "bob"}})
		return err
	},
	"Identities.FinishLink": func(s *scene) error {
		_, err := s.db.Identities().FinishLink(ctx, s.session, s.pending)
		return err
	},
	"Identities.BeginMove": func(s *scene) error {
		_, err := s.db.Identities().BeginMove(ctx, s.user.ID, "google", "third", time.Hour)
		return err
	},
	"Identities.FinishSignUp": func(s *scene) error { // by an address that another user has unverified
		_, err := s.db.Identities().FinishSignUp(ctx, s.signUp.Reveal(), snib.NewUser{PasswordHash: s.hash, Attributes: snib.Attributes{"nick": "bob"}})
		return err
	},
	"Identities.Invite": func(s *scene) error { // in the place of one
		return second(s.db.Identities().Invite(ctx, snib.NewInvitation{Provider: "email", Identifier: "Invited@example.com", TTL: time.Hour}))
	},
	"Identities.AcceptInvitation": func(s *scene) error {
		return second(s.db.Identities().AcceptInvitation(ctx, s.invitation.Token.Reveal(), snib.NewUser{PasswordHash: s.hash, Attributes: snib.Attributes{"nick": "bob"}}))
	},
	"Identities.RevokeInvitation": func(s *scene) error { return s.db.Identities().RevokeInvitation(ctx, s.invitation.ID) },
	"Identities.CreateGuest": func(s *scene) error {
		_, _, err := s.db.Identities().CreateGuest(ctx, snib.SessionOptions{})
		return err
	},
	"Identities.Merge": func(s *scene) error {
		return second(s.db.Identities().Merge(ctx, s.session.Token.Reveal(), s.twin.Token.Reveal()))
	},
	"Identities.FinishMove": func(s *scene) error {
		_, _, err := s.db.Identities().FinishMove(ctx, s.move.Token.Reveal())
		return err
	},
	"LinkIdentity": func(s *scene) error { _, err := s.db.LinkIdentity(ctx, s.user.ID, "github", "1"); return err },
	"UpdateUserPassword": func(s *scene) error {
		_, err := s.db.UpdateUserPassword(ctx, s.user.ID, "another passphrase")
		return err
	},
	"RemoveUserPassword": func(s *scene) error { _, err := s.db.RemoveUserPassword(ctx, s.user.ID); return err },
	"ChangePassword": func(s *scene) error {
		_, err := s.db.ChangePassword(ctx, s.session.Token.Reveal(), password, "another passphrase")
		return err
	},
	"ChangeCredentials": func(s *scene) error {
		_, err := s.db.ChangeCredentials(ctx, s.born.Token.Reveal(), func(tx *snib.Tx, own snib.Session) error {
			_, err := tx.UnlinkIdentity(own.UserID, "google", "second")
			return err
		})
		return err
	},
	"Reauthenticate": func(s *scene) error {
		_, err := s.db.Reauthenticate(ctx, s.session.Token.Reveal(), password)
		return err
	},
	"UpdateUserAttributes": func(s *scene) error {
		_, err := s.db.UpdateUserAttributes(ctx, s.user.ID, snib.Attributes{"nick": "Countess", "team": nil, "x": 1})
		return err
	},
	"DeleteUser":  func(s *scene) error { return s.db.DeleteUser(ctx, s.user.ID) },
	"DisableUser": func(s *scene) error { _, err := s.db.DisableUser(ctx, s.user.ID, "left"); return err },
	"LogIn": func(s *scene) error {
		_, _, err := s.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
		return err
	},
	"CreateSession": func(s *scene) error {
		_, err := s.db.CreateSession(ctx, s.user, snib.SessionOptions{})
		return err
	},
	"RenewSession": func(s *scene) error { _, err := s.db.RenewSession(ctx, s.session.Token.Reveal()); return err },
	"ExtendSession": func(s *scene) error {
		_, err := s.db.ExtendSession(ctx, s.session.Token.Reveal())
		return err
	},
	"RevokeSessionByID":  func(s *scene) error { return s.db.RevokeSessionByID(ctx, s.born.ID) },
	"RevokeToken":        func(s *scene) error { return s.db.RevokeToken(ctx, s.family.Token.Reveal()) },
	"RevokeUserSessions": func(s *scene) error { return s.db.RevokeUserSessions(ctx, s.user.ID, s.other.ID) },
	"CreateRefreshToken": func(s *scene) error {
		_, _, err := s.db.CreateRefreshToken(ctx, s.user, snib.SessionOptions{})
		return err
	},
	"Refresh":                  func(s *scene) error { _, _, err := s.db.Refresh(ctx, s.family.Token.Reveal()); return err },
	"RefreshTokens.RevokeByID": func(s *scene) error { return s.db.RefreshTokens().RevokeByID(ctx, s.family.ID) },
	"RefreshTokens.Revoke":     func(s *scene) error { return s.db.RefreshTokens().Revoke(ctx, s.user.ID, s.family.ID) },
	"RefreshTokens.RevokeAll":  func(s *scene) error { return s.db.RefreshTokens().RevokeAll(ctx, s.user.ID) },
	"Events.Ack":               func(s *scene) error { return s.db.Events().Ack(ctx, "mail", 3) },
	"Tokens.Revoke":            func(s *scene) error { return s.db.Tokens().Revoke(ctx, s.user.ID, s.link.ID) },
	"Tokens.RevokeAll":         func(s *scene) error { return s.db.Tokens().RevokeAll(ctx, s.user.ID, "reset") },
	"Tokens.StoreReset":        func(s *scene) error { return second(s.db.Tokens().StoreReset(ctx, s.asked)) },
	"Tokens.CreateReset":       func(s *scene) error { return second(s.db.Tokens().CreateReset(ctx, s.user.ID, time.Hour)) },
	"Tokens.FinishReset": func(s *scene) error {
		return second(s.db.Tokens().FinishReset(ctx, s.reset.Token.Reveal(), "another passphrase"))
	},
	"Tokens.Create": func(s *scene) error {
		_, err := s.db.Tokens().Create(ctx, s.user.ID, "verify", time.Hour, nil)
		return err
	},
	"Tokens.Use": func(s *scene) error {
		_, err := s.db.Tokens().Use(ctx, "reset", s.link.Token.Reveal())
		return err
	},
	"Devices.Remember":  func(s *scene) error { return second(s.db.Devices().Remember(ctx, s.other)) },
	"Devices.Trust":     func(s *scene) error { return second(s.db.Devices().Trust(on(s.device), s.session, time.Hour)) },
	"Devices.Revoke":    func(s *scene) error { return s.db.Devices().Revoke(ctx, s.user.ID, s.device.ID) },
	"Devices.RevokeAll": func(s *scene) error { return s.db.Devices().RevokeAll(ctx, s.user.ID) },
	"APIKeys.Create": func(s *scene) error {
		_, err := s.db.APIKeys().Create(ctx, s.session, snib.NewAPIKey{Name: "n", TTL: snib.Never})
		return err
	},
	"APIKeys.CreateFor": func(s *scene) error {
		_, err := s.db.APIKeys().CreateFor(ctx, s.user.ID, snib.NewAPIKey{Name: "n", TTL: snib.Never})
		return err
	},
	"APIKeys.Revoke":     func(s *scene) error { return s.db.APIKeys().Revoke(ctx, s.user.ID, s.key.ID) },
	"APIKeys.RevokeByID": func(s *scene) error { return s.db.APIKeys().RevokeByID(ctx, s.key.ID) },
	"APIKeys.RevokeAll":  func(s *scene) error { return s.db.APIKeys().RevokeAll(ctx, s.user.ID) },
	"Roles.Grant":        func(s *scene) error { return second(s.db.Roles().Grant(ctx, s.user.ID, "support")) },
	"Roles.Withdraw":     func(s *scene) error { return second(s.db.Roles().Withdraw(ctx, s.user.ID, "billing")) },
	"Roles.Claim": func(s *scene) error {
		return second(s.db.Roles().Claim(ctx, s.session, "admin", s.claim.Reveal()))
	},
	"Factors.BeginTOTP": func(s *scene) error {
		_, err := s.db.Factors().BeginTOTP(ctx, s.factors.session, "Notes", "another")
		return err
	},
	"Factors.ConfirmTOTP": func(s *scene) error {
		waiting := authenticatorOf(s.factors.waiting)
		_, err := s.db.Factors().ConfirmTOTP(ctx, s.factors.session, waiting.id, waiting.code(s.db))
		return err
	},
	"Factors.CreateRecoveryCodes": func(s *scene) error {
		_, err := s.db.Factors().CreateRecoveryCodes(ctx, s.factors.session)
		return err
	},
	"Factors.Remove": func(s *scene) error {
		return s.db.Factors().Remove(ctx, s.factors.session, s.factors.phone.id)
	},
	"Factors.Reset": func(s *scene) error {
		_, err := s.db.Factors().Reset(ctx, s.factors.session.UserID)
		return err
	},
	"Factors.FinishLogIn": func(s *scene) error {
		_, _, err := s.db.Factors().FinishLogIn(ctx, s.factors.pending, s.factors.recovery)
		return err
	},
	"Factors.AddPasskey": func(s *scene) error {
		return second(s.db.Factors().AddPasskey(ctx, s.factors.session, s.factors.key.another(s.db)))
	},
	"Factors.UsePasskey": func(s *scene) error {
		return second(s.db.Factors().UsePasskey(ctx, s.factors.key.touch(s.db)))
	},
	"Factors.FinishLogInByPasskey": func(s *scene) error {
		_, _, err := s.db.Factors().FinishLogInByPasskey(ctx, s.factors.pending, s.factors.key.touch(s.db))
		return err
	},
	"Factors.FinishRefreshTokenByPasskey": func(s *scene) error {
		_, _, err := s.db.Factors().FinishRefreshTokenByPasskey(ctx, s.factors.pendingFamily, s.factors.key.touch(s.db))
		return err
	},
	"Factors.Rename": func(s *scene) error {
		return second(s.db.Factors().Rename(ctx, s.factors.session.UserID, s.factors.phone.id, "another"))
	},
	"Factors.LogIn": func(s *scene) error {
		_, _, err := s.db.Factors().LogIn(ctx, "email", "eve@example.com", password, s.factors.recovery, snib.SessionOptions{})
		return err
	},
	"Factors.LogInRefreshToken": func(s *scene) error {
		_, _, err := s.db.Factors().LogInRefreshToken(ctx, "email", "eve@example.com", password, s.factors.recovery, snib.SessionOptions{})
		return err
	},
	"Factors.FinishRefreshToken": func(s *scene) error {
		_, _, err := s.db.Factors().FinishRefreshToken(ctx, s.factors.pendingFamily, s.factors.phone.at(snib.WallOf(s.db).Unix()/30))
		return err
	},
	"UnlinkIdentity": func(s *scene) error {
		_, err := s.db.UnlinkIdentity(ctx, s.user.ID, "email", "ada@example.com")
		return err
	},
	"EnableUser": func(s *scene) error { _, err := s.db.EnableUser(ctx, s.away.ID); return err },
	"UpdateSessionAttributes": func(s *scene) error {
		_, err := s.db.UpdateSessionAttributes(ctx, s.user.ID, s.born.ID, snib.Attributes{"room": "kitchen"})
		return err
	},
	"Logins.Revoke": func(s *scene) error { return s.db.Logins().Revoke(ctx, s.user.ID, s.born.LoginID()) },
	"RevokeSession": func(s *scene) error {
		return s.db.RevokeSession(ctx, s.user.ID, s.born.ID)
	},
	"EndEverything":   func(s *scene) error { return s.db.EndEverything(ctx) },
	"File.ResetClock": func(s *scene) error { return s.db.File().ResetClock(ctx) },
	"Update": func(s *scene) error {
		return s.db.Update(ctx, func(tx *snib.Tx) error {
			if _, err := tx.Tokens().Use(ctx, "reset", s.link.Token.Reveal()); err != nil {
				return err
			}
			_, err := tx.UpdateUserPassword(s.user.ID, s.hash)
			return err
		})
	},
}

// elsewhere are the methods of DB that are no row of writes, and why.
var elsewhere = map[string]string{
	"APIKeys.Validate": "reads", "APIKeys.List": "reads", "Roles.List": "reads", "Roles.ClaimToken": "reads",
	"Tokens.Peek": "reads", "Tokens.List": "reads", "Tokens.PeekReset": "reads", "Tokens.BeginReset": "counts in memory", "Devices.Current": "reads", "Devices.List": "reads", "Factors.List": "reads", "Factors.Passkeys": "reads", "Factors.PasskeyByCredential": "reads", "Factors.PasskeyChallenge": "reads", "RefreshTokens.List": "reads", "Logins.List": "reads", "Events.List": "reads", "Events.Read": "reads", "Events.Consume": "acknowledges by Events.Ack", "Codes.Begin": "reads", "Identities.BeginSignUp": "reads", "Identities.PeekSignUp": "reads", "Identities.PeekInvitation": "reads", "Identities.Invitations": "reads",
	"ExportUser": "reads", "View": "reads", "Check": "reads", "Stats": "reads", "HashPassword": "no file",
	"File.Backup": "reads", "File.BackupFile": "reads, see TestBackupFile of the engine", "File.CompactTo": "see TestCompactThatIsStoppedLeavesNothing of the engine",
	"File.Compact": "see TestKilledWhileCompacting of the engine", "File.Export": "reads",
	"AuthenticateUser":       "writes only to upgrade a hash, whose failure is an event",
	"Sweep":                  "goes in steps, see TestASweepThatFailsHasRemovedWholeRecords",
	"File.Reseal":            "goes in steps, see TestResealThatFailsGoesOn",
	"File.Redeclare":         "goes in steps, see TestOpenFailsAnywhereAndTheFileStaysAsDeclared",
	"DeleteDeadUserSessions": "see TestAFailureLeavesDeadSessions",
	"Repair":                 "see TestRepairThatFailsLeavesTheStateBefore",
	"Throttle":               "a handle; stores in the background, whose failure is an event",
	"Join":                   "commits with the application", "Close": "stores the clock, whose failure is an event",
	"SetVerified": "", "ObserveHashes": "", "WrapStore": "", // of these tests
}

func TestNoWritingMethodIsLeftOut(t *testing.T) {
	for _, name := range methodNames(t, dbType, reading) {
		if _, excepted := elsewhere[name]; excepted == (writes[name] != nil) {
			t.Errorf("%s: in the table %t, elsewhere %t", name, writes[name] != nil, excepted)
		}
	}
}

// failing runs write with operation 0, 1, 2 … of the engine failing, until it
// succeeds, and looks after each failure.
func failing(t *testing.T, db *snib.DB, write func() error, after func(n int64)) {
	t.Helper()
	for n := int64(0); ; n++ {
		var faulty *faultkv.Store
		restore := db.WrapStore(func(inner kv.Store) kv.Store {
			faulty = faultkv.Wrap(inner, faultkv.Faults{Fail: n, Overwrite: true})
			return faulty
		})
		err := write()
		restore()
		if !faulty.Failed() {
			if err != nil || n < 2 {
				t.Fatalf("without a failure, after %d operations: %v", n, err)
			}
			return
		}
		if !errors.Is(err, faultkv.ErrInjected) {
			t.Fatalf("operation %d failed, the method returned %v", n, err)
		}
		after(n)
	}
}

// Every operation of the engine fails once, for every method: the file is then
// as it was before, to the byte of every record, and sound.
func TestAFailureAnywhereLeavesTheStateBefore(t *testing.T) {
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := snibtest.NewClock()
			db := snibtest.NewDB(t, &snib.Options{
				Now:      clock.Now,
				Sessions: snib.SessionPolicy{ExtendEvery: -1},
				Indexes:  []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}},
				Roles:    snib.RolePolicy{Protected: []string{"admin"}},
				Owned:    []string{"notes"},
				Keys:     []snib.Key{testKey("k1", 1)},
				Outbox:   []string{"mail"},
			})
			s := newScene(t, db)
			clock.Advance(2 * time.Minute) // so that the clock is due to be stored
			before, _ := content(t, db)
			failing(t, db, func() error {
				err := write(s)
				if errors.Is(err, faultkv.ErrInjected) && errors.Is(err, snib.ErrSecondFactor) {
					t.Errorf("a failure of the store looks like a wrong code: %v", err)
				}
				return err
			}, func(n int64) {
				if after, _ := content(t, db); !maps.Equal(before, after) {
					t.Fatalf("operation %d failed and something was written", n)
				}
			})
		})
	}
}

// The reuse of a refresh token is revoked and told in one; a failure leaves it
// to be told again.
func TestAFailureDoesNotForgetAReuse(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	s := newScene(t, db)
	for n := int64(0); ; n++ {
		var faulty *faultkv.Store
		restore := db.WrapStore(func(inner kv.Store) kv.Store {
			faulty = faultkv.Wrap(inner, faultkv.Faults{Fail: n})
			return faulty
		})
		_, _, err := db.Refresh(ctx, s.spent.Token.Reveal())
		restore()
		if !faulty.Failed() {
			wantErr(t, err, snib.ErrRefreshTokenReused)
			return
		}
		wantErr(t, err, faultkv.ErrInjected)
	}
}

// Closures may run more than once: every method does what it does once, and
// returns what the run that was committed gave.
func TestMethodsThatRunTwiceHappenOnce(t *testing.T) {
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := snib.OpenTwice(filepath.Join(t.TempDir(), "accounts.db"), snibtest.Fast(&snib.Options{
				Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}},
				Roles:   snib.RolePolicy{Protected: []string{"admin"}},
				Owned:   []string{"notes"},
				Keys:    []snib.Key{testKey("k1", 1)},
				Outbox:  []string{"mail"},
			}))
			if err != nil {
				t.Fatal(err)
			}
			defer snibtest.CheckAndClose(t, db)
			s := newScene(t, db)
			for _, session := range []snib.Session{s.session, s.born, s.other} {
				valid(t, db, session)
			}
			if err := write(s); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestErrBusyWhenTheWriterIsNotFree(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	patient := must(snib.New(b, snibtest.Fast(nil)))(t) // which makes the file and holds its writer
	db := must(snib.New(b, snibtest.Fast(&snib.Options{BusyTimeout: 20 * time.Millisecond})))(t)
	release := holdWriter(t, patient, nil)
	before := must(db.Stats(ctx))(t).Busy
	_, err := db.CreateUser(ctx, snib.NewUser{Provider: "github", Identifier: "1"})
	wantErr(t, err, snib.ErrBusy)
	waiting, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	wantErr(t, db.DeleteUser(waiting, "nobody"), context.DeadlineExceeded)
	release()
	_, err = db.GetUserByProviderID(ctx, "github", "1")
	wantErr(t, err, snib.ErrUserNotFound) // nothing of it was written
	if n := must(db.Stats(ctx))(t).Busy - before; n != 1 {
		t.Errorf("Stats counts %d", n)
	}
	snibtest.CheckAndClose(t, db)
	snibtest.CheckAndClose(t, patient)
}

// A file that may not grow refuses what adds and goes on serving: what ends
// and deletes still works, and then there is room again.
func TestErrFullLosesNothingAndRevocationsGoOn(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{File: snib.FileOptions{MaxSize: 4 << 20}})
	s := newScene(t, db)
	big := snib.Attributes{"big": strings.Repeat("x", 60<<10)}
	var users []snib.UserID
	for {
		u, err := db.CreateUser(ctx, snib.NewUser{Provider: "github", Identifier: fmt.Sprint(len(users)), Attributes: big})
		if err != nil {
			wantErr(t, err, snib.ErrFull)
			break
		}
		users = append(users, u.ID)
	}
	if len(users) < 10 {
		t.Fatalf("full after %d users", len(users))
	}
	valid(t, db, s.session)
	if err := db.RevokeToken(ctx, s.session.Token.Reveal()); err != nil {
		t.Fatalf("sign-out on a full file: %v", err)
	}
	invalid(t, db, s.session)
	if _, _, err := db.Refresh(ctx, s.spent.Token.Reveal()); !errors.Is(err, snib.ErrRefreshTokenReused) {
		t.Fatalf("reuse on a full file: %v", err)
	}
	for _, id := range users {
		if err := db.DeleteUser(ctx, id); err != nil {
			t.Fatalf("deleting on a full file: %v", err)
		}
	}
	must(db.CreateUser(ctx, snib.NewUser{Provider: "github", Identifier: "again", Attributes: big}))(t)
}

// doubtful is a store whose commits have an unknown outcome.
type doubtful struct{ kv.Store }

func (d doubtful) Apply(ctx context.Context, op func(kv.Tx) error) error {
	if err := d.Store.Apply(ctx, op); err != nil {
		return err
	}
	return fmt.Errorf("%w: sync failed", kv.ErrUnknown)
}

func TestErrUnknownIsToldAndReturnsNoToken(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	s := newScene(t, db)
	restore := db.WrapStore(func(inner kv.Store) kv.Store { return doubtful{inner} })
	defer restore()
	session, err := db.CreateSession(ctx, s.user, snib.SessionOptions{})
	wantErr(t, err, snib.ErrUnknown)
	if session.ID != "" || session.Token.Reveal() != "" {
		t.Error("a session of unknown fate was returned")
	}
	_, _, err = db.Refresh(ctx, s.spent.Token.Reveal())
	wantErr(t, err, snib.ErrUnknown)
	if errors.Is(err, snib.ErrRefreshTokenReused) {
		t.Error("a client that was told of reuse throws its token away")
	}
}
