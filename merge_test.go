package snib_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// twoAccounts are those of one person, each with a fresh session.
type twoAccounts struct {
	db         *snib.DB
	clock      *snibtest.Clock
	into, from snib.Session
	ada, bob   snib.User
}

func newPair(tb testing.TB, o snib.Options) *twoAccounts {
	tb.Helper()
	p := &twoAccounts{}
	if o.Owned == nil {
		o.Owned = []string{"notes", "more"}
	}
	p.db, p.clock = clocked(tb, o)
	email(tb, p.db, "ada@example.com")
	p.into = logIn(tb, p.db, "ada@example.com")
	p.bob = must(p.db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "bob"}))(tb)
	p.from = session(tb, p.db, p.bob.ID)
	p.ada = asNow(tb, p.db, p.into.UserID)
	return p
}

func (p *twoAccounts) merge() (snib.Merged, error) {
	return p.db.Identities().Merge(ctx, p.into.Token.Reveal(), p.from.Token.Reveal())
}

// refuses fails the test unless the merge is refused by this code, without a write.
func (p *twoAccounts) refuses(tb testing.TB, code string, from bool, bucket string, is error) {
	tb.Helper()
	quiet(tb, p.db, func() {
		tb.Helper()
		_, err := p.merge()
		e, ok := errors.AsType[*snib.MergeError](err)
		if !ok || e.Code != code || e.From != from || e.Bucket != bucket || !errors.Is(err, is) {
			tb.Fatalf("%v, want the code %s", err, code)
		}
	})
}

// rowOf puts one row.
func rowOf(tb testing.TB, db *snib.DB, bucket string, id snib.UserID, rest, value string) {
	tb.Helper()
	must(0, db.Update(ctx, func(tx *snib.Tx) error {
		b, err := tx.Bolt().CreateBucketIfNotExists([]byte(bucket))
		if err == nil {
			err = b.Put(snib.OwnedKey(id, rest), []byte(value))
		}
		return err
	}))(tb)
}

