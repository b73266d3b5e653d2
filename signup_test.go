package snib_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// signUp begins the sign-up of an address and returns the text of the mail.
func signUp(tb testing.TB, db *snib.DB, address string) string {
	tb.Helper()
	return must(db.Identities().BeginSignUp(ctx, "email", address, time.Hour))(tb).Token.Reveal()
}

// TestBeginSignUpPeekSignUpFinishSignUp: the link makes one user, who is verified, and the address is
// that of the form that began it.
func TestBeginSignUpPeekSignUpFinishSignUp(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	var up snib.SignUp
	quiet(t, db, func() {
		up = must(db.Identities().BeginSignUp(ctx, "email", "Ada@Example.com", time.Hour))(t)
		if up.UserID != "" || !up.ExpiresAt.Equal(clock.Now().Add(time.Hour)) || strings.Contains(fmt.Sprintf("%+v %#v", up, up), "snsup_") {
			t.Errorf("%+v", up)
		}
		x := must(db.Identities().PeekSignUp(ctx, up.Token.Reveal()))(t)
		if x.Provider != "email" || x.Identifier != "Ada@Example.com" {
			t.Errorf("the page shows %+v", x)
		}
	})
	clock.Advance(time.Hour - tick)
	u := must(db.Identities().FinishSignUp(ctx, up.Token.Reveal(), snib.NewUser{Password: password, Attributes: snib.Attributes{"name": "Ada"}}))(t)
	if len(u.Identities) != 1 || u.Identities[0].Identifier != "Ada@Example.com" || !u.Identities[0].VerifiedAt.Equal(clock.Now()) || u.Attributes()["name"] != "Ada" {
		t.Errorf("%+v", u)
	}
	logIn(t, db, "ada@example.com")
	quiet(t, db, func() { // the same again
		for _, err := range []error{
			second(db.Identities().FinishSignUp(ctx, up.Token.Reveal(), snib.NewUser{Password: "another passphrase"})),
			second(db.Identities().PeekSignUp(ctx, up.Token.Reveal())),
		} {
			wantErr(t, err, snib.ErrIdentityTaken)
		}
		again := must(db.Identities().BeginSignUp(ctx, "email", "ada@EXAMPLE.com", time.Hour))(t)
		if again.UserID != u.ID || len(again.Token.Reveal()) != len(up.Token.Reveal()) {
			t.Errorf("of a known address: %+v, %d digits for %d", again, len(again.Token.Reveal()), len(up.Token.Reveal()))
		}
		wantErr(t, second(db.Identities().FinishSignUp(ctx, again.Token.Reveal(), snib.NewUser{})), snib.ErrIdentityTaken)
	})
}

