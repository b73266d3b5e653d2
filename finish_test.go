package snib_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
)

func TestLogInOfAHolderMakesNothingAndFinishLogInOneSession(t *testing.T) {
	h := newHolder(t, snib.Options{})
	var pending string
	quiet(t, h.db, func() { pending = h.pend(t) })
	began := h.clock.Now()
	h.clock.Advance(time.Minute)
	var s snib.Session
	commits(t, h.db, 1, func() {
		var u snib.User
		var err error
		s, u, err = h.db.Factors().FinishLogIn(ctx, pending, h.phone.code(h.db))
		if err != nil {
			t.Fatal(err)
		}
		if u.ID != h.user.ID || s.UserID != u.ID || s.Attributes()["device"] != "laptop" || !s.AuthenticatedAt.Equal(began) {
			t.Errorf("%+v of %s", s, u.ID)
		}
	})
	valid(t, h.db, s)
	if m := methodsOf(t, h.db, s.ID); m != 1|1<<3 {
		t.Errorf("methods %b, want password and TOTP", m)
	}
}

func methodsOf(tb testing.TB, db *snib.DB, id snib.SessionID) uint16 {
	tb.Helper()
	return must(codec.DecodeSession(rawKey(string(id)), rawGet(tb, handle(tb, db), "sessions", string(id))))(tb).Methods
}

// TestNothingElseLetsAHolderIn: each way to a session or refresh token stops at
// the second step, and goes on by it.
func TestNothingElseLetsAHolderIn(t *testing.T) {
	h := newHolder(t, snib.Options{})
	old := h.logIn(t)
	bare := must(h.db.CreateSession(ctx, snib.FactorNotNeeded(asNow(t, h.db, h.user.ID)), snib.SessionOptions{}))(t)
	h.clock.Advance(time.Minute) // a later authentication is seen in any order of the cases
	o := snib.SessionOptions{}
	for name, try := range map[string]func() error{
		"LogIn": func() error { _, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, o); return err },
		"a verified password": func() error {
			return second(h.db.CreateSession(ctx, must(h.db.AuthenticateUser(ctx, "email", "ada@example.com", password))(t), o))
		},
		"a user that was read, as before a one-time token": func() error {
			return second(h.db.CreateSession(ctx, asNow(t, h.db, h.user.ID), o))
		},
		"a refresh token": func() error {
			_, _, err := h.db.CreateRefreshToken(ctx, asNow(t, h.db, h.user.ID), o)
			return err
		},
		"a session without the factor": func() error { return second(h.db.CreateSession(ctx, bare, o)) },
		"in a transaction": func() error {
			return h.db.Update(ctx, func(tx *snib.Tx) error { return second(tx.CreateSession(must(tx.GetUser(h.user.ID))(t), o)) })
		},
		"Reauthenticate": func() error { return second(h.db.Reauthenticate(ctx, old.Token.Reveal(), password)) },
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			quiet(t, h.db, func() { err = try() })
			pending := pendingOf(t, err)
			h.clock.Advance(time.Minute)
			_, err = h.finish(pending, h.phone.wrong(h.db))
			if name == "a refresh token" {
				_, _, err = h.db.Factors().FinishRefreshToken(ctx, pending, h.phone.wrong(h.db))
			}
			wantErr(t, err, snib.ErrInvalidCredentials)
			if name == "a refresh token" {
				_, err = h.finish(pending, h.phone.code(h.db))
				wantErr(t, err, snib.ErrInvalidPending)
				_, r, err := h.db.Factors().FinishRefreshToken(ctx, pending, h.phone.at(h.phone.last))
				if err != nil {
					t.Fatal(err) // the code was not spent
				}
				s, _, err := h.db.Refresh(ctx, r.Token.Reveal()) // goes on by itself
				if err != nil {
					t.Fatal(err)
				}
				if m := methodsOf(t, h.db, s.ID); m&(1<<3) == 0 {
					t.Errorf("methods %b", m)
				}
				return
			}
			s := must(h.finish(pending, h.phone.code(h.db)))(t)
			valid(t, h.db, s)
			if name == "Reauthenticate" {
				invalid(t, h.db, old)
				if s.AuthenticatedAt.Before(old.AuthenticatedAt.Add(time.Second)) {
					t.Error("it is not authenticated anew")
				}
			}
		})
	}
	complete := h.logIn(t)
	valid(t, h.db, must(h.db.CreateSession(ctx, complete, o))(t)) // one log-in carried
	valid(t, h.db, must(h.db.RenewSession(ctx, complete.Token.Reveal()))(t))
	u := must(h.db.UpdateUserPassword(ctx, h.user.ID, "another passphrase"))(t) // a reset skips nothing
	pendingOf(t, second(h.db.CreateSession(ctx, u, o)))
	must(h.db.EnableUser(ctx, must(h.db.DisableUser(ctx, u.ID, ""))(t).ID))(t)
	pendingOf(t, second(h.db.CreateSession(ctx, asNow(t, h.db, u.ID), o)))
}

