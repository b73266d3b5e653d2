package snib_test

import (
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
)

const fresh = "a new passphrase"

// ask goes the whole way of a request for a link.
func ask(tb testing.TB, db *snib.DB, address string) (snib.Reset, error) {
	tb.Helper()
	return db.Tokens().StoreReset(ctx, must(db.Tokens().BeginReset(snib.AsOperator(ctx), "email", address, time.Hour))(tb))
}

func TestResetOfAForgottenPassword(t *testing.T) {
	db, clock := clocked(t, snib.Options{Passwords: snib.PasswordPolicy{MinLength: 12}})
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "Ada@example.com", Password: password, Verified: true}))(t)
	must(db.LinkIdentity(ctx, u.ID, "github", "7"))(t)
	s := logIn(t, db, "ada@example.com")
	_, family, err := db.CreateRefreshToken(ctx, asNow(t, db, u.ID), snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	device := must(db.Devices().Remember(ctx, s))(t)
	key := must(db.APIKeys().Create(ctx, s, snib.NewAPIKey{Name: "n", TTL: time.Hour}))(t)
	other := link(t, db, u, "verify", time.Hour)
	before := asNow(t, db, u.ID)

	clock.Advance(time.Minute)
	l := must(ask(t, db, "ada@EXAMPLE.com"))(t)
	if l.To.Identifier != "Ada@example.com" || l.UserID != u.ID || !l.ExpiresAt.Equal(clock.Now().Truncate(time.Millisecond).Add(time.Hour)) {
		t.Errorf("the link is %+v", l)
	}
	text := l.Token.Reveal()
	if seen := must(db.Tokens().PeekReset(ctx, text))(t); seen.UserID != u.ID || seen.Token.Reveal() != "" {
		t.Errorf("seen %+v", seen)
	}
	wantField(t, second(db.Tokens().Use(ctx, "snib:reset", text)), "Purpose")
	wantErr(t, second(db.Tokens().Use(ctx, "reset", text)), snib.ErrInvalidOneTimeToken)

	// What is refused leaves the token, and all else.
	quiet(t, db, func() {
		for _, bad := range []string{"", "too short", "Ada@Example.com", strings.Repeat("x", 1025)} {
			wantField(t, second(db.Tokens().FinishReset(ctx, text, bad)), "Password")
		}
		wantErr(t, second(db.Tokens().FinishReset(ctx, text+"x", "bad")), snib.ErrInvalidOneTimeToken)
	})
	valid(t, db, s)

	commits(t, db, 1, func() { u = must(db.Tokens().FinishReset(ctx, text, fresh))(t) })
	if u.CredentialVersion == before.CredentialVersion || !u.HasPassword {
		t.Errorf("afterwards %+v", u)
	}
	invalid(t, db, s)
	wantErr(t, thirdError(db.Refresh(ctx, family.Token.Reveal())), snib.ErrInvalidRefreshToken)
	wantErr(t, second(db.Tokens().Use(ctx, "verify", other.Token.Reveal())), snib.ErrInvalidOneTimeToken)
	_, _, err = db.APIKeys().Validate(ctx, key.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidAPIKey)
	if got := must(db.Devices().List(ctx, u.ID))(t); len(got) != 0 {
		t.Errorf("devices %+v, of which one was %s", got, device.ID)
	}
	if got := happened(t, db, u.ID)[:2]; !slices.Equal(got, []snib.EventKind{snib.EventPasswordSet, snib.EventTokenUsed}) {
		t.Errorf("events %q", got)
	}
	wantErr(t, thirdError(db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})), snib.ErrInvalidCredentials)
	valid(t, db, must(db.CreateSession(ctx, u, snib.SessionOptions{}))(t))
	if _, _, err := db.LogIn(ctx, "email", "ada@example.com", fresh, snib.SessionOptions{}); err != nil {
		t.Error(err)
	}
	quiet(t, db, func() {
		wantErr(t, second(db.Tokens().FinishReset(ctx, text, "once more again")), snib.ErrInvalidOneTimeToken)
		wantErr(t, second(db.Tokens().PeekReset(ctx, text)), snib.ErrInvalidOneTimeToken)
	})
}

