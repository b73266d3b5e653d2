package snib_test

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// verify notes that a user has proven an identity.
func verify(tb testing.TB, db *snib.DB, id snib.UserID, provider, identifier string) snib.User {
	tb.Helper()
	return must(db.Identities().Verify(ctx, id, provider, identifier))(tb)
}

func TestIdentitiesVerify(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "ada@example.com")
	if !u.Identities[0].VerifiedAt.IsZero() {
		t.Errorf("verified at %v by nothing", u.Identities[0].VerifiedAt)
	}
	linked := u.Identities[0].LinkedAt
	for _, spelling := range []string{"ada@example.com", "Ada@Example.com"} {
		clock.Advance(time.Hour)
		x := verify(t, db, u.ID, "email", spelling).Identities[0]
		if !x.VerifiedAt.Equal(clock.Now().Truncate(time.Millisecond)) || !x.LinkedAt.Equal(linked) || x.Identifier != spelling {
			t.Errorf("%+v", x)
		}
	}
	// The same spelling stays verified, another one is not.
	same := must(db.UpdateUserProviderID(ctx, u.ID, "email", "Ada@Example.com"))(t)
	other := must(db.UpdateUserProviderID(ctx, u.ID, "email", "ADA@example.com"))(t)
	if same.Identities[0].VerifiedAt.IsZero() || !other.Identities[0].VerifiedAt.IsZero() {
		t.Errorf("%+v, %+v", same.Identities, other.Identities)
	}
	// One that the user does not have is linked.
	if got := providers(verify(t, db, u.ID, "github", "7")); got != providers(asNow(t, db, u.ID)) || !strings.Contains(got, "github") {
		t.Errorf("has %s", got)
	}
	for i := range snib.MaxIdentities - 2 {
		verify(t, db, u.ID, "github", fmt.Sprint(i+100))
	}
	wantErr(t, second(db.Identities().Verify(ctx, u.ID, "github", "17")), snib.ErrTooMany)
	wantErr(t, second(db.Identities().Verify(ctx, "unknown", "github", "17")), snib.ErrUserNotFound)
	wantField(t, second(db.Identities().Verify(ctx, u.ID, "email", "no address")), "Identifier")
}

// Its holder takes an identity from a user who has not proven it, and nothing
// else of that user.
func TestIdentitiesVerifyTakesFromAnUnverifiedUser(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	stranger := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password, Attributes: snib.Attributes{"n": 1}}))(t)
	must(db.LinkIdentity(ctx, stranger.ID, "github", "7"))(t)
	s := logIn(t, db, "ada@example.com")
	link := must(db.Tokens().Create(ctx, stranger.ID, "reset", time.Hour, nil))(t)

	ada := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "Ada@example.com", Verified: true}))(t)
	if ada.ID == stranger.ID || len(ada.Attributes()) != 0 || ada.HasPassword || ada.Identities[0].VerifiedAt.IsZero() {
		t.Errorf("the holder got %+v", ada)
	}
	left := asNow(t, db, stranger.ID)
	if providers(left) != "github:7" || left.Disabled() || left.CredentialVersion == stranger.CredentialVersion {
		t.Errorf("the other has %+v", left)
	}
	valid(t, db, s)
	wantErr(t, second(db.Tokens().Use(ctx, "reset", link.Token.Reveal())), snib.ErrInvalidOneTimeToken)
	wantErr(t, thirdError(db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})), snib.ErrInvalidCredentials)

	// The last one.
	bob := user(t, db, "bob")
	verify(t, db, bob.ID, "github", "7")
	left = asNow(t, db, stranger.ID)
	if len(left.Identities) != 0 || left.DisabledReason != "identity-claimed" || !left.HasPassword || left.Attributes()["n"] != int64(1) {
		t.Errorf("the other has %+v", left)
	}
	invalid(t, db, s)
	// A verified one is not taken, and one that is not proven takes nothing.
	for _, x := range [][2]string{{"email", "ada@example.com"}, {"github", "7"}} {
		wantErr(t, second(db.Identities().Verify(ctx, stranger.ID, x[0], x[1])), snib.ErrIdentityTaken)
	}
	other := email(t, db, "other@example.com")
	for _, err := range []error{
		second(db.LinkIdentity(ctx, bob.ID, "email", "other@example.com")),
		second(db.UpdateUserProviderID(ctx, ada.ID, "email", "other@example.com")),
		second(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "other@example.com"})),
	} {
		wantErr(t, err, snib.ErrIdentityTaken)
	}
	if got := asNow(t, db, other.ID); !reflect.DeepEqual(got, other) {
		t.Errorf("%+v", got)
	}
	must(db.Check(ctx))(t)
}

