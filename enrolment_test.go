package snib_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// rewrite changes the record of a factor in the file.
func (h *holder) rewrite(t *testing.T, id snib.FactorID, change func(*codec.Factor)) {
	t.Helper()
	b := handle(t, h.db)
	f := must(codec.DecodeFactor(rawKey(string(id)), rawGet(t, b, "factors", string(id))))(t)
	change(&f)
	rawPut(t, b, "factors", string(f.Key[:]), f.Append(nil))
}

// TestALostRecordOfAFactorOpensNoAccount: the user's record says that there was
// one, whatever has become of its bytes and its key.
func TestALostRecordOfAFactorOpensNoAccount(t *testing.T) {
	for what, damage := range map[string]func(h *holder, id string, value []byte){
		"gone": func(*holder, string, []byte) {},
		"under another key": func(h *holder, id string, value []byte) {
			key := rawKey(id)
			key[3] ^= 8
			rawPut(t, handle(t, h.db), "factors", string(key), value)
		},
		"under half a key": func(h *holder, id string, value []byte) {
			rawPut(t, handle(t, h.db), "factors", string(rawKey(id)[:9]), value)
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHolder(t, snib.Options{})
			b, id := handle(t, h.db), string(h.phone.id)
			value := rawGet(t, b, "factors", id)
			rawDelete(t, b, "factors", id)
			damage(h, id, value)
			h.pend(t)
			_, err := h.db.Check(ctx)
			wantErr(t, err, snib.ErrCorrupt)
			must(h.db.Repair(ctx))(t)
			wantErr(t, h.finishWrong(t), snib.ErrInvalidCredentials)
			wantErr(t, second(h.finish(h.pend(t), h.phone.code(h.db))), snib.ErrInvalidCredentials)
			must(h.finish(h.pend(t), h.codes[0]))(t)
			must(h.db.Factors().Reset(ctx, h.user.ID))(t)
			logIn(t, h.db, "ada@example.com")
		})
	}
}

// TestALostKeyOfOwnersAndAFactorThatCannotBeRead together tell nothing of whose it
// was; the password alone opens no account all the same.
func TestALostKeyOfOwnersAndAFactorThatCannotBeRead(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	o := &snib.Options{Now: clock.Now, Keys: []snib.Key{testKey("k1", 1)}}
	h := &holder{db: openFile(t, path, o), clock: clock}
	u := email(t, h.db, "ada@example.com")
	email(t, h.db, "bob@example.com")
	h.phone = enrol(t, h.db, logIn(t, h.db, "ada@example.com"))
	b := handle(t, h.db)
	rawPut(t, b, "factors", string(h.phone.id), flip(rawGet(t, b, "factors", string(h.phone.id)), 20))
	rawDelete(t, b, "meta", "owner_key")
	closeDB(t, h.db)
	must(snib.RepairFile(ctx, path, o))(t)
	clock.Advance(time.Minute)
	h.db = snibtest.OpenDB(t, path, o)
	logIn(t, h.db, "bob@example.com")
	wantErr(t, second(h.finish(h.pend(t), h.phone.code(h.db))), snib.ErrInvalidCredentials)
	must(h.db.Factors().Reset(ctx, u.ID))(t)
	logIn(t, h.db, "ada@example.com")
}

// TestCheckINV19AUserSaysThatThereIsAFactor: without that nothing tells of one
// whose record is lost. Repair says it again.
func TestCheckINV19AUserSaysThatThereIsAFactor(t *testing.T) {
	h := newHolder(t, snib.Options{})
	b := handle(t, h.db)
	u := must(codec.DecodeUser([]byte(h.user.ID), rawGet(t, b, "users", string(h.user.ID))))(t)
	said := u.Flags
	u.Flags = 0
	rawPut(t, b, "users", string(u.ID), u.Append(nil))
	h.pend(t)
	report, err := h.db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if p := report.Problems[0]; p.Invariant != 19 || report.Found != 1 {
		t.Errorf("%d, the first %v", report.Found, p)
	}
	must(h.db.Repair(ctx))(t)
	u = must(codec.DecodeUser([]byte(h.user.ID), rawGet(t, b, "users", string(h.user.ID))))(t)
	if u.Flags != said || said == 0 {
		t.Errorf("flags %d, were %d", u.Flags, said)
	}
	h.logIn(t)
}

