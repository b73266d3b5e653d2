package snib_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// An authenticator is a program on somebody's phone. It shares no code with the
// library.
type authenticator struct {
	id   snib.FactorID
	seed []byte
	last int64 // the step whose code was typed last
}

func authenticatorOf(e snib.TOTPEnrolment) *authenticator {
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret.Reveal())
	if err != nil {
		panic(err)
	}
	return &authenticator{id: e.ID, seed: seed}
}

// at is the code of a step (RFC 6238).
func (a *authenticator) at(step int64) string {
	h := hmac.New(sha1.New, a.seed)
	binary.Write(h, binary.BigEndian, step)
	sum := h.Sum(nil)
	at := sum[19] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

// code is one that the database takes now: not typed yet, and at most one step
// from now.
func (a *authenticator) code(db *snib.DB) string {
	a.last = max(a.last+1, snib.WallOf(db).Unix()/30-1)
	return a.at(a.last)
}

// wrong is a code that is not right at any time near.
func (a *authenticator) wrong(db *snib.DB) string {
	now := snib.WallOf(db)
	for n := range 1_000_000 {
		code, near := fmt.Sprintf("%06d", n), false
		for d := int64(-3); d <= 3; d++ {
			near = near || a.at(now.Unix()/30+d) == code
		}
		if !near {
			return code
		}
	}
	panic("unreachable")
}

// enrol gives the user of a proof a second factor.
func enrol(tb testing.TB, db *snib.DB, proof snib.Proof) *authenticator {
	tb.Helper()
	e := must(db.Factors().BeginTOTP(ctx, proof, "Notes", "phone"))(tb)
	a := authenticatorOf(e)
	must(db.Factors().ConfirmTOTP(ctx, proof, e.ID, a.code(db)))(tb)
	return a
}

// enrolIn gives the user of a session a second factor by it, and puts the session
// that comes back in its place.
func enrolIn(tb testing.TB, db *snib.DB, s *snib.Session) *authenticator {
	tb.Helper()
	e := must(db.Factors().BeginTOTP(ctx, *s, "Notes", "phone"))(tb)
	a := authenticatorOf(e)
	code := a.code(db)
	*s = must(db.ChangeCredentials(ctx, s.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		return second(tx.Factors().ConfirmTOTP(ctx, s, e.ID, code))
	}))(tb)
	return a
}

// printCodes makes recovery codes in a session, and puts the session that comes
// back in its place.
func printCodes(tb testing.TB, db *snib.DB, s *snib.Session) (out []string) {
	tb.Helper()
	var codes []snib.Token
	*s = must(db.ChangeCredentials(ctx, s.Token.Reveal(), func(tx *snib.Tx, s snib.Session) (err error) {
		codes, err = tx.Factors().CreateRecoveryCodes(ctx, s)
		return err
	}))(tb)
	for _, c := range codes {
		out = append(out, c.Reveal())
	}
	return out
}

// removeIn removes a factor in a session, and puts the session that comes back in
// its place.
func removeIn(db *snib.DB, s *snib.Session, id snib.FactorID) error {
	kept, err := db.ChangeCredentials(ctx, s.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		return tx.Factors().Remove(ctx, s, id)
	})
	if err == nil {
		*s = kept
	}
	return err
}

// A holder has a second factor, a session of before and recovery codes.
type holder struct {
	db      *snib.DB
	clock   *snibtest.Clock
	user    snib.User
	session snib.Session
	phone   *authenticator
	codes   []string
}

func newHolder(tb testing.TB, o snib.Options) *holder {
	tb.Helper()
	o.Keys = []snib.Key{testKey("k1", 1)}
	h := &holder{}
	h.db, h.clock = clocked(tb, o)
	email(tb, h.db, "ada@example.com")
	h.session = logIn(tb, h.db, "ada@example.com")
	h.phone = enrolIn(tb, h.db, &h.session)
	h.clock.Advance(tick) // so that the factor is the older one
	h.codes = printCodes(tb, h.db, &h.session)
	h.user = asNow(tb, h.db, h.session.UserID)
	h.clock.Advance(2 * time.Minute) // beyond the steps that were typed
	return h
}