// TestFinishLogInTakesNoCodeOfAFactorThatWaits to be confirmed: a thief with the
// session could have begun it.
func TestFinishLogInTakesNoCodeOfAFactorThatWaits(t *testing.T) {
	h := newHolder(t, snib.Options{})
	e := must(h.db.Factors().BeginTOTP(ctx, h.logIn(t), "Notes", "tablet"))(t)
	_, err := h.finish(h.pend(t), authenticatorOf(e).code(h.db))
	wantErr(t, err, snib.ErrInvalidCredentials)
}

func TestFinishLogInTakesACodeOnce(t *testing.T) {
	h := newHolder(t, snib.Options{})
	code := h.phone.code(h.db)
	must(h.finish(h.pend(t), code))(t)
	quiet(t, h.db, func() {
		_, err := h.finish(h.pend(t), code)
		wantErr(t, err, snib.ErrInvalidCredentials)
		_, err = h.finish(h.pend(t), h.phone.at(h.phone.last-1)) // an older one neither
		wantErr(t, err, snib.ErrInvalidCredentials)
	})
	old := h.codes[0]
	for i, c := range must(h.db.Factors().CreateRecoveryCodes(ctx, h.logIn(t)))(t) { // in the place of those
		h.codes[i] = c.Reveal()
	}
	_, err := h.finish(h.pend(t), old)
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(h.finish(h.pend(t), h.codes[0]))(t)
	_, err = h.finish(h.pend(t), h.codes[0])
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(h.finish(h.pend(t), strings.ToUpper(strings.ReplaceAll(h.codes[1], "-", " "))))(t)
	if f := must(h.db.Factors().List(ctx, h.user.ID))(t)[1]; f.Left != 8 {
		t.Errorf("%d recovery codes are left", f.Left)
	}
	for _, c := range h.codes[2:] {
		must(h.finish(h.pend(t), c))(t)
	}
	if n := len(must(h.db.Factors().List(ctx, h.user.ID))(t)); n != 1 {
		t.Errorf("%d factors: the empty list is still there", n)
	}
	e, _ := errors.AsType[*snib.SecondFactorError](func() error {
		_, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
		return err
	}())
	if fmt.Sprint(e.Kinds) != "[totp]" || e.UserID != h.user.ID {
		t.Errorf("%v of %s", e.Kinds, e.UserID)
	}
}

// TestFinishLogInTwiceAtOnceGivesOneSession: two tabs and a thief type one code.
func TestFinishLogInTwiceAtOnceGivesOneSession(t *testing.T) {
	h := newHolder(t, snib.Options{Throttle: snib.ThrottlePolicy{InsecureOff: true}})
	for _, code := range []string{h.phone.code(h.db), h.codes[0]} {
		var pendings []string
		for range 8 {
			pendings = append(pendings, h.pend(t))
		}
		before := len(sessionIDs(t, h.db, h.user.ID))
		got := make([]error, len(pendings))
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { _, got[i] = h.finish(pendings[i], code) })
		}
		wg.Wait()
		won := 0
		for _, err := range got {
			if err == nil {
				won++
			} else if !errors.Is(err, snib.ErrInvalidCredentials) {
				t.Error(err)
			}
		}
		if n := len(sessionIDs(t, h.db, h.user.ID)) - before; won != 1 || n != 1 {
			t.Errorf("%d of %d succeeded, %d sessions", won, len(got), n)
		}
	}
}

