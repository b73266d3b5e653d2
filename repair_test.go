package snib_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
	"github.com/snibdb/snib/snibtest"
)

// mended runs Repair on what a test has broken. Check is content then, those
// who are not concerned are as before, and nobody gets in who could not.
func (c *checked) mended(tb testing.TB) snib.RepairReport {
	tb.Helper()
	users := map[snib.UserID][]byte{}
	for _, u := range []snib.User{c.ada, c.bob, c.eve} {
		users[u.ID] = rawGet(tb, c.b, "users", string(u.ID))
	}
	report, err := c.db.Repair(ctx)
	if err != nil {
		tb.Fatalf("repair: %v, after %v", err, report.Repairs)
	}
	if report.Before.Found == 0 || report.Repaired == 0 || len(report.Repairs) != min(report.Repaired, 1000) {
		tb.Errorf("found %d, repaired %d, told of %d", report.Before.Found, report.Repaired, len(report.Repairs))
	}
	c.saysNothingPrivate(tb, fmt.Sprintf("%v %+v", report, report))
	if after, err := c.db.Check(ctx); err != nil {
		tb.Fatalf("check after repair: %v %v; repairs: %v", err, after.Problems, report.Repairs)
	}
	again, err := c.db.Repair(ctx)
	if err != nil || again.Repaired != 0 || again.Quarantined != 0 {
		tb.Errorf("repaired again: %+v, %v", again, err)
	}
	named := func(id string) bool {
		return slices.ContainsFunc(report.Repairs, func(p snib.Problem) bool { return p.ID == id })
	}
	ended := func(id snib.SessionID) bool {
		return slices.ContainsFunc(report.Repairs, func(p snib.Problem) bool {
			return p.ID == string(id) && p.Severity == snib.EndsLogin
		})
	}
	everything := slices.ContainsFunc(report.Repairs, func(p snib.Problem) bool {
		return p.Invariant == 1 && p.Severity == snib.EndsLogin
	})
	for id, before := range users {
		if !named(string(id)) && !bytes.Equal(before, rawGet(tb, c.b, "users", string(id))) {
			tb.Errorf("user %s was changed and is not named in %v", id, report.Repairs)
		}
	}
	for _, s := range []snib.Session{c.session, c.bobs, c.famSession} {
		_, err := c.db.ValidateSession(ctx, s.Token.Reveal())
		if lives := err == nil; lives != (!everything && !ended(s.ID) && c.hasSession(tb, s)) {
			tb.Errorf("session %s of %s: %v after %v", s.ID, s.UserID, err, report.Repairs)
		}
	}
	return report
}

// hasSession reports whether a session's record is there.
func (c *checked) hasSession(tb testing.TB, s snib.Session) bool {
	tb.Helper()
	_, err := c.db.GetSession(ctx, s.ID)
	return err == nil
}