// TestMerge: all that the account that goes has is in the account that stays, or
// gone, in one commit.
func TestMerge(t *testing.T) {
	p := newPair(t, snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true}}, Outbox: []string{"mail"}})
	db := p.db
	must(db.Roles().Grant(ctx, p.ada.ID, "b"))(t)
	for _, role := range []string{"a", "b", "c"} {
		must(db.Roles().Grant(ctx, p.bob.ID, role))(t)
	}
	p.clock.Advance(time.Second)
	must(db.UpdateUserPassword(ctx, p.bob.ID, "the passphrase of bob"))(t) // ends the session
	must(db.LinkIdentity(ctx, p.bob.ID, "email", "bob@example.com"))(t)
	verify(t, db, p.bob.ID, "github", "7")
	must(db.UpdateUserAttributes(ctx, p.bob.ID, snib.Attributes{"nick": "bob"}))(t)
	rowOf(t, db, "notes", p.ada.ID, "1", "of ada")
	rowOf(t, db, "notes", p.bob.ID, "2", "of bob")
	rowOf(t, db, "more", p.bob.ID, "1", "more of bob")
	p.bob = asNow(t, db, p.bob.ID)
	p.from = session(t, db, p.bob.ID)
	other := session(t, db, p.bob.ID)
	born, family, err := db.CreateRefreshToken(ctx, p.bob, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link := link(t, db, p.bob, "reset", time.Hour)
	device := must(db.Devices().Remember(ctx, p.from))(t)
	elsewhere := session(t, db, p.ada.ID)
	ack(t, db, "mail")

	p.clock.Advance(time.Second)
	var m snib.Merged
	commits(t, db, 1, func() { m = must(p.merge())(t) })
	want := append(slices.Clone(p.ada.Identities), p.bob.Identities...)
	u := asNow(t, db, p.ada.ID)
	if !reflect.DeepEqual(u.Identities, want) || !reflect.DeepEqual(m.User, u) || !reflect.DeepEqual(m.From, p.bob) || m.Rows != 2 || m.Events == 0 {
		t.Errorf("%+v\n%+v, want %+v", m, u.Identities, want)
	}
	if !slices.Equal(u.Roles, []string{"a", "b", "c"}) || len(u.Attributes()) != 0 || u.CreatedAt != p.ada.CreatedAt || !u.UpdatedAt.Equal(p.clock.Now()) {
		t.Errorf("the account that stays: %+v, %v", u, u.Roles)
	}
	for _, x := range want {
		if v := must(db.GetUserByProviderID(ctx, x.Provider, x.Identifier))(t); v.ID != p.ada.ID {
			t.Errorf("%v leads to %s", x, v.ID)
		}
	}
	for bucket, want := range map[string]map[snib.UserID]int{"notes": {p.ada.ID: 2}, "more": {p.ada.ID: 1}} {
		if got := rowsOfUsers(t, db, bucket); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", bucket, got)
		}
	}
	// The session of the account that stays goes on under another token, and no other ends.
	invalid(t, db, p.into)
	valid(t, db, m.Session)
	valid(t, db, elsewhere)
	if m.Session.UserID != p.ada.ID || !m.Session.AuthenticatedAt.Equal(p.into.AuthenticatedAt) {
		t.Errorf("%+v", m.Session)
	}
	// Of the other nothing is left, and nothing that opened it opens this one.
	for _, s := range []snib.Session{p.from, other, born} {
		invalid(t, db, s)
	}
	wantErr(t, thirdError(db.Refresh(ctx, family.Token.Reveal())), snib.ErrInvalidRefreshToken)
	wantErr(t, second(db.Tokens().Use(ctx, "reset", link.Token.Reveal())), snib.ErrInvalidOneTimeToken)
	wantErr(t, second(db.Devices().Current(on(device), p.ada.ID)), snib.ErrDeviceNotFound)
	wantErr(t, second(db.GetUser(ctx, p.bob.ID)), snib.ErrUserNotFound)
	if left := withoutEvents(mentions(t, db, string(p.bob.ID))); len(left) != 1 || !strings.HasPrefix(left[0], "outbox/") { // user-deleted
		t.Errorf("left: %q", left)
	}
	wantErr(t, thirdError(db.LogIn(ctx, "username", "bob", "the passphrase of bob", snib.SessionOptions{})), snib.ErrInvalidCredentials)
	if _, _, err := db.LogIn(ctx, "username", "bob", password, snib.SessionOptions{}); err != nil {
		t.Errorf("the password of the account that stays, by an identity that moved: %v", err)
	}
	wantErr(t, second(db.CreateSession(ctx, m.From, snib.SessionOptions{})), snib.ErrUserNotFound)
	must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "eve", Attributes: snib.Attributes{"nick": "bob"}}))(t) // it is free
	p.tells(t)
	must(db.ImportUser(ctx, snib.UserImport{ID: p.bob.ID, Provider: "x", Identifier: "again"}))(t) // as after DeleteUser
}

// tells fails the test unless the outbox has the events of the merge of TestMerge.
func (p *twoAccounts) tells(t *testing.T) {
	t.Helper()
	var kinds []snib.EventKind
	events := unread(t, p.db, "mail")
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	if want := []snib.EventKind{"identity-linked", "identity-linked", "identity-linked", "role-granted", "role-granted", "user-merged", "user-deleted"}; !slices.Equal(kinds[:min(len(kinds), 7)], want) {
		t.Fatalf("the outbox has %q", kinds)
	}
	if e := events[5]; e.UserID != p.ada.ID || e.Detail != string(p.bob.ID) || events[6].UserID != p.bob.ID {
		t.Errorf("%+v, %+v", e, events[6])
	}
}

