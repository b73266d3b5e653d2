package snib_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// A checked database has some of everything, for a test to break.
type checked struct {
	db *snib.DB
	b  *bolt.DB

	ada, bob, eve snib.User // eve's password hash is imported

	session, bobs snib.Session // of no family
	famSession    snib.Session // ada's, like the next two
	family        snib.RefreshToken
	link          snib.OneTimeToken
}

const foreignHash = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

func newChecked(tb testing.TB) *checked {
	tb.Helper()
	db := must(snib.Open(tb.TempDir()+"/accounts.db", snibtest.Fast(&snib.Options{
		Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}},
	})))(tb)
	tb.Cleanup(func() { db.Close() })
	c := &checked{db: db, b: handle(tb, db)}
	c.ada = must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password,
		Attributes: snib.Attributes{"nick": "Countess", "team": "engine"}}))(tb)
	c.bob = must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "bob@example.com",
		Attributes: snib.Attributes{"nick": "Builder", "team": "engine"}}))(tb)
	c.eve = must(db.ImportUser(ctx, snib.UserImport{ID: "eve", Provider: "email", Identifier: "eve@example.com", PasswordHash: foreignHash}))(tb)
	c.session, c.bobs = session(tb, db, c.ada.ID), session(tb, db, c.bob.ID)
	var err error
	if c.famSession, c.family, err = db.CreateRefreshToken(ctx, c.ada, snib.SessionOptions{}); err != nil {
		tb.Fatal(err)
	}
	c.link = must(db.Tokens().Create(ctx, c.ada.ID, "reset", time.Hour, []byte("private data")))(tb)
	return c
}

// pair is the key of an index "owner ␀ member".
func pair(owner, member string) string { return string(codec.AppendPair(nil, owner, member)) }

// edit decodes a record, changes it and puts it back, sealed anew.
func edit[T any](tb testing.TB, c *checked, space, key string, decode func(k, v []byte) (T, error), encode func(*T) []byte, change func(*T)) {
	tb.Helper()
	record := must(decode(rawKey(key), rawGet(tb, c.b, space, key)))(tb)
	change(&record)
	rawPut(tb, c.b, space, key, encode(&record))
}

func (c *checked) editUser(tb testing.TB, id snib.UserID, change func(*codec.User)) {
	tb.Helper()
	edit(tb, c, "users", string(id), codec.DecodeUser, func(u *codec.User) []byte { return u.Append(nil) }, change)
}

func (c *checked) editSession(tb testing.TB, id snib.SessionID, change func(*codec.Session)) {
	tb.Helper()
	edit(tb, c, "sessions", string(id), codec.DecodeSession, func(s *codec.Session) []byte { return s.Append(nil) }, change)
}

func (c *checked) editFamily(tb testing.TB, change func(*codec.Family)) {
	tb.Helper()
	edit(tb, c, "refresh_families", string(c.family.ID), codec.DecodeFamily, func(f *codec.Family) []byte { return f.Append(nil) }, change)
}

func (c *checked) editLink(tb testing.TB, change func(*codec.OneTimeToken)) {
	tb.Helper()
	edit(tb, c, "one_time_tokens", string(c.link.ID), codec.DecodeOneTimeToken, func(t *codec.OneTimeToken) []byte { return t.Append(nil) }, change)
}

// refer makes an entry of a unique index lead to a user.
func (c *checked) refer(tb testing.TB, space, key string, id snib.UserID) {
	tb.Helper()
	ref := codec.UserRef{UserID: string(id)}
	rawPut(tb, c.b, space, key, ref.Append(nil, space, []byte(key)))
}

// indexKey is the key of the attribute's value in the space attributes; of a
// unique one if id is "".
func indexKey(tb testing.TB, name string, value any, id snib.UserID) string {
	tb.Helper()
	v := must(codec.AppendIndexValue(nil, value))(tb)
	return string(codec.AppendEntryKey(nil, name, string(v), string(id)))
}

// A breach is a Problem without its text.
type breach struct {
	invariant int
	space, id string
}

// breaches runs Check, and fails the test unless it finds exactly these.
func (c *checked) breaches(tb testing.TB, want ...breach) {
	tb.Helper()
	report, err := c.db.Check(ctx)
	if !errors.Is(err, snib.ErrCorrupt) {
		tb.Fatalf("check returned %v, want ErrCorrupt", err)
	}
	if report.Found != len(report.Problems) {
		tb.Errorf("found %d, reported %d", report.Found, len(report.Problems))
	}
	var got []breach
	for _, p := range report.Problems {
		if b := (breach{p.Invariant, p.Space, p.ID}); !slices.Contains(got, b) {
			got = append(got, b)
		}
		if !slices.Contains(want, breach{p.Invariant, p.Space, p.ID}) {
			tb.Errorf("unexpected: %v", p)
		}
	}
	for _, b := range want {
		if !slices.Contains(got, b) {
			tb.Errorf("not found: INV-%d in %s of %q", b.invariant, b.space, b.id)
		}
	}
	c.saysNothingPrivate(tb, fmt.Sprintf("%v %+v %v", report, report, err))
}

