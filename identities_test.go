package snib_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// folding is what each rule makes of identifiers: the spellings of one line
// are one identity, the lines are different ones.
var folding = map[string][][]string{
	"email": {
		{"ada@example.com", "Ada@Example.COM", "ADA@EXAMPLE.COM"},
		{"ada+snib@example.com", "ADA+snib@example.com"},
		{"a.da@example.com"},
		{"ada@localhost"},
		{"'ada'@example.com"},
		{"ada@[192.0.2.1]"},
		{"ada@[IPv6:2001:DB8::1]", "ada@[ipv6:2001:db8:0:0::1]"},
		{"kelvin@example.com", "KELVIN@example.com"},
		{strings.Repeat("a", 64) + "@b.com", strings.Repeat("A", 64) + "@B.COM"},
	},
	"username": {
		{"ada", "Ada", "ADA", "ａｄａ", "ＡＤＡ"},
		{"\u00e9tude", "\u00c9tude", "e\u0301tude", "E\u0301TUDE"},
		{"ı"}, // dotless: another letter than i
		{"i", "I"},
		{"straße", "Straße", "STRAẞE"},
		{"strasse", "STRASSE"},
		{"аdа"}, // Cyrillic
		{"σίσυφοσ", "ΣΊΣΥΦΟΣ"},
		{"kelvin", "\u212aelvin"}, // the Kelvin sign is a capital k
		{"ada-1", "ADA-1"},
		{"ada.1"},
		{"ada_1"},
		{strings.Repeat("é", 128), strings.Repeat("É", 128)},
	},
	"github": {
		{"ada"}, {"Ada"}, {"ada "}, {" ada"}, {"a b"}, {"a@b"}, {"ａｄａ"}, {"\u00e9"}, {"e\u0301"}, {"k"}, {"\u212a"},
		{"a/b\\c:d"}, {strings.Repeat("x", 256)}, {"\u200b"}, {"\ufeff"}, {"0"}, {"'; DROP TABLE users; --"},
	},
}

// unfoldable are identifiers that a rule refuses.
var unfoldable = map[string][]string{
	"email": {
		"", "ada", "@", "ada@", "@example.com", "a@b@c", `"a@b"@example.com`, "a da@example.com", "ada@exam ple.com", " ada@example.com",
		"ada@example.com ", "ädä@example.com", "ada@exämple.com", "ada＠example.com", "\u212aelvin@example.com", "ada@example.com\n",
		"ada\x00@example.com", "ada\x7f@example.com", "ada\u0085@example.com", "\xff@example.com", "ada\t@example.com",
		strings.Repeat("a", 65) + "@b.com", `"ada"@example.com`, "ada@example.com.", "victim@x.org,attacker", "a@x..org", "a..b@x.org",
	},
	"username": {
		"", "a b", "ada ", " ", "a@b", "a＠b", "a/b", "a／b", `a\b`, "a＼b", "a:b", "a：b", "Ⅳ", "ﬁ", "\u200bada", "ada\u00ad", "ada\u202e", "\ufeffada",
		"a\x00b", "a\nb", "a\u0085b", "\xff", "a\ud7ff\xed\xa0\x80", "☃", "ada\u0301\ue000", "a\u0645", "\u0645a", strings.Repeat("x", 257),
		strings.Repeat("é", 129),
	},
	"github": {"", "a\x00b", "a\nb", "\x1f", "\x7f", "\u0085", "\xff", "a\xc3", strings.Repeat("x", 257), strings.Repeat("é", 129)},
}

func TestGetUserByProviderIDFindsOneUserByEverySpelling(t *testing.T) {
	for provider, lines := range folding {
		db := snibtest.NewDB(t, nil)
		var users []snib.User
		for i, line := range lines {
			u, err := db.CreateUser(ctx, snib.NewUser{Provider: provider, Identifier: line[0]})
			if err != nil {
				t.Fatalf("%s %.40q: %v", provider, line[0], err)
			}
			users = append(users, u)
			for _, spelling := range line {
				_, err := db.CreateUser(ctx, snib.NewUser{Provider: provider, Identifier: spelling})
				if !errors.Is(err, snib.ErrIdentityTaken) {
					t.Errorf("%s %.40q beside %.40q (line %d): %v, want it taken", provider, spelling, line[0], i, err)
				}
			}
		}
		for i, line := range lines {
			for _, spelling := range line {
				got, err := db.GetUserByProviderID(ctx, provider, spelling)
				if err != nil || got.ID != users[i].ID || got.Identities[0].Identifier != line[0] {
					t.Errorf("%s %.40q: %v %v, want the user of %.40q", provider, spelling, got.Identities, err, line[0])
				}
			}
		}
	}
}