// TestRepairDropsNoFactorAboveTheBound: each of them may be the one in use. Of
// recovery codes the newest list stays.
func TestRepairDropsNoFactorAboveTheBound(t *testing.T) {
	h := newHolder(t, snib.Options{})
	for i := range 12 {
		h.rewrite(t, h.phone.id, func(f *codec.Factor) {
			f.Key = codec.MakeOwnedKey(f.Key.Owner(), codec.NewOwnID(f.Key.Time()+1+int64(i), [4]byte{byte(i)}))
			f.Type, f.Secret = 200, "" // of a later program
		})
	}
	must(h.db.Check(ctx))(t)
	listed := must(h.db.Factors().List(ctx, h.user.ID))(t)
	for _, f := range listed {
		if f.Kind == snib.FactorRecoveryCodes {
			h.rewrite(t, f.ID, func(f *codec.Factor) {
				f.Key = codec.MakeOwnedKey(f.Key.Owner(), codec.NewOwnID(f.Key.Time()-5, [4]byte{9}))
				f.Codes = f.Codes[:32]
			})
		}
	}
	_, err := h.db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	must(h.db.Repair(ctx))(t)
	if left := must(h.db.Factors().List(ctx, h.user.ID))(t); len(left) != len(listed) {
		t.Errorf("%d factors are left, want %d", len(left), len(listed))
	}
	must(h.finish(h.pend(t), h.codes[5]))(t)
	h.logIn(t)
}

// TestATransactionThatFailsEndsNoRunOfWrongCodes, neither by a reset nor by a
// right code in it.
func TestATransactionThatFailsEndsNoRunOfWrongCodes(t *testing.T) {
	for what, in := range map[string]func(h *holder, tx *snib.Tx) error{
		"Reset": func(h *holder, tx *snib.Tx) error { return second(tx.Factors().Reset(ctx, h.user.ID)) },
		"a right code": func(h *holder, tx *snib.Tx) error {
			_, _, err := tx.Factors().FinishLogIn(ctx, h.pendIn(tx), h.phone.code(h.db))
			return err
		},
		"a recovery code": func(h *holder, tx *snib.Tx) error {
			_, _, err := tx.Factors().FinishLogIn(ctx, h.pendIn(tx), h.codes[0])
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHolder(t, snib.Options{})
			for range 4 {
				wantErr(t, h.finishWrong(t), snib.ErrInvalidCredentials)
			}
			failed := errors.New("failed")
			err := h.db.Update(ctx, func(tx *snib.Tx) error { return errors.Join(in(h, tx), failed) })
			wantErr(t, err, failed)
			wantErr(t, h.finishWrong(t), snib.ErrInvalidCredentials)
			wantErr(t, h.finishWrong(t), snib.ErrThrottled)

			h.clock.Advance(time.Minute)
			if err := h.db.Update(ctx, func(tx *snib.Tx) error { return in(h, tx) }); err != nil {
				t.Fatal(err)
			}
			if what == "Reset" {
				h.phone = enrol(t, h.db, asNow(t, h.db, h.user.ID))
			}
			for range 5 {
				wantErr(t, h.finishWrong(t), snib.ErrInvalidCredentials)
			}
		})
	}
}

// pendIn is pend in a transaction, without the password.
func (h *holder) pendIn(tx *snib.Tx) string {
	u, err := tx.GetUser(h.user.ID)
	if err == nil {
		_, err = tx.CreateSession(u, snib.SessionOptions{})
	}
	e, _ := errors.AsType[*snib.SecondFactorError](err)
	return e.Pending.Reveal()
}