// saysNothingPrivate fails the test if text has anything of the users' but
// ids.
func (c *checked) saysNothingPrivate(tb testing.TB, text string) {
	tb.Helper()
	private := []string{"example.com", "ada@", "ountess", "uilder", "engine", "private", "argon2", foreignHash[:20]}
	for _, t := range []snib.Token{c.session.Token, c.bobs.Token, c.famSession.Token, c.family.Token, c.link.Token} {
		_, secret, _ := strings.Cut(t.Reveal(), ".")
		private = append(private, secret, secret[:16])
	}
	for _, p := range private {
		if strings.Contains(text, p) {
			tb.Errorf("%q is in %q", p, text)
		}
	}
}

// dropZeros leaves the kinds of which there are records.
func dropZeros(counts map[string]int) {
	maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
}

func TestCheckCountsAndFindsNothing(t *testing.T) {
	c := newChecked(t)
	report, err := c.db.Check(ctx)
	if err != nil {
		t.Fatal(err)
	}
	report.Problems, report.Newest = nil, time.Time{}
	dropZeros(report.Records)
	want := snib.CheckReport{Users: 3, Passwords: 2, ForeignHashes: 1, Records: map[string]int{"sessions": 3, "refresh_families": 1, "one_time_tokens": 1, "events": 7}}
	if fmt.Sprint(report) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", report, want)
	}
	before := lastCommit(t, c.b)
	must(c.db.Check(ctx))(t)
	if lastCommit(t, c.b) != before {
		t.Error("Check wrote")
	}
}

// breaking runs one subtest for each way to break an invariant.
func breaking(t *testing.T, ways map[string]func(testing.TB, *checked) breach) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			c := newChecked(t)
			c.breaches(t, way(t, c))
			c.mended(t)
		})
	}
}

func TestCheckINV1Meta(t *testing.T) {
	for _, key := range []string{"format", "state", "declarations", "owner_key", "owned_spaces"} {
		for way, spoil := range map[string]func(testing.TB, *checked){
			"missing": func(tb testing.TB, c *checked) { rawDelete(tb, c.b, "meta", key) },
			"damaged": func(tb testing.TB, c *checked) {
				rawPut(tb, c.b, "meta", key, flip(rawGet(tb, c.b, "meta", key), 12))
			},
		} {
			t.Run(key+" "+way, func(t *testing.T) {
				c := newChecked(t)
				spoil(t, c)
				c.breaches(t, breach{1, "meta", ""})
				c.mended(t)
			})
		}
	}
	for name, c := range map[string]struct {
		format codec.Format
		want   error
	}{
		"other application": {codec.Format{Application: "other", Version: 1, MinReader: 1}, snib.ErrForeignFile},
		"newer format":      {codec.Format{Application: "snib", Version: 9, MinReader: 9}, snib.ErrNewerFormat},
	} {
		t.Run(name, func(t *testing.T) {
			k := newChecked(t)
			rawPut(t, k.b, "meta", "format", c.format.Append(nil))
			_, err := k.db.Check(ctx)
			wantErr(t, err, c.want)
			_, err = k.db.Repair(ctx)
			wantErr(t, err, c.want)
		})
	}
}

func TestCheckINV2HashAndKeys(t *testing.T) {
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"class without hash": func(tb testing.TB, c *checked) breach {
			c.editUser(tb, c.bob.ID, func(u *codec.User) { u.HashClass = 1 })
			return breach{2, "users", string(c.bob.ID)}
		},
		"hash without class": func(tb testing.TB, c *checked) breach {
			c.editUser(tb, c.ada.ID, func(u *codec.User) { u.HashClass = 0 })
			return breach{2, "users", string(c.ada.ID)}
		},
		"sessions key":           badKey("sessions", "no key of a session", []byte("x")),
		"refresh_families key":   badKey("refresh_families", "x", nil),
		"one_time_tokens key":    badKey("one_time_tokens", "usr", nil),
		"identities key":         badKey("identities", "email", []byte("x")),
		"attributes key":         badKey("attributes", "name", nil),
		"attributes key, unique": badKey("attributes", "name\x00\x09", []byte("x")),
	})
}

func badKey(space, key string, value []byte) func(testing.TB, *checked) breach {
	return func(tb testing.TB, c *checked) breach {
		rawPut(tb, c.b, space, key, value)
		return breach{2, space, ""}
	}
}

func TestCheckINV3EveryUserHasIdentities(t *testing.T) {
	key := pair("email", "ada@example.com")
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"entry missing": func(tb testing.TB, c *checked) breach {
			rawDelete(tb, c.b, "identities", key)
			return breach{3, "identities", string(c.ada.ID)}
		},
		"17": func(tb testing.TB, c *checked) breach {
			c.editUser(tb, c.ada.ID, func(u *codec.User) {
				for i := range snib.MaxIdentities {
					name := fmt.Sprint(i)
					u.Identities = append(u.Identities, codec.Identity{Provider: "x", Key: name, Identifier: name})
					c.refer(tb, "identities", pair("x", name), c.ada.ID)
				}
			})
			return breach{3, "users", string(c.ada.ID)}
		},
	})
	c := newChecked(t)
	c.refer(t, "identities", key, c.bob.ID)
	c.breaches(t, breach{3, "identities", string(c.ada.ID)}, breach{4, "identities", string(c.bob.ID)})
	c.mended(t)
}