// dumped returns all that lies in the file, however broken.
func dumped(tb testing.TB, b *bolt.DB) map[string]string {
	tb.Helper()
	mirrored(tb, b)
	out := map[string]string{}
	err := b.View(func(tx *bolt.Tx) error {
		root := tx.Bucket([]byte("snib"))
		return root.ForEachBucket(func(space []byte) error {
			return root.Bucket(space).ForEach(func(k, v []byte) error {
				out[string(space)+"/"+string(k)] = string(v)
				return nil
			})
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// quarantine returns what lies there.
func (c *checked) quarantine(tb testing.TB) map[string]string {
	tb.Helper()
	out := map[string]string{}
	records, _ := content(tb, c.db)
	for key, value := range records {
		if key, ok := strings.CutPrefix(key, "quarantine/"); ok {
			out[key] = value
		}
	}
	return out
}

func TestRepairQuarantinesWhatCannotBeRead(t *testing.T) {
	for _, k := range recordKinds() {
		if k.space == "meta" {
			continue // see TestCheckINV1Meta
		}
		t.Run(k.space, func(t *testing.T) {
			c := newChecked(t)
			key := k.key(t, c)
			spoilt := flip(rawGet(t, c.b, k.space, key), 30)
			rawPut(t, c.b, k.space, key, spoilt)
			c.breaches(t, breach{2, k.space, k.id(c)})
			index := k.space == "identities" || k.space == "attributes"
			report, err := c.db.Repair(ctx)
			if err != nil {
				t.Fatal(err)
			}
			got := c.quarantine(t)
			if index != (len(got) == 0) || report.Quarantined != len(got) {
				t.Errorf("quarantine: %q, told of %d", got, report.Quarantined)
			}
			for at, value := range got {
				if !strings.HasSuffix(value, string(spoilt)) || len(value) != 8+len(spoilt) || !strings.Contains(at, k.space+`\x00`) {
					t.Errorf("quarantine: %q under %s, want %q behind a time", value, at, spoilt)
				}
			}
			if _, err := c.db.Check(ctx); err != nil {
				t.Error(err)
			}
			valid(t, c.db, c.bobs)
			if k.space == "users" || !index && k.space != "meta" {
				must(c.db.Sweep(ctx))(t)
				if got := c.quarantine(t); len(got) != 1 {
					t.Errorf("after a sweep: %q", got)
				}
			}
		})
	}
}

// What belongs to a user goes along with a record that cannot be read, and the
// identity is free.
func TestRepairOfADamagedUserLeavesNothingBehind(t *testing.T) {
	c := newChecked(t)
	rawPut(t, c.b, "users", string(c.ada.ID), flip(rawGet(t, c.b, "users", string(c.ada.ID)), 30))
	c.breaches(t, breach{2, "users", string(c.ada.ID)})
	report := must(c.db.Repair(ctx))(t)
	for _, s := range []snib.Session{c.session, c.famSession} {
		invalid(t, c.db, s)
	}
	valid(t, c.db, c.bobs)
	must(c.db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com",
		Attributes: snib.Attributes{"nick": "Countess", "team": "engine"}}))(t)
	worst := slices.MaxFunc(report.Repairs, func(a, b snib.Problem) int { return int(a.Severity - b.Severity) })
	if worst.Severity != snib.LosesData || worst.ID != string(c.ada.ID) {
		t.Errorf("the worst is %v, %v", worst, worst.Severity)
	}
	must(c.db.Check(ctx))(t)
}

func TestRepairLeavesNewerRecordsAlone(t *testing.T) {
	for _, k := range recordKinds() {
		c := newChecked(t)
		key := k.key(t, c)
		rawPut(t, c.b, k.space, key, newer(k.space, key, rawGet(t, c.b, k.space, key)))
		c.refer(t, "attributes", indexKey(t, "nick", "nobody", ""), "ghost") // and something to do
		before := dumped(t, c.b)
		_, err := c.db.Repair(ctx)
		if k.space == "identities" || k.space == "attributes" {
			if err != nil && !errors.Is(err, snib.ErrNewerFormat) {
				t.Errorf("%s: %v", k.space, err)
			}
			continue
		}
		wantErr(t, err, snib.ErrNewerFormat)
		if after := dumped(t, c.b); !maps.Equal(before, after) {
			t.Errorf("%s: something was written", k.space)
		}
	}
}

func TestRepairOfOneIdentityOrValueOfTwoUsers(t *testing.T) {
	for _, leads := range []string{"to ada", "to bob", "nowhere"} {
		t.Run(leads, func(t *testing.T) {
			c := newChecked(t)
			key, nick := pair("email", "ada@example.com"), indexKey(t, "nick", "countess", "")
			c.editUser(t, c.bob.ID, func(u *codec.User) {
				u.Identities[0].Identifier, u.Identities[0].Key = "Ada@example.com", "ada@example.com"
				u.Attributes = string(must(codec.AppendAttributes(nil, map[string]any{"nick": "COUNTESS", "x": 1}, codec.Bounds{Keys: 64, Bytes: 1 << 16}))(t))
			})
			winner, loser := c.ada, c.bob
			switch leads {
			case "to bob":
				winner, loser = c.bob, c.ada
				fallthrough
			case "to ada":
				c.refer(t, "identities", key, winner.ID)
				c.refer(t, "attributes", nick, winner.ID)
			default:
				rawDelete(t, c.b, "identities", key)
				rawDelete(t, c.b, "attributes", nick)
				if c.bob.ID < c.ada.ID {
					winner, loser = c.bob, c.ada
				}
			}
			version := must(c.db.GetUser(ctx, loser.ID))(t).CredentialVersion
			report := c.mended(t)
			if got := must(c.db.GetUserByProviderID(ctx, "email", "ada@example.com"))(t); got.ID != winner.ID {
				t.Errorf("the identity is %s's, want %s's", got.ID, winner.ID)
			}
			if got := must(c.db.GetUserByAttribute(ctx, "nick", "countess"))(t); got.ID != winner.ID {
				t.Errorf("the value is %s's, want %s's", got.ID, winner.ID)
			}
			lost := must(c.db.GetUser(ctx, loser.ID))(t)
			if len(lost.Identities) != 0 || lost.Attributes()["nick"] != nil || lost.CredentialVersion == version {
				t.Errorf("the other is %+v with %v", lost, lost.Attributes())
			}
			if report.Quarantined != 1 {
				t.Errorf("%d quarantined", report.Quarantined)
			}
			must(c.db.UpdateUserProviderID(ctx, loser.ID, "email", "new@example.com"))(t)
		})
	}
}

// Keys that other Unicode tables made are folded anew.
func TestRepairFoldsAnewWithOtherUnicodeTables(t *testing.T) {
	c := newChecked(t)
	format := must(codec.DecodeFormat(rawGet(t, c.b, "meta", "format")))(t)
	was := format.Unicode
	format.Unicode = "6.0.0"
	rawPut(t, c.b, "meta", "format", format.Append(nil))
	old := string(must(codec.AppendIndexValue(nil, "CountesS"))(t))
	c.editUser(t, c.ada.ID, func(u *codec.User) {
		u.Identities[0].Key = "aDa@example.com"
		u.Entries[0].Value = old
	})
	rawDelete(t, c.b, "identities", pair("email", "ada@example.com"))
	c.refer(t, "identities", pair("email", "aDa@example.com"), c.ada.ID)
	rawDelete(t, c.b, "attributes", indexKey(t, "nick", "countess", ""))
	c.refer(t, "attributes", indexKey(t, "nick", "CountesS", ""), c.ada.ID)
	must(c.db.Check(ctx))(t) // other tables are not damage
	report := must(c.db.Repair(ctx))(t)
	if report.Before.Found != 0 || report.Repaired == 0 {
		t.Errorf("%+v", report)
	}
	must(c.db.AuthenticateUser(ctx, "email", "Ada@example.com", password))(t)
	must(c.db.GetUserByAttribute(ctx, "nick", "countess"))(t)
	must(c.db.Check(ctx))(t)
	if got := must(codec.DecodeFormat(rawGet(t, c.b, "meta", "format")))(t).Unicode; got != was {
		t.Errorf("the file says %q, want %q", got, was)
	}
}

func TestRepairBoundsTheQuarantine(t *testing.T) {
	c := newChecked(t)
	rawBucket(t, c.b, "sessions", func(b *bolt.Bucket) error {
		for i := range 40 {
			if err := b.Put(fmt.Appendf(nil, "%s%d", strings.Repeat("k", 1100*(i%2)), i), make([]byte, 100<<10)); err != nil {
				return err
			}
		}
		return nil
	})
	report := must(c.db.Repair(ctx))(t)
	size := 0
	for key, value := range dumped(t, c.b) {
		if strings.HasPrefix(key, "quarantine/") {
			size += len(key) + len(value)
		}
	}
	if size < 900<<10 || size > 1<<20+1<<10 || report.Quarantined+report.NotKept != 40 || report.NotKept == 0 {
		t.Errorf("%d bytes, %d quarantined, %d not kept", size, report.Quarantined, report.NotKept)
	}
	must(c.db.Check(ctx))(t)
}

// counting counts the writes of a store.
type counting struct {
	kv.Store
	writes int
}

type countingTx struct {
	kv.Tx
	n *int
}

func (c *counting) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	return c.Store.Exclusive(ctx, func(tx kv.Tx) error { return fn(countingTx{tx, &c.writes}) })
}
func (t countingTx) Put(s kv.Space, k, v []byte) error { *t.n++; return t.Tx.Put(s, k, v) }
func (t countingTx) Delete(s kv.Space, k []byte) error { *t.n++; return t.Tx.Delete(s, k) }

// What a transaction writes it holds in memory, so a repair of a little in a
// large file must write little.
func TestRepairWritesOnlyWhatItMends(t *testing.T) {
	c := newChecked(t)
	if err := c.db.Update(ctx, func(tx *snib.Tx) error {
		for i := range 900 {
			if _, err := tx.CreateUser(snib.NewUser{Provider: "x", Identifier: fmt.Sprint(i), Attributes: snib.Attributes{"team": i}}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	quiet(t, c.db, func() {
		if report := must(c.db.Repair(ctx))(t); report.Repaired != 0 || report.Before.Users != 903 {
			t.Errorf("%+v", report)
		}
	})
	rawDelete(t, c.b, "identities", pair("email", "ada@example.com"))
	var n *counting
	restore := c.db.WrapStore(func(inner kv.Store) kv.Store { n = &counting{Store: inner}; return n })
	c.mended(t)
	restore()
	if n.writes != 6 { // five records of meta, and the entry
		t.Errorf("%d writes", n.writes)
	}
}

// ruined breaks something of every kind.
func (c *checked) ruined(tb testing.TB) {
	tb.Helper()
	rawDelete(tb, c.b, "meta", "declarations")
	rawPut(tb, c.b, "users", string(c.bob.ID), flip(rawGet(tb, c.b, "users", string(c.bob.ID)), 40))
	rawDelete(tb, c.b, "identities", pair("email", "ada@example.com"))
	c.refer(tb, "attributes", indexKey(tb, "nick", "nobody", ""), "ghost")
	c.editSession(tb, c.session.ID, func(s *codec.Session) { s.Family = keyOf(c.family.ID).OwnID() })
	c.editFamily(tb, func(f *codec.Family) { f.AbsoluteUntil = f.IdleUntil - 1 })
	c.editLink(tb, func(t *codec.OneTimeToken) { t.Epoch++ })
	rawPut(tb, c.b, "sessions", "no key", []byte("x"))
	rawDelete(tb, c.b, "meta", "owned_spaces")
}

func TestRepairThatFailsLeavesTheStateBefore(t *testing.T) {
	c := newChecked(t)
	c.ruined(t)
	before := dumped(t, c.b)
	for n := int64(0); ; n++ {
		var faulty *faultkv.Store
		restore := c.db.WrapStore(func(inner kv.Store) kv.Store {
			faulty = faultkv.Wrap(inner, faultkv.Faults{Fail: n, Overwrite: true})
			return faulty
		})
		_, err := c.db.Repair(ctx)
		restore()
		if !faulty.Failed() {
			if err != nil || n < 100 {
				t.Fatalf("without a failure, after %d operations: %v", n, err)
			}
			break
		}
		if !errors.Is(err, faultkv.ErrInjected) {
			t.Fatalf("operation %d failed, Repair returned %v", n, err)
		}
		if !maps.Equal(before, dumped(t, c.b)) {
			t.Fatalf("operation %d failed and something was written", n)
		}
	}
	must(c.db.Check(ctx))(t)
	if len(c.quarantine(t)) != 2 { // the user, and the session without a key
		t.Errorf("quarantine: %q", c.quarantine(t))
	}
	must(c.db.AuthenticateUser(ctx, "email", "ada@example.com", password))(t)
}

// cancelled is done from its nth look on.
type cancelled struct {
	context.Context
	n int
}

func (c *cancelled) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestRepairAndCheckEndWithTheirContext(t *testing.T) {
	c := newChecked(t)
	if err := c.db.Update(ctx, func(tx *snib.Tx) error {
		for i := range 600 {
			if _, err := tx.CreateUser(snib.NewUser{Provider: "x", Identifier: fmt.Sprint(i)}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c.ruined(t)
	before, commits := dumped(t, c.b), lastCommit(t, c.b)
	looks := 0
	for ; ; looks += 1 + looks/20 { // the first ones all, then a sample: it looks for each record
		_, err := c.db.Repair(&cancelled{ctx, looks})
		if err == nil {
			break
		}
		same := lastCommit(t, c.b) == commits // without a commit there is nothing to compare
		if same && (looks < 3 || looks > 200) {
			same = maps.Equal(before, dumped(t, c.b))
		}
		if !errors.Is(err, context.Canceled) || !same {
			t.Fatalf("after %d looks: %v, unchanged %t", looks, err, same)
		}
	}
	if looks < 10 {
		t.Errorf("ctx was looked at %d times", looks)
	}
	for n := 0; ; n++ {
		if _, err := c.db.Check(&cancelled{ctx, n}); err == nil {
			break
		} else if !errors.Is(err, context.Canceled) {
			t.Fatalf("check after %d looks: %v", n, err)
		}
	}
}

// made anew for those that it has read before.
func TestRepairOfStateAndDeclarationsIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	closeDB(t, must(snib.Open(path, snibtest.Fast(&snib.Options{Indexes: []snib.Index{{Name: "nick"}}})))(t))
	db := must(snib.Open(path, snibtest.Fast(nil)))(t)
	ada := snib.NewUser{Provider: "email", Identifier: "ada@example.com", Attributes: snib.Attributes{"nick": "ada"}}
	must(db.CreateUser(ctx, ada))(t)
	b := handle(t, db)
	for _, key := range []string{codec.KeyState, codec.KeyDeclarations} {
		rawPut(t, b, "meta", key, flip(rawGet(t, b, "meta", key), 12))
	}
	must(db.Repair(ctx))(t)
	ada.Identifier = "bob@example.com"
	must(db.CreateUser(ctx, ada))(t)
	snibtest.CheckAndClose(t, db)
}
