package snib_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// invite invites an address.
func invite(tb testing.TB, db *snib.DB, address string, ttl time.Duration) snib.Invitation {
	tb.Helper()
	return must(db.Identities().Invite(ctx, snib.NewInvitation{Provider: "email", Identifier: address, TTL: ttl}))(tb)
}

func accept(db *snib.DB, i snib.Invitation) error {
	return second(db.Identities().AcceptInvitation(ctx, i.Token.Reveal(), snib.NewUser{}))
}

// TestInvitePeekInvitationAcceptInvitation: it makes one user with what the operator has set, who is
// verified, in one commit with its own end.
func TestInvitePeekInvitationAcceptInvitation(t *testing.T) {
	db, clock := clocked(t, snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}}})
	n := snib.NewInvitation{
		Provider: "email", Identifier: "Ada@Example.com", TTL: 90 * 24 * time.Hour,
		Roles: []string{"support", "billing", "support"}, Attributes: snib.Attributes{"team": "blue", "nick": "ada"},
	}
	i := must(db.Identities().Invite(ctx, n))(t)
	list := must(db.Identities().Invitations(ctx))(t)
	peeked := must(db.Identities().PeekInvitation(ctx, i.Token.Reveal()))(t)
	for what, got := range map[string]snib.Invitation{"made": i, "listed": list[0], "peeked at": peeked} {
		if got.ID != i.ID || got.Provider != "email" || got.Identifier != "Ada@Example.com" || !slices.Equal(got.Roles, []string{"billing", "support"}) ||
			got.Attributes()["team"] != "blue" || !got.CreatedAt.Equal(clock.Now()) || !got.ExpiresAt.Equal(clock.Now().Add(n.TTL)) {
			t.Errorf("%s: %+v", what, got)
		}
		if (got.Token.Reveal() != "") != (what == "made") {
			t.Errorf("%s: token %t", what, what != "made")
		}
		for _, form := range []string{"%v", "%+v", "%#v"} {
			if text := strings.ToLower(fmt.Sprintf(form, got)); strings.Contains(text, "ada@") || strings.Contains(text, "blue") || strings.Contains(text, "sninv_") {
				t.Errorf("%s prints as %s", what, text)
			}
		}
	}
	clock.Advance(n.TTL - tick)
	u := must(db.Identities().AcceptInvitation(ctx, i.Token.Reveal(), snib.NewUser{Password: password, Attributes: snib.Attributes{"team": "red", "name": "Ada"}}))(t)
	if u.Identities[0].VerifiedAt.IsZero() || !slices.Equal(u.Roles, []string{"billing", "support"}) {
		t.Errorf("%+v with %q", u, u.Roles)
	}
	if a := u.Attributes(); a["team"] != "blue" || a["name"] != "Ada" || a["nick"] != "ada" { // a form cannot change what the operator set
		t.Errorf("attributes %v", a)
	}
	if got := happened(t, db, u.ID); !slices.Equal(got, []snib.EventKind{"role-granted", "role-granted", "invitation-accepted", "user-created"}) {
		t.Errorf("events %q", got)
	}
	logIn(t, db, "ada@example.com")
	quiet(t, db, func() {
		wantErr(t, accept(db, i), snib.ErrInvalidOneTimeToken)
		wantErr(t, second(db.Identities().PeekInvitation(ctx, i.Token.Reveal())), snib.ErrInvalidOneTimeToken)
	})
	if r := must(db.Check(ctx))(t); r.Invitations != 0 {
		t.Errorf("%d invitations are left", r.Invitations)
	}
}