// pend does the first step of a log-in.
func (h *holder) pend(tb testing.TB) string {
	tb.Helper()
	_, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{Attributes: snib.Attributes{"device": "laptop"}})
	return pendingOf(tb, err)
}

func pendingOf(tb testing.TB, err error) string {
	tb.Helper()
	e, ok := errors.AsType[*snib.SecondFactorError](err)
	if !ok || !errors.Is(err, snib.ErrSecondFactor) {
		tb.Fatalf("%v, want a SecondFactorError", err)
	}
	return e.Pending.Reveal()
}

func (h *holder) finish(pending, code string) (snib.Session, error) {
	s, _, err := h.db.Factors().FinishLogIn(ctx, pending, code)
	return s, err
}

// logIn takes both steps.
func (h *holder) logIn(tb testing.TB) snib.Session {
	tb.Helper()
	return must(h.finish(h.pend(tb), h.phone.code(h.db)))(tb)
}

func TestBeginTOTPIsNoFactorBeforeConfirmTOTP(t *testing.T) {
	db, clock := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	u := email(t, db, "ada@example.com")
	s, other := logIn(t, db, "ada@example.com"), logIn(t, db, "ada@example.com")
	e := must(db.Factors().BeginTOTP(ctx, s, "My Notes", "phone"))(t)
	phone := authenticatorOf(e)
	if len(phone.seed) != 20 {
		t.Errorf("a seed of %d bytes", len(phone.seed))
	}
	uri := must(url.Parse(e.URI.Reveal()))(t)
	if uri.Scheme != "otpauth" || uri.Host != "totp" || uri.Path != "/My Notes:ada@example.com" ||
		uri.Query().Get("secret") != e.Secret.Reveal() || uri.Query().Get("issuer") != "My Notes" {
		t.Errorf("%s", uri)
	}
	if len(must(db.Factors().List(ctx, u.ID))(t)) != 0 {
		t.Error("it is listed")
	}
	logIn(t, db, "ada@example.com")
	valid(t, db, other)
	quiet(t, db, func() {
		_, err := db.Factors().ConfirmTOTP(ctx, s, e.ID, phone.wrong(db))
		wantErr(t, err, snib.ErrInvalidCredentials)
		_, err = db.Factors().ConfirmTOTP(ctx, s, e.ID, "")
		wantErr(t, err, snib.ErrInvalidCredentials)
	})
	clock.Advance(time.Minute)
	var f snib.Factor
	before := s
	s = must(db.ChangeCredentials(ctx, s.Token.Reveal(), func(tx *snib.Tx, s snib.Session) (err error) {
		f, err = tx.Factors().ConfirmTOTP(ctx, s, e.ID, phone.code(db))
		return err
	}))(t)
	if f.ID != e.ID || f.UserID != u.ID || f.Name != "phone" || f.Kind != snib.FactorTOTP || !f.LastUsedAt.Equal(clock.Now()) {
		t.Errorf("%+v", f)
	}
	if got := must(db.Factors().List(ctx, u.ID))(t); len(got) != 1 || got[0] != f {
		t.Errorf("listed %+v, want %+v", got, f)
	}
	_, _, err := db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
	_, _, err = db.Factors().FinishLogIn(ctx, pendingOf(t, err), phone.at(phone.last))
	wantErr(t, err, snib.ErrInvalidCredentials) // it was spent
	valid(t, db, s)
	invalid(t, db, before) // a copy of its token may be a thief's
	invalid(t, db, other)  // it may be a thief's
	if asNow(t, db, u.ID).CredentialVersion != u.CredentialVersion+1 {
		t.Error("the credential version is as before")
	}
	_, err = db.Factors().ConfirmTOTP(ctx, s, e.ID, phone.code(db))
	wantErr(t, err, snib.ErrFactorNotFound)
}

