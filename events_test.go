package snib_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// happened returns the kinds of a user's events, newest first.
func happened(tb testing.TB, db *snib.DB, u snib.UserID) (out []snib.EventKind) {
	tb.Helper()
	for _, e := range must(db.Events().List(ctx, u))(tb) {
		out = append(out, e.Kind)
	}
	return out
}

// eventsOf are the events that each of writes causes, by the texts of the
// methods: what changes a way in, and what lets somebody in.
var eventsOf = map[string][]snib.EventKind{
	"CreateUser": {"user-created"}, "ImportUser": {"user-imported"}, "ImportUsers": nil,
	"DeleteUser": {"user-deleted"}, "DisableUser": {"user-disabled"}, "EnableUser": {"user-enabled"},
	"UpdateUserProviderID": {"identity-moved"}, "LinkIdentity": {"identity-linked"}, "UnlinkIdentity": {"identity-unlinked"},
	"Identities.Verify":          {"identity-claimed", "identity-linked"},
	"Identities.ResolveExternal": {"user-created"}, "Identities.FinishLink": {"identity-linked"},
	"Identities.BeginMove": {"token-created"}, "Identities.FinishMove": {"identity-moved", "token-used"},
	"Identities.FinishSignUp":     {"identity-claimed", "user-created"},
	"Identities.AcceptInvitation": {"user-created", "invitation-accepted", "role-granted"}, "Identities.CreateGuest": {"guest-created", "log-in"}, "Identities.Invite": nil, "Identities.RevokeInvitation": nil,
	"Identities.Merge":   {"identity-linked", "role-granted", "user-merged", "user-deleted"},
	"UpdateUserPassword": {"password-set"}, "ChangePassword": {"password-changed"}, "RemoveUserPassword": {"password-removed"},
	"Update": {"token-used", "password-set"}, "UpdateUserAttributes": nil,
	"LogIn": {"log-in"}, "CreateSession": {"log-in"}, "CreateRefreshToken": {"refresh-token-created"}, "Reauthenticate": {"reauthenticated"},
	"ChangeCredentials": {"identity-unlinked"}, "Logins.Revoke": nil,
	"RenewSession": nil, "ExtendSession": nil, "UpdateSessionAttributes": nil, "Refresh": nil,
	"RevokeSession": nil, "RevokeSessionByID": nil, "RevokeToken": nil, "RefreshTokens.Revoke": nil, "RefreshTokens.RevokeByID": nil,
	"RevokeUserSessions": {"sessions-revoked"}, "RefreshTokens.RevokeAll": {"refresh-tokens-revoked"},
	"Tokens.StoreReset": {"token-created"}, "Tokens.CreateReset": {"token-created"}, "Tokens.FinishReset": {"token-used", "identity-verified", "password-set"},
	"Tokens.Create": {"token-created"}, "Tokens.Use": {"token-used"}, "Tokens.Revoke": nil, "Tokens.RevokeAll": nil,
	"EndEverything": {"everything-ended"}, "File.ResetClock": {"everything-ended"},
	"APIKeys.Create": {"api-key-created"}, "APIKeys.CreateFor": {"api-key-created"},
	"APIKeys.Revoke": {"api-key-revoked"}, "APIKeys.RevokeByID": {"api-key-revoked"}, "APIKeys.RevokeAll": {"api-key-revoked"},
	"Roles.Grant": {"role-granted"}, "Roles.Claim": {"role-granted"}, "Roles.Withdraw": {"role-withdrawn"},
	"Devices.Remember": {"device-remembered"}, "Devices.Trust": {"device-trusted"},
	"Devices.Revoke": {"device-revoked"}, "Devices.RevokeAll": {"device-revoked"},
	"Events.Ack": nil, "Codes.Store": {"token-created"}, "Codes.Use": {"token-used", "log-in"},
	"Factors.BeginTOTP": nil, "Factors.ConfirmTOTP": {"factor-added"}, "Factors.CreateRecoveryCodes": {"recovery-codes-created"},
	"Factors.Remove": {"factor-removed"}, "Factors.Reset": {"factors-reset"},
	"Factors.AddPasskey": {"factor-added"}, "Factors.UsePasskey": nil, "Factors.Rename": nil,
	"Factors.FinishLogInByPasskey": {"log-in"}, "Factors.FinishRefreshTokenByPasskey": {"refresh-token-created"},
	"Factors.LogIn": {"recovery-code-used", "log-in"}, "Factors.LogInRefreshToken": {"recovery-code-used", "refresh-token-created"},
	"Factors.FinishLogIn": {"recovery-code-used", "log-in"}, "Factors.FinishRefreshToken": {"refresh-token-created"},
}

