package snib_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// vouching are options under which a provider's word is good for two domains.
func vouching() snib.Options {
	return snib.Options{VouchesFor: map[string][]string{"google": {"gmail.com", "example.com"}}, Keys: []snib.Key{testKey("k1", 1)}}
}

// asserted is the answer of a provider.
func asserted(provider, subject, address string) snib.External {
	e := snib.External{Provider: provider, Subject: subject}
	if address != "" {
		e.AddressProvider, e.Address = "email", address
	}
	return e
}

func resolve(db *snib.DB, e snib.External) (snib.User, error) {
	return db.Identities().ResolveExternal(ctx, e)
}

func TestResolveExternalKnowsTheSubject(t *testing.T) {
	db, _ := clocked(t, vouching())
	first := must(resolve(db, asserted("google", "1", "ada@example.com")))(t)
	if providers(first) != "google:1 email:ada@example.com" || first.Identities[0].VerifiedAt.IsZero() || first.Identities[1].VerifiedAt.IsZero() {
		t.Errorf("%+v", first.Identities)
	}
	// Whatever address is asserted later, and of whichever user.
	must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "bob@example.com", Verified: true}))(t)
	quiet(t, db, func() {
		for _, address := range []string{"", "other@example.com", "bob@example.com"} {
			if u := must(resolve(db, asserted("google", "1", address)))(t); !reflect.DeepEqual(u, first) {
				t.Errorf("with %q: %+v", address, u)
			}
		}
	})
	// Exactly, and of this issuer.
	for _, e := range []snib.External{asserted("google", "10", ""), asserted("google2", "1", ""), asserted("google", "l", "")} {
		if u := must(resolve(db, e))(t); u.ID == first.ID {
			t.Errorf("%+v is %s", e, u.ID)
		}
	}
	must(db.DisableUser(ctx, first.ID, ""))(t)
	wantErr(t, second(resolve(db, asserted("google", "1", ""))), snib.ErrUserDisabled)
}

// An address opens an account if the provider vouches for its domain and the
// holder has verified it, has no factor, and has not parted from the provider.
func TestResolveExternalLinksWhatIsVouchedFor(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*snib.DB, snib.User)
		answer  snib.External
		links   bool
	}{
		"vouched":           {nil, asserted("google", "1", "ada@example.com"), true},
		"spelled otherwise": {nil, asserted("google", "1", "Ada@Example.COM"), true},
		"another provider":  {nil, asserted("sso", "1", "ada@example.com"), false},
		"a second factor":   {func(db *snib.DB, u snib.User) { enrol(t, db, snib.FactorNotNeeded(u)) }, asserted("google", "1", "ada@example.com"), false},
		"unlinked once": {func(db *snib.DB, u snib.User) {
			must(db.Identities().Verify(ctx, u.ID, "google", "0"))(t)
			must(db.UnlinkIdentity(ctx, u.ID, "google", "0"))(t)
		}, asserted("google", "1", "ada@example.com"), false},
		"unlinked from another": {func(db *snib.DB, u snib.User) {
			must(db.Identities().Verify(ctx, u.ID, "googl", "0"))(t)
			must(db.UnlinkIdentity(ctx, u.ID, "googl", "0"))(t)
		}, asserted("google", "1", "ada@example.com"), true},
	} {
		db, _ := clocked(t, vouching())
		ada := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Verified: true}))(t)
		if c.prepare != nil {
			c.prepare(db, ada)
		}
		before := asNow(t, db, ada.ID)
		u, err := resolve(db, c.answer)
		switch {
		case c.links && (err != nil || u.ID != ada.ID || len(u.Identities) != 2):
			t.Errorf("%s: %+v, %v", name, u, err)
		case !c.links && (!errors.Is(err, snib.ErrLinkRequired) || !reflect.DeepEqual(asNow(t, db, ada.ID), before)):
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
	// A domain counts whole.
	db, _ := clocked(t, vouching())
	for _, address := range []string{"ada@evil-example.com", "ada@example.com.evil.org", "ada@sub.example.com"} {
		must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: address, Verified: true}))(t)
		wantErr(t, second(resolve(db, asserted("google", address, address))), snib.ErrLinkRequired)
	}
}