// TestMergeRefuses: each with its code, before anything is written; after the remedy
// that its text says, the same two are merged.
func TestMergeRefuses(t *testing.T) {
	many := func(p *twoAccounts, id snib.UserID, n int) {
		for i := range n {
			must(p.db.LinkIdentity(ctx, id, "github", fmt.Sprint(id, i)))(t)
		}
	}
	roles := func(p *twoAccounts, id snib.UserID, names string) {
		for _, name := range strings.Split(names, "") {
			must(p.db.Roles().Grant(ctx, id, name))(t)
		}
	}
	var key snib.APIKey
	for name, c := range map[string]struct {
		spoil  func(*twoAccounts)
		code   string
		bucket string
		is     error
		remedy func(*twoAccounts)
	}{
		"one account": {func(p *twoAccounts) { p.from = session(t, p.db, p.ada.ID) }, snib.MergeSameUser, "", snib.ErrNotMergeable,
			func(p *twoAccounts) { p.from = session(t, p.db, p.bob.ID) }},
		"one session": {func(p *twoAccounts) { p.from = p.into }, snib.MergeSameUser, "", snib.ErrNotMergeable,
			func(p *twoAccounts) { p.from = session(t, p.db, p.bob.ID) }},
		"a guest stays": {func(p *twoAccounts) { p.into, _ = guest(t, p.db) }, snib.MergeGuest, "", snib.ErrNotMergeable,
			func(p *twoAccounts) { p.into, p.from = p.from, p.into }},
		"17 identities": {func(p *twoAccounts) { many(p, p.ada.ID, 7); many(p, p.bob.ID, 8) }, snib.MergeIdentities, "", snib.ErrTooMany,
			func(p *twoAccounts) { must(p.db.UnlinkIdentity(ctx, p.bob.ID, "username", "bob"))(t) }},
		"17 roles": {func(p *twoAccounts) { roles(p, p.ada.ID, "abcdefghijkl"); roles(p, p.bob.ID, "lmnopq") }, snib.MergeRoles, "", snib.ErrTooMany,
			func(p *twoAccounts) { must(p.db.Roles().Withdraw(ctx, p.bob.ID, "q"))(t) }},
		"an API key": {func(p *twoAccounts) { key = newKey(t, p.db, p.bob, time.Hour) }, snib.MergeAPIKey, "", snib.ErrNotMergeable,
			func(p *twoAccounts) { must(0, p.db.APIKeys().RevokeByID(ctx, key.ID))(t) }},
		"a row of both": {func(p *twoAccounts) { putRows(t, p.db, "more", 1, p.ada.ID, p.bob.ID) }, snib.MergeRowTaken, "more", snib.ErrNotMergeable,
			func(p *twoAccounts) {
				must(0, p.db.Update(ctx, func(tx *snib.Tx) error {
					return tx.Bolt().Bucket([]byte("more")).Delete(snib.OwnedKey(p.bob.ID, "\x00\x00\x00\x00"))
				}))(t)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, snib.Options{})
			c.spoil(p)
			p.refuses(t, c.code, false, c.bucket, c.is)
			c.remedy(p)
			must(p.merge())(t)
		})
	}
}

// TestMergeRefusesSecondFactors: of the account that goes, a passkey among them. One
// that waits to be confirmed protects nothing yet, and a dead key keeps nothing.
func TestMergeRefusesSecondFactors(t *testing.T) {
	for name, passkey := range map[string]bool{"an authenticator": false, "a passkey": true} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
			if passkey {
				newKeyring(t, p.db, &p.from)
			} else {
				enrolIn(t, p.db, &p.from)
			}
			p.refuses(t, snib.MergeSecondFactor, false, "", snib.ErrNotMergeable)
			must(p.db.Factors().Reset(ctx, p.bob.ID))(t)
			p.from = session(t, p.db, p.bob.ID)
			must(p.db.Factors().BeginTOTP(ctx, p.from, "Notes", "phone"))(t)
			newKey(t, p.db, p.bob, time.Second)
			p.clock.Advance(time.Second)
			must(p.merge())(t)
		})
	}
}