// TestEveryChangeHasItsEvent: in the outbox, and in the list of its user. That
// both are one commit, TestAFailureAnywhereLeavesTheStateBefore shows.
func TestEveryChangeHasItsEvent(t *testing.T) {
	seen := map[snib.EventKind]bool{"refresh-reuse": true, "unlocked": true, "log-in-failed": true, "identity-verified": true, "factors-closed": true, "api-key-ending": true, "guest-upgraded": true, "passkey-cloned": true} // tested below
	for name, write := range writes {
		want, known := eventsOf[name]
		if !known {
			t.Errorf("nothing is said of the events of %s", name)
		}
		t.Run(name, func(t *testing.T) {
			db := snibtest.NewDB(t, &snib.Options{Outbox: []string{"mail", "notices"}, Sessions: snib.SessionPolicy{ExtendEvery: -1}, Roles: snib.RolePolicy{Protected: []string{"admin"}}, Keys: []snib.Key{testKey("k1", 1)}})
			s := newScene(t, db)
			before := unread(t, db, "notices")
			if err := write(s); err != nil {
				t.Fatal(err)
			}
			var kinds []snib.EventKind
			for _, e := range unread(t, db, "notices")[len(before):] {
				kinds = append(kinds, e.Kind)
				if e.Kind == "user-deleted" || e.Kind == "everything-ended" {
					continue
				}
				if got := must(db.Events().List(ctx, e.UserID, e.Kind))(t); len(got) == 0 || got[0].ID != e.ID || !strings.HasPrefix(string(e.ID), "evt_") {
					t.Errorf("%s %s is not the newest of its kind in the list of its user", e.ID, e.Kind)
				}
			}
			if !slices.Equal(kinds, want) {
				t.Errorf("events %q, want %q", kinds, want)
			}
		})
		for _, kind := range want {
			seen[kind] = true
		}
	}
	for _, kind := range snib.EventNames() {
		if !seen[kind] {
			t.Errorf("no change has the event %s", kind)
		}
	}
}

// unread returns all events that a consumer has not acknowledged.
func unread(tb testing.TB, db *snib.DB, consumer string) []snib.Event {
	tb.Helper()
	return must(db.Events().Read(ctx, consumer, 1000))(tb)
}