// TestBeginResetIsAlikeForAll: it reads no account and writes nothing, for known,
// unknown and impossible ones.
func TestBeginResetIsAlikeForAll(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password, Verified: true}))(t)
	gone := email(t, db, "gone@example.com")
	must(db.DisableUser(ctx, gone.ID, ""))(t)
	most := looks(db, func() { db.View(ctx, func(*snib.Tx) error { return nil }) })
	for _, address := range []string{"ada@example.com", "gone@example.com", "nobody@example.com", "no address", ""} {
		var r snib.ResetRequest
		reads := looks(db, func() { r = must(db.Tokens().BeginReset(ctx, "email", address, time.Hour))(t) })
		if reads > most {
			t.Errorf("%q: %d looks at the file, %d without an account", address, reads, most)
		}
		// By the tries of each in all, and not by its success.
		for range 4 {
			must(db.Tokens().BeginReset(ctx, "email", address, time.Hour))(t)
		}
		wantThrottled(t, second(db.Tokens().BeginReset(ctx, "email", address, time.Hour)), 30*time.Second)
		if address != "ada@example.com" {
			quiet(t, db, func() {
				if _, err := db.Tokens().StoreReset(ctx, r); !errors.Is(err, snib.ErrUserNotFound) && !errors.Is(err, snib.ErrUserDisabled) {
					t.Errorf("%q: %v", address, err)
				}
			})
		}
	}
	wantThrottled(t, second(db.Tokens().BeginReset(ctx, "email", "ADA@example.com", time.Hour)), 30*time.Second)
	for _, ttl := range []time.Duration{0, time.Second - 1, 24*time.Hour + 1} {
		wantField(t, second(db.Tokens().BeginReset(ctx, "email", "bob@example.com", ttl)), "TTL")
	}
	wantField(t, second(db.Tokens().BeginReset(ctx, "no provider", "x", time.Hour)), "Provider")
	wantErr(t, second(db.Tokens().StoreReset(ctx, snib.ResetRequest{})), snib.ErrUserNotFound)
}

// looks counts the operations of the engine.
func looks(db *snib.DB, f func()) int64 {
	var counted *faultkv.Store
	restore := db.WrapStore(func(inner kv.Store) kv.Store {
		counted = faultkv.Wrap(inner, faultkv.Faults{Fail: -1})
		return counted
	})
	defer restore()
	f()
	return counted.Ops()
}

// TestAFloodOfRequestsLocksNobodyOut who knows the password, or has a link.
func TestAFloodOfRequestsLocksNobodyOut(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password, Verified: true}))(t)
	l := must(ask(t, db, "ada@example.com"))(t)
	for i := range 300 {
		db.Tokens().BeginReset(from("203.0."+strconv.Itoa(i%250)+".5"), "email", "ada@example.com", time.Hour)
	}
	owner := from("198.51.100.7")
	wantThrottled(t, second(db.Tokens().BeginReset(owner, "email", "ada@example.com", time.Hour)), 30*time.Second)
	if _, _, err := db.LogIn(owner, "email", "ada@example.com", password, snib.SessionOptions{}); err != nil {
		t.Error(err)
	}
	must(db.Tokens().FinishReset(owner, l.Token.Reveal(), fresh))(t)
	must(db.Tokens().BeginReset(owner, "email", "ada@example.com", time.Hour))(t)
}

func TestBeginResetCountsTheNetwork(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		_, err = db.Tokens().BeginReset(from("203.0.113.5"), "email", "a"+strings.Repeat("b", n%50)+"@x"+strings.Repeat("c", n/50)+".example", time.Hour)
	}
	wantErr(t, err, snib.ErrThrottled)
	must(db.Tokens().BeginReset(from("198.51.100.5"), "email", "another@example.com", time.Hour))(t)
}

// TestTheNewestLinkVoidsTheOlder, and within a minute of it there is none.
func TestTheNewestLinkVoidsTheOlder(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Verified: true}))(t)
	var links []snib.Reset
	for range 5 {
		links = append(links, must(ask(t, db, "ada@example.com"))(t))
		clock.Advance(59 * time.Second)
		quiet(t, db, func() { wantErr(t, second(ask(t, db, "ada@example.com")), snib.ErrOneTimeTokenLimit) })
		clock.Advance(time.Second)
	}
	made := must(db.Tokens().CreateReset(ctx, u.ID, 48*time.Hour))(t)
	for _, l := range links {
		wantErr(t, second(db.Tokens().FinishReset(ctx, l.Token.Reveal(), fresh)), snib.ErrInvalidOneTimeToken)
	}
	if all := must(db.Tokens().List(ctx, u.ID, ""))(t); len(all) != 1 || all[0].ID != made.ID {
		t.Errorf("live: %+v", all)
	}
	must(db.Tokens().FinishReset(ctx, made.Token.Reveal(), fresh))(t)
	wantErr(t, second(db.Tokens().CreateReset(ctx, "nobody", time.Hour)), snib.ErrUserNotFound)
	wantField(t, second(db.Tokens().CreateReset(ctx, u.ID, 0)), "TTL")
}

