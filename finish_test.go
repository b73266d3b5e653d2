package snib_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
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

// TestAPendingLogInIsVoid once anything that it stands on has changed.
func TestAPendingLogInIsVoid(t *testing.T) {
	id := func(h *holder) snib.UserID { return h.user.ID }
	for what, c := range map[string]func(*holder) error{
		"password change": func(h *holder) error { return second(h.db.UpdateUserPassword(ctx, id(h), "another passphrase")) },
		"disabled":        func(h *holder) error { return second(h.db.DisableUser(ctx, id(h), "")) },
		"disabled and enabled": func(h *holder) error {
			return errors.Join(second(h.db.DisableUser(ctx, id(h), "")), second(h.db.EnableUser(ctx, id(h))))
		},
		"deleted":        func(h *holder) error { return h.db.DeleteUser(ctx, id(h)) },
		"reset":          func(h *holder) error { return second(h.db.Factors().Reset(ctx, id(h))) },
		"factor removed": func(h *holder) error { return h.db.Factors().Remove(ctx, snib.FactorNotNeeded(h.user), h.phone.id) },
		"sign-out":       func(h *holder) error { return h.db.RevokeUserSessions(ctx, id(h)) },
		"identity moved": func(h *holder) error {
			return second(h.db.UpdateUserProviderID(ctx, id(h), "email", "new@example.com"))
		},
		"everything ended": func(h *holder) error { return h.db.EndEverything(ctx) },
		"expired":          func(h *holder) error { h.clock.Advance(10 * time.Minute); return nil },
	} {
		t.Run(what, func(t *testing.T) {
			h := newHolder(t, snib.Options{})
			pending := h.pend(t)
			if err := c(h); err != nil {
				t.Fatal(err)
			}
			quiet(t, h.db, func() {
				for _, code := range []string{h.phone.code(h.db), h.codes[0]} {
					_, err := h.finish(pending, code)
					wantErr(t, err, snib.ErrInvalidPending)
				}
			})
		})
	}
	h := newHolder(t, snib.Options{})
	pending := h.pend(t)
	h.clock.Advance(10*time.Minute - tick)
	must(h.finish(pending, h.phone.code(h.db)))(t)
	s := h.logIn(t)
	again := pendingOf(t, second(h.db.Reauthenticate(ctx, s.Token.Reveal(), password)))
	if err := h.db.RevokeToken(ctx, s.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	_, err := h.finish(again, h.codes[0])
	wantErr(t, err, snib.ErrInvalidPending) // of a session that has ended

	h = newHolder(t, snib.Options{Sessions: snib.SessionPolicy{Active: 5 * time.Minute}})
	s = h.logIn(t)
	again = pendingOf(t, second(h.db.Reauthenticate(ctx, s.Token.Reveal(), password)))
	h.clock.Advance(5 * time.Minute)
	_, err = h.finish(again, h.codes[0])
	wantErr(t, err, snib.ErrInvalidPending) // of one that is idle
}

// TestAPendingLogInIsOfItsFileAlone, also where files share a key, an id and a
// credential version.
func TestAPendingLogInIsOfItsFileAlone(t *testing.T) {
	h := newHolder(t, snib.Options{})
	pending := h.pend(t)
	quiet(t, h.db, func() {
		for i := range pending {
			_, err := h.finish(pending[:i]+string(pending[i]^1)+pending[i+1:], h.codes[0])
			wantErr(t, err, snib.ErrInvalidPending)
		}
		for _, text := range []string{"", "snpen_", "snpen_k1.", "snpen_k2." + pending[9:], h.session.Token.Reveal(), pending + "A", strings.Repeat("A", 1<<20)} {
			_, err := h.finish(text, h.codes[0])
			wantErr(t, err, snib.ErrInvalidPending)
		}
	})
	other, _ := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	must(other.ImportUser(ctx, snib.UserImport{ID: h.user.ID, Provider: "email", Identifier: "ada@example.com"}))(t)
	phone := enrol(t, other, asNow(t, other, h.user.ID))
	rawPut(t, handle(t, other), "users", string(h.user.ID), rawGet(t, handle(t, h.db), "users", string(h.user.ID))) // and a version
	_, _, err := other.Factors().FinishLogIn(ctx, pending, phone.at(phone.last+1))
	wantErr(t, err, snib.ErrInvalidPending)
}

// TestASecondFactorErrorShowsNoToken, in no format.
func TestASecondFactorErrorShowsNoToken(t *testing.T) {
	h := newHolder(t, snib.Options{})
	_, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
	e, _ := errors.AsType[*snib.SecondFactorError](err)
	enrolment := must(h.db.Factors().BeginTOTP(ctx, h.logIn(t), "Notes", "tablet"))(t)
	var out bytes.Buffer
	for _, v := range []any{err, e, *e, []any{e}, struct{ E error }{err}, struct{ e error }{err}, enrolment, &enrolment} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d\n", v, v, v, v, v, v, v)
		json.NewEncoder(&out).Encode(v)
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			slog.New(handler).Info("log-in", "value", v)
		}
	}
	for what, secret := range map[string]string{"pending": e.Pending.Reveal(), "seed": enrolment.Secret.Reveal(), "URI": enrolment.URI.Reveal()} {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), secret[len(secret)-22:]} {
			if len(secret) < 32 || strings.Contains(out.String(), form) {
				t.Errorf("the %s is shown", what)
			}
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

// TestAThousandPendingsGiveFiveGuesses, all at once.
func TestAThousandPendingsGiveFiveGuesses(t *testing.T) {
	h := newHolder(t, snib.Options{})
	pendings := make([]string, 1000)
	for i := range pendings {
		pendings[i] = pendingOf(t, second(h.db.CreateSession(ctx, h.user, snib.SessionOptions{})))
	}
	var mu sync.Mutex
	looked := 0
	var wg sync.WaitGroup
	for _, p := range pendings {
		wg.Go(func() {
			_, err := h.finish(p, h.phone.wrong(h.db))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, snib.ErrInvalidCredentials):
				looked++
			case !errors.Is(err, snib.ErrThrottled):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if looked != 5 {
		t.Errorf("%d codes were looked at, want 5", looked)
	}
	must(h.finish(pendings[0], h.codes[0]))(t) // none was evicted
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

func TestRestoreTakesRecoveryCodesAndUsedSteps(t *testing.T) {
	for _, keep := range []bool{false, true} {
		h := newHolder(t, snib.Options{})
		backup := filepath.Join(t.TempDir(), "backup.db")
		if err := h.db.File().BackupFile(ctx, backup, nil); err != nil {
			t.Fatal(err)
		}
		pending := h.pend(t)
		h.logIn(t)
		used := h.phone.last
		must(h.finish(h.pend(t), h.codes[0]))(t)
		o := &snib.Options{Now: h.clock.Now, Keys: []snib.Key{testKey("k1", 1)}}
		path := filepath.Join(t.TempDir(), "again.db")
		report := must(snib.Restore(ctx, backup, path, &snib.RestoreOptions{KeepSessions: keep, Options: snibtest.Fast(o)}))(t)
		if want := map[bool]int{false: 2, true: 1}[keep]; report.Ended != want || report.Factors != 2 {
			t.Errorf("%+v, want %d ended", report, want)
		}
		h.db = snibtest.OpenDB(t, path, o)
		for _, code := range []string{h.phone.at(used), h.phone.at(used + 1), h.phone.at(used + 2), h.codes[0], h.codes[1]} {
			_, err := h.finish(h.pend(t), code)
			wantErr(t, err, snib.ErrInvalidCredentials)
		}
		if _, err := h.finish(pending, h.codes[2]); keep {
			wantErr(t, err, snib.ErrInvalidCredentials)
		} else {
			wantErr(t, err, snib.ErrInvalidPending)
		}
		h.clock.Advance(90 * time.Second)
		h.logIn(t)
	}
}

// TestASeedOpensInItsPlaceOnly: a row that is copied to another user, or under
// another key, lets nobody in; Repair makes it one that is lost, and opens no
// account.
func TestASeedOpensInItsPlaceOnly(t *testing.T) {
	h := newHolder(t, snib.Options{})
	eve := email(t, h.db, "eve@example.com")
	eves := enrol(t, h.db, asNow(t, h.db, eve.ID))
	b := handle(t, h.db)
	mine := must(codec.DecodeFactor(rawKey(string(eves.id)), rawGet(t, b, "factors", string(eves.id))))(t)
	theirs := must(codec.DecodeFactor(rawKey(string(h.phone.id)), rawGet(t, b, "factors", string(h.phone.id))))(t)
	theirs.Secret = mine.Secret // whose codes eve can make
	rawPut(t, b, "factors", string(h.phone.id), theirs.Append(nil))
	_, err := h.finish(h.pend(t), eves.code(h.db))
	wantErr(t, err, snib.ErrInvalidCredentials)
	report, err := h.db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if p := report.Problems[0]; p.Invariant != 16 || p.Space != "factors" || p.ID != string(h.phone.id) {
		t.Errorf("%v", p)
	}
	must(h.db.Repair(ctx))(t)
	if f := must(h.db.Factors().List(ctx, h.user.ID))(t); f[0].Kind != snib.FactorLost || f[1].Left != 10 {
		t.Errorf("%+v", f)
	}
	_, err = h.finish(h.pend(t), h.phone.code(h.db))
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(h.finish(h.pend(t), h.codes[0]))(t)
}

// TestADamagedFactorOpensNoAccount: not before Repair and not after it.
func TestADamagedFactorOpensNoAccount(t *testing.T) {
	h := newHolder(t, snib.Options{})
	b := handle(t, h.db)
	value := rawGet(t, b, "factors", string(h.phone.id))
	value[len(value)-1] ^= 1
	rawPut(t, b, "factors", string(h.phone.id), value)
	_, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
	wantErr(t, err, snib.ErrCorrupt)
	must(h.db.Repair(ctx))(t)
	h.finishWrong(t)
	must(h.finish(h.pend(t), h.codes[0]))(t)
	must(h.db.Factors().Reset(ctx, h.user.ID))(t)
	logIn(t, h.db, "ada@example.com")
}

// TestALostKeyOpensNoAccount, neither as it is nor when Reseal gives it up.
func TestALostKeyOpensNoAccount(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	open := func(keys ...snib.Key) *snib.DB { return openFile(t, path, &snib.Options{Now: clock.Now, Keys: keys}) }
	h := &holder{db: open(testKey("k1", 1)), clock: clock}
	h.user = email(t, h.db, "ada@example.com")
	s := logIn(t, h.db, "ada@example.com")
	h.phone = enrol(t, h.db, s)
	h.codes = []string{must(h.db.Factors().CreateRecoveryCodes(ctx, s))(t)[0].Reveal()}
	pending := h.pend(t)
	closeDB(t, h.db)
	for _, keys := range [][]snib.Key{nil, {testKey("k2", 2)}} {
		h.db = open(keys...)
		_, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
		wantErr(t, err, snib.ErrNoKey)
		wantErr(t, second(h.db.AuthenticateUser(ctx, "email", "nobody@example.com", password)), snib.ErrNoKey) // alike
		wantErr(t, second(h.finish(pending, h.phone.code(h.db))), snib.ErrInvalidPending)
		closeDB(t, h.db)
	}
	h.db = open(testKey("k2", 2))
	report := must(h.db.File().Reseal(ctx, "k1"))(t)
	if report.Removed != 1 || fmt.Sprint(report.Retired) != "[k1]" {
		t.Errorf("%+v", report)
	}
	h.finishWrong(t)
	must(h.finish(h.pend(t), h.codes[0]))(t)
	must(h.db.Check(ctx))(t)
	closeDB(t, h.db)
}

// TestResealTakesSeedsAlong to another key, under which the old codes go on.
func TestResealTakesSeedsAlong(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	h := &holder{db: openFile(t, path, &snib.Options{Now: clock.Now, Keys: []snib.Key{testKey("k1", 1)}}), clock: clock}
	email(t, h.db, "ada@example.com")
	h.phone = enrol(t, h.db, logIn(t, h.db, "ada@example.com"))
	closeDB(t, h.db)
	clock.Advance(time.Minute)
	h.db = openFile(t, path, &snib.Options{Now: clock.Now, Keys: []snib.Key{testKey("k2", 2), testKey("k1", 1)}})
	if report := must(h.db.File().Reseal(ctx))(t); report.Sealed != 1 || fmt.Sprint(report.Retired) != "[k1]" {
		t.Errorf("%+v", report)
	}
	closeDB(t, h.db)
	h.db = openFile(t, path, &snib.Options{Now: clock.Now, Keys: []snib.Key{testKey("k2", 2)}})
	h.logIn(t)
	must(h.db.Check(ctx))(t)
}

// TestNoSeedAndNoRecoveryCodeIsInTheFile.
func TestNoSeedAndNoRecoveryCodeIsInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, &snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	email(t, db, "ada@example.com")
	s := logIn(t, db, "ada@example.com")
	e := must(db.Factors().BeginTOTP(ctx, s, "Notes", "phone"))(t)
	phone := authenticatorOf(e)
	must(db.Factors().ConfirmTOTP(ctx, s, e.ID, phone.code(db)))(t)
	secrets := [][]byte{phone.seed, []byte(e.Secret.Reveal())}
	for _, c := range must(db.Factors().CreateRecoveryCodes(ctx, s))(t) {
		raw := make([]byte, 15)
		if !codec.DecodeBase32(raw, strings.ReplaceAll(c.Reveal(), "-", "")) {
			t.Fatal(c.Reveal())
		}
		secrets = append(secrets, raw, []byte(c.Reveal()))
	}
	closeDB(t, db)
	file := must(os.ReadFile(path))(t)
	for i, secret := range secrets {
		if bytes.Contains(file, secret) || bytes.Contains(file, []byte(fmt.Sprintf("%x", secret))) {
			t.Errorf("secret %d is in the file", i)
		}
	}
	if !bytes.Contains(file, []byte("$sealed$k1$")) {
		t.Error("no seed is in the file")
	}
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

// TestTheClockOfTheFileDoesNotMoveCodes: an authenticator follows the wall.
func TestTheClockOfTheFileDoesNotMoveCodes(t *testing.T) {
	h := newHolder(t, snib.Options{})
	h.clock.Advance(5 * time.Hour)
	asNow(t, h.db, h.user.ID)
	h.clock.Advance(-4 * time.Hour)
	h.logIn(t)
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

// TestASecondStepKeepsTheOptionsOfTheFirst, and a factor that the program names
// itself is one.
func TestASecondStepKeepsTheOptionsOfTheFirst(t *testing.T) {
	h := newHolder(t, snib.Options{})
	o := snib.SessionOptions{Persistent: true, Active: time.Hour, Idle: 2 * time.Hour, Absolute: 4 * time.Hour, Methods: snib.MethodProvider}
	_, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, o)
	s := must(h.finish(pendingOf(t, err), h.phone.code(h.db)))(t)
	now := h.clock.Now()
	if !s.Persistent || !s.ActiveUntil.Equal(now.Add(time.Hour)) || !s.IdleUntil.Equal(now.Add(3*time.Hour)) || !s.AbsoluteUntil.Equal(now.Add(4*time.Hour)) ||
		s.Methods != snib.MethodPassword|snib.MethodProvider|snib.MethodTOTP {
		t.Errorf("%+v", s)
	}
	o.Methods |= snib.MethodPasskey
	valid(t, h.db, must(h.db.CreateSession(ctx, h.user, o))(t))
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