func TestEventsTellWhoAndWhat(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
	addr := netip.MustParseAddr("203.0.113.7")
	from := snib.WithClient(ctx, addr)
	u := must(db.CreateUser(snib.AsOperator(ctx), snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password}))(t)
	clock.Advance(time.Second)
	s, _, err := db.LogIn(from, "email", "ada@example.com", password, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Second)
	must(db.UpdateUserProviderID(snib.WithClient(ctx, netip.MustParseAddr("2001:db8::1")), u.ID, "email", "countess@example.com"))(t)
	list := must(db.Events().List(ctx, u.ID))(t)
	for i, want := range []snib.Event{
		{Kind: snib.EventIdentityMoved, Actor: snib.ActorUser, Client: netip.MustParseAddr("2001:db8::1").As16(), Detail: "email ada@example.com"},
		{Kind: snib.EventLogIn, Actor: snib.ActorUser, Client: addr.As16(), Subject: string(s.ID)},
		{Kind: snib.EventUserCreated, Actor: snib.ActorOperator, Detail: "email ada@example.com"},
	} {
		want.ID, want.UserID, want.Count = list[i].ID, u.ID, 1
		want.At = clock.Now().UTC().Add(-time.Duration(i) * time.Second)
		want.Last = want.At
		if got := list[i]; !got.At.Equal(want.At) || !got.Last.Equal(want.Last) {
			t.Errorf("%d: at %v and %v, want %v", i, got.At, got.Last, want.At)
		} else if want.At, want.Last = got.At, got.Last; got != want {
			t.Errorf("%d: %+v, want %+v", i, got, want)
		}
	}
	if netip.AddrFrom16(list[1].Client).Unmap() != addr {
		t.Errorf("client %v", list[1].Client)
	}
	if got := must(db.Events().List(ctx, u.ID, snib.EventLogIn))(t); len(got) != 1 || got[0].Subject != string(s.ID) {
		t.Errorf("log-in history %+v", got)
	}
	for _, stranger := range []snib.UserID{"", "nobody", "\x00"} {
		if got := must(db.Events().List(ctx, stranger))(t); len(got) != 0 {
			t.Errorf("events of %q: %+v", stranger, got)
		}
	}
}

func TestAReuseIsAnEventOfTheLibrary(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	s := newScene(t, db)
	_, _, err := db.Refresh(ctx, s.spent.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
	_, _, err = db.Refresh(ctx, s.spent.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused) // the same again is no other event
	list := must(db.Events().List(ctx, s.user.ID, snib.EventRefreshReuse))(t)
	if len(list) != 1 || list[0].Actor != snib.ActorLibrary || list[0].Subject != string(s.spent.ID) {
		t.Errorf("%+v", list)
	}
}

func TestUnlockAndUnlockIdentityAreEvents(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	if err := db.Throttle().UnlockIdentity(snib.AsOperator(ctx), u.Identities[0].Provider, u.Identities[0].Identifier); err != nil {
		t.Fatal(err)
	}
	if list := must(db.Events().List(ctx, u.ID))(t); list[0].Kind != snib.EventUnlocked || list[0].Actor != snib.ActorOperator {
		t.Errorf("%+v", list[0])
	}
}

func TestAProvenIdentityIsAnEvent(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com"}))(t)
	must(db.Identities().Verify(ctx, u.ID, "email", "ada@example.com"))(t)
	if list := must(db.Events().List(ctx, u.ID))(t); list[0].Kind != snib.EventIdentityVerified || list[0].Detail != "email ada@example.com" {
		t.Errorf("%+v", list[0])
	}
}

// TestEventsAreBoundedByClass: one more of a class ends its oldest, and none of
// another class.
func TestEventsAreBoundedByClass(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
	u, other := user(t, db, "ada"), user(t, db, "bob")
	makes := map[snib.EventKind]func(){
		snib.EventUnlocked: func() { db.Throttle().Unlock(ctx, u.ID) },
		snib.EventLogIn:    func() { session(t, db, u.ID) },
		snib.EventLogInFailed: func() {
			clock.Advance(time.Hour)
			db.AuthenticateUser(ctx, u.Identities[0].Provider, u.Identities[0].Identifier, "wrong passphrase")
			if err := snib.StoreFailures(db); err != nil {
				t.Fatal(err)
			}
		},
	}
	if err := db.Throttle().Unlock(ctx, other.ID); err != nil {
		t.Fatal(err)
	}
	most := map[snib.EventKind]int{snib.EventUnlocked: 50, snib.EventLogIn: 100, snib.EventLogInFailed: 20}
	for range 2 { // each pushes out its own only
		for kind, n := range most {
			var first snib.Event
			for i := range n + 3 {
				clock.Advance(time.Millisecond)
				makes[kind]()
				if i == 3 {
					first = must(db.Events().List(ctx, u.ID, kind))(t)[0]
				}
				db.Throttle().Unlock(snib.AsOperator(ctx), other.ID) // so that no wait grows
			}
			list := must(db.Events().List(ctx, u.ID, kind))(t)
			if len(list) != n || list[n-1].ID != first.ID {
				t.Fatalf("%d of %s, want the %d newest", len(list), kind, n)
			}
		}
	}
	if n := len(must(db.Events().List(ctx, u.ID))(t)); n != 170 {
		t.Errorf("%d in all, want 170", n)
	}
	must(db.Check(ctx))(t)
}

// TestFailedLogInsAreOneEventAnHour: written by the background, for users only,
// and not for consumers.
func TestFailedLogInsAreOneEventAnHour(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	o := &snib.Options{Now: clock.Now, Outbox: []string{"mail"}}
	db := must(snib.Open(path, snibtest.Fast(o)))(t)
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password}))(t)
	fail := func(from, identifier string) {
		t.Helper()
		_, err := db.AuthenticateUser(snib.WithClient(ctx, netip.MustParseAddr(from)), "email", identifier, "wrong passphrase")
		wantErr(t, err, snib.ErrInvalidCredentials)
	}
	before := len(unread(t, db, "mail"))
	quiet(t, db, func() { // no answer waits for the event
		fail("192.0.2.1", "ada@example.com")
		fail("192.0.2.1", "nobody@example.com")
		fail("192.0.2.2", "ada@example.com")
	})
	if err := snib.StoreFailures(db); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	fail("192.0.2.3", "ada@example.com")
	if err := db.Close(); err != nil { // which stores it
		t.Fatal(err)
	}
	db = snibtest.OpenDB(t, path, o)
	list := must(db.Events().List(ctx, u.ID, snib.EventLogInFailed))(t)
	if len(list) != 1 || list[0].Count != 3 || list[0].Last.Sub(list[0].At) != time.Minute || list[0].Client != netip.MustParseAddr("192.0.2.3").As16() {
		t.Fatalf("%+v", list)
	}
	if n := len(unread(t, db, "mail")); n != before {
		t.Errorf("%d events in the outbox are of strangers", n-before)
	}
	clock.Advance(time.Hour)
	fail("192.0.2.1", "ada@example.com")
	if err := snib.StoreFailures(db); err != nil {
		t.Fatal(err)
	}
	if list := must(db.Events().List(ctx, u.ID, snib.EventLogInFailed))(t); len(list) != 2 || list[0].Count != 1 {
		t.Errorf("in the next hour %+v", list)
	}
	if report := must(db.Check(ctx))(t); report.Records["events"] != 3 {
		t.Errorf("%d events in the file, want those of ada", report.Records["events"])
	}
}