// TestAResetOfAnUnprovenAddress: a stranger who has signed up with somebody's
// address keeps no way in, and what the stranger has linked is not given away.
func TestAResetOfAnUnprovenAddress(t *testing.T) {
	t.Run("the only way in", func(t *testing.T) {
		db, _ := clocked(t, snib.Options{Passwords: snib.PasswordPolicy{ResetKeepsAPIKeys: true}})
		stranger := email(t, db, "ada@example.com")
		s := logIn(t, db, "ada@example.com")
		key := must(db.APIKeys().Create(ctx, s, snib.NewAPIKey{Name: "n", TTL: time.Hour}))(t)
		u := must(db.Tokens().FinishReset(ctx, must(ask(t, db, "ada@example.com"))(t).Token.Reveal(), fresh))(t)
		if u.ID != stranger.ID || u.Identities[0].VerifiedAt.IsZero() {
			t.Errorf("%+v", u)
		}
		invalid(t, db, s)
		_, _, err := db.APIKeys().Validate(ctx, key.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidAPIKey)
		if got := happened(t, db, u.ID)[:3]; !slices.Equal(got, []snib.EventKind{"password-set", "identity-verified", "token-used"}) &&
			!slices.Equal(got, []snib.EventKind{"password-set", "api-key-revoked", "identity-verified"}) {
			t.Errorf("events %q", got)
		}
	})
	for name, plant := range map[string]func(*testing.T, *snib.DB, snib.User){
		"another identity": func(t *testing.T, db *snib.DB, u snib.User) { must(db.LinkIdentity(ctx, u.ID, "github", "666"))(t) },
		"a factor": func(t *testing.T, db *snib.DB, u snib.User) {
			s := logIn(t, db, "ada@example.com")
			enrolIn(t, db, &s)
		},
		"a passkey": func(t *testing.T, db *snib.DB, u snib.User) {
			s := logIn(t, db, "ada@example.com")
			newKeyring(t, db, &s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, _ := clocked(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
			u := email(t, db, "ada@example.com")
			plant(t, db, u)
			quiet(t, db, func() { wantErr(t, second(ask(t, db, "ada@example.com")), snib.ErrUserNotFound) })
		})
	}
	t.Run("linked after the mail", func(t *testing.T) {
		db, _ := clocked(t, snib.Options{})
		u := email(t, db, "ada@example.com")
		l := must(ask(t, db, "ada@example.com"))(t).Token.Reveal()
		must(db.LinkIdentity(ctx, u.ID, "github", "666"))(t)
		quiet(t, db, func() {
			wantErr(t, second(db.Tokens().PeekReset(ctx, l)), snib.ErrInvalidOneTimeToken)
			wantErr(t, second(db.Tokens().FinishReset(ctx, l, fresh)), snib.ErrInvalidOneTimeToken)
		})
	})
}

// TestStoreResetPeekResetAndFinishResetOfOneSpelling: who has read the mail of one spelling has
// not read that of another.
func TestStoreResetPeekResetAndFinishResetOfOneSpelling(t *testing.T) {
	for _, verified := range []bool{false, true} {
		db, _ := clocked(t, snib.Options{})
		u := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password, Verified: verified}))(t)
		l := must(ask(t, db, "ada@example.com"))(t).Token.Reveal()
		must(db.UpdateUserProviderID(ctx, u.ID, "email", "Ada@example.com"))(t)
		quiet(t, db, func() {
			wantErr(t, second(db.Tokens().PeekReset(ctx, l)), snib.ErrInvalidOneTimeToken)
			wantErr(t, second(db.Tokens().FinishReset(ctx, l, fresh)), snib.ErrInvalidOneTimeToken)
		})
	}
}

// TestCreateResetOutlivesAStrangersRequest: its user may not reach the mailbox.
func TestCreateResetOutlivesAStrangersRequest(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Verified: true}))(t)
	made := must(db.Tokens().CreateReset(ctx, u.ID, 48*time.Hour))(t)
	var mailed snib.Reset
	for range 5 {
		clock.Advance(time.Minute)
		mailed = must(ask(t, db, "ada@example.com"))(t)
	}
	if all := must(db.Tokens().List(ctx, u.ID, ""))(t); len(all) != 2 || all[0].ID != made.ID || all[1].ID != mailed.ID {
		t.Errorf("live: %+v", all)
	}
	must(db.Tokens().FinishReset(ctx, made.Token.Reveal(), fresh))(t)
	wantErr(t, second(db.Tokens().FinishReset(ctx, mailed.Token.Reveal(), fresh)), snib.ErrInvalidOneTimeToken)
}

