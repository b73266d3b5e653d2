package snib_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/token"
)

// What belongs to users: INV-7, INV-8, INV-10, INV-12 and INV-14.

// key makes the key of a record of a user's, the n-th of a millisecond long ago.
func (c *checked) key(tb testing.TB, user string, n int) codec.OwnedKey {
	tb.Helper()
	owners := must(codec.DecodeOwnerKey(rawGet(tb, c.b, "meta", codec.KeyOwners)))(tb)
	id := codec.NewOwnID(1, [4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	return codec.MakeOwnedKey(codec.NewOwners(owners.Key).Of(user), id)
}

// keyOf is the key that an id stands for.
func keyOf[ID ~string](id ID) codec.OwnedKey { return codec.OwnedKey(rawKey(string(id))) }

// fill adds n records of bob's.
func (c *checked) fill(tb testing.TB, space string, n int, record func(codec.OwnedKey) []byte) {
	tb.Helper()
	var keys []codec.OwnedKey
	for i := range n {
		keys = append(keys, c.key(tb, string(c.bob.ID), i))
	}
	rawBucket(tb, c.b, space, func(b *bolt.Bucket) error {
		for _, key := range keys {
			if err := b.Put(key[:], record(key)); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestCheckINV7Bounds(t *testing.T) {
	user := func(c *checked) string { return string(c.bob.ID) }
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"1001 sessions": func(tb testing.TB, c *checked) breach {
			c.fill(tb, "sessions", snib.MaxSessions, func(key codec.OwnedKey) []byte {
				s := codec.Session{Key: key, UserID: user(c), Epoch: 1}
				return s.Append(nil)
			})
			return breach{7, "sessions", user(c)}
		},
		"101 families": func(tb testing.TB, c *checked) breach {
			c.fill(tb, "refresh_families", snib.MaxRefreshTokens+1, func(key codec.OwnedKey) []byte {
				f := codec.Family{Key: key, UserID: user(c), Epoch: 1, RevokedAt: codec.Never}
				return f.Append(nil)
			})
			return breach{7, "refresh_families", user(c)}
		},
		"33 one-time tokens": func(tb testing.TB, c *checked) breach {
			c.fill(tb, "one_time_tokens", snib.MaxOneTimeTokens+1, func(key codec.OwnedKey) []byte {
				t := codec.OneTimeToken{Key: key, UserID: user(c), Epoch: 1}
				return t.Append(nil)
			})
			return breach{7, "one_time_tokens", user(c)}
		},
		"51 API keys": func(tb testing.TB, c *checked) breach {
			c.fill(tb, "api_keys", snib.MaxAPIKeys+1, func(key codec.OwnedKey) []byte {
				k := codec.APIKey{Key: key, UserID: user(c), Epoch: 1, Name: "n"}
				return k.Append(nil)
			})
			return breach{7, "api_keys", user(c)}
		},
	})
}

// TestRepairEvictsADeadOneFirst: of one-time tokens above the bound, one of an
// earlier epoch goes before those that can be used, though its deadline is later.
func TestRepairEvictsADeadOneFirst(t *testing.T) {
	c := newChecked(t)
	dead := must(c.db.Tokens().Create(ctx, c.bob.ID, "reset", 80*24*time.Hour, nil))(t)
	record := rawGet(t, c.b, "one_time_tokens", string(dead.ID))
	if err := c.db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	var live []snib.OneTimeToken
	for i := range snib.MaxOneTimeTokens {
		live = append(live, must(c.db.Tokens().Create(ctx, c.bob.ID, fmt.Sprint("purpose-", i), time.Hour, nil))(t))
	}
	rawPut(t, c.b, "one_time_tokens", string(dead.ID), record)
	c.breaches(t, breach{7, "one_time_tokens", string(c.bob.ID)})
	must(c.db.Repair(ctx))(t)
	for _, l := range live {
		must(c.db.Tokens().Use(ctx, l.Purpose, l.Token.Reveal()))(t)
	}
}

// ended removes the records of ada's that the arguments name, so that she can
// be disabled with the rest.
func (c *checked) ended(tb testing.TB, sessions, family, link bool) {
	tb.Helper()
	if sessions {
		rawDelete(tb, c.b, "sessions", string(c.session.ID))
		rawDelete(tb, c.b, "sessions", string(c.famSession.ID))
	}
	if family {
		rawDelete(tb, c.b, "refresh_families", string(c.family.ID))
	}
	if link {
		rawDelete(tb, c.b, "one_time_tokens", string(c.link.ID))
	}
	c.editUser(tb, c.ada.ID, func(u *codec.User) { u.DisabledAt = time.Now().UnixMilli() })
}

func TestCheckINV7DisabledUsersHaveNothing(t *testing.T) {
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"a session": func(tb testing.TB, c *checked) breach {
			c.ended(tb, false, true, true)
			rawDelete(tb, c.b, "sessions", string(c.famSession.ID))
			return breach{7, "sessions", string(c.session.ID)}
		},
		"a family": func(tb testing.TB, c *checked) breach {
			c.ended(tb, true, false, true)
			return breach{7, "refresh_families", string(c.family.ID)}
		},
		"a one-time token": func(tb testing.TB, c *checked) breach {
			c.ended(tb, true, true, false)
			return breach{7, "one_time_tokens", string(c.link.ID)}
		},
	})
	c := newChecked(t)
	c.ended(t, true, false, true)
	c.editFamily(t, func(f *codec.Family) { f.RevokedAt, f.Session = f.Key.Time(), codec.OwnID{} })
	if _, err := c.db.Check(ctx); err != nil {
		t.Errorf("with a tombstone only: %v", err)
	}
}

func TestCheckINV8Sessions(t *testing.T) {
	change := func(change func(*codec.Session)) func(testing.TB, *checked) breach {
		return func(tb testing.TB, c *checked) breach {
			c.editSession(tb, c.session.ID, change)
			return breach{8, "sessions", string(c.session.ID)}
		}
	}
	record := func(key codec.OwnedKey, user string) []byte {
		s := codec.Session{Key: key, UserID: user, Epoch: 1}
		return s.Append(nil)
	}
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"later epoch":          change(func(s *codec.Session) { s.Epoch++ }),
		"active beyond idle":   change(func(s *codec.Session) { s.ActiveUntil = s.IdleUntil + 1 }),
		"idle beyond absolute": change(func(s *codec.Session) { s.AbsoluteUntil = s.IdleUntil - 1 }),
		"of nobody":            stray("sessions", 8, token.Session, "ghost", "ghost", record),
		"under another's":      stray("sessions", 8, token.Session, "ada", "eve", record),
	})
}