// TestAClaimHidesTheAddressOfTheHolder from the user who had the identity.
func TestAClaimHidesTheAddressOfTheHolder(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "ada@example.com")
	here := snib.WithClient(ctx, netip.MustParseAddr("192.0.2.9"))
	ada := must(db.CreateUser(here, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Verified: true}))(t)
	events := must(db.Events().List(ctx, u.ID))(t)
	for _, e := range events {
		if e.Client != [16]byte{} {
			t.Errorf("%s has the address", e.Kind)
		}
	}
	if e := must(db.Events().List(ctx, ada.ID))(t)[0]; len(events) != 3 || e.Client[15] != 9 {
		t.Errorf("%d events, and the holder's own is %+v", len(events), e)
	}
}

func TestIdentitiesBeginMoveAndFinishMove(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	ada := email(t, db, "ada@example.com")
	stranger := email(t, db, "new@example.com")
	begin := func() string {
		clock.Advance(time.Minute)
		return must(db.Identities().BeginMove(ctx, ada.ID, "email", "New@example.com", time.Hour))(t).Token.Reveal()
	}
	first := begin()
	if got := asNow(t, db, ada.ID); !reflect.DeepEqual(got, ada) {
		t.Errorf("begun: %+v", got)
	}
	// Not usable as another token.
	wantErr(t, second(db.Tokens().Use(ctx, "reset", first)), snib.ErrInvalidOneTimeToken)

	u, old, err := db.Identities().FinishMove(ctx, first)
	if err != nil || u.ID != ada.ID || u.Identities[0].Identifier != "New@example.com" || u.Identities[0].VerifiedAt.IsZero() || old.Identifier != "ada@example.com" {
		t.Fatalf("%+v from %+v, %v", u, old, err)
	}
	if got := asNow(t, db, stranger.ID); got.DisabledReason != "identity-claimed" {
		t.Errorf("the unverified holder: %+v", got)
	}
	wantErr(t, second(db.GetUserByProviderID(ctx, "email", "ada@example.com")), snib.ErrUserNotFound)
	_, _, err = db.Identities().FinishMove(ctx, first)
	wantErr(t, err, snib.ErrInvalidOneTimeToken)

	// Of two moves under way, the first ends the second.
	must(db.UpdateUserProviderID(ctx, ada.ID, "email", "ada@example.com"))(t)
	for name, end := range map[string]func(){
		"password":                     func() { must(db.UpdateUserPassword(ctx, ada.ID, "another passphrase"))(t) },
		"sign-out everywhere":          func() { must(0, db.RevokeUserSessions(ctx, ada.ID))(t) },
		"an hour":                      func() { clock.Advance(time.Hour) },
		"another address, in one step": func() { must(db.UpdateUserProviderID(ctx, ada.ID, "email", "third@example.com"))(t) },
	} {
		token := begin()
		end()
		if _, _, err := db.Identities().FinishMove(ctx, token); !errors.Is(err, snib.ErrInvalidOneTimeToken) {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

// A move to an address that another user proves meanwhile is refused to the
// holder of the address, and changes nothing; beginning it tells nothing.
func TestIdentitiesFinishMoveRefused(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	ada := email(t, db, "ada@example.com")
	holder := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "new@example.com", Verified: true}))(t)
	token := must(db.Identities().BeginMove(ctx, ada.ID, "email", "new@example.com", time.Hour))(t).Token.Reveal()
	before, _ := content(t, db)
	err := db.Update(ctx, func(tx *snib.Tx) error {
		u, old, err := tx.Identities().FinishMove(ctx, token)
		wantErr(t, err, snib.ErrIdentityTaken)
		if !reflect.DeepEqual(u, snib.User{}) || old != (snib.Identity{}) {
			t.Errorf("%+v, %+v", u, old)
		}
		return nil // committed all the same
	})
	if after, _ := content(t, db); err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("something has changed: %v", err)
	}
	must(0, db.DeleteUser(ctx, holder.ID))(t)
	if _, _, err := db.Identities().FinishMove(ctx, token); err != nil {
		t.Errorf("once the address is free: %v", err)
	}
}