// TestMergeSparesLastHolders: the last holder passes a protected role by a grant, not
// by a merge.
func TestMergeSparesLastHolders(t *testing.T) {
	p := newPair(t, snib.Options{Roles: snib.RolePolicy{Protected: []string{"admin"}}})
	must(p.db.Roles().Grant(ctx, p.bob.ID, "admin"))(t)
	quiet(t, p.db, func() {
		_, err := p.merge()
		if e, ok := errors.AsType[*snib.LastHolderError](err); !ok || e.Role != "admin" {
			t.Fatal(err)
		}
	})
	must(p.db.Roles().Grant(ctx, p.ada.ID, "admin"))(t)
	if m := must(p.merge())(t); !slices.Equal(m.User.Roles, []string{"admin"}) {
		t.Errorf("%v", m.User.Roles)
	}
}

// TestMergeNeedsTwoFreshSessions: no id, no token of another kind, no session that is
// old, idle, ended or without the second factor, on either side.
func TestMergeNeedsTwoFreshSessions(t *testing.T) {
	p := newPair(t, snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	db := p.db
	_, family, err := db.CreateRefreshToken(ctx, asNow(t, db, p.ada.ID), snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ended := session(t, db, p.bob.ID)
	must(0, db.RevokeToken(ctx, ended.Token.Reveal()))(t)
	away := user(t, db, "away")
	disabled := session(t, db, away.ID)
	key := must(db.APIKeys().CreateFor(ctx, away.ID, snib.NewAPIKey{Name: "n", TTL: snib.Never}))(t)
	must(db.DisableUser(ctx, away.ID, ""))(t)
	good, theirs := p.into, p.from
	for name, text := range map[string]string{
		"nothing": "", "an id of a user": string(p.ada.ID), "an id of a session": string(p.into.ID), "a refresh token": family.Token.Reveal(),
		"a session that has ended": ended.Token.Reveal(), "one of a disabled user": disabled.Token.Reveal(), "an API key": key.Token.Reveal(),
		"another secret": string(p.into.Token.Reveal()[:60]) + p.from.Token.Reveal()[60:],
	} {
		t.Run(name, func(t *testing.T) {
			p.into, p.from = good, theirs
			p.into.Token = snib.PresentedToken(text)
			p.refuses(t, snib.MergeInvalidSession, false, "", snib.ErrInvalidSession)
			p.into, p.from.Token = good, snib.PresentedToken(text)
			p.refuses(t, snib.MergeInvalidSession, true, "", snib.ErrInvalidSession)
		})
	}
	p.into, p.from = good, theirs
	p.clock.Advance(snib.FreshFor)
	p.clock.Advance(tick)
	p.refuses(t, snib.MergeNotFresh, false, "", snib.ErrNotFresh)
	p.into = must(db.Reauthenticate(ctx, p.into.Token.Reveal(), password))(t)
	p.refuses(t, snib.MergeNotFresh, true, "", snib.ErrNotFresh)
	p.from = must(db.RenewSession(ctx, p.from.Token.Reveal()))(t) // no log-in
	p.refuses(t, snib.MergeNotFresh, true, "", snib.ErrNotFresh)
	p.from = session(t, db, p.bob.ID)

	phone := enrolIn(t, db, &p.into)
	bare := must(db.CreateSession(ctx, snib.FactorNotNeeded(asNow(t, db, p.ada.ID)), snib.SessionOptions{}))(t)
	p.into, bare = bare, p.into
	p.refuses(t, snib.MergeNotFresh, false, "", snib.ErrNotFresh)
	p.into = bare
	p.clock.Advance(snib.FreshFor + tick)
	p.from = session(t, db, p.bob.ID)
	p.refuses(t, snib.MergeNotFresh, false, "", snib.ErrNotFresh)
	pending := pendingOf(t, thirdError(db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})))
	if p.into, _, err = db.Factors().FinishLogIn(ctx, pending, phone.code(db)); err != nil {
		t.Fatal(err)
	}
	must(p.merge())(t)
}

// TestMergeTwice: the same call again finds neither session.
func TestMergeTwice(t *testing.T) {
	p := newPair(t, snib.Options{})
	must(p.merge())(t)
	p.refuses(t, snib.MergeInvalidSession, false, "", snib.ErrInvalidSession)
	p.into = session(t, p.db, p.ada.ID)
	p.refuses(t, snib.MergeInvalidSession, true, "", snib.ErrInvalidSession)
}