// TestInviteReservesNothingAndTellsNothing: an address with an account is invited
// like one without, and the invited address can be signed up.
func TestInviteReservesNothingAndTellsNothing(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	known := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "known@example.com", Verified: true}))(t)
	to := invite(t, db, "known@example.com", time.Hour)
	wantErr(t, accept(db, to), snib.ErrIdentityTaken)
	wantErr(t, second(db.Identities().PeekInvitation(ctx, to.Token.Reveal())), snib.ErrIdentityTaken) // known before a password is asked for
	free := invite(t, db, "free@example.com", time.Hour)
	squatter := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "free@example.com", Password: password}))(t)
	planted := session(t, db, squatter.ID)
	u := must(db.Identities().AcceptInvitation(ctx, free.Token.Reveal(), snib.NewUser{}))(t)
	if u.ID == squatter.ID || must(db.GetUser(ctx, squatter.ID))(t).DisabledReason != "identity-claimed" {
		t.Error("the invited person got the account of a squatter")
	}
	invalid(t, db, planted)
	own := invite(t, db, "own@example.com", time.Hour)
	must(db.Identities().FinishSignUp(ctx, signUp(t, db, "own@example.com"), snib.NewUser{}))(t)
	wantErr(t, accept(db, own), snib.ErrIdentityTaken)
	// The account is gone, and the invitation is still to the same address.
	if err := db.DeleteUser(ctx, known.ID); err != nil {
		t.Fatal(err)
	}
	wantErr(t, accept(db, to), nil)
}

// TestRevokeInvitationAndTheOtherEnds in every way, and comes back in none.
func TestRevokeInvitationAndTheOtherEnds(t *testing.T) {
	for name, end := range map[string]func(db *snib.DB, clock *snibtest.Clock, i snib.Invitation) error{
		"revoked": func(db *snib.DB, _ *snibtest.Clock, i snib.Invitation) error {
			return db.Identities().RevokeInvitation(ctx, i.ID)
		},
		"expired":       func(_ *snib.DB, clock *snibtest.Clock, _ snib.Invitation) error { clock.Advance(time.Hour); return nil },
		"EndEverything": func(db *snib.DB, _ *snibtest.Clock, _ snib.Invitation) error { return db.EndEverything(ctx) },
		"ResetClock":    func(db *snib.DB, _ *snibtest.Clock, _ snib.Invitation) error { return db.File().ResetClock(ctx) },
		"replaced": func(db *snib.DB, _ *snibtest.Clock, i snib.Invitation) error {
			return second(db.Identities().Invite(ctx, snib.NewInvitation{Provider: "email", Identifier: "ADA@example.com", TTL: time.Minute}))
		},
	} {
		db, clock := clocked(t, snib.Options{})
		i := invite(t, db, "ada@example.com", time.Hour)
		other := invite(t, db, "bob@example.com", 2*time.Hour)
		if err := end(db, clock, i); err != nil {
			t.Fatal(err)
		}
		quiet(t, db, func() {
			if err := accept(db, i); !errors.Is(err, snib.ErrInvalidOneTimeToken) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if all := must(db.Identities().Invitations(ctx))(t); slices.ContainsFunc(all, func(x snib.Invitation) bool { return x.ID == i.ID }) {
			t.Errorf("%s: it is listed", name)
		}
		if ends := name == "EndEverything" || name == "ResetClock"; errors.Is(accept(db, other), snib.ErrInvalidOneTimeToken) != ends {
			t.Errorf("%s: another one ends %t", name, !ends)
		}
		clock.Advance(26 * time.Hour)
		must(db.Sweep(ctx))(t)
		if r := must(db.Check(ctx))(t); r.Invitations != 0 {
			t.Errorf("%s: %d are left after a sweep", name, r.Invitations)
		}
	}
}

func TestInviteRefuses(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Roles: snib.RolePolicy{Known: []string{"support"}}})
	good := invite(t, db, "ada@example.com", time.Hour)
	quiet(t, db, func() {
		for field, change := range map[string][]func(*snib.NewInvitation){
			"Provider":   {func(n *snib.NewInvitation) { n.Provider = "" }},
			"Identifier": {func(n *snib.NewInvitation) { n.Identifier = "a b" }},
			"TTL": {
				func(n *snib.NewInvitation) { n.TTL = 0 }, func(n *snib.NewInvitation) { n.TTL = time.Second - 1 },
				func(n *snib.NewInvitation) { n.TTL = 90*24*time.Hour + 1 }, func(n *snib.NewInvitation) { n.TTL = snib.Never },
			},
			"Role":       {func(n *snib.NewInvitation) { n.Roles = []string{"admin"} }, func(n *snib.NewInvitation) { n.Roles = []string{""} }},
			"Roles":      {func(n *snib.NewInvitation) { n.Roles = strings.Split("abcdefghijklmnopq", "") }},
			"Attributes": {func(n *snib.NewInvitation) { n.Attributes = snib.Attributes{"x": func() {}} }},
		} {
			for _, change := range change {
				n := snib.NewInvitation{Provider: "email", Identifier: "bob@example.com", TTL: time.Hour}
				change(&n)
				wantField(t, second(db.Identities().Invite(ctx, n)), field)
			}
		}
		for _, id := range []string{"", "inv_", good.Token.Reveal(), "ott_" + string(good.ID[4:])} {
			wantField(t, db.Identities().RevokeInvitation(ctx, snib.InvitationID(id)), "InvitationID")
		}
		secret := good.Token.Reveal()
		for _, text := range []string{"", "sninv_", string(good.ID), secret[:len(secret)-1], makeToken(string(good.ID), make([]byte, 32)), signUp(t, db, "ada@example.com")} {
			wantErr(t, second(db.Identities().AcceptInvitation(ctx, text, snib.NewUser{Password: password})), snib.ErrInvalidOneTimeToken)
		}
		wantField(t, second(db.Identities().AcceptInvitation(ctx, secret, snib.NewUser{Provider: "email", Identifier: "eve@example.com"})), "Provider")
		wantErr(t, second(db.Identities().FinishSignUp(ctx, secret, snib.NewUser{})), snib.ErrInvalidOneTimeToken)
		wantErr(t, second(db.Tokens().Use(ctx, "reset", secret)), snib.ErrInvalidOneTimeToken)
	})
	wantErr(t, db.Identities().RevokeInvitation(ctx, good.ID), nil)
	quiet(t, db, func() { wantErr(t, accept(db, good), snib.ErrInvalidOneTimeToken) })
	wantErr(t, db.Identities().RevokeInvitation(ctx, good.ID), nil)
}

