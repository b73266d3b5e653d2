package snib_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// A keyring is an authenticator with a counter, and the module that verifies what
// it signs.
type keyring struct {
	user    snib.UserID
	made    int
	count   uint32
	passkey snib.Passkey // as it was read
}

// register answers a challenge with a new credential.
func (k *keyring) register(challenge string) snib.NewPasskey {
	k.made++
	return snib.NewPasskey{
		Name: "key", Challenge: challenge, CredentialID: fmt.Appendf(nil, "%s %d", k.user, k.made), PublicKey: fmt.Appendf(nil, "public %d", k.made),
		AAGUID: [16]byte{1, 2, 3}, Transports: []string{"internal", "hybrid"}, SignCount: k.count, BackupEligible: true,
	}
}

// another registers one more credential.
func (k *keyring) another(db *snib.DB) snib.NewPasskey {
	return k.register(challengeOf(db, snib.PasskeyRegistration, k.user))
}

// challengeOf is a challenge's text.
func challengeOf(db *snib.DB, purpose snib.PasskeyPurpose, user snib.UserID) string {
	c, err := db.Factors().PasskeyChallenge(ctx, purpose, user)
	if err != nil {
		panic(err)
	}
	return c.Reveal()
}

// newKeyring gives the user of a session a passkey, and puts the session that comes
// back in its place.
func newKeyring(tb testing.TB, db *snib.DB, s *snib.Session) *keyring {
	tb.Helper()
	k := &keyring{user: s.UserID}
	n := k.another(db)
	*s = must(db.ChangeCredentials(ctx, s.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
		return second(tx.Factors().AddPasskey(ctx, s, n))
	}))(tb)
	k.passkey, _, _ = db.Factors().PasskeyByCredential(ctx, n.CredentialID)
	return k
}

// touch answers a challenge of now, with user verification.
func (k *keyring) touch(db *snib.DB) snib.Assertion {
	return k.answer(challengeOf(db, snib.PasskeyLogIn, ""))
}

func (k *keyring) answer(challenge string) snib.Assertion {
	k.count++
	return snib.Assertion{Passkey: k.passkey, Challenge: challenge, SignCount: k.count, UserVerified: true, BackedUp: true}
}

// A keyholder has a passkey and no other factor.
func newKeyholder(tb testing.TB, o snib.Options) (*holder, *keyring) {
	tb.Helper()
	o.Keys = []snib.Key{testKey("k1", 1)}
	h := &holder{}
	h.db, h.clock = clocked(tb, o)
	email(tb, h.db, "ada@example.com")
	h.session = logIn(tb, h.db, "ada@example.com")
	k := newKeyring(tb, h.db, &h.session)
	h.user = asNow(tb, h.db, h.session.UserID)
	h.clock.Advance(tick)
	return h, k
}

func TestAddPasskeyAndRename(t *testing.T) {
	h, k := newKeyholder(t, snib.Options{})
	if !h.session.Methods.Has(snib.MethodPasskey) {
		t.Errorf("methods %v", h.session.Methods)
	}
	listed := must(h.db.Factors().List(ctx, h.user.ID))(t)
	if len(listed) != 1 || listed[0].Kind != snib.FactorPasskey || listed[0].Name != "key" {
		t.Errorf("%+v", listed)
	}
	all := must(h.db.Factors().Passkeys(ctx, h.user.ID))(t)
	if len(all) != 1 || !bytes.Equal(all[0].CredentialID, []byte(fmt.Sprintf("%s 1", h.user.ID))) || string(all[0].PublicKey) != "public 1" ||
		all[0].AAGUID != [16]byte{1, 2, 3} || !slices.Equal(all[0].Transports, []string{"internal", "hybrid"}) || !all[0].BackupEligible || all[0].BackedUp {
		t.Errorf("%+v", all)
	}
	_, u, err := h.db.Factors().PasskeyByCredential(ctx, k.passkey.CredentialID)
	if err != nil || u.ID != h.user.ID {
		t.Errorf("of %s: %v", u.ID, err)
	}
	_, _, err = h.db.Factors().PasskeyByCredential(ctx, []byte("another"))
	wantErr(t, err, snib.ErrFactorNotFound)
	_, _, err = h.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
	if e, _ := errors.AsType[*snib.SecondFactorError](err); e == nil || fmt.Sprint(e.Kinds) != "[passkey]" {
		t.Errorf("%v: %+v", err, e)
	}
	renamed := must(h.db.Factors().Rename(ctx, h.user.ID, listed[0].ID, "yellow key"))(t)
	if renamed.Name != "yellow key" || must(h.db.Factors().List(ctx, h.user.ID))(t)[0] != renamed {
		t.Errorf("%+v", renamed)
	}
	_, err = h.db.Factors().Rename(ctx, email(t, h.db, "eve@example.com").ID, listed[0].ID, "mine")
	wantErr(t, err, snib.ErrFactorNotFound)
}