// An address that nobody has proven reserves nothing and merges nothing.
func TestResolveExternalMergesNoUnverifiedAccount(t *testing.T) {
	db, _ := clocked(t, vouching())
	stranger := email(t, db, "ada@example.com")
	ada := must(resolve(db, asserted("google", "1", "ada@example.com")))(t)
	if ada.ID == stranger.ID || providers(ada) != "google:1 email:ada@example.com" || !asNow(t, db, stranger.ID).Disabled() {
		t.Errorf("%+v", ada)
	}
	// A provider whose word is not good takes nothing.
	other := email(t, db, "bob@example.com")
	u := must(resolve(db, asserted("sso", "1", "bob@example.com")))(t)
	if u.ID == other.ID || providers(u) != "sso:1" || !reflect.DeepEqual(asNow(t, db, other.ID), other) {
		t.Errorf("%+v", u)
	}
	_, err := resolve(db, asserted("", "1", ""))
	wantField(t, err, "Provider")
	_, err = resolve(db, asserted("google", "", ""))
	wantField(t, err, "Subject")
	_, err = resolve(db, asserted("google", "2", "no address"))
	wantField(t, err, "Address")
	_, err = resolve(db, snib.External{Provider: "google", Subject: "2", AddressProvider: "google", Address: "3"})
	wantField(t, err, "AddressProvider")
}

func TestFinishLink(t *testing.T) {
	db, clock := clocked(t, vouching())
	ada := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Verified: true, Password: password}))(t)
	eve := email(t, db, "eve@example.com")
	pend := func() string {
		_, err := resolve(db, asserted("sso", "7", "ada@example.com"))
		e, ok := errors.AsType[*snib.LinkRequiredError](err)
		if !ok {
			t.Fatal(err)
		}
		text := e.Pending.Reveal()
		for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s", err, err, err, e), string(must(json.Marshal(e))(t))} {
			if strings.Contains(shown, text) {
				t.Errorf("shown: %s", shown)
			}
		}
		return text
	}
	pending := pend()
	fresh := logIn(t, db, "ada@example.com")
	finish := func(s snib.Session, text string) error { return second(db.Identities().FinishLink(ctx, s, text)) }
	wantErr(t, finish(logIn(t, db, "eve@example.com"), pending), snib.ErrInvalidOneTimeToken)
	for i := range len(pending) {
		altered := []byte(pending)
		altered[i] ^= 1
		if err := finish(fresh, string(altered)); !errors.Is(err, snib.ErrInvalidOneTimeToken) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for _, text := range []string{"", "snlnk_", pending[:20], pending + "0", pending + strings.Repeat("0", 4096)} {
		wantErr(t, finish(fresh, text), snib.ErrInvalidOneTimeToken)
	}
	clock.Advance(10 * time.Minute)
	wantErr(t, finish(fresh, pending), snib.ErrInvalidOneTimeToken)
	clock.Advance(6 * time.Minute)
	wantErr(t, finish(fresh, pend()), snib.ErrNotFresh)

	fresh = logIn(t, db, "ada@example.com")
	u := must(db.Identities().FinishLink(ctx, fresh, pend()))(t)
	if u.ID != ada.ID || providers(u) != "email:ada@example.com sso:7" || u.Identities[1].VerifiedAt.IsZero() {
		t.Errorf("%+v", u.Identities)
	}
	if again := must(resolve(db, asserted("sso", "7", "")))(t); again.ID != ada.ID || len(asNow(t, db, eve.ID).Identities) != 1 {
		t.Errorf("%s is signed in", again.ID)
	}
}

func TestVouchesForIsChecked(t *testing.T) {
	for _, domains := range []map[string][]string{{"google": {"Gmail.com"}}, {"google": {""}}, {"google": {"a@gmail.com"}}, {"Goo gle": {"gmail.com"}}} {
		_, err := snib.Open(t.TempDir()+"/a.db", &snib.Options{VouchesFor: domains})
		wantField(t, err, "Options.VouchesFor")
	}
}