// TestFailedLogInsOfManyUsersAreBounded: memory does not grow with the users
// whom a stranger tries, and one whose record is gone has no event.
func TestFailedLogInsOfManyUsersAreBounded(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Throttle: snib.ThrottlePolicy{}})
	u := user(t, db, "ada")
	gone := user(t, db, "bob")
	for _, id := range []snib.UserID{u.ID, gone.ID} {
		snib.AddFailure(db, id)
	}
	for i := range 2000 {
		snib.AddFailure(db, snib.UserID(fmt.Sprint("nobody", i)))
	}
	if n := snib.Failures(db); n != 512 {
		t.Errorf("%d users in memory, want 512", n)
	}
	if err := db.DeleteUser(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	if err := snib.StoreFailures(db); err != nil {
		t.Fatal(err)
	}
	if got := happened(t, db, u.ID)[0]; got != snib.EventLogInFailed {
		t.Errorf("newest is %s", got)
	}
	if report := must(db.Check(ctx))(t); report.Records["events"] != 2 || snib.Failures(db) != 0 {
		t.Errorf("%d events, want 2", report.Records["events"])
	}
}

// TestADamagedEventIsInTheWayOfNoChange: nor is a damaged head of the outbox.
func TestADamagedEventIsInTheWayOfNoChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := must(snib.Open(path, snibtest.Fast(&snib.Options{Outbox: []string{"mail"}})))(t)
	defer db.Close()
	u := user(t, db, "ada")
	e := must(db.Events().List(ctx, u.ID))(t)[0]
	b := handle(t, db)
	for space, key := range map[string]string{"events": string(e.ID), "outbox": strings.Repeat("\xff", 8)} {
		value := rawGet(t, b, space, key)
		value[len(value)-1] ^= 1
		rawPut(t, b, space, key, value)
	}
	must(db.DisableUser(ctx, u.ID, ""))(t)
	_, err := db.Events().Read(ctx, "mail", 1)
	wantErr(t, err, snib.ErrCorrupt)
	_, err = db.Events().List(ctx, u.ID)
	wantErr(t, err, snib.ErrCorrupt)
	report, err := db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	found := map[string]snib.Severity{}
	for _, p := range report.Problems {
		found[p.Space] = p.Severity
	}
	if len(found) != 2 || found["events"] != snib.LosesData || found["outbox"] != snib.Mendable {
		t.Errorf("found %v", report.Problems)
	}
	must(db.Repair(ctx))(t)
	must(db.Check(ctx))(t)
	if got := happened(t, db, u.ID); !slices.Equal(got, []snib.EventKind{snib.EventUserDisabled}) {
		t.Errorf("events %v", got)
	}
	read := unread(t, db, "mail")
	if len(read) != 1 || read[0].ID != e.ID || read[0].Detail != "" {
		t.Errorf("in the outbox %+v", read)
	}
	must(db.EnableUser(ctx, u.ID))(t)
	if err := db.Events().Ack(ctx, "mail", read[0].Position); err != nil {
		t.Fatal(err)
	}
	gap := gapOf(t, second(db.Events().Read(ctx, "mail", 1))) // what was not put there
	if err := db.Events().Ack(ctx, "mail", gap.To); err != nil {
		t.Fatal(err)
	}
	if read := unread(t, db, "mail"); len(read) != 1 || read[0].Kind != snib.EventUserEnabled {
		t.Errorf("after the gap %+v", read)
	}
}