// TestAcceptInvitationUnderEachPolicy, as of the acceptance, and without the
// roles that there are no more.
func TestAcceptInvitationUnderEachPolicy(t *testing.T) {
	for _, mode := range []snib.SignUpMode{snib.SignUpOpen, snib.SignUpByDomain, snib.SignUpInvited, snib.SignUpClosed} {
		path := filepath.Join(t.TempDir(), "a.db")
		db := must(snib.Open(path, snibtest.Fast(nil)))(t)
		i := must(db.Identities().Invite(ctx, snib.NewInvitation{Provider: "email", Identifier: "ada@example.com", TTL: time.Hour, Roles: []string{"gone", "support"}}))(t)
		closeDB(t, db)
		o := &snib.Options{SignUp: snib.SignUpPolicy{Mode: mode}, Roles: snib.RolePolicy{Known: []string{"support"}}}
		if mode == snib.SignUpByDomain {
			o.SignUp.Domains = []string{"example.org"}
		}
		db = snibtest.OpenDB(t, path, o)
		u, err := db.Identities().AcceptInvitation(ctx, i.Token.Reveal(), snib.NewUser{})
		if mode == snib.SignUpClosed {
			wantErr(t, err, snib.ErrSignUpClosed)
			wantErr(t, second(db.Identities().PeekInvitation(ctx, i.Token.Reveal())), snib.ErrSignUpClosed)
		} else if err != nil || !slices.Equal(u.Roles, []string{"support"}) {
			t.Errorf("%q: %v, roles %q", mode, err, u.Roles)
		}
	}
}