func TestCreateUserRefusesUnfoldableIdentifiers(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "owner@example.com")
	for provider, all := range unfoldable {
		for _, identifier := range all {
			for name, f := range map[string]func() error{
				"CreateUser": func() error {
					_, err := db.CreateUser(ctx, snib.NewUser{Provider: provider, Identifier: identifier})
					return err
				},
				"ImportUser": func() error {
					_, err := db.ImportUser(ctx, snib.UserImport{Provider: provider, Identifier: identifier})
					return err
				},
				"LinkIdentity": func() error { _, err := db.LinkIdentity(ctx, u.ID, provider, identifier); return err },
				"UpdateUserProviderID": func() error {
					_, err := db.UpdateUserProviderID(ctx, u.ID, provider, identifier)
					return err
				},
			} {
				err := f()
				if e, ok := errors.AsType[*snib.InputError](err); !ok || e.Field != "Identifier" {
					t.Errorf("%s %s %.40q: %v, want an InputError of Identifier", name, provider, identifier, err)
				} else if len(identifier) > 2 && strings.Contains(err.Error(), identifier) {
					t.Errorf("%s: the error repeats the identifier: %v", name, err)
				}
			}
			_, err := db.GetUserByProviderID(ctx, provider, identifier)
			wantErr(t, err, snib.ErrUserNotFound)
			if got := must(db.UnlinkIdentity(ctx, u.ID, provider, identifier))(t); len(got.Identities) != 1 {
				t.Errorf("unlinking %.40q: %v", identifier, got.Identities)
			}
		}
	}
}