func TestBeginTOTPReplacesOneThatWaits(t *testing.T) {
	db, clock := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	email(t, db, "ada@example.com")
	s := logIn(t, db, "ada@example.com")
	first := must(db.Factors().BeginTOTP(ctx, s, "Notes", "phone"))(t)
	late := must(db.Factors().BeginTOTP(ctx, s, "Notes", "phone"))(t)
	_, err := db.Factors().ConfirmTOTP(ctx, s, first.ID, authenticatorOf(first).code(db))
	wantErr(t, err, snib.ErrFactorNotFound)
	clock.Advance(15 * time.Minute)
	_, err = db.Factors().ConfirmTOTP(ctx, must(db.Reauthenticate(ctx, s.Token.Reveal(), password))(t), late.ID, authenticatorOf(late).code(db))
	wantErr(t, err, snib.ErrFactorNotFound)
	logIn(t, db, "ada@example.com")
}

func TestBeginTOTPRefusesTheNinth(t *testing.T) {
	h := newHolder(t, snib.Options{})
	s := h.logIn(t)
	for range snib.MaxAuthenticators - 1 {
		enrolIn(t, h.db, &s)
	}
	quiet(t, h.db, func() {
		_, err := h.db.Factors().BeginTOTP(ctx, s, "Notes", "phone")
		wantErr(t, err, snib.ErrTooMany)
	})
	if n := len(must(h.db.Factors().List(ctx, h.user.ID))(t)); n != snib.MaxAuthenticators+1 {
		t.Errorf("%d factors", n)
	}
}

func TestBeginTOTPRefuses(t *testing.T) {
	db, _ := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	email(t, db, "ada@example.com")
	s := logIn(t, db, "ada@example.com")
	for _, bad := range []string{"", "a:b", "\x00", strings.Repeat("a", 65)} {
		_, err := db.Factors().BeginTOTP(ctx, s, bad, "phone")
		wantField(t, err, "Issuer")
	}
	_, err := db.Factors().BeginTOTP(ctx, s, "Notes", "")
	wantField(t, err, "Name")
	_, err = db.Factors().ConfirmTOTP(ctx, s, "phone", "123456")
	wantField(t, err, "FactorID")
	_, err = db.Factors().CreateRecoveryCodes(ctx, s)
	wantErr(t, err, snib.ErrFactorNotFound)
}

// Seeds are sealed: without a key there is no factor.
func TestFactorsNeedAKey(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	email(t, db, "ada@example.com")
	quiet(t, db, func() {
		_, err := db.Factors().BeginTOTP(ctx, asNow(t, db, must(db.GetUserByProviderID(ctx, "email", "ada@example.com"))(t).ID), "Notes", "phone")
		wantErr(t, err, snib.ErrNoKey)
	})
}

// TestChangingFactorsNeedsAFreshProofWithTheFactor: neither a stolen session nor
// a known password is enough.
func TestChangingFactorsNeedsAFreshProofWithTheFactor(t *testing.T) {
	h := newHolder(t, snib.Options{})
	fresh := h.logIn(t)
	phone := must(h.db.Factors().List(ctx, h.user.ID))(t)[0]
	bare := must(h.db.CreateSession(ctx, snib.FactorNotNeeded(asNow(t, h.db, h.user.ID)), snib.SessionOptions{}))(t)
	verified := must(h.db.AuthenticateUser(ctx, "email", "ada@example.com", password))(t)
	for name, change := range map[string]func(snib.Proof) error{
		"BeginTOTP":           func(p snib.Proof) error { return second(h.db.Factors().BeginTOTP(ctx, p, "Notes", "x")) },
		"ConfirmTOTP":         func(p snib.Proof) error { return second(h.db.Factors().ConfirmTOTP(ctx, p, phone.ID, "123456")) },
		"CreateRecoveryCodes": func(p snib.Proof) error { return second(h.db.Factors().CreateRecoveryCodes(ctx, p)) },
		"Remove":              func(p snib.Proof) error { return h.db.Factors().Remove(ctx, p, phone.ID) },
	} {
		quiet(t, h.db, func() {
			for what, proof := range map[string]snib.Proof{"a session without": bare, "a user": asNow(t, h.db, h.user.ID), "a password": verified} {
				if err := change(proof); !errors.Is(err, snib.ErrNotFresh) {
					t.Errorf("%s by %s: %v", name, what, err)
				}
			}
			wantField(t, change(nil), "Proof")
		})
	}
	h.clock.Advance(snib.FreshFor)
	must(h.db.Factors().BeginTOTP(ctx, fresh, "Notes", "x"))(t)
	h.clock.Advance(tick)
	_, err := h.db.Factors().BeginTOTP(ctx, fresh, "Notes", "x")
	wantErr(t, err, snib.ErrNotFresh)
	err = h.db.Factors().Remove(ctx, fresh, phone.ID)
	wantErr(t, err, snib.ErrNotFresh)
}