// TestCheckINV17Events: breaches of INV-17 in the file, each found and mended.
func TestCheckINV17Events(t *testing.T) {
	for name, c := range map[string]struct {
		breaks func(tb testing.TB, db *snib.DB, u snib.User)
		space  string
	}{
		"more than the bound": {func(tb testing.TB, db *snib.DB, u snib.User) {
			owner := ownerOf(tb, handle(tb, db), u.ID)
			for i := range 51 {
				e := codec.Event{Key: codec.MakeOwnedKey(owner, codec.NewEventID(1, byte(i), 1, [2]byte{})), UserID: string(u.ID), Kind: 20, Count: 1}
				rawPut(tb, handle(tb, db), "events", string(e.Key[:]), e.Append(nil))
			}
		}, "events"},
		"of another": {func(tb testing.TB, db *snib.DB, u snib.User) {
			e := codec.Event{Key: codec.MakeOwnedKey(ownerOf(tb, handle(tb, db), u.ID), codec.NewEventID(1, 0, 1, [2]byte{})), UserID: "nobody", Kind: 20, Count: 1}
			rawPut(tb, handle(tb, db), "events", string(e.Key[:]), e.Append(nil))
		}, "events"},
		"a position of the future": {func(tb testing.TB, db *snib.DB, u snib.User) {
			e := codec.OutboxEntry{Position: 99}
			rawPut(tb, handle(tb, db), "outbox", "\x00\x00\x00\x00\x00\x00\x00\x63", e.Append(nil))
		}, "outbox"},
		"a cursor ahead": {func(tb testing.TB, db *snib.DB, u snib.User) {
			c := codec.Cursor{Position: 2}
			rawPut(tb, handle(tb, db), "cursors", "mail", c.Append(nil, "mail"))
		}, "cursors"},
		"no head": {func(tb testing.TB, db *snib.DB, u snib.User) {
			rawDelete(tb, handle(tb, db), "outbox", strings.Repeat("\xff", 8))
			wantErr(tb, second(db.Events().Read(ctx, "mail", 1)), snib.ErrCorrupt)
			wantErr(tb, db.Events().Ack(ctx, "mail", 1), snib.ErrCorrupt)
		}, "outbox"},
		"a consumer too many": {func(tb testing.TB, db *snib.DB, u snib.User) {
			c := codec.Cursor{}
			rawPut(tb, handle(tb, db), "cursors", "x", c.Append(nil, "x"))
		}, "outbox"},
	} {
		t.Run(name, func(t *testing.T) {
			db := must(snib.Open(t.TempDir()+"/a.db", snibtest.Fast(&snib.Options{Outbox: []string{"mail"}})))(t)
			defer db.Close()
			u := user(t, db, "ada")
			c.breaks(t, db, u)
			report, err := db.Check(ctx)
			wantErr(t, err, snib.ErrCorrupt)
			if p := report.Problems[0]; p.Invariant != 17 || p.Space != c.space {
				t.Errorf("found %v", report.Problems)
			}
			must(db.Repair(ctx))(t)
			must(db.Check(ctx))(t)
			if got := happened(t, db, u.ID); len(got) > 50 || got[0] != snib.EventUserCreated {
				t.Errorf("events %v", got)
			}
			must(db.DisableUser(ctx, u.ID, ""))(t)
			if got := lastRead(t, db, "mail"); got.Kind != snib.EventUserDisabled {
				t.Errorf("last in the outbox %+v", got)
			}
		})
	}
}