// TestMergeBothWaysAtOnce: one goes into the other, and neither is lost.
func TestMergeBothWaysAtOnce(t *testing.T) {
	for range 8 {
		p := newPair(t, snib.Options{})
		putRows(t, p.db, "notes", 3, p.ada.ID)
		rowOf(t, p.db, "notes", p.bob.ID, "of bob", "")
		var errs [4]error
		var all sync.WaitGroup
		for i := range errs {
			into, from := p.into, p.from
			if i%2 == 1 {
				into, from = from, into
			}
			all.Go(func() { _, errs[i] = p.db.Identities().Merge(ctx, into.Token.Reveal(), from.Token.Reveal()) })
		}
		all.Wait()
		good := 0
		for _, err := range errs {
			if err == nil {
				good++
			} else if !errors.Is(err, snib.ErrInvalidSession) {
				t.Error(err)
			}
		}
		a := must(p.db.GetUserByProviderID(ctx, "email", "ada@example.com"))(t)
		b := must(p.db.GetUserByProviderID(ctx, "username", "bob"))(t)
		if r := checkedReport(t, p.db); good != 1 || a.ID != b.ID || r.Users != 1 || r.Rows != 4 || r.OrphanRows != 0 {
			t.Errorf("%d succeeded: %+v", good, r)
		}
	}
}

// TestMergeOfAStrangersAccount: the attacks on a merge.
func TestMergeOfAStrangersAccount(t *testing.T) {
	t.Run("an address that nothing has proven stays so", func(t *testing.T) {
		p := newPair(t, snib.Options{})
		stranger := email(t, p.db, "victim@example.com")
		p.from = logIn(t, p.db, "victim@example.com")
		must(p.merge())(t)
		if u := asNow(t, p.db, p.ada.ID); !u.Identities[1].VerifiedAt.IsZero() {
			t.Errorf("%+v", u.Identities)
		}
		victim := must(p.db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "victim@example.com", Verified: true}))(t)
		if u := asNow(t, p.db, p.ada.ID); victim.ID == p.ada.ID || victim.ID == stranger.ID || providers(u) != "email:ada@example.com" || u.Disabled() {
			t.Errorf("%+v of %+v", victim, u)
		}
	})
	t.Run("into an account whose session is not presented", func(t *testing.T) {
		p := newPair(t, snib.Options{})
		third := session(t, p.db, nobody(t, p.db, "eve").ID)
		p.into.Token = third.Token // beside an id and a user that are public
		if m := must(p.merge())(t); m.User.ID != third.UserID {
			t.Errorf("into %s", m.User.ID)
		}
		if u := asNow(t, p.db, p.ada.ID); providers(u) != "email:ada@example.com" {
			t.Errorf("%+v", u)
		}
	})
	t.Run("a planted guest opens nothing", func(t *testing.T) {
		p := newPair(t, snib.Options{})
		planted, g := guest(t, p.db)
		again := session(t, p.db, g.ID)
		_, family, err := p.db.CreateRefreshToken(ctx, planted, snib.SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		before := asNow(t, p.db, p.ada.ID)
		p.from = planted
		m := must(p.merge())(t)
		invalid(t, p.db, planted)
		invalid(t, p.db, again)
		wantErr(t, thirdError(p.db.Refresh(ctx, family.Token.Reveal())), snib.ErrInvalidRefreshToken)
		if !reflect.DeepEqual(m.User.Identities, before.Identities) || m.User.CredentialVersion != before.CredentialVersion {
			t.Errorf("%+v", m.User)
		}
	})
	t.Run("a provider of before links nothing by itself", func(t *testing.T) {
		p := newPair(t, vouching())
		verify(t, p.db, p.bob.ID, "google", "0")
		verify(t, p.db, p.bob.ID, "email", "bob@example.com")
		must(p.db.UnlinkIdentity(ctx, p.bob.ID, "google", "0"))(t)
		must(p.merge())(t)
		wantErr(t, second(resolve(p.db, asserted("google", "1", "bob@example.com"))), snib.ErrLinkRequired)
	})
}