// TestAcceptInvitationTwiceAtOnce, and beside its revocation.
func TestAcceptInvitationTwiceAtOnce(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for round := range 8 {
		i := invite(t, db, fmt.Sprintf("ada%d@example.com", round), time.Hour)
		errs := make([]error, 8)
		var all sync.WaitGroup
		for n := range errs {
			all.Go(func() { errs[n] = accept(db, i) })
		}
		revoked := make(chan int, 1)
		if round%2 == 1 {
			all.Go(func() {
				if err := db.Identities().RevokeInvitation(ctx, i.ID); err != nil {
					t.Error(err)
				}
				revoked <- 1
			})
		}
		all.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else {
				wantErr(t, err, snib.ErrInvalidOneTimeToken)
			}
		}
		_, err := db.GetUserByProviderID(ctx, "email", i.Identifier)
		if made > 1 || made == 0 && round%2 == 0 || (err == nil) != (made == 1) {
			t.Errorf("round %d: %d were made, %v", round, made, err)
		}
		wantErr(t, accept(db, i), snib.ErrInvalidOneTimeToken)
	}
}

// TestInvitationsAtTheBound: one more is refused; dead ones make room, and one for
// the same identity needs none.
func TestInvitationsAtTheBound(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	o := snibtest.Fast(&snib.Options{Now: clock.Now})
	db := must(snib.Open(path, o))(t)
	invite(t, db, "a3@example.com", time.Minute)
	invite(t, db, "a4@example.com", time.Hour)
	b := handle(t, db)
	key := must(codec.DecodeOwnerKey(rawGet(t, b, "meta", codec.KeyOwners)))(t)
	owners := codec.NewOwners(key.Key)
	if err := b.Update(func(tx *bolt.Tx) error { // one by one they would count each other
		for i := range snib.MaxInvitations - 2 {
			r := codec.Invitation{Epoch: 1, ExpiresAt: clock.Now().Add(time.Hour).UnixMilli(), Provider: "x", Folded: fmt.Sprint(i), Identifier: fmt.Sprint(i)}
			r.Key = codec.MakeOwnedKey(owners.Of("\x00invitation\x00x\x00"+r.Folded), codec.NewOwnID(clock.Now().UnixMilli(), [4]byte{1}))
			if err := tx.Bucket([]byte("snib")).Bucket([]byte("invitations")).Put(r.Key[:], r.Append(nil)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if r := must(db.Check(ctx))(t); r.Invitations != snib.MaxInvitations {
		t.Fatalf("%d invitations", r.Invitations)
	}
	more := snib.NewInvitation{Provider: "email", Identifier: "more@example.com", TTL: time.Hour}
	quiet(t, db, func() { wantErr(t, second(db.Identities().Invite(ctx, more)), snib.ErrInvitationLimit) })
	invite(t, db, "a4@example.com", time.Hour)
	clock.Advance(time.Minute)
	must(db.Identities().Invite(ctx, more))(t)
	if n := len(must(db.Identities().Invitations(ctx))(t)); n != snib.MaxInvitations {
		t.Errorf("%d are listed", n)
	}
	quiet(t, db, func() {
		more.Identifier = "yet-more@example.com"
		wantErr(t, second(db.Identities().Invite(ctx, more)), snib.ErrInvitationLimit)
	})
	must(db.Check(ctx))(t)
	closeDB(t, db)
}

// TestRestoreEndsInvitations: one may have been accepted or revoked since.
func TestRestoreEndsInvitations(t *testing.T) {
	for _, keep := range []bool{false, true} {
		db, _ := clocked(t, snib.Options{})
		i := invite(t, db, "ada@example.com", time.Hour)
		dir := t.TempDir()
		if err := db.File().BackupFile(ctx, filepath.Join(dir, "backup.db"), nil); err != nil {
			t.Fatal(err)
		}
		if err := db.File().CompactTo(ctx, filepath.Join(dir, "compact.db"), nil); err != nil {
			t.Fatal(err)
		}
		report := must(snib.Restore(ctx, filepath.Join(dir, "backup.db"), filepath.Join(dir, "restored.db"), &snib.RestoreOptions{KeepSessions: keep}))(t)
		if report.Ended != 1 || report.Invitations != 1 {
			t.Errorf("keeping sessions %t: %d ended of %d", keep, report.Ended, report.Invitations)
		}
		restored := snibtest.OpenDB(t, filepath.Join(dir, "restored.db"), nil)
		wantErr(t, accept(restored, i), snib.ErrInvalidOneTimeToken)
		if r := must(restored.Check(ctx))(t); r.Invitations != 0 {
			t.Errorf("%d are there", r.Invitations)
		}
		again := invite(t, restored, "ada@example.com", time.Hour)
		wantErr(t, accept(restored, again), nil)
		copied := snibtest.OpenDB(t, filepath.Join(dir, "compact.db"), nil) // a copy of the file goes on
		if n := len(must(copied.Identities().Invitations(ctx))(t)); n != 1 {
			t.Errorf("the compact copy has %d", n)
		}
	}
}

// TestCheckINV23Invitations: Repair ends those that break it, and no other.
func TestCheckINV23Invitations(t *testing.T) {
	for name, spoil := range map[string]func(r *codec.Invitation, value []byte) ([]byte, int){
		"damaged": func(_ *codec.Invitation, value []byte) ([]byte, int) { value[len(value)-1] ^= 1; return value, 2 },
		"misplaced": func(r *codec.Invitation, _ []byte) ([]byte, int) {
			r.Folded = "eve@example.com"
			return r.Append(nil), 23
		},
		"of later": func(r *codec.Invitation, _ []byte) ([]byte, int) { r.Epoch = 99; return r.Append(nil), 23 },
		"too many roles": func(r *codec.Invitation, _ []byte) ([]byte, int) {
			r.Roles = strings.Split("abcdefghijklmnopq", "")
			return r.Append(nil), 23
		},
		"a wrong role": func(r *codec.Invitation, _ []byte) ([]byte, int) {
			r.Roles = []string{"No Role"}
			return r.Append(nil), 23
		},
	} {
		path := filepath.Join(t.TempDir(), "a.db")
		db := must(snib.Open(path, snibtest.Fast(nil)))(t)
		bad, good := invite(t, db, "ada@example.com", time.Hour), invite(t, db, "bob@example.com", time.Hour)
		b := handle(t, db)
		value := rawGet(t, b, "invitations", string(bad.ID))
		key, _ := codec.ParseOwnedKeyDigits(string(bad.ID[4:]))
		r := must(codec.DecodeInvitation(key[:], value))(t)
		value, want := spoil(&r, slices.Clone(value))
		rawPut(t, b, "invitations", string(bad.ID), value)
		report, err := db.Check(ctx)
		wantErr(t, err, snib.ErrCorrupt)
		if len(report.Problems) != 1 || report.Problems[0].Invariant != want || report.Problems[0].ID != string(bad.ID) || report.Problems[0].Severity != snib.EndsLogin {
			t.Errorf("%s: %v", name, report.Problems)
		}
		if name == "damaged" {
			wantErr(t, second(db.Identities().Invitations(ctx)), snib.ErrCorrupt)
			wantErr(t, accept(db, bad), snib.ErrCorrupt)
		}
		must(db.Repair(ctx))(t)
		must(db.Check(ctx))(t)
		wantErr(t, accept(db, bad), snib.ErrInvalidOneTimeToken)
		wantErr(t, accept(db, good), nil)
		closeDB(t, db)
	}
}

// TestASweepOfInvitationsThatFailsGoesOn.
func TestASweepOfInvitationsThatFailsGoesOn(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	for i := range 3 {
		invite(t, db, fmt.Sprintf("a%d@example.com", i), time.Hour)
	}
	live := invite(t, db, "live@example.com", 90*24*time.Hour)
	clock.Advance(25 * time.Hour)
	before, _ := content(t, db)
	failing(t, db, func() error { return second(db.Sweep(ctx)) }, func(n int64) {
		if after, _ := content(t, db); len(after) != len(before) && len(after) != len(before)-3 {
			t.Fatalf("operation %d failed: %d of %d records", n, len(after), len(before))
		}
	})
	after, _ := content(t, db)
	if maps.Equal(before, after) || must(db.Check(ctx))(t).Invitations != 1 {
		t.Error("the dead ones are there")
	}
	wantErr(t, accept(db, live), nil)
}