// TestTheTenthWrongCodeInATransaction writes nothing there, as every method that
// fails; the event comes all the same, also of one that is rolled back.
func TestTheTenthWrongCodeInATransaction(t *testing.T) {
	for _, end := range []error{nil, errors.New("rolled back")} {
		t.Run(fmt.Sprint(end), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			h := &holder{clock: snibtest.NewClock()}
			o := &snib.Options{Now: h.clock.Now, Keys: []snib.Key{testKey("k1", 1)}}
			h.db = openFile(t, path, o)
			u := email(t, h.db, "ada@example.com")
			h.phone = enrol(t, h.db, u)
			for range 9 {
				h.clock.Advance(time.Hour)
				wantErr(t, h.finishWrong(t), snib.ErrInvalidCredentials)
			}
			h.clock.Advance(time.Hour)
			pending := h.pend(t)
			wantErr(t, h.db.Update(ctx, func(tx *snib.Tx) error {
				_, _, err := tx.Factors().FinishLogIn(ctx, pending, h.phone.wrong(h.db))
				wantErr(t, err, snib.ErrInvalidCredentials)
				if told := must(tx.Events().List(ctx, u.ID, snib.EventFactorsClosed))(t); len(told) != 0 {
					t.Errorf("the call that failed has written %v", told)
				}
				return end
			}), end)
			wantErr(t, h.finishWrong(t), snib.ErrFactorsClosed)
			closeDB(t, h.db)
			h.db = snibtest.OpenDB(t, path, o)
			if told := must(h.db.Events().List(ctx, u.ID, snib.EventFactorsClosed))(t); len(told) != 1 {
				t.Errorf("events %v", told)
			}
		})
	}
}

// TestAChangeOfFactorsEndsTheSessionThatIsTheProof unless ChangeCredentials gives
// it another token: a copy of the old one may be a thief's.
func TestAChangeOfFactorsEndsTheSessionThatIsTheProof(t *testing.T) {
	h := newHolder(t, snib.Options{})
	for what, change := range map[string]func(f snib.Factors, s snib.Session) error{
		"confirm": func(f snib.Factors, s snib.Session) error {
			e := must(h.db.Factors().BeginTOTP(ctx, s, "Notes", "x"))(t)
			return second(f.ConfirmTOTP(ctx, s, e.ID, authenticatorOf(e).code(h.db)))
		},
		"print codes": func(f snib.Factors, s snib.Session) error { return second(f.CreateRecoveryCodes(ctx, s)) },
	} {
		s := h.logIn(t)
		if err := change(h.db.Factors(), s); err != nil {
			t.Fatal(what, err)
		}
		invalid(t, h.db, s)
		h.clock.Advance(time.Minute)
	}
	s := h.logIn(t)
	if err := h.db.Factors().Remove(ctx, s, h.phone.id); err != nil {
		t.Fatal(err)
	}
	invalid(t, h.db, s)
}