// TestMergeMovesTheHistory: with times and clients, under new ids, without Subjects,
// within the bound of each class.
func TestMergeMovesTheHistory(t *testing.T) {
	p := newPair(t, snib.Options{})
	made := must(p.db.Events().List(ctx, p.bob.ID, snib.EventUserCreated))(t)[0]
	p.clock.Advance(time.Minute)
	for range 90 {
		p.clock.Advance(time.Millisecond)
		session(t, p.db, p.ada.ID)
		session(t, p.db, p.bob.ID) // in the same millisecond
	}
	p.clock.Advance(time.Second)
	p.into, p.from = session(t, p.db, p.ada.ID), session(t, p.db, p.bob.ID)
	mine, theirs := must(p.db.Events().List(ctx, p.ada.ID, snib.EventLogIn))(t), must(p.db.Events().List(ctx, p.bob.ID, snib.EventLogIn))(t)
	p.clock.Advance(time.Second)
	must(p.merge())(t)
	got := must(p.db.Events().List(ctx, p.ada.ID, snib.EventLogIn))(t)
	if len(got) != 100 || !got[99].At.Equal(mine[49].At) {
		t.Fatalf("%d log-ins, the oldest of %v", len(got), got[len(got)-1].At)
	}
	known := map[snib.EventID]snib.Event{}
	for _, e := range mine {
		known[e.ID] = e
	}
	moved := 0
	for _, e := range got {
		if have, ok := known[e.ID]; ok && have == e {
			continue
		}
		moved++
		if e.Subject != "" || e.UserID != p.ada.ID || !slices.ContainsFunc(theirs, func(old snib.Event) bool { return old.At.Equal(e.At) && old.ID != e.ID }) {
			t.Errorf("%+v", e)
		}
	}
	if moved != 50 {
		t.Errorf("%d have moved, want 50", moved)
	}
	if all := must(p.db.Events().List(ctx, p.ada.ID, snib.EventUserCreated))(t); len(all) != 2 || !all[0].At.Equal(made.At) {
		t.Errorf("%+v", all)
	}
	if all := must(p.db.Events().List(ctx, p.bob.ID))(t); len(all) != 0 {
		t.Errorf("%d are still of the other", len(all))
	}
	must(p.db.Check(ctx))(t)
}

// TestMergeInATransaction: a refusal leaves the rest of it as it is; rows of the same
// transaction move, those with no value too; a rollback takes all back.
func TestMergeInATransaction(t *testing.T) {
	p := newPair(t, snib.Options{})
	key := newKey(t, p.db, p.bob, time.Hour)
	must(0, p.db.Update(ctx, func(tx *snib.Tx) error {
		_, err := tx.Identities().Merge(ctx, p.into.Token.Reveal(), p.from.Token.Reveal())
		wantErr(t, err, snib.ErrNotMergeable)
		return tx.APIKeys().RevokeByID(ctx, key.ID)
	}))(t)
	before, _ := content(t, p.db)
	var m snib.Merged
	change := func(tx *snib.Tx) (err error) {
		b, err := tx.Bolt().CreateBucketIfNotExists([]byte("notes"))
		if err == nil {
			err = b.Put(snib.OwnedKey(p.bob.ID, "new"), nil)
		}
		if err == nil {
			m, err = tx.Identities().Merge(ctx, p.into.Token.Reveal(), p.from.Token.Reveal())
		}
		if err == nil {
			_, err = tx.UpdateUserAttributes(m.User.ID, snib.Attributes{"old": string(m.From.ID)})
		}
		return err
	}
	wantErr(t, p.db.Update(ctx, func(tx *snib.Tx) error { return errors.Join(change(tx), context.Canceled) }), context.Canceled)
	if after, _ := content(t, p.db); !reflect.DeepEqual(before, after) {
		t.Error("something was written")
	}
	valid(t, p.db, p.from)
	must(0, p.db.Update(ctx, change))(t)
	valid(t, p.db, m.Session)
	if m.Rows != 1 || rowsOfUsers(t, p.db, "notes")[p.ada.ID] != 1 {
		t.Errorf("%+v", m)
	}
}