// stray puts a record that names a user under the owner of another.
func stray(space string, invariant int, k token.Kind, owner, user string, record func(codec.OwnedKey, string) []byte) func(testing.TB, *checked) breach {
	return func(tb testing.TB, c *checked) breach {
		key := c.key(tb, owner, 1)
		rawPut(tb, c.b, space, string(key[:]), record(key, user))
		return breach{invariant, space, k.ID(key)}
	}
}

func TestCheckINV10Families(t *testing.T) {
	change := func(change func(*codec.Family)) func(testing.TB, *checked) breach {
		return func(tb testing.TB, c *checked) breach {
			c.editFamily(tb, change)
			return breach{10, "refresh_families", string(c.family.ID)}
		}
	}
	record := func(key codec.OwnedKey, user string) []byte {
		f := codec.Family{Key: key, UserID: user, Epoch: 1, RevokedAt: codec.Never}
		return f.Append(nil)
	}
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"later epoch":          change(func(f *codec.Family) { f.Epoch++ }),
		"idle beyond absolute": change(func(f *codec.Family) { f.AbsoluteUntil = f.IdleUntil - 1 }),
		"of nobody":            stray("refresh_families", 10, token.Family, "ghost", "ghost", record),
		"under another's":      stray("refresh_families", 10, token.Family, "ada", "eve", record),
	})
}