// TestAnAPIKeyNeedsTheFactorOfItsUser at a fresh log-in: a trusted device is none.
func TestAnAPIKeyNeedsTheFactorOfItsUser(t *testing.T) {
	h := newHolder(t, snib.Options{})
	key := snib.NewAPIKey{Name: "ci", Scopes: []string{"read"}, TTL: time.Hour}
	complete := h.logIn(t)
	trusted := must(h.db.Devices().Trust(ctx, complete, 0))(t)
	byDevice, _, err := h.db.LogIn(on(trusted), "email", "ada@example.com", password, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.db.APIKeys().Create(ctx, byDevice, key)
	wantErr(t, err, snib.ErrNotFresh)
	must(h.db.APIKeys().Create(ctx, complete, key))(t)
}

// TestStrangersWhoAskForCodesTakeNoPlaceOfAKnownDevice, which signs in by one all
// the while.
func TestStrangersWhoAskForCodesTakeNoPlaceOfAKnownDevice(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "ada@example.com")
	home := must(db.Devices().Remember(ctx, logIn(t, db, "ada@example.com")))(t)
	ask := func(home ...snib.Device) (snib.Code, error) {
		code := must(db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com"))(t)
		return code, db.Codes().Store(on(home...), code)
	}
	for range 4 {
		clock.Advance(time.Minute)
		ask()
	}
	_, err := ask()
	wantErr(t, err, snib.ErrOneTimeTokenLimit)
	code := must(ask(home))(t)
	_, err = ask(home)
	wantErr(t, err, snib.ErrOneTimeTokenLimit) // a minute for itself, too
	if err := db.Codes().Use(ctx, "sign-in", code.Handle.Reveal(), code.Digits.Reveal(), func(_ *snib.Tx, got snib.User) error {
		if got.ID != u.ID {
			t.Errorf("the code of %s", got.ID)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// mandated is a database in which admins must have a second factor, with one who
// has none, a session of before the rule and a known device.
type mandated struct {
	*holder
	home snib.Device
}

func newMandated(t *testing.T) *mandated {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	h := &holder{clock: snibtest.NewClock()}
	o := &snib.Options{Now: h.clock.Now, Keys: []snib.Key{testKey("k1", 1)}}
	h.db = openFile(t, path, o)
	u := email(t, h.db, "ada@example.com")
	email(t, h.db, "bob@example.com")
	h.user = must(h.db.Roles().Grant(ctx, u.ID, "admin"))(t)
	h.session = logIn(t, h.db, "ada@example.com")
	m := &mandated{holder: h, home: must(h.db.Devices().Remember(ctx, h.session))(t)}
	closeDB(t, h.db)
	o.Factors.Require = func(u snib.User) bool { return u.HasRole("admin") }
	h.db = snibtest.OpenDB(t, path, o)
	h.clock.Advance(snib.FreshFor + time.Minute)
	return m
}

// first does the first step of a log-in, which asks for an enrolment.
func (m *mandated) first(t *testing.T, proof snib.Proof) string {
	t.Helper()
	var err error
	if proof != nil {
		_, err = m.db.CreateSession(ctx, proof, snib.SessionOptions{})
	} else {
		_, _, err = m.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
	}
	e, ok := errors.AsType[*snib.SecondFactorError](err)
	if !ok || !e.Enrol || len(e.Kinds) != 0 || !errors.Is(err, snib.ErrSecondFactor) {
		t.Fatalf("%v, %+v", err, e)
	}
	return e.Pending.Reveal()
}

// TestAUserWhoMustHaveAFactorEnrolsTheFirstOne in the second step of a log-in that
// has more than a password.
func TestAUserWhoMustHaveAFactorEnrolsTheFirstOne(t *testing.T) {
	mailed := func(t *testing.T, m *mandated) snib.OneTimeToken {
		made := must(m.db.Tokens().Create(ctx, m.user.ID, "enrol", time.Hour, nil))(t)
		return must(m.db.Tokens().Use(ctx, "enrol", made.Token.Reveal()))(t)
	}
	for what, c := range map[string]struct {
		proof func(t *testing.T, m *mandated) snib.Proof
		home  bool
		says  snib.Methods
	}{
		"a known device":    {func(*testing.T, *mandated) snib.Proof { return nil }, true, snib.MethodPassword},
		"a mailed token":    {func(t *testing.T, m *mandated) snib.Proof { return mailed(t, m) }, false, snib.MethodOneTimeToken},
		"a provider's word": {func(t *testing.T, m *mandated) snib.Proof { return provided(t, m) }, false, snib.MethodProvider},
	} {
		t.Run(what, func(t *testing.T) {
			m := newMandated(t)
			in := ctx
			if c.home {
				in = on(m.home)
			}
			var pending string
			proof := c.proof(t, m)
			quiet(t, m.db, func() { pending = m.first(t, proof) })
			_, _, err := m.db.Factors().FinishLogIn(in, pending, "123456")
			wantErr(t, err, snib.ErrFactorNotFound) // nothing waits
			e := must(m.db.Factors().BeginTOTP(in, snib.Enrolling(pending), "Notes", "phone"))(t)
			phone := authenticatorOf(e)
			_, _, err = m.db.Factors().FinishLogIn(in, pending, phone.wrong(m.db))
			wantErr(t, err, snib.ErrInvalidCredentials)
			var s snib.Session
			commits(t, m.db, 1, func() {
				s, _, err = m.db.Factors().FinishLogIn(in, pending, phone.code(m.db))
			})
			if err != nil {
				t.Fatal(err)
			}
			if s.Methods != c.says|snib.MethodTOTP {
				t.Errorf("methods %v", s.Methods)
			}
			valid(t, m.db, s)
			invalid(t, m.db, m.session) // of before
			_, _, err = m.db.Factors().FinishLogIn(in, pending, phone.code(m.db))
			wantErr(t, err, snib.ErrInvalidPending)
			m.phone = phone
			m.clock.Advance(time.Minute)
			s = m.logIn(t)
			wantErr(t, m.db.Factors().Remove(ctx, s, phone.id), snib.ErrLastFactor)
			printCodes(t, m.db, &s)
			if err := removeIn(m.db, &s, enrolIn(t, m.db, &s).id); err != nil {
				t.Error(err)
			}
		})
	}
}

func provided(t *testing.T, m *mandated) snib.Proof {
	t.Helper()
	must(m.db.LinkIdentity(ctx, m.user.ID, "google", "42"))(t)
	return must(m.db.Identities().ResolveExternal(ctx, snib.External{Provider: "google", Subject: "42"}))(t)
}

// TestAPasswordAloneEnrolsNoFactor of a user who must have one, whichever way it
// is tried.
func TestAPasswordAloneEnrolsNoFactor(t *testing.T) {
	m := newMandated(t)
	pending := m.first(t, nil)
	verified := must(m.db.AuthenticateUser(ctx, "email", "ada@example.com", password))(t)
	again := pendingOf(t, second(m.db.Reauthenticate(ctx, m.session.Token.Reveal(), password)))
	eve := email(t, m.db, "eve@example.com")
	theirs := must(m.db.Devices().Remember(ctx, newSession(t, m.db, eve)))(t)
	begin := func(in snib.Proof, want error, home ...snib.Device) {
		t.Helper()
		quiet(t, m.db, func() {
			_, err := m.db.Factors().BeginTOTP(on(home...), in, "Notes", "phone")
			wantErr(t, err, want)
		})
	}
	begin(snib.Enrolling(pending), snib.ErrEnrolment)
	begin(snib.Enrolling(pending), snib.ErrEnrolment, theirs)
	begin(snib.Enrolling(again), snib.ErrEnrolment)
	begin(verified, snib.ErrEnrolment)
	begin(m.session, snib.ErrNotFresh)
	begin(snib.Enrolling("x"), snib.ErrInvalidPending)
	changed := must(m.db.ChangePassword(ctx, m.session.Token.Reveal(), password, password))(t)
	begin(m.session, snib.ErrInvalidSession)
	begin(changed, snib.ErrNotFresh) // as old as before
	pending = m.first(t, nil)
	for name, try := range map[string]func() error{
		"session": func() error {
			return second(m.db.CreateSession(ctx, snib.Enrolling(pending), snib.SessionOptions{}))
		},
		"refresh token": func() error {
			_, _, err := m.db.CreateRefreshToken(ctx, snib.Enrolling(pending), snib.SessionOptions{})
			return err
		},
		"link": func() error {
			return second(m.db.Identities().FinishLink(ctx, snib.Enrolling(pending), "x"))
		},
	} {
		if err := try(); !errors.Is(err, snib.ErrSecondFactor) && !errors.Is(err, snib.ErrNotFresh) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A factor that waits, as of a device of the owner's, is confirmed by no other.
	e := must(m.db.Factors().BeginTOTP(ctx, snib.FactorNotNeeded(asNow(t, m.db, m.user.ID)), "Notes", "phone"))(t)
	_, _, err := m.db.Factors().FinishLogIn(ctx, pending, authenticatorOf(e).code(m.db))
	wantErr(t, err, snib.ErrEnrolment)
	logIn(t, m.db, "bob@example.com") // under no rule
}

// TestARuleThatComesWhileSessionsLive ends none, and lets none through the next
// log-in.
func TestARuleThatComesWhileSessionsLive(t *testing.T) {
	m := newMandated(t)
	valid(t, m.db, m.session)
	renewed := must(m.db.RenewSession(ctx, m.session.Token.Reveal()))(t)
	valid(t, m.db, renewed)
	e, _ := errors.AsType[*snib.SecondFactorError](second(m.db.CreateSession(ctx, renewed, snib.SessionOptions{})))
	if e == nil || !e.Enrol {
		t.Errorf("a session of before is carried on: %+v", e)
	}
	again := pendingOf(t, second(m.db.Reauthenticate(ctx, renewed.Token.Reveal(), password)))
	enrolment := must(m.db.Factors().BeginTOTP(on(m.home), snib.Enrolling(again), "Notes", "phone"))(t)
	s, _, err := m.db.Factors().FinishLogIn(on(m.home), again, authenticatorOf(enrolment).code(m.db))
	if err != nil {
		t.Fatal(err)
	}
	valid(t, m.db, s)
	invalid(t, m.db, renewed)
}

// TestAnEnrolmentEndsTheSessionBehindIt: a copy of its token, which is still good,
// would have the factor from then on.
func TestAnEnrolmentEndsTheSessionBehindIt(t *testing.T) {
	rule := false
	db, _ := clocked(t, snib.Options{
		Keys: []snib.Key{testKey("k1", 1)}, Factors: snib.FactorPolicy{Require: func(snib.User) bool { return rule }},
	})
	email(t, db, "ada@example.com")
	copied := logIn(t, db, "ada@example.com")
	home := must(db.Devices().Remember(ctx, copied))(t)
	rule = true
	pending := pendingOf(t, second(db.CreateSession(ctx, copied, snib.SessionOptions{})))
	phone := authenticatorOf(must(db.Factors().BeginTOTP(on(home), snib.Enrolling(pending), "Notes", "phone"))(t))
	s, _, err := db.Factors().FinishLogIn(on(home), pending, phone.code(db))
	if err != nil {
		t.Fatal(err)
	}
	valid(t, db, s)
	invalid(t, db, copied)
}

// TestATrustedDeviceStandsForNoFactorThatIsNotThere.
func TestATrustedDeviceStandsForNoFactorThatIsNotThere(t *testing.T) {
	m := newMandated(t)
	trusted := must(m.db.Devices().Trust(ctx, m.session, 0))(t)
	_, _, err := m.db.LogIn(on(trusted), "email", "ada@example.com", password, snib.SessionOptions{})
	pendingOf(t, err)
}

// TestFinishRefreshTokenOfAUserWhoMustHaveAFactor comes by the same steps.
func TestFinishRefreshTokenOfAUserWhoMustHaveAFactor(t *testing.T) {
	m := newMandated(t)
	verified := must(m.db.AuthenticateUser(ctx, "email", "ada@example.com", password))(t)
	_, _, err := m.db.CreateRefreshToken(ctx, verified, snib.SessionOptions{})
	pending := pendingOf(t, err)
	e := must(m.db.Factors().BeginTOTP(on(m.home), snib.Enrolling(pending), "Notes", "phone"))(t)
	s, r, err := m.db.Factors().FinishRefreshToken(on(m.home), pending, authenticatorOf(e).code(m.db))
	if err != nil {
		t.Fatal(err)
	}
	valid(t, m.db, s)
	if _, _, err := m.db.Refresh(ctx, r.Token.Reveal()); err != nil {
		t.Error(err)
	}
}

// TestAProvidersWordForASecondFactor counts if the options name the provider, and
// is no factor of the user's here.
func TestAProvidersWordForASecondFactor(t *testing.T) {
	h := newHolder(t, snib.Options{Factors: snib.FactorPolicy{AssertsMFA: []string{"corp"}}})
	for provider, want := range map[string]bool{"corp": true, "google": false} {
		must(h.db.LinkIdentity(ctx, h.user.ID, provider, "42"))(t)
		for _, says := range []bool{true, false} {
			u := must(h.db.Identities().ResolveExternal(ctx, snib.External{Provider: provider, Subject: "42", SecondFactor: says}))(t)
			s, err := h.db.CreateSession(ctx, u, snib.SessionOptions{})
			if !want || !says {
				pendingOf(t, err)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Methods != snib.MethodProvider {
				t.Errorf("methods %v", s.Methods)
			}
			wantErr(t, h.db.Factors().Remove(ctx, s, h.phone.id), snib.ErrNotFresh)
		}
	}
	u := must(h.db.Identities().ResolveExternal(ctx, snib.External{Provider: "corp", Subject: "42", SecondFactor: true}))(t)
	must(h.db.UpdateUserPassword(ctx, h.user.ID, password))(t)
	_, err := h.db.CreateSession(ctx, u, snib.SessionOptions{})
	wantErr(t, err, snib.ErrInvalidCredentials) // void meanwhile
}

// TestFactorsLogInAndLogInRefreshTokenTakeBothStepsInOneCall, as a native client with one form does.
func TestFactorsLogInAndLogInRefreshTokenTakeBothStepsInOneCall(t *testing.T) {
	h := newHolder(t, snib.Options{})
	email(t, h.db, "bob@example.com")
	o := snib.SessionOptions{Attributes: snib.Attributes{"device": "desk"}}
	f := h.db.Factors()
	s, u, err := f.LogIn(ctx, "email", "ada@example.com", password, h.phone.code(h.db), o)
	if err != nil {
		t.Fatal(err)
	}
	if u.ID != h.user.ID || s.Methods != snib.MethodPassword|snib.MethodTOTP || s.Attributes()["device"] != "desk" {
		t.Errorf("%+v of %s", s, u.ID)
	}
	valid(t, h.db, s)
	s, r, err := f.LogInRefreshToken(ctx, "email", "ada@example.com", password, h.codes[0], snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	valid(t, h.db, s)
	if _, _, err := h.db.Refresh(ctx, r.Token.Reveal()); err != nil {
		t.Error(err)
	}
	for _, code := range []string{"", "123456"} { // of a user without a factor
		s, _, err := f.LogIn(ctx, "email", "bob@example.com", password, code, o)
		if err != nil {
			t.Fatal(err)
		}
		valid(t, h.db, s)
		if _, _, err := f.LogInRefreshToken(ctx, "email", "bob@example.com", password, code, snib.SessionOptions{}); err != nil {
			t.Error(err)
		}
	}

	code := h.codes[1]
	quiet(t, h.db, func() {
		_, _, err = f.LogIn(ctx, "email", "ada@example.com", "wrong", code, o)
		wantErr(t, err, snib.ErrInvalidCredentials)
		if errors.Is(err, snib.ErrSecondFactor) {
			t.Errorf("a wrong password: %v", err)
		}
		_, _, err = f.LogIn(ctx, "email", "ada@example.com", password, "", o)
		pendingOf(t, err)
		_, _, err = f.LogIn(ctx, "email", "ada@example.com", password, h.phone.wrong(h.db), o)
	})
	wantErr(t, err, snib.ErrInvalidCredentials)
	s = must(h.finish(pendingOf(t, err), code))(t) // which the wrong password has not spent
	valid(t, h.db, s)
	for range 6 {
		_, _, err = f.LogInRefreshToken(ctx, "email", "ada@example.com", password, h.phone.wrong(h.db), snib.SessionOptions{})
	}
	wantErr(t, err, snib.ErrThrottled)
	pendingOf(t, err)
	wantErr(t, h.db.Update(ctx, func(tx *snib.Tx) error {
		_, _, err := tx.Factors().LogIn(ctx, "email", "ada@example.com", password, code, o)
		return err
	}), snib.ErrNested)
}