func TestCheckINV4EveryIdentityLeadsToItsUser(t *testing.T) {
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"to nobody": func(tb testing.TB, c *checked) breach {
			c.refer(tb, "identities", pair("github", "1"), "ghost")
			return breach{4, "identities", "ghost"}
		},
		"to one who does not have it": func(tb testing.TB, c *checked) breach {
			c.refer(tb, "identities", pair("github", "1"), c.ada.ID)
			return breach{4, "identities", string(c.ada.ID)}
		},
	})
}

func TestCheckINV5EntriesFollowFromTheAttributes(t *testing.T) {
	other := func(tb testing.TB) string {
		return string(must(codec.AppendAttributes(nil, map[string]any{"nick": "Duchess", "team": "engine"},
			codec.Bounds{Keys: 64, Bytes: 64 << 10}))(tb))
	}
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"unique entry missing": func(tb testing.TB, c *checked) breach {
			rawDelete(tb, c.b, "attributes", indexKey(tb, "nick", "countess", ""))
			return breach{5, "attributes", string(c.ada.ID)}
		},
		"entry missing": func(tb testing.TB, c *checked) breach {
			rawDelete(tb, c.b, "attributes", indexKey(tb, "team", "engine", c.ada.ID))
			return breach{5, "attributes", string(c.ada.ID)}
		},
		"attribute changed alone": func(tb testing.TB, c *checked) breach {
			c.editUser(tb, c.ada.ID, func(u *codec.User) { u.Attributes = other(tb) })
			return breach{5, "users", string(c.ada.ID)}
		},
		"attributes gone alone": func(tb testing.TB, c *checked) breach {
			c.editUser(tb, c.ada.ID, func(u *codec.User) { u.Attributes = "" })
			return breach{5, "users", string(c.ada.ID)}
		},
		"entry of no declared index": func(tb testing.TB, c *checked) breach {
			value := string(must(codec.AppendIndexValue(nil, "x"))(tb))
			c.editUser(tb, c.ada.ID, func(u *codec.User) {
				u.Entries = append(u.Entries, codec.IndexEntry{Name: "ghost", Value: value})
			})
			rawPut(tb, c.b, "attributes", indexKey(tb, "ghost", "x", c.ada.ID), nil)
			return breach{5, "users", string(c.ada.ID)}
		},
	})
}

func TestCheckINV6EveryEntryIsOwned(t *testing.T) {
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"not owned": func(tb testing.TB, c *checked) breach {
			rawPut(tb, c.b, "attributes", indexKey(tb, "team", "difference", c.ada.ID), nil)
			return breach{6, "attributes", string(c.ada.ID)}
		},
		"unique, not owned": func(tb testing.TB, c *checked) breach {
			c.refer(tb, "attributes", indexKey(tb, "nick", "difference", ""), c.ada.ID)
			return breach{6, "attributes", string(c.ada.ID)}
		},
		"of nobody": func(tb testing.TB, c *checked) breach {
			rawPut(tb, c.b, "attributes", indexKey(tb, "team", "engine", "ghost"), nil)
			return breach{6, "attributes", "ghost"}
		},
		"unique, of nobody": func(tb testing.TB, c *checked) breach {
			c.refer(tb, "attributes", indexKey(tb, "nick", "difference", ""), "ghost")
			return breach{6, "attributes", "ghost"}
		},
	})
}

func TestCheckHonoursItsContextAndItsBound(t *testing.T) {
	c := newChecked(t)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := c.db.Check(ended)
	wantErr(t, err, context.Canceled)

	rawBucket(t, c.b, "sessions", func(b *bolt.Bucket) error {
		for i := range 1500 {
			if err := b.Put(fmt.Appendf(nil, "ghost%d", i), []byte("x")); err != nil {
				return err
			}
		}
		return nil
	})
	report, err := c.db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if report.Found != 1500 || len(report.Problems) != 1000 {
		t.Errorf("found %d, reported %d, want 1500 and 1000", report.Found, len(report.Problems))
	}
}

// TestCheckAllocations: Check allocates by user and not by record, so that its time
// in a large file is not the collector's.
func TestCheckAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	db := snibtest.NewDB(t, &snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 1000}})
	ada := nobody(t, db, "ada")
	checkOf := func(sessions int) float64 {
		must(0, db.Update(ctx, func(tx *snib.Tx) error {
			for range sessions {
				if _, err := tx.CreateSession(ada, snib.SessionOptions{}); err != nil {
					return err
				}
			}
			return nil
		}))(t)
		return leastAllocs(20, 0, func() { must(db.Check(ctx))(t) })
	}
	few := checkOf(100) // and as many events as a user has
	if many := checkOf(200); many > few+10 {
		t.Errorf("%v allocations with 100 sessions, %v with 300", few, many)
	}
}