func TestCreateUserFoldsAsProvidersDeclare(t *testing.T) {
	path := t.TempDir() + "/a.db"
	rules := map[string]snib.IdentifierRule{"nick": snib.Username, "work-mail": snib.Email, "email": snib.Exact}
	db := must(snib.Open(path, snibtest.Fast(&snib.Options{Providers: rules})))(t)
	for _, c := range []struct {
		provider, first, second string
		same                    bool
	}{
		{"nick", "Ada", "aDA", true}, {"work-mail", "A@b.com", "a@B.COM", true},
		{"email", "A@b.com", "a@b.com", false}, {"username", "Ada", "ada", false}, {"other", "Ada", "ada", false},
	} {
		must(db.CreateUser(ctx, snib.NewUser{Provider: c.provider, Identifier: c.first}))(t)
		_, err := db.CreateUser(ctx, snib.NewUser{Provider: c.provider, Identifier: c.second})
		if c.same != errors.Is(err, snib.ErrIdentityTaken) || !c.same && err != nil {
			t.Errorf("%s: %s beside %s: %v, want taken %t", c.provider, c.second, c.first, err, c.same)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := snib.Open(path, snibtest.Fast(&snib.Options{Providers: map[string]snib.IdentifierRule{"email": snib.Email}}))
	wantErr(t, err, snib.ErrIdentityTaken)
	if e, ok := errors.AsType[*snib.ConflictError](err); !ok || e.Name != "email" || e.Users[0] == e.Users[1] {
		t.Errorf("the conflict names %+v", e)
	}
	db = snibtest.OpenDB(t, path, nil) // keeps what the file declares
	_, err = db.CreateUser(ctx, snib.NewUser{Provider: "nick", Identifier: "ADA"})
	wantErr(t, err, snib.ErrIdentityTaken)
}

func TestLinkIdentityAndUnlinkIdentity(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
	u, other := email(t, db, "a@example.com"), email(t, db, "b@example.com")
	step := func(what string, got snib.User, err error, want string, raised uint64) {
		t.Helper()
		if err != nil || providers(got) != want || got.CredentialVersion != u.CredentialVersion+raised {
			t.Fatalf("%s: %s version %d, %v; want %s and %d more than %d", what, providers(got), got.CredentialVersion, err, want, raised, u.CredentialVersion)
		}
		if read := must(db.GetUser(ctx, u.ID))(t); !reflect.DeepEqual(read, got) {
			t.Fatalf("%s: read back %+v, returned %+v", what, read, got)
		}
		u = got
		clock.Advance(time.Second)
	}
	got, err := db.LinkIdentity(ctx, u.ID, "github", "1")
	step("link", got, err, "email:a@example.com github:1", 0)
	got, err = db.LinkIdentity(ctx, u.ID, "github", "2")
	step("another of the provider", got, err, "email:a@example.com github:1 github:2", 0)
	got, err = db.LinkIdentity(ctx, u.ID, "github", "1")
	step("the same again", got, err, "email:a@example.com github:1 github:2", 0)
	got, err = db.LinkIdentity(ctx, u.ID, "email", "A@EXAMPLE.com")
	step("the primary in another spelling", got, err, "email:a@example.com github:1 github:2", 0)
	got, err = db.UnlinkIdentity(ctx, u.ID, "email", "b@example.com")
	step("unlink another user's", got, err, "email:a@example.com github:1 github:2", 0)

	_, err = db.LinkIdentity(ctx, u.ID, "email", "B@example.com")
	wantErr(t, err, snib.ErrIdentityTaken)
	_, err = db.LinkIdentity(ctx, other.ID, "github", "1")
	wantErr(t, err, snib.ErrIdentityTaken)

	got, err = db.UnlinkIdentity(ctx, u.ID, "email", "A@EXAMPLE.com")
	step("unlink the primary", got, err, "github:1 github:2", 1)
	email(t, db, "a@example.com") // is free at once
	got, err = db.UnlinkIdentity(ctx, u.ID, "github", "2")
	step("unlink the other", got, err, "github:1", 1)
	_, err = db.UnlinkIdentity(ctx, u.ID, "github", "1")
	wantField(t, err, "Identifier")
	got, err = db.UnlinkIdentity(ctx, u.ID, "github", "3")
	step("unlink an unknown one from one", got, err, "github:1", 0)
	must(db.LinkIdentity(ctx, other.ID, "github", "2"))(t)
	if found := must(db.GetUserByProviderID(ctx, "github", "1"))(t); found.ID != u.ID {
		t.Errorf("the last identity finds %s", found.ID)
	}
}

func TestLinkIdentityRefusesTheSeventeenth(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	for i := range snib.MaxIdentities - 1 {
		u = must(db.LinkIdentity(ctx, u.ID, "github", fmt.Sprint(i)))(t)
	}
	_, err := db.LinkIdentity(ctx, u.ID, "github", "one more")
	wantErr(t, err, snib.ErrTooMany)
	_, err = db.GetUserByProviderID(ctx, "github", "one more")
	wantErr(t, err, snib.ErrUserNotFound)
	must(db.LinkIdentity(ctx, u.ID, "github", "3"))(t) // has it
	u = must(db.UpdateUserProviderID(ctx, u.ID, "email", "b@example.com"))(t)
	u = must(db.UnlinkIdentity(ctx, u.ID, "github", "7"))(t)
	if len(u.Identities) != snib.MaxIdentities-1 {
		t.Errorf("%d identities", len(u.Identities))
	}
	must(db.LinkIdentity(ctx, u.ID, "github", "one more"))(t)
	if err := db.DeleteUser(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	if keys := mentions(t, db, string(u.ID)); len(keys) > 0 {
		t.Errorf("left behind: %q", keys)
	}
}

// A name that reads like somebody's address would be mistaken for it by a
// form that takes either.
func TestCreateUserNameCannotShadowAnAddress(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	victim := email(t, db, "a@example.com")
	for _, name := range []string{"a@example.com", "A@EXAMPLE.COM", "a＠example.com", "a\ufe6bexample.com"} {
		_, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: name})
		wantField(t, err, "Identifier")
	}
	// Nor does the border between provider and identifier move.
	must(db.CreateUser(ctx, snib.NewUser{Provider: "e", Identifier: "mail:a@example.com"}))(t)
	_, err := db.CreateUser(ctx, snib.NewUser{Provider: "e", Identifier: "mail\x00a@example.com"})
	wantField(t, err, "Identifier")
	_, err = db.CreateUser(ctx, snib.NewUser{Provider: "email\x00a", Identifier: "x"})
	wantField(t, err, "Provider")
	if got := must(db.GetUserByProviderID(ctx, "email", "a@example.com"))(t); got.ID != victim.ID {
		t.Errorf("the address finds %s", got.ID)
	}
}

func TestUpdateUserProviderIDMovesTheIdentityAtOnce(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "old@example.com")
	other := email(t, db, "other@example.com")

	for _, c := range []struct{ provider, identifier, field string }{
		{"", "new@example.com", "Provider"},
		{"email", "", "Identifier"},
		{"e mail", "new@example.com", "Provider"},
		{strings.Repeat("e", 65), "new@example.com", "Provider"},
		{"email", "not an address", "Identifier"},
		{"email", "new@example.com\n", "Identifier"},
		{"github", strings.Repeat("x", 257), "Identifier"},
		{"username", "a@b", "Identifier"},
	} {
		_, err := db.UpdateUserProviderID(ctx, u.ID, c.provider, c.identifier)
		wantField(t, err, c.field)
	}
	_, err := db.UpdateUserProviderID(ctx, u.ID, "email", "OTHER@example.com")
	wantErr(t, err, snib.ErrIdentityTaken)
	if got := must(db.GetUser(ctx, u.ID))(t); !reflect.DeepEqual(got, u) {
		t.Fatalf("a refused update changed the user: %+v, was %+v", got, u)
	}

	got := must(db.UpdateUserProviderID(ctx, u.ID, "github", "4711"))(t)
	if x := got.Identities[0]; x.Provider != "github" || x.Identifier != "4711" || len(got.Identities) != 1 {
		t.Errorf("identities %v", got.Identities)
	}
	if got.ID != u.ID || got.CredentialVersion != u.CredentialVersion+1 {
		t.Errorf("id %s version %d, want %s and one more than %d", got.ID, got.CredentialVersion, u.ID, u.CredentialVersion)
	}
	_, err = db.GetUserByProviderID(ctx, "email", "old@example.com")
	wantErr(t, err, snib.ErrUserNotFound)
	if found := must(db.GetUserByProviderID(ctx, "github", "4711"))(t); found.ID != u.ID {
		t.Errorf("found %s", found.ID)
	}
	email(t, db, "old@example.com") // is free
	if other := must(db.GetUser(ctx, other.ID))(t); other.Identities[0].Identifier != "other@example.com" {
		t.Errorf("the other user changed: %v", other.Identities)
	}
}