// TestMergeJudgesNothingThatItCannotRead: of the account that goes, records of a later
// program and damaged keys refuse it; a damaged event goes.
func TestMergeJudgesNothingThatItCannotRead(t *testing.T) {
	path := t.TempDir() + "/a.db"
	db := openFile(t, path, nil)
	ada, bob := user(t, db, "ada"), user(t, db, "bob")
	into, from := session(t, db, ada.ID), session(t, db, bob.ID)
	later(t, handle(t, db), 1, bob.ID)
	closeDB(t, db)
	db = openFile(t, path, nil)
	quiet(t, db, func() {
		_, err := db.Identities().Merge(ctx, into.Token.Reveal(), from.Token.Reveal())
		wantErr(t, err, snib.ErrNewerFormat)
	})
	m := must(db.Identities().Merge(ctx, from.Token.Reveal(), into.Token.Reveal()))(t) // they are of the one that stays
	if laterRecords(t, handle(t, db), bob.ID) != 1 {
		t.Error("the record of the later program is gone")
	}
	valid(t, db, m.Session)

	db = must(snib.Open(t.TempDir()+"/b.db", snibtest.Fast(nil)))(t)
	defer db.Close()
	ada, bob = user(t, db, "ada"), user(t, db, "bob")
	into, from = session(t, db, ada.ID), session(t, db, bob.ID)
	key := newKey(t, db, bob, time.Hour)
	event := must(db.Events().List(ctx, bob.ID))(t)[0]
	spoil := func(space, id string) {
		value := rawGet(t, handle(t, db), space, id)
		value[len(value)/2] ^= 1
		rawPut(t, handle(t, db), space, id, value)
	}
	spoil("events", string(event.ID))
	spoil("api_keys", string(key.ID))
	quiet(t, db, func() {
		wantErr(t, second(db.Identities().Merge(ctx, into.Token.Reveal(), from.Token.Reveal())), snib.ErrCorrupt)
	})
	rawDelete(t, handle(t, db), "api_keys", string(key.ID))
	if m := must(db.Identities().Merge(ctx, into.Token.Reveal(), from.Token.Reveal()))(t); m.Events != 2 { // user-created, api-key-created
		t.Errorf("%d events", m.Events)
	}
	must(db.Check(ctx))(t)
}

// TestEveryKindAtAMerge: a record of each kind moves, ends or refuses, as its row
// says.
func TestEveryKindAtAMerge(t *testing.T) {
	for _, k := range snib.Kinds() {
		t.Run(k.Title, func(t *testing.T) {
			clock := snibtest.NewClock()
			db := snibtest.NewDB(t, kindOptions(clock))
			ada, bob := user(t, db, "ada"), user(t, db, "bob")
			into, from := session(t, db, ada.ID), session(t, db, bob.ID)
			r := makers[k.Title](t, db, bob, time.Hour)
			if k.Title == "second factor" { // which has ended the session
				from = must(db.CreateSession(ctx, snib.FactorNotNeeded(asNow(t, db, bob.ID)), snib.SessionOptions{Methods: snib.MethodTOTP}))(t)
			}
			before := len(must(db.Events().List(ctx, ada.ID))(t))
			_, err := db.Identities().Merge(ctx, into.Token.Reveal(), from.Token.Reveal())
			e, _ := errors.AsType[*snib.MergeError](err)
			switch k.Merge {
			case "refuses":
				if e == nil || e.Code != strings.ReplaceAll(strings.ToLower(k.Title), " ", "_") {
					t.Errorf("%v", err)
				}
			case "ends":
				if err != nil || r.use(db) == nil {
					t.Errorf("%v, and it can be used", err)
				}
			case "moves":
				if n := len(must(db.Events().List(ctx, ada.ID))(t)); err != nil || n < before+3 || r.use(db) == nil {
					t.Errorf("%v, %d events", err, n)
				}
			default:
				t.Errorf("the row says %q", k.Merge)
			}
		})
	}
}