func TestAddPasskeyRefuses(t *testing.T) {
	h, k := newKeyholder(t, snib.Options{})
	eve := email(t, h.db, "eve@example.com")
	add := func(change func(*snib.NewPasskey)) error {
		n := k.another(h.db)
		change(&n)
		return second(h.db.Factors().AddPasskey(ctx, h.session, n))
	}
	quiet(t, h.db, func() {
		wantField(t, add(func(n *snib.NewPasskey) { n.Name = "" }), "Name")
		wantField(t, add(func(n *snib.NewPasskey) { n.CredentialID = nil }), "CredentialID")
		wantField(t, add(func(n *snib.NewPasskey) { n.CredentialID = make([]byte, 1024) }), "CredentialID")
		wantField(t, add(func(n *snib.NewPasskey) { n.PublicKey = nil }), "PublicKey")
		wantField(t, add(func(n *snib.NewPasskey) { n.PublicKey = make([]byte, 4097) }), "PublicKey")
		wantField(t, add(func(n *snib.NewPasskey) { n.Transports = []string{"a,b"} }), "Transports")
		wantField(t, add(func(n *snib.NewPasskey) { n.Transports = slices.Repeat([]string{"usb"}, 9) }), "Transports")
		for _, challenge := range []string{"", "snpkc_", "snpkc_k1.", "snpkc_k2.AAAA", string(make([]byte, 2000)),
			challengeOf(h.db, snib.PasskeyRegistration, eve.ID), challengeOf(h.db, snib.PasskeyLogIn, h.user.ID), challengeOf(h.db, snib.PasskeyLogIn, "")} {
			wantErr(t, add(func(n *snib.NewPasskey) { n.Challenge = challenge }), snib.ErrInvalidChallenge)
		}
		late := challengeOf(h.db, snib.PasskeyRegistration, h.user.ID)
		h.clock.Advance(10 * time.Minute)
		wantErr(t, add(func(n *snib.NewPasskey) { n.Challenge = late }), snib.ErrInvalidChallenge)
		wantErr(t, add(func(n *snib.NewPasskey) { n.CredentialID = k.passkey.CredentialID }), snib.ErrPasskeyTaken)
		n := k.another(h.db)
		n.CredentialID, n.Challenge = k.passkey.CredentialID, challengeOf(h.db, snib.PasskeyRegistration, eve.ID)
		_, err := h.db.Factors().AddPasskey(ctx, eve, n)
		wantErr(t, err, snib.ErrPasskeyTaken)
		_, err = h.db.Factors().AddPasskey(ctx, asNow(t, h.db, h.user.ID), k.another(h.db)) // by the password alone
		wantErr(t, err, snib.ErrNotFresh)
	})
	for range snib.MaxAuthenticators - 1 {
		n := k.another(h.db)
		h.session = must(h.db.ChangeCredentials(ctx, h.session.Token.Reveal(), func(tx *snib.Tx, s snib.Session) error {
			return second(tx.Factors().AddPasskey(ctx, s, n))
		}))(t)
	}
	wantErr(t, add(func(*snib.NewPasskey) {}), snib.ErrTooMany)
}