// TestWrongCodesCloseTheSecondStep: they count for the account, over all pending
// log-ins; the password stays as it is, and a recovery code goes through.
func TestWrongCodesCloseTheSecondStep(t *testing.T) {
	h := newHolder(t, snib.Options{})
	guess := func() error { return second(h.finish(h.pend(t), h.phone.wrong(h.db))) }
	for range 5 {
		wantErr(t, guess(), snib.ErrInvalidCredentials)
	}
	wantThrottled(t, guess(), 30*time.Second)
	if told := must(h.db.Events().List(ctx, h.user.ID, snib.EventFactorsClosed))(t); len(told) != 0 {
		t.Errorf("events %v", told)
	}
	for n := range 5 {
		h.clock.Advance(time.Hour)
		if err := guess(); !errors.Is(err, snib.ErrInvalidCredentials) {
			t.Fatalf("guess %d: %v", 6+n, err)
		}
	}
	if told := must(h.db.Events().List(ctx, h.user.ID, snib.EventFactorsClosed))(t); len(told) != 1 {
		t.Errorf("events %v", told)
	}
	h.clock.Advance(24 * time.Hour)
	quiet(t, h.db, func() {
		_, err := h.finish(h.pend(t), h.phone.code(h.db))
		wantErr(t, err, snib.ErrFactorsClosed)
	})
	must(h.finish(h.pend(t), h.codes[0]))(t) // nobody guesses 120 bits
	h.logIn(t)

	for range 5 {
		wantErr(t, guess(), snib.ErrInvalidCredentials)
	}
	wantThrottled(t, guess(), 30*time.Second)
	if err := h.db.Throttle().Unlock(ctx, h.user.ID); err != nil {
		t.Fatal(err)
	}
	h.logIn(t)
}