// Accounts made in advance with the address of somebody else: Sudhodanan and
// Paverd, Pre-hijacked accounts, USENIX Security 2022, section 3. The attacker
// has an account with ada's address, which nobody has proven.
func TestAccountsHijackedInAdvance(t *testing.T) {
	const address, known = "ada@example.com", "the attacker's password"
	begin := func(t *testing.T) (*snib.DB, snib.User, snib.Session) {
		db := snibtest.NewDB(t, nil)
		u := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: address, Password: known}))(t)
		s, _, err := db.LogIn(ctx, "email", address, known, snib.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return db, u, s
	}
	// signUp is ada's, by a link that was mailed to her.
	signUp := func(t *testing.T, db *snib.DB) snib.User {
		return must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: address, Password: password, Verified: true}))(t)
	}
	t.Run("merge of a classic and a federated account", func(t *testing.T) {
		db, attacker, _ := begin(t)
		ada := must(db.CreateUser(ctx, snib.NewUser{Provider: "google", Identifier: "10769", Verified: true}))(t)
		ada = verify(t, db, ada.ID, "email", address)
		_, _, err := db.LogIn(ctx, "email", address, known, snib.SessionOptions{})
		wantErr(t, err, snib.ErrInvalidCredentials)
		if ada.ID == attacker.ID || !asNow(t, db, attacker.ID).Disabled() {
			t.Error("merged")
		}
	})
	t.Run("unexpired session", func(t *testing.T) {
		db, attacker, s := begin(t)
		ada := signUp(t, db)
		invalid(t, db, s)
		if ada.ID == attacker.ID {
			t.Error("ada got the attacker's account")
		}
	})
	t.Run("trojan identifier", func(t *testing.T) {
		db, attacker, _ := begin(t)
		verify(t, db, attacker.ID, "github", "666")
		ada := signUp(t, db)
		if u := must(db.GetUserByProviderID(ctx, "github", "666"))(t); u.ID == ada.ID {
			t.Error("the attacker's identity leads to ada")
		}
	})
	t.Run("unexpired change of the address", func(t *testing.T) {
		db, attacker, _ := begin(t)
		token := must(db.Identities().BeginMove(ctx, attacker.ID, "email", "attacker@example.com", 90*24*time.Hour))(t).Token.Reveal()
		ada := signUp(t, db)
		if u, _, err := db.Identities().FinishMove(ctx, token); err == nil {
			t.Errorf("moved %s, ada is %s", u.ID, ada.ID)
		}
		if u := must(db.GetUserByProviderID(ctx, "email", address))(t); u.ID != ada.ID {
			t.Error("ada's address leads elsewhere")
		}
	})
	t.Run("a provider that does not verify", func(t *testing.T) {
		db, _, _ := begin(t)
		ada := signUp(t, db)
		// The provider asserts ada's address of the attacker. Its word is a
		// name at that provider, and not the address.
		other := must(db.CreateUser(ctx, snib.NewUser{Provider: "idp.example", Identifier: address, Verified: true}))(t)
		if u := must(db.GetUserByProviderID(ctx, "email", address))(t); u.ID != ada.ID || u.ID == other.ID {
			t.Error("the address leads elsewhere")
		}
	})
}