// TestPasskeyByCredentialIsOneUsersAlone, of all who register it at once.
func TestPasskeyByCredentialIsOneUsersAlone(t *testing.T) {
	db, _ := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	var users []snib.User
	var keys []snib.NewPasskey
	for i := range 8 {
		u := email(t, db, fmt.Sprintf("u%d@example.com", i))
		k := &keyring{user: u.ID}
		n := k.another(db)
		n.CredentialID = []byte("one")
		users, keys = append(users, u), append(keys, n)
	}
	got := make([]error, len(users))
	var wg sync.WaitGroup
	for i := range users {
		wg.Go(func() { _, got[i] = db.Factors().AddPasskey(ctx, users[i], keys[i]) })
	}
	wg.Wait()
	won := -1
	for i, err := range got {
		switch {
		case err == nil && won < 0:
			won = i
		case !errors.Is(err, snib.ErrPasskeyTaken):
			t.Errorf("user %d: %v", i, err)
		}
	}
	_, u, err := db.Factors().PasskeyByCredential(ctx, []byte("one"))
	if err != nil || won < 0 || u.ID != users[won].ID {
		t.Errorf("%s, %v, won by %d", u.ID, err, won)
	}
}

func TestUsePasskeySignsInWithoutAPassword(t *testing.T) {
	h, k := newKeyholder(t, snib.Options{})
	var s snib.Session
	a := k.touch(h.db)
	commits(t, h.db, 1, func() {
		if err := h.db.Update(ctx, func(tx *snib.Tx) error {
			used, err := tx.Factors().UsePasskey(ctx, a)
			if err != nil {
				return err
			}
			s, err = tx.CreateSession(used, snib.SessionOptions{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
	valid(t, h.db, s)
	if s.Methods != snib.MethodPasskey || s.UserID != h.user.ID {
		t.Errorf("methods %v of %s", s.Methods, s.UserID)
	}
	p := must(h.db.Factors().Passkeys(ctx, h.user.ID))(t)[0]
	if p.SignCount != k.count || !p.BackedUp || !p.BackupEligible || !p.LastUsedAt.Equal(h.clock.Now()) {
		t.Errorf("%+v", p)
	}
	quiet(t, h.db, func() {
		_, err := h.db.Factors().UsePasskey(ctx, a)
		wantErr(t, err, snib.ErrInvalidChallenge)
		a.SignCount += 100
		_, err = h.db.Factors().UsePasskey(ctx, a) // replayed with another counter
		wantErr(t, err, snib.ErrInvalidChallenge)
		_, err = h.db.CreateSession(ctx, k.passkey, snib.SessionOptions{}) // which was read, not used
		wantField(t, err, "Proof")
		bare := k.touch(h.db)
		bare.UserVerified = false
		_, err = h.db.Factors().UsePasskey(ctx, bare)
		wantField(t, err, "UserVerified")
		for _, challenge := range []string{challengeOf(h.db, snib.PasskeyRegistration, h.user.ID), challengeOf(h.db, snib.PasskeyLogIn, "usr_other"), "x"} {
			_, err = h.db.Factors().UsePasskey(ctx, k.answer(challenge))
			wantErr(t, err, snib.ErrInvalidChallenge)
		}
		late := challengeOf(h.db, snib.PasskeyLogIn, "")
		h.clock.Advance(10 * time.Minute)
		_, err = h.db.Factors().UsePasskey(ctx, k.answer(late))
		wantErr(t, err, snib.ErrInvalidChallenge)
		other := k.touch(h.db)
		other.Passkey.PublicKey = []byte("a thief's")
		_, err = h.db.Factors().UsePasskey(ctx, other)
		wantErr(t, err, snib.ErrInvalidCredentials)
	})
	used := must(h.db.Factors().UsePasskey(ctx, k.touch(h.db)))(t)
	_, _, err := h.db.CreateRefreshToken(ctx, used, snib.SessionOptions{})
	if err != nil {
		t.Error(err)
	}
	must(h.db.APIKeys().Create(ctx, must(h.db.CreateSession(ctx, used, snib.SessionOptions{}))(t), snib.NewAPIKey{Name: "ci", TTL: time.Hour}))(t)
	if err := h.db.RevokeUserSessions(ctx, h.user.ID); err != nil {
		t.Fatal(err)
	}
	_, err = h.db.CreateSession(ctx, used, snib.SessionOptions{})
	wantErr(t, err, snib.ErrInvalidCredentials) // void
}

// TestUsePasskeyTakesAnAssertionOnce of callers at once, also of an authenticator
// that does not count.
func TestUsePasskeyTakesAnAssertionOnce(t *testing.T) {
	for _, count := range []uint32{0, 9} {
		h, k := newKeyholder(t, snib.Options{})
		a := k.touch(h.db)
		a.SignCount = count
		got := make([]error, 8)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() { _, got[i] = h.db.Factors().UsePasskey(ctx, a) })
		}
		wg.Wait()
		won := 0
		for _, err := range got {
			if err == nil {
				won++
			} else if !errors.Is(err, snib.ErrInvalidChallenge) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("counter %d: %d of %d succeeded", count, won, len(got))
		}
	}
}

// TestChallengesAreAnsweredInTheirOrder: an earlier one is void after a later one.
func TestChallengesAreAnsweredInTheirOrder(t *testing.T) {
	h, k := newKeyholder(t, snib.Options{})
	first := challengeOf(h.db, snib.PasskeyLogIn, "")
	h.clock.Advance(tick)
	later := challengeOf(h.db, snib.PasskeyLogIn, h.user.ID)
	must(h.db.Factors().UsePasskey(ctx, k.answer(later)))(t)
	_, err := h.db.Factors().UsePasskey(ctx, k.answer(first))
	wantErr(t, err, snib.ErrInvalidChallenge)
	h.clock.Advance(tick)
	must(h.db.Factors().UsePasskey(ctx, k.touch(h.db)))(t)
}

// TestFinishLogInByPasskeyAndFinishRefreshTokenByPasskey is the second step of a password, also with a key that
// verifies nobody.
func TestFinishLogInByPasskeyAndFinishRefreshTokenByPasskey(t *testing.T) {
	h, k := newKeyholder(t, snib.Options{})
	pending := h.pend(t)
	a := k.answer(challengeOf(h.db, snib.PasskeyLogIn, h.user.ID))
	a.UserVerified = false
	var s snib.Session
	var err error
	commits(t, h.db, 1, func() { s, _, err = h.db.Factors().FinishLogInByPasskey(ctx, pending, a) })
	if err != nil {
		t.Fatal(err)
	}
	valid(t, h.db, s)
	if s.Methods != snib.MethodPassword|snib.MethodPasskey || s.Attributes()["device"] != "laptop" {
		t.Errorf("%v", s)
	}
	_, _, err = h.db.Factors().FinishLogInByPasskey(ctx, pending, a)
	wantErr(t, err, snib.ErrInvalidChallenge)
	_, _, err = h.db.Factors().FinishLogIn(ctx, pending, "123456")
	wantErr(t, err, snib.ErrInvalidCredentials)
	h.clock.Advance(tick)
	again := pendingOf(t, second(h.db.Reauthenticate(ctx, s.Token.Reveal(), password)))
	s, _, err = h.db.Factors().FinishLogInByPasskey(ctx, again, k.touch(h.db))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = h.db.CreateRefreshToken(ctx, asNow(t, h.db, h.user.ID), snib.SessionOptions{})
	h.clock.Advance(tick)
	_, r, err := h.db.Factors().FinishRefreshTokenByPasskey(ctx, pendingOf(t, err), k.touch(h.db))
	if err != nil || !r.Methods.Has(snib.MethodPasskey) {
		t.Errorf("%v, %v", r.Methods, err)
	}

	// The passkey of another user is no second step, in whatever order.
	email(t, h.db, "eve@example.com")
	eves := logIn(t, h.db, "eve@example.com")
	theirs := newKeyring(t, h.db, &eves)
	h.clock.Advance(tick)
	_, _, err = h.db.Factors().FinishLogInByPasskey(ctx, h.pend(t), theirs.touch(h.db))
	wantErr(t, err, snib.ErrInvalidCredentials)
	forged := theirs.touch(h.db)
	forged.Passkey.UserID = h.user.ID
	_, _, err = h.db.Factors().FinishLogInByPasskey(ctx, h.pend(t), forged)
	wantErr(t, err, snib.ErrInvalidCredentials)
}

// TestAThousandPendings of who knows the password make no way for an assertion that
// is replayed.
func TestAThousandPendings(t *testing.T) {
	h, k := newKeyholder(t, snib.Options{})
	a := k.touch(h.db)
	u := asNow(t, h.db, h.user.ID)
	made := 0
	for range 1000 {
		pending := pendingOf(t, second(h.db.CreateSession(ctx, u, snib.SessionOptions{})))
		if _, _, err := h.db.Factors().FinishLogInByPasskey(ctx, pending, a); err == nil {
			made++
		} else if !errors.Is(err, snib.ErrInvalidChallenge) {
			t.Fatal(err)
		}
	}
	if made != 1 {
		t.Errorf("%d sessions of one assertion", made)
	}
}

// TestAClonedAuthenticator is refused, with an event that stays, unless the options
// let it pass.
func TestAClonedAuthenticator(t *testing.T) {
	for _, passes := range []bool{false, true} {
		for _, inTx := range []bool{false, true} {
			h, k := newKeyholder(t, snib.Options{Factors: snib.FactorPolicy{InsecureClones: passes}})
			clone := *k
			for range 3 {
				h.clock.Advance(tick)
				must(h.db.Factors().UsePasskey(ctx, k.touch(h.db)))(t)
			}
			h.clock.Advance(tick)
			a := clone.touch(h.db)
			var err error
			if inTx {
				err = h.db.Update(ctx, func(tx *snib.Tx) error { return second(tx.Factors().UsePasskey(ctx, a)) })
			} else {
				_, err = h.db.Factors().UsePasskey(ctx, a)
			}
			if want := map[bool]error{false: snib.ErrPasskeyCloned}[passes]; !errors.Is(err, want) {
				t.Errorf("passes %t: %v", passes, err)
			}
			if passes || !inTx {
				told := must(h.db.Events().List(ctx, h.user.ID, snib.EventPasskeyCloned))(t)
				if len(told) != 1 || told[0].Subject != string(k.passkey.ID) {
					t.Errorf("passes %t: %+v", passes, told)
				}
			}
			if !passes {
				h.clock.Advance(tick)
				zero := k.touch(h.db)
				zero.SignCount = 0 // as if it had stopped to count
				_, err = h.db.Factors().UsePasskey(ctx, zero)
				wantErr(t, err, snib.ErrPasskeyCloned)
				must(h.db.Factors().UsePasskey(ctx, k.touch(h.db)))(t)
			}
		}
	}
}

// TestAPasskeyThatIsGoneMeanwhile opens nothing: removed, reset, its user disabled
// or deleted; and its credential is free again.
func TestAPasskeyThatIsGoneMeanwhile(t *testing.T) {
	for what, c := range map[string]struct {
		end  func(h *holder, k *keyring) error
		want error
	}{
		"removed": {func(h *holder, k *keyring) error {
			return h.db.Factors().Remove(ctx, snib.FactorNotNeeded(asNow(t, h.db, h.user.ID)), k.passkey.ID)
		}, snib.ErrInvalidCredentials},
		"reset":            {func(h *holder, _ *keyring) error { return second(h.db.Factors().Reset(ctx, h.user.ID)) }, snib.ErrInvalidCredentials},
		"deleted":          {func(h *holder, _ *keyring) error { return h.db.DeleteUser(ctx, h.user.ID) }, snib.ErrInvalidCredentials},
		"disabled":         {func(h *holder, _ *keyring) error { return second(h.db.DisableUser(ctx, h.user.ID, "")) }, snib.ErrUserDisabled},
		"everything ended": {func(h *holder, _ *keyring) error { return h.db.EndEverything(ctx) }, snib.ErrInvalidChallenge},
	} {
		t.Run(what, func(t *testing.T) {
			h, k := newKeyholder(t, snib.Options{})
			a := k.touch(h.db)
			if err := c.end(h, k); err != nil {
				t.Fatal(err)
			}
			quiet(t, h.db, func() {
				_, err := h.db.Factors().UsePasskey(ctx, a)
				wantErr(t, err, c.want)
			})
			must(h.db.Check(ctx))(t)
			if c.want != snib.ErrInvalidCredentials {
				return
			}
			if n := len(keysOf(t, h.db, "passkeys")); n != 0 {
				t.Errorf("%d entries are left", n)
			}
			eve := email(t, h.db, "eve@example.com")
			theirs := &keyring{user: eve.ID}
			n := theirs.another(h.db)
			n.CredentialID = k.passkey.CredentialID
			must(h.db.Factors().AddPasskey(ctx, eve, n))(t)
			_, err := h.db.Factors().UsePasskey(ctx, a) // verified by the key of before
			wantErr(t, err, snib.ErrInvalidCredentials)
		})
	}
}

// TestPasskeysAfterResetClock: a clock that was ahead keeps no passkey from being used.
func TestPasskeysAfterResetClock(t *testing.T) {
	h, k := newKeyholder(t, snib.Options{})
	h.clock.Advance(365 * 24 * time.Hour) // the clock was ahead
	must(h.db.Factors().UsePasskey(ctx, k.touch(h.db)))(t)
	h.clock.Advance(-365 * 24 * time.Hour)
	if err := h.db.File().ResetClock(ctx); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(tick)
	must(h.db.Factors().UsePasskey(ctx, k.touch(h.db)))(t)
	must(h.db.Check(ctx))(t)
}

func TestCheckINV25Passkeys(t *testing.T) {
	put := func(t *testing.T, h *holder, k *keyring, change func(*codec.Factor)) {
		h.rewrite(t, k.passkey.ID, change)
	}
	for what, c := range map[string]struct {
		damage func(t *testing.T, h *holder, k *keyring, entry string)
		lost   bool
	}{
		"no entry": {func(t *testing.T, h *holder, _ *keyring, entry string) {
			rawDelete(t, handle(t, h.db), "passkeys", entry)
		}, false},
		"an entry that cannot be read": {func(t *testing.T, h *holder, _ *keyring, entry string) {
			rawPut(t, handle(t, h.db), "passkeys", entry, flip(rawGet(t, handle(t, h.db), "passkeys", entry), 10))
		}, false},
		"an entry of nobody's": {func(t *testing.T, h *holder, _ *keyring, entry string) {
			key := "x" + entry[1:]
			rawPut(t, handle(t, h.db), "passkeys", key, (&codec.UserRef{UserID: "usr_nobody"}).Append(nil, "passkeys", []byte(key)))
		}, false},
		"an entry of another's": {func(t *testing.T, h *holder, _ *keyring, entry string) {
			eve := email(t, h.db, "eve@example.com")
			rawPut(t, handle(t, h.db), "passkeys", entry, (&codec.UserRef{UserID: string(eve.ID)}).Append(nil, "passkeys", []byte(entry)))
		}, false},
		"no content": {func(t *testing.T, h *holder, k *keyring, _ string) {
			put(t, h, k, func(f *codec.Factor) { f.Passkey = f.Passkey[:9] })
		}, true},
		"another hash": {func(t *testing.T, h *holder, k *keyring, _ string) {
			put(t, h, k, func(f *codec.Factor) { f.Hash[0] ^= 1 })
		}, true},
	} {
		t.Run(what, func(t *testing.T) {
			h, k := newKeyholder(t, snib.Options{})
			c.damage(t, h, k, keysOf(t, h.db, "passkeys")[0])
			report, err := h.db.Check(ctx)
			wantErr(t, err, snib.ErrCorrupt)
			if n := report.Problems[0].Invariant; n != 25 && what != "an entry that cannot be read" {
				t.Errorf("INV-%d", n)
			}
			must(h.db.Repair(ctx))(t)
			must(h.db.Check(ctx))(t)
			h.pend(t) // no password opens the account
			_, err = h.db.Factors().UsePasskey(ctx, k.touch(h.db))
			if c.lost {
				wantErr(t, err, snib.ErrInvalidCredentials)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAFirstPasskeyOfAUserWhoMustHaveAFactor, proven by a known device.
func TestAFirstPasskeyOfAUserWhoMustHaveAFactor(t *testing.T) {
	m := newMandated(t)
	pending := m.first(t, nil)
	k := &keyring{user: m.user.ID}
	_, err := m.db.Factors().AddPasskey(ctx, snib.Enrolling(pending), k.another(m.db))
	wantErr(t, err, snib.ErrEnrolment)
	n := k.another(m.db)
	must(m.db.Factors().AddPasskey(on(m.home), snib.Enrolling(pending), n))(t)
	k.passkey, _, _ = m.db.Factors().PasskeyByCredential(ctx, n.CredentialID)
	m.clock.Advance(tick)
	used := must(m.db.Factors().UsePasskey(ctx, k.touch(m.db)))(t)
	s := must(m.db.CreateSession(ctx, used, snib.SessionOptions{}))(t)
	wantErr(t, m.db.Factors().Remove(ctx, s, k.passkey.ID), snib.ErrLastFactor)
}

// TestPasskeyChallengeOfAnotherFile, which shares the key and the user's id, is none here.
func TestPasskeyChallengeOfAnotherFile(t *testing.T) {
	h, k := newKeyholder(t, snib.Options{})
	other, _ := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	_, err := h.db.Factors().UsePasskey(ctx, k.answer(challengeOf(other, snib.PasskeyLogIn, "")))
	wantErr(t, err, snib.ErrInvalidChallenge)
	none := snibtest.NewDB(t, nil)
	_, err = none.Factors().PasskeyChallenge(ctx, snib.PasskeyLogIn, "")
	wantErr(t, err, snib.ErrNoKey)
	_, err = h.db.Factors().PasskeyChallenge(ctx, 0, "")
	wantField(t, err, "Purpose")
	_, err = h.db.Factors().PasskeyChallenge(ctx, snib.PasskeyRegistration, "")
	wantField(t, err, "UserID")
}

// FuzzPasskeyChallenge: no text but those that were made is one.
func FuzzPasskeyChallenge(f *testing.F) {
	h, k := newKeyholder(f, snib.Options{})
	made := challengeOf(h.db, snib.PasskeyLogIn, "")
	f.Add("")
	f.Add("snpkc_k1.")
	f.Add(made[:len(made)-1])
	f.Add("snpkc_k1." + string(binary.BigEndian.AppendUint64(nil, 1<<63)))
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := h.db.Factors().UsePasskey(ctx, k.answer(text)); text != made && !errors.Is(err, snib.ErrInvalidChallenge) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// keysOf are the keys of a space.
func keysOf(tb testing.TB, db *snib.DB, space string) (keys []string) {
	tb.Helper()
	if err := handle(tb, db).View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("snib")).Bucket([]byte(space))
		if b == nil {
			return nil
		}
		return b.ForEach(func(k, _ []byte) error { keys = append(keys, string(k)); return nil })
	}); err != nil {
		tb.Fatal(err)
	}
	return keys
}

// TestRestoreRefusesChallengesOfTheBackupsTime: an assertion that was used since
// would be good again.
func TestRestoreRefusesChallengesOfTheBackupsTime(t *testing.T) {
	for _, ended := range []bool{false, true} {
		t.Run(fmt.Sprint("in a later epoch than the passkey's last use: ", ended), func(t *testing.T) { restoreRefuses(t, ended) })
	}
}

func restoreRefuses(t *testing.T, ended bool) {
	h, k := newKeyholder(t, snib.Options{})
	if ended {
		if err := h.db.EndEverything(ctx); err != nil {
			t.Fatal(err)
		}
	}
	a := k.touch(h.db)
	backup, path := filepath.Join(t.TempDir(), "backup.db"), filepath.Join(t.TempDir(), "a.db")
	if err := h.db.File().BackupFile(ctx, backup, nil); err != nil {
		t.Fatal(err)
	}
	must(h.db.Factors().UsePasskey(ctx, a))(t)
	o := &snib.Options{Now: h.clock.Now, Keys: []snib.Key{testKey("k1", 1)}}
	must(snib.Restore(ctx, backup, path, &snib.RestoreOptions{KeepSessions: true, Options: o}))(t)
	db := snibtest.OpenDB(t, path, o)
	_, err := db.Factors().UsePasskey(ctx, a)
	wantErr(t, err, snib.ErrInvalidChallenge)
	h.clock.Advance(time.Second)
	must(db.Factors().UsePasskey(ctx, k.touch(db)))(t)
}