// TestTheWayBackOfAUserWithoutPhoneAndCodes, from closed to signed in.
func TestTheWayBackOfAUserWithoutPhoneAndCodes(t *testing.T) {
	h := newHolder(t, snib.Options{})
	thief := h.logIn(t)
	_, r, err := h.db.CreateRefreshToken(ctx, thief, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for h.finishWrong(t) != snib.ErrFactorsClosed {
		h.clock.Advance(10 * time.Minute)
	}
	thief = must(h.db.CreateSession(ctx, snib.FactorNotNeeded(asNow(t, h.db, h.user.ID)), snib.SessionOptions{}))(t)
	var u snib.User
	commits(t, h.db, 1, func() { u = must(h.db.Factors().Reset(ctx, h.user.ID))(t) })
	if u.CredentialVersion != h.user.CredentialVersion+1 || len(must(h.db.Factors().List(ctx, u.ID))(t)) != 0 {
		t.Errorf("%+v", u)
	}
	invalid(t, h.db, thief)
	_, _, err = h.db.Refresh(ctx, r.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
	s := logIn(t, h.db, "ada@example.com")
	h.phone = enrol(t, h.db, s)
	h.clock.Advance(time.Minute)
	h.logIn(t)
	wantErr(t, second(h.db.Factors().Reset(ctx, "usr_nobody")), snib.ErrUserNotFound)
}

// finishWrong types a wrong code, and returns the sentinel of the answer.
func (h *holder) finishWrong(tb testing.TB) error {
	tb.Helper()
	_, err := h.finish(h.pend(tb), h.phone.wrong(h.db))
	for _, e := range []error{snib.ErrInvalidCredentials, snib.ErrFactorsClosed, snib.ErrThrottled} {
		if errors.Is(err, e) {
			return e
		}
	}
	tb.Fatal(err)
	return nil
}

// TestFinishLogInWithinATransaction commits with it, or not at all; a code that
// was spent in one that failed is good again.
func TestFinishLogInWithinATransaction(t *testing.T) {
	h := newHolder(t, snib.Options{})
	pending, code := h.pend(t), h.phone.code(h.db)
	failed := errors.New("failed")
	var s snib.Session
	for _, want := range []error{failed, nil} {
		err := h.db.Update(snib.WithClient(ctx, nil), func(tx *snib.Tx) (err error) {
			if s, _, err = tx.Factors().FinishLogIn(ctx, pending, code); err != nil {
				return err
			}
			return want
		})
		wantErr(t, err, want)
	}
	valid(t, h.db, s)
}

// TestAHashIsUpgradedAtTheFirstStep, or a holder's imported hash would stay for
// ever.
func TestAHashIsUpgradedAtTheFirstStep(t *testing.T) {
	db, clock := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	u := must(db.ImportUser(ctx, snib.UserImport{ID: "u1", Provider: "email", Identifier: "ada@example.com", PasswordHash: bcryptOf(t, password)}))(t)
	h := &holder{db: db, clock: clock, phone: enrol(t, db, u)}
	pending := h.pend(t)
	if n := foreignHashes(t, db); n != 0 {
		t.Errorf("%d hashes are the imported ones", n)
	}
	must(h.finish(pending, h.phone.code(h.db)))(t)
}

// TestARightPasswordEndsItsRunAtTheFirstStep, as it does without a factor.
func TestARightPasswordEndsItsRunAtTheFirstStep(t *testing.T) {
	h := newHolder(t, snib.Options{})
	for range 2 {
		if err := fail(h.db, "ada@example.com", 4); err != nil {
			t.Fatal(err)
		}
		h.pend(t)
	}
}

func TestWrongCodesCountInTheNetworkOfTheClient(t *testing.T) {
	h := newHolder(t, snib.Options{})
	var client []context.Context
	for range 4 {
		client = append(client, from("198.51.100.7"))
	}
	for i := range 6 {
		u := email(t, h.db, fmt.Sprintf("u%d@example.com", i))
		phone := enrol(t, h.db, u)
		pending := pendingOf(t, second(h.db.CreateSession(ctx, asNow(t, h.db, u.ID), snib.SessionOptions{})))
		for _, c := range client {
			_, _, err := h.db.Factors().FinishLogIn(c, pending, phone.wrong(h.db))
			if want := map[bool]error{true: snib.ErrInvalidCredentials, false: snib.ErrThrottled}[i < 5]; !errors.Is(err, want) {
				t.Fatalf("user %d: %v", i, err)
			}
		}
	}
}

// TestAMailedCodeIsTheFirstStepOfAHolder, and is used up by it.
func TestAMailedCodeIsTheFirstStepOfAHolder(t *testing.T) {
	h := newHolder(t, snib.Options{})
	code := must(h.db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com"))(t)
	if err := h.db.Codes().Store(ctx, code); err != nil {
		t.Fatal(err)
	}
	signIn := func() error {
		return h.db.Codes().Use(ctx, "sign-in", code.Handle.Reveal(), code.Digits.Reveal(), func(tx *snib.Tx, u snib.User) error {
			return second(tx.CreateSession(u, snib.SessionOptions{}))
		})
	}
	pending := pendingOf(t, signIn())
	wantErr(t, signIn(), snib.ErrInvalidOneTimeToken)
	must(h.finish(pending, h.phone.code(h.db)))(t)
}

// TestChangePasswordMakesNoSessionFresh of a holder: a thief with session and
// password could change the factors.
func TestChangePasswordMakesNoSessionFresh(t *testing.T) {
	h := newHolder(t, snib.Options{})
	s := h.logIn(t)
	h.clock.Advance(time.Hour)
	s = must(h.db.ChangePassword(ctx, s.Token.Reveal(), password, "another passphrase"))(t)
	if h.clock.Now().Sub(s.AuthenticatedAt) < time.Hour {
		t.Error("it is authenticated now")
	}
	_, err := h.db.Factors().BeginTOTP(ctx, s, "Notes", "x")
	wantErr(t, err, snib.ErrNotFresh)
}