// TestSignUpRefuses all that is not its token, now, in this file.
func TestSignUpRefuses(t *testing.T) {
	o := snib.Options{Keys: []snib.Key{testKey("k1", 1)}}
	db, clock := clocked(t, o)
	o.Now = clock.Now
	other := snibtest.NewDB(t, &o) // of the same keys
	keyless := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
	good := signUp(t, db, "ada@example.com")
	texts := map[string]string{
		"nothing": "", "a prefix": "snsup_", "without a key": strings.Replace(good, "k1.", ".", 1), "of an unknown key": strings.Replace(good, "k1.", "k2.", 1),
		"cut": good[:len(good)-1], "longer": good + "0", "of another file": signUp(t, other, "ada@example.com"), "of a file without keys": signUp(t, keyless, "ada@example.com"),
		"long": "snsup_k1." + strings.Repeat("0", 1<<20), "in capitals": strings.ToUpper(good), "a session": newSession(t, db, user(t, db, "eve")).Token.Reveal(),
	}
	for i := len("snsup_k1."); i < len(good); i++ { // one character is another
		b := []byte(good)
		if b[i]++; b[i] > 'z' || b[i] == '9'+1 {
			b[i] = '0'
		}
		texts[fmt.Sprint("character ", i)] = string(b)
	}
	refused := func(text, what string) {
		t.Helper()
		for _, err := range []error{
			second(db.Identities().PeekSignUp(ctx, text)),
			second(db.Identities().FinishSignUp(ctx, text, snib.NewUser{Password: password})),
			db.Update(ctx, func(tx *snib.Tx) error { return second(tx.Identities().FinishSignUp(ctx, text, snib.NewUser{})) }),
		} {
			if !errors.Is(err, snib.ErrInvalidOneTimeToken) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	quiet(t, db, func() {
		for what, text := range texts {
			refused(text, what)
		}
		for _, n := range []snib.NewUser{{Provider: "email"}, {Identifier: "eve@example.com"}} { // its own address
			wantField(t, second(db.Identities().FinishSignUp(ctx, good, n)), "Provider")
		}
		wantField(t, second(db.Identities().BeginSignUp(ctx, "email", "a b", time.Hour)), "Identifier")
		for _, ttl := range []time.Duration{0, -1, time.Second - 1, 7*24*time.Hour + 1} {
			wantField(t, second(db.Identities().BeginSignUp(ctx, "email", "ada@example.com", ttl)), "TTL")
		}
		wantErr(t, second(keyless.Identities().PeekSignUp(ctx, good)), snib.ErrInvalidOneTimeToken)
	})
	clock.Advance(time.Hour)
	refused(good, "expired")
	late := signUp(t, db, "ada@example.com")
	if err := db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	refused(late, "of an earlier epoch")
}

// TestSignUpOutlivesARestartByItsKey, and without one it does not.
func TestSignUpOutlivesARestartByItsKey(t *testing.T) {
	for _, keys := range [][]snib.Key{nil, {testKey("k1", 1)}} {
		path := filepath.Join(t.TempDir(), "a.db")
		o := &snib.Options{Keys: keys}
		db := must(snib.Open(path, snibtest.Fast(o)))(t)
		token := signUp(t, db, "ada@example.com")
		closeDB(t, db)
		if keys != nil { // and the change of the key
			o.Keys = []snib.Key{testKey("k2", 2), testKey("k1", 1)}
		}
		db = snibtest.OpenDB(t, path, o)
		_, err := db.Identities().FinishSignUp(ctx, token, snib.NewUser{})
		if keys == nil {
			wantErr(t, err, snib.ErrInvalidOneTimeToken)
		} else if err != nil {
			t.Error(err)
		}
	}
}

// TestSignUpForAnAddressThatAnotherHas: one who has not proven it loses it and
// keeps the rest; one who has keeps it.
func TestSignUpForAnAddressThatAnotherHas(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	token := signUp(t, db, "ada@example.com")
	squatter := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password, Attributes: snib.Attributes{"planted": true}}))(t)
	planted := session(t, db, squatter.ID)
	if up := must(db.Identities().BeginSignUp(ctx, "email", "ada@example.com", time.Hour))(t); up.UserID != "" {
		t.Errorf("an address that nobody has proven has the account %s", up.UserID)
	}
	ada := must(db.Identities().FinishSignUp(ctx, token, snib.NewUser{Password: "another passphrase"}))(t)
	if ada.ID == squatter.ID || len(ada.Attributes()) != 0 {
		t.Errorf("%+v", ada)
	}
	invalid(t, db, planted)
	if u := must(db.GetUser(ctx, squatter.ID))(t); !u.Disabled() || len(u.Identities) != 0 {
		t.Errorf("%+v", u)
	}
	// The address moves on while a link is in the mail.
	token = signUp(t, db, "bob@example.com")
	move := must(db.Identities().BeginMove(ctx, ada.ID, "email", "bob@example.com", time.Hour))(t)
	if _, _, err := db.Identities().FinishMove(ctx, move.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	quiet(t, db, func() {
		wantErr(t, second(db.Identities().FinishSignUp(ctx, token, snib.NewUser{Password: password})), snib.ErrIdentityTaken)
	})
}

// TestSignUpTwiceAtOnceMakesOneUser.
func TestSignUpTwiceAtOnceMakesOneUser(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	token := signUp(t, db, "ada@example.com")
	errs := make([]error, 16)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { _, errs[i] = db.Identities().FinishSignUp(ctx, token, snib.NewUser{}) })
	}
	all.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else {
			wantErr(t, err, snib.ErrIdentityTaken)
		}
	}
	if r := must(db.Check(ctx))(t); made != 1 || r.Users != 1 {
		t.Errorf("%d were made, %d users", made, r.Users)
	}
}