// lastRead reads all events for a consumer, past gaps, and returns the last.
func lastRead(tb testing.TB, db *snib.DB, consumer string) (last snib.Event) {
	tb.Helper()
	for {
		events, err := db.Events().Read(ctx, consumer, 100)
		to := uint64(0)
		if gap, ok := errors.AsType[*snib.GapError](err); ok {
			to = gap.To
		} else if err != nil {
			tb.Fatal(err)
		} else if len(events) == 0 {
			return last
		} else {
			last = events[len(events)-1]
			to = last.Position
		}
		must(0, db.Events().Ack(ctx, consumer, to))(tb)
	}
}

// TestRepairKeepsAConsumerWithoutItsCursor: what it had not read comes, and what
// happens after.
func TestRepairKeepsAConsumerWithoutItsCursor(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Outbox: []string{"mail", "slow"}})
	u := user(t, db, "ada")
	rawPut(t, handle(t, db), "cursors", "mail", flip(rawGet(t, handle(t, db), "cursors", "mail"), 12))
	report, err := db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if len(report.Problems) != 1 {
		t.Errorf("found %v", report.Problems)
	}
	must(db.Repair(ctx))(t)
	must(db.DisableUser(ctx, u.ID, ""))(t)
	read := unread(t, db, "mail")
	if len(read) != 2 || read[0].Kind != snib.EventUserCreated || read[1].Kind != snib.EventUserDisabled {
		t.Errorf("read %+v", read)
	}
}

// TestOpenRefusesAnOutboxWithoutItsHead: with another one its consumers would miss
// events.
func TestOpenRefusesAnOutboxWithoutItsHead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	o := snibtest.Fast(&snib.Options{Outbox: []string{"mail"}})
	db := must(snib.Open(path, o))(t)
	u := user(t, db, "ada")
	rawDelete(t, handle(t, db), "outbox", strings.Repeat("\xff", 8))
	must(0, db.Close())(t)
	wantErr(t, second(snib.Open(path, o)), snib.ErrCorrupt)
	must(snib.RepairFile(ctx, path, o))(t)
	db = must(snib.Open(path, o))(t)
	must(db.DisableUser(ctx, u.ID, ""))(t)
	if read := unread(t, db, "mail"); len(read) != 1 || read[0].Kind != snib.EventUserCreated {
		t.Errorf("read %+v", read)
	}
	snibtest.CheckAndClose(t, db)
}