func TestCheckINV12OneTimeTokens(t *testing.T) {
	record := func(key codec.OwnedKey, user string) []byte {
		o := codec.OneTimeToken{Key: key, UserID: user, Epoch: 1}
		return o.Append(nil)
	}
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"later epoch": func(tb testing.TB, c *checked) breach {
			c.editLink(tb, func(t *codec.OneTimeToken) { t.Epoch++ })
			return breach{12, "one_time_tokens", string(c.link.ID)}
		},
		"of nobody":       stray("one_time_tokens", 12, token.OneTime, "ghost", "ghost", record),
		"under another's": stray("one_time_tokens", 12, token.OneTime, "ada", "eve", record),
	})
}

func TestCheckINV20APIKeys(t *testing.T) {
	record := func(key codec.OwnedKey, user string) []byte {
		k := codec.APIKey{Key: key, UserID: user, Epoch: 1, Name: "n"}
		return k.Append(nil)
	}
	broken := func(change func(*codec.APIKey)) func(testing.TB, *checked) breach {
		return func(tb testing.TB, c *checked) breach {
			k := must(c.db.APIKeys().CreateFor(ctx, c.ada.ID, snib.NewAPIKey{Name: "n", Scopes: []string{"a", "b"}, TTL: snib.Never}))(tb)
			edit(tb, c, "api_keys", string(k.ID), codec.DecodeAPIKey, func(k *codec.APIKey) []byte { return k.Append(nil) }, change)
			return breach{20, "api_keys", string(k.ID)}
		}
	}
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"later epoch":       broken(func(k *codec.APIKey) { k.Epoch++ }),
		"without a name":    broken(func(k *codec.APIKey) { k.Name = "" }),
		"scopes not sorted": broken(func(k *codec.APIKey) { k.Scopes = []string{"b", "a"} }),
		"a scope twice":     broken(func(k *codec.APIKey) { k.Scopes = []string{"a", "a"} }),
		"a scope too wide":  broken(func(k *codec.APIKey) { k.Scopes = []string{"*"} }),
		"17 scopes":         broken(func(k *codec.APIKey) { k.Scopes = strings.Split("abcdefghijklmnopq", "") }),
		"of nobody":         stray("api_keys", 20, token.APIKey, "ghost", "ghost", record),
		"under another's":   stray("api_keys", 20, token.APIKey, "ada", "eve", record),
	})
	c := newChecked(t) // of a disabled user it stays
	must(c.db.APIKeys().CreateFor(ctx, c.bob.ID, snib.NewAPIKey{Name: "n", TTL: snib.Never}))(t)
	must(c.db.DisableUser(ctx, c.bob.ID, ""))(t)
	if report, err := c.db.Check(ctx); err != nil || report.Records["api_keys"] != 1 {
		t.Errorf("%d keys, %v", report.Records["api_keys"], err)
	}
}

func TestCheckINV14SessionsAndFamilies(t *testing.T) {
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"session of a family with another": func(tb testing.TB, c *checked) breach {
			c.editSession(tb, c.session.ID, func(s *codec.Session) { s.Family = keyOf(c.family.ID).OwnID() })
			return breach{14, "sessions", string(c.session.ID)}
		},
		"family with a session of none": func(tb testing.TB, c *checked) breach {
			c.editSession(tb, c.famSession.ID, func(s *codec.Session) { s.Family = codec.OwnID{} })
			return breach{14, "refresh_families", string(c.family.ID)}
		},
		"revoked with a session": func(tb testing.TB, c *checked) breach {
			c.editFamily(tb, func(f *codec.Family) { f.RevokedAt = f.Key.Time() })
			return breach{14, "refresh_families", string(c.family.ID)}
		},
	})
	// Either may be gone: swept, or evicted.
	for _, id := range []string{"family", "session"} {
		c := newChecked(t)
		if id == "family" {
			rawDelete(t, c.b, "refresh_families", string(c.family.ID))
		} else {
			rawDelete(t, c.b, "sessions", string(c.famSession.ID))
		}
		if _, err := c.db.Check(ctx); err != nil {
			t.Errorf("without the %s: %v", id, err)
		}
	}
}