func TestRemoveLastFactorTakesTheRecoveryCodes(t *testing.T) {
	h := newHolder(t, snib.Options{})
	s := h.logIn(t)
	spare := enrolIn(t, h.db, &s)
	if err := removeIn(h.db, &s, h.phone.id); err != nil {
		t.Fatal(err)
	}
	if got := must(h.db.Factors().List(ctx, h.user.ID))(t); len(got) != 2 || got[0].Kind != snib.FactorRecoveryCodes || got[0].Left != 10 || got[1].ID != spare.id {
		t.Errorf("left %+v", got)
	}
	_, err := h.finish(h.pend(t), h.phone.code(h.db))
	wantErr(t, err, snib.ErrInvalidCredentials)
	wantErr(t, h.db.Factors().Remove(ctx, s, h.phone.id), snib.ErrFactorNotFound)
	if err := removeIn(h.db, &s, spare.id); err != nil {
		t.Fatal(err)
	}
	if got := must(h.db.Factors().List(ctx, h.user.ID))(t); len(got) != 0 {
		t.Errorf("left %+v", got)
	}
	valid(t, h.db, s)
	logIn(t, h.db, "ada@example.com")
}

func TestFactorOfAnotherUserIsNotFound(t *testing.T) {
	h := newHolder(t, snib.Options{})
	email(t, h.db, "eve@example.com")
	eve := logIn(t, h.db, "eve@example.com")
	wantErr(t, h.db.Factors().Remove(ctx, eve, h.phone.id), snib.ErrFactorNotFound)
	_, err := h.db.Factors().ConfirmTOTP(ctx, eve, h.phone.id, h.phone.code(h.db))
	wantErr(t, err, snib.ErrFactorNotFound)
}

// TestARefreshTokenGoesOnBesideANewFactor that its session has confirmed, and
// can change factors as that can.
func TestARefreshTokenGoesOnBesideANewFactor(t *testing.T) {
	db, clock := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	u := email(t, db, "ada@example.com")
	s, r, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, theirs, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	enrolIn(t, db, &s)
	_, _, err = db.Refresh(ctx, theirs.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
	clock.Advance(time.Minute)
	if s, _, err = db.Refresh(ctx, r.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	printCodes(t, db, &s)
}

// TestChangeCredentialsAddsAFactor: the session comes back under another token,
// and counts as one that was signed in with the factor.
func TestChangeCredentialsAddsAFactor(t *testing.T) {
	db, _ := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	u := email(t, db, "ada@example.com")
	old := logIn(t, db, "ada@example.com")
	waiting := must(db.Factors().BeginTOTP(ctx, old, "Notes", "phone"))(t)
	a := authenticatorOf(waiting)
	s := must(db.ChangeCredentials(ctx, old.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		_, err := tx.Factors().ConfirmTOTP(ctx, s, waiting.ID, a.code(db))
		return err
	}))(t)
	invalid(t, db, old)
	valid(t, db, s)
	if !s.Methods.Has(snib.MethodTOTP) {
		t.Errorf("methods %v", s.Methods)
	}
	if err := db.Factors().Remove(ctx, s, waiting.ID); err != nil {
		t.Errorf("the session cannot change the factor again: %v", err)
	}
	if list := must(db.Factors().List(ctx, u.ID))(t); len(list) != 0 {
		t.Errorf("factors %v", list)
	}
}