func TestUpdateUserProviderIDReplacesTheIdentityOfItsProvider(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "google", Identifier: "sub-1", Password: password}))(t)
	must(db.LinkIdentity(ctx, u.ID, "email", "old@example.com"))(t)
	u = must(db.LinkIdentity(ctx, u.ID, "github", "2"))(t)
	clock.Advance(time.Hour)

	got := must(db.UpdateUserProviderID(ctx, u.ID, "email", "New@example.com"))(t)
	if want := "google:sub-1 email:New@example.com github:2"; providers(got) != want || got.CredentialVersion != u.CredentialVersion+1 {
		t.Errorf("%s, version %d, want %s and %d", providers(got), got.CredentialVersion, want, u.CredentialVersion+1)
	}
	for i, x := range got.Identities {
		if moved := !x.LinkedAt.Equal(u.Identities[i].LinkedAt); moved != (x.Provider == "email") {
			t.Errorf("%s linked at %v", x.Provider, x.LinkedAt)
		}
	}
	must(db.GetUserByProviderID(ctx, "google", "sub-1"))(t)
	_, err := db.GetUserByProviderID(ctx, "email", "old@example.com")
	wantErr(t, err, snib.ErrUserNotFound)
	// Only the spelling: nothing is proven anew, so the version stays.
	again := must(db.UpdateUserProviderID(ctx, u.ID, "email", "new@EXAMPLE.com"))(t)
	if want := "google:sub-1 email:new@EXAMPLE.com github:2"; providers(again) != want || again.CredentialVersion != got.CredentialVersion {
		t.Errorf("%s, version %d, want %s and %d", providers(again), again.CredentialVersion, want, got.CredentialVersion)
	}
	if !again.Identities[1].LinkedAt.Equal(got.Identities[1].LinkedAt) {
		t.Errorf("spelled anew, linked at %v", again.Identities[1].LinkedAt)
	}
}