// TestSignUpPolicy: what each mode lets in, by each way. A link that was mailed
// before is under the policy of today.
func TestSignUpPolicy(t *testing.T) {
	vouched := map[string][]string{"google": {"example.com", "example.org"}}
	domains := []string{"example.com"}
	for mode, admits := range map[snib.SignUpMode][]string{
		snib.SignUpOpen:     {"mail", "mail elsewhere", "name", "vouched", "vouched elsewhere", "not vouched", "not vouched, of the domain", "without an address"},
		snib.SignUpByDomain: {"mail", "vouched"},
		snib.SignUpInvited:  {}, snib.SignUpClosed: {},
	} {
		o := snib.Options{VouchesFor: vouched, SignUp: snib.SignUpPolicy{Mode: mode}, Providers: map[string]snib.IdentifierRule{"email": snib.Email, "exact": snib.Exact}}
		if mode == snib.SignUpByDomain {
			o.SignUp.Domains = domains
		}
		o.Keys = []snib.Key{testKey("k1", 1)}
		path := filepath.Join(t.TempDir(), "a.db")
		before := o
		before.SignUp = snib.SignUpPolicy{}
		db := must(snib.Open(path, snibtest.Fast(&before)))(t)
		mailed := map[string]string{"mail": signUp(t, db, "ada@example.com"), "mail elsewhere": signUp(t, db, "ada@mail.example.com")}
		mailed["name"] = must(db.Identities().BeginSignUp(ctx, "exact", "x@evil.example,@example.com", time.Hour))(t).Token.Reveal()
		holder := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "old@example.net", Verified: true}))(t)
		must(db.LinkIdentity(ctx, holder.ID, "google", "old"))(t)
		closeDB(t, db)
		db = snibtest.OpenDB(t, path, &o)
		external := func(subject, address string) func() error {
			e := snib.External{Provider: "google", Subject: subject}
			if address != "" {
				e.AddressProvider, e.Address = "email", address
			}
			return func() error { return second(db.Identities().ResolveExternal(ctx, e)) }
		}
		ways := map[string]func() error{
			"vouched": external("1", "eve@example.com"), "vouched elsewhere": external("2", "eve@example.org"),
			"not vouched": external("3", "eve@example.net"), "without an address": external("4", ""),
		}
		ways["not vouched, of the domain"] = func() error {
			return second(db.Identities().ResolveExternal(ctx, snib.External{Provider: "corp", Subject: "5", AddressProvider: "email", Address: "joe@example.com"}))
		}
		for name, token := range mailed {
			ways[name] = func() error { return second(db.Identities().FinishSignUp(ctx, token, snib.NewUser{})) }
		}
		for name := range ways {
			want := error(snib.ErrSignUpClosed)
			for _, way := range admits {
				if way == name {
					want = nil
				}
			}
			try := func() {
				if err := ways[name](); !errors.Is(err, want) || want == nil && err != nil {
					t.Errorf("%q, %s: %v, want %v", mode, name, err, want)
				}
			}
			if want == nil {
				try()
			} else {
				quiet(t, db, try)
			}
		}
		// Alike for those with an account: neither tells that there is one.
		for _, address := range []string{"old@example.net", "new@example.net"} {
			_, err := db.Identities().BeginSignUp(ctx, "email", address, time.Hour)
			if (err == nil) != (mode == snib.SignUpOpen) {
				t.Errorf("%q, %s: %v", mode, address, err)
			}
		}
		// Users go on, and so does the program's own act.
		must(db.Identities().ResolveExternal(ctx, snib.External{Provider: "google", Subject: "old"}))(t)
		must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "made@example.net"}))(t)
		must(db.ImportUser(ctx, snib.UserImport{ID: "u1", Provider: "email", Identifier: "came@example.net"}))(t)
	}
}

// TestSignUpStoresNothingOfAStranger: neither the address nor a hash of the token.
func TestSignUpStoresNothingOfAStranger(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	before, _ := content(t, db)
	for i := range 100 {
		signUp(t, db, fmt.Sprintf("a%d@example.com", i))
	}
	if after, _ := content(t, db); !maps.Equal(before, after) {
		t.Error("something was written")
	}
}