// TestAResetAsksForTheSecondFactor, ends the log-ins that wait for it, and buys no
// more tries of codes.
func TestAResetAsksForTheSecondFactor(t *testing.T) {
	h := newHolder(t, snib.Options{})
	address := asNow(t, h.db, h.user.ID).Identities[0]
	must(h.db.Identities().Verify(ctx, h.user.ID, address.Provider, address.Identifier))(t)
	pending := h.pend(t)
	for range 9 {
		h.finish(pending, h.phone.wrong(h.db))
	}
	r := must(h.db.Tokens().BeginReset(ctx, address.Provider, address.Identifier, time.Hour))(t)
	l := must(h.db.Tokens().StoreReset(ctx, r))(t)
	u := must(h.db.Tokens().FinishReset(ctx, l.Token.Reveal(), fresh))(t)
	_, err := h.finish(pending, h.phone.code(h.db))
	if err == nil {
		t.Error("a log-in of before the reset was finished")
	}
	wantErr(t, second(h.db.CreateSession(ctx, u, snib.SessionOptions{})), snib.ErrSecondFactor)
	_, _, err = h.db.LogIn(ctx, address.Provider, address.Identifier, fresh, snib.SessionOptions{})
	next := pendingOf(t, err)
	h.finish(next, h.phone.wrong(h.db)) // the tenth
	if _, err := h.finish(next, h.phone.wrong(h.db)); !errors.Is(err, snib.ErrThrottled) {
		t.Errorf("after ten wrong codes: %v", err)
	}
}

// TestAResetEndsTheRunOfFailures with the old password, and that of requests.
func TestAResetEndsTheRunOfFailures(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password, Verified: true}))(t)
	wantThrottled(t, fail(db, "ada@example.com", 6), 30*time.Second)
	var r snib.ResetRequest
	for range 5 {
		r = must(db.Tokens().BeginReset(ctx, "email", "ada@example.com", time.Hour))(t)
	}
	l := must(db.Tokens().StoreReset(ctx, r))(t)
	must(db.Tokens().FinishReset(ctx, l.Token.Reveal(), fresh))(t)
	if _, _, err := db.LogIn(ctx, "email", "ada@example.com", fresh, snib.SessionOptions{}); err != nil {
		t.Error(err)
	}
	must(db.Tokens().BeginReset(ctx, "email", "ada@example.com", time.Hour))(t)
}

func TestOneOfManySetsThePassword(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Verified: true}))(t)
	text := must(ask(t, db, "ada@example.com"))(t).Token.Reveal()
	var wait sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wait.Go(func() { _, errs[i] = db.Tokens().FinishReset(ctx, text, fresh+strings.Repeat("!", i)) })
	}
	wait.Wait()
	set := 0
	for i, err := range errs {
		if err == nil {
			set++
			if _, _, err := db.LogIn(ctx, "email", "ada@example.com", fresh+strings.Repeat("!", i), snib.SessionOptions{}); err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, snib.ErrInvalidOneTimeToken) {
			t.Error(err)
		}
	}
	if set != 1 {
		t.Errorf("%d have set it", set)
	}
}

// TestAResetIsNoPartOfATransaction that would wait for the hash.
func TestAResetIsNoPartOfATransaction(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Verified: true}))(t)
	r := must(db.Tokens().BeginReset(ctx, "email", "ada@example.com", time.Hour))(t)
	var l snib.Reset
	if err := db.Update(ctx, func(tx *snib.Tx) (err error) {
		_, err = tx.Tokens().BeginReset(ctx, "email", "ada@example.com", time.Hour)
		wantErr(t, err, snib.ErrNested)
		_, err = tx.Tokens().FinishReset(ctx, "", fresh)
		wantErr(t, err, snib.ErrNested)
		l, err = tx.Tokens().StoreReset(ctx, r)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	must(db.Tokens().FinishReset(ctx, l.Token.Reveal(), fresh))(t)
	for _, e := range must(db.Events().List(ctx, u.ID))(t) {
		if strings.Contains(e.Detail, l.Token.Reveal()) {
			t.Error("an event has the token")
		}
	}
	before, _ := content(t, db)
	wantErr(t, second(db.Tokens().FinishReset(snib.WithClient(ctx, netip.MustParseAddr("192.0.2.1")), l.Token.Reveal(), fresh)), snib.ErrInvalidOneTimeToken)
	if after, _ := content(t, db); !maps.Equal(before, after) || reflect.DeepEqual(u, snib.User{}) {
		t.Error("a spent token has written")
	}
}