// With several identities it is not clear which one goes, and the wrong one
// would be a way in lost.
func TestUpdateUserProviderIDRefusesToChoose(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	u = must(db.LinkIdentity(ctx, u.ID, "google", "1"))(t)
	refused := func(provider, identifier string) {
		t.Helper()
		_, err := db.UpdateUserProviderID(ctx, u.ID, provider, identifier)
		if e, ok := errors.AsType[*snib.InputError](err); !ok || e.Field != "Provider" || e.Code != snib.CodeAmbiguous {
			t.Errorf("%s %s: %v, want it ambiguous", provider, identifier, err)
		}
		if now := must(db.GetUser(ctx, u.ID))(t); !reflect.DeepEqual(now, u) {
			t.Errorf("%s %s changed %+v to %+v", provider, identifier, u, now)
		}
	}
	refused("github", "1")
	u = must(db.LinkIdentity(ctx, u.ID, "google", "2"))(t)
	refused("google", "3")
	refused("google", "2") // also its own: which one becomes it?
}

// The bound of 256 bytes holds for the key, and folding can make that longer
// than the name: letters of two bytes that fold to three.
func TestCreateUserRefusesANameThatIsTooLongFolded(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for letter, folded := range map[string]string{"\u0130": "i\u0307", "\u023A": "\u2C65"} {
		most := 256 / len(folded)
		for _, n := range []int{most + 1, 128} {
			name := strings.Repeat(letter, n) // 256 bytes at most
			_, err := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: name})
			wantField(t, err, "Identifier")
			_, err = db.GetUserByProviderID(ctx, "username", name)
			wantErr(t, err, snib.ErrUserNotFound)
		}
		u := must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: strings.Repeat(letter, most)}))(t)
		if got := must(db.GetUserByProviderID(ctx, "username", strings.Repeat(folded, most)))(t); got.ID != u.ID {
			t.Errorf("%d of %q: found %s, want %s", most, folded, got.ID, u.ID)
		}
	}
}

// The old identity stops finding the user at the instant at which the new one
// begins to: no snapshot has both, or neither.
func TestUpdateUserProviderIDMovesAtOneInstant(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "0@example.com")
	stop := make(chan bool)
	done := make(chan error, 1)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			found := 0
			if err := db.View(ctx, func(tx *snib.Tx) error {
				found = 0
				for _, address := range []string{"0@example.com", "1@example.com"} {
					if _, err := tx.GetUserByProviderID("email", address); err == nil {
						found++
					}
				}
				return nil
			}); err != nil || found != 1 {
				done <- fmt.Errorf("found by %d identities, %v", found, err)
				return
			}
		}
	}()
	for i := range 200 {
		must(db.UpdateUserProviderID(ctx, u.ID, "email", fmt.Sprintf("%d@example.com", (i+1)%2)))(t)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCreateUserThatFailsTakesNoIdentity: whenever the randomness ends.
func TestCreateUserThatFailsTakesNoIdentity(t *testing.T) {
	var random counted
	random.left.Store(1 << 30)
	db := snibtest.NewDB(t, &snib.Options{Rand: &random})
	u := email(t, db, "ada@example.com")
	failed := 0
	for n := int64(0); ; n++ {
		random.left.Store(n)
		err := db.Update(ctx, func(tx *snib.Tx) error {
			tx.CreateUser(snib.NewUser{Provider: "email", Identifier: "ada@example.com", Verified: true})
			return nil // and commit
		})
		holder := must(db.GetUserByProviderID(ctx, "email", "ada@example.com"))
		if got := asNow(t, db, u.ID); len(got.Identities) == 1 {
			failed++
		} else if err != nil || holder(t).ID == u.ID {
			t.Errorf("after %d reads, %v: %+v", n, err, got)
		} else {
			break
		}
	}
	if failed < 3 {
		t.Errorf("failed %d times", failed)
	}
	must(db.Check(ctx))(t)
}

// counted is randomness that ends after some reads.
type counted struct{ left atomic.Int64 }

func (c *counted) Read(p []byte) (int, error) {
	if c.left.Add(-1) < 0 {
		return 0, errDry
	}
	return io.ReadFull(zeros{}, p)
}