// TestEventsAfterTheClockWasAhead stay, and those of a time to come go.
func TestEventsAfterTheClockWasAhead(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
	u := user(t, db, "ada")
	toggle := func() {
		for range 30 {
			must(db.DisableUser(ctx, u.ID, ""))(t)
			must(db.EnableUser(ctx, u.ID))(t)
		}
	}
	clock.Advance(1000 * time.Hour)
	toggle()
	clock.Advance(-1000 * time.Hour)
	must(0, db.File().ResetClock(ctx))(t)
	toggle()
	n := 0
	for _, e := range must(db.Events().List(ctx, u.ID))(t) {
		if !e.At.After(clock.Now()) {
			n++
		}
	}
	if n != 50 {
		t.Errorf("%d events of now, want 50", n)
	}
	must(db.Check(ctx))(t)
}

// TestEventsInAnUpdateAreItsOwn: the transaction sees them, with the context of
// Update; none is left of one that is undone.
func TestEventsInAnUpdateAreItsOwn(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	operator := snib.AsOperator(snib.WithClient(context.Background(), netip.MustParseAddr("192.0.2.9")))
	err := db.Update(operator, func(tx *snib.Tx) error {
		if _, err := tx.DisableUser(u.ID, ""); err != nil {
			return err
		}
		list, err := tx.Events().List(ctx, u.ID)
		if err != nil || len(list) != 2 || list[0].Kind != snib.EventUserDisabled || list[0].Actor != snib.ActorOperator || list[0].Client[15] != 9 {
			t.Errorf("in the transaction %+v, %v", list, err)
		}
		return errUndo
	})
	wantErr(t, err, errUndo)
	if got := happened(t, db, u.ID); !slices.Equal(got, []snib.EventKind{snib.EventUserCreated}) {
		t.Errorf("after it %v", got)
	}
}

// TestEventsOfOneMillisecondKeepTheirOrder, across classes and beyond the
// numbers that there are.
func TestEventsOfOneMillisecondKeepTheirOrder(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
	u := nobody(t, db, "ada")
	want := []snib.EventKind{snib.EventUserCreated}
	for range 20 {
		session(t, db, u.ID)
		must(db.DisableUser(ctx, u.ID, ""))(t)
		must(db.EnableUser(ctx, u.ID))(t)
		want = append(want, snib.EventLogIn, snib.EventUserDisabled, snib.EventUserEnabled)
	}
	slices.Reverse(want)
	if got := happened(t, db, u.ID); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for range 300 {
		session(t, db, u.ID)
	}
	if n := len(must(db.Events().List(ctx, u.ID, snib.EventLogIn))(t)); n != 100 {
		t.Errorf("%d log-ins, want 100", n)
	}
}

// TestMovedEventsKeepApart: an event that a merge moves takes the place of none, though
// its own id is taken under the other user.
func TestMovedEventsKeepApart(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	ada, bob := user(t, db, "ada"), user(t, db, "bob")
	into, from := session(t, db, ada.ID), session(t, db, bob.ID)
	b := handle(t, db)
	for _, e := range must(db.Events().List(ctx, bob.ID))(t) {
		key, _ := codec.ParseOwnedKeyDigits(string(e.ID)[4:])
		r := must(codec.DecodeEvent(key[:], rawGet(t, b, "events", string(e.ID))))(t)
		r.Key, r.UserID, r.Detail = codec.MakeOwnedKey(ownerOf(t, b, ada.ID), key.OwnID()), string(ada.ID), "of ada"
		rawPut(t, b, "events", string(r.Key[:]), r.Append(nil))
	}
	before := must(db.Events().List(ctx, ada.ID))(t)
	m := must(db.Identities().Merge(ctx, into.Token.Reveal(), from.Token.Reveal()))(t)
	after := must(db.Events().List(ctx, ada.ID))(t)
	for _, e := range before {
		if !slices.Contains(after, e) {
			t.Errorf("%+v is gone", e)
		}
	}
	if n := len(before) + m.Events + 2; m.Events != 2 || len(after) != n { // identity-linked, user-merged
		t.Errorf("%d events, want %d", len(after), n)
	}
}
