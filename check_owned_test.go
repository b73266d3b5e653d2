package snib_test

import (
	"fmt"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
)

// What belongs to users: INV-7 to INV-15.

// fill adds records to two spaces until a user has n.
func (c *checked) fill(tb testing.TB, space, byUser string, n int, record func(id string) []byte) {
	tb.Helper()
	rawBucket(tb, c.b, byUser, func(*bolt.Bucket) error { return nil }) // it may not be there yet
	rawBucket(tb, c.b, space, func(b *bolt.Bucket) error {
		index := b.Tx().Bucket([]byte("snib")).Bucket([]byte(byUser))
		for i := range n {
			id := fmt.Sprintf("ses_%026d", i)
			if err := b.Put([]byte(id), record(id)); err != nil {
				return err
			}
			if err := index.Put([]byte(pair(string(c.bob.ID), id)), nil); err != nil {
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
			c.fill(tb, "sessions", "user_sessions", snib.MaxSessions, func(id string) []byte {
				s := codec.Session{ID: id, UserID: user(c), Epoch: 1}
				return s.Append(nil)
			})
			return breach{7, "user_sessions", user(c)}
		},
		"101 families": func(tb testing.TB, c *checked) breach {
			c.fill(tb, "refresh_families", "user_refresh_families", snib.MaxRefreshTokens+1, func(id string) []byte {
				f := codec.Family{ID: id, UserID: user(c), Epoch: 1}
				return f.Append(nil)
			})
			return breach{7, "user_refresh_families", user(c)}
		},
		"17 one-time tokens": func(tb testing.TB, c *checked) breach {
			c.fill(tb, "one_time_tokens", "user_one_time_tokens", snib.MaxOneTimeTokens+1, func(id string) []byte {
				t := codec.OneTimeToken{ID: id, UserID: user(c), Epoch: 1}
				return t.Append(nil)
			})
			return breach{7, "user_one_time_tokens", user(c)}
		},
	})
}

// ended removes what of ada's is named by the spaces, so that she can be
// disabled with the rest.
func (c *checked) ended(tb testing.TB, sessions, family, link bool) {
	tb.Helper()
	id := string(c.ada.ID)
	if sessions {
		for _, s := range []snib.SessionID{c.session.ID, c.famSession.ID} {
			rawDelete(tb, c.b, "sessions", string(s))
			rawDelete(tb, c.b, "user_sessions", pair(id, string(s)))
		}
	}
	if family {
		rawDelete(tb, c.b, "refresh_families", string(c.family.ID))
		rawDelete(tb, c.b, "user_refresh_families", pair(id, string(c.family.ID)))
	}
	if link {
		rawDelete(tb, c.b, "one_time_tokens", string(c.link.ID))
		rawDelete(tb, c.b, "user_one_time_tokens", pair(id, string(c.link.ID)))
	}
	c.editUser(tb, c.ada.ID, func(u *codec.User) { u.DisabledAt = time.Now().UnixMilli() })
}

func TestCheckINV7DisabledUsersHaveNothing(t *testing.T) {
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"a session": func(tb testing.TB, c *checked) breach {
			c.ended(tb, false, true, true)
			return breach{7, "user_sessions", string(c.ada.ID)}
		},
		"a family": func(tb testing.TB, c *checked) breach {
			c.ended(tb, true, false, true)
			return breach{7, "user_refresh_families", string(c.ada.ID)}
		},
		"a one-time token": func(tb testing.TB, c *checked) breach {
			c.ended(tb, true, true, false)
			return breach{7, "user_one_time_tokens", string(c.ada.ID)}
		},
	})
	c := newChecked(t)
	c.ended(t, true, false, true)
	c.editFamily(t, func(f *codec.Family) { f.RevokedAt, f.SessionID = 1, "" })
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
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"later epoch":          change(func(s *codec.Session) { s.Epoch++ }),
		"active beyond idle":   change(func(s *codec.Session) { s.ActiveUntil = s.IdleUntil + 1 }),
		"idle beyond absolute": change(func(s *codec.Session) { s.AbsoluteUntil = s.IdleUntil - 1 }),
		"of nobody":            strayRecord("sessions", "user_sessions", 8, (*codec.Session).Append, codec.Session{ID: stray, UserID: "ghost", Epoch: 1}),
		"not in index by user": func(tb testing.TB, c *checked) breach {
			rawDelete(tb, c.b, "user_sessions", pair(string(c.ada.ID), string(c.session.ID)))
			return breach{8, "user_sessions", string(c.session.ID)}
		},
	})
}

const stray = "ses_00000000000000000000000001"

// strayRecord puts a record of a user who is missing.
func strayRecord[T any](space, byUser string, invariant int, encode func(*T, []byte) []byte, record T) func(testing.TB, *checked) breach {
	return func(tb testing.TB, c *checked) breach {
		rawPut(tb, c.b, space, stray, encode(&record, nil))
		rawPut(tb, c.b, byUser, pair("ghost", stray), nil)
		return breach{invariant, space, stray}
	}
}

func TestCheckINV10Families(t *testing.T) {
	change := func(change func(*codec.Family)) func(testing.TB, *checked) breach {
		return func(tb testing.TB, c *checked) breach {
			c.editFamily(tb, change)
			return breach{10, "refresh_families", string(c.family.ID)}
		}
	}
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"later epoch":          change(func(f *codec.Family) { f.Epoch++ }),
		"idle beyond absolute": change(func(f *codec.Family) { f.AbsoluteUntil = f.IdleUntil - 1 }),
		"of nobody":            strayRecord("refresh_families", "user_refresh_families", 10, (*codec.Family).Append, codec.Family{ID: stray, UserID: "ghost", Epoch: 1}),
		"not in index by user": func(tb testing.TB, c *checked) breach {
			rawDelete(tb, c.b, "user_refresh_families", pair(string(c.ada.ID), string(c.family.ID)))
			return breach{10, "user_refresh_families", string(c.family.ID)}
		},
	})
}

func TestCheckINV12OneTimeTokens(t *testing.T) {
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"later epoch": func(tb testing.TB, c *checked) breach {
			c.editLink(tb, func(t *codec.OneTimeToken) { t.Epoch++ })
			return breach{12, "one_time_tokens", string(c.link.ID)}
		},
		"of nobody": strayRecord("one_time_tokens", "user_one_time_tokens", 12, (*codec.OneTimeToken).Append, codec.OneTimeToken{ID: stray, UserID: "ghost", Epoch: 1}),
		"not in index by user": func(tb testing.TB, c *checked) breach {
			rawDelete(tb, c.b, "user_one_time_tokens", pair(string(c.ada.ID), string(c.link.ID)))
			return breach{12, "user_one_time_tokens", string(c.link.ID)}
		},
	})
}

func TestCheckINV9INV11INV13IndexesByUser(t *testing.T) {
	for _, x := range []struct {
		invariant     int
		space, prefix string
		of            func(c *checked) string
	}{
		{9, "user_sessions", "ses_", func(c *checked) string { return string(c.session.ID) }},
		{11, "user_refresh_families", "rft_", func(c *checked) string { return string(c.family.ID) }},
		{13, "user_one_time_tokens", "ott_", func(c *checked) string { return string(c.link.ID) }},
	} {
		t.Run(x.space, func(t *testing.T) {
			missing := x.prefix + "00000000000000000000000000"
			breaking(t, map[string]func(testing.TB, *checked) breach{
				"to nothing": func(tb testing.TB, c *checked) breach {
					rawPut(tb, c.b, x.space, pair(string(c.ada.ID), missing), nil)
					return breach{x.invariant, x.space, missing}
				},
				"to what is of another": func(tb testing.TB, c *checked) breach {
					rawPut(tb, c.b, x.space, pair(string(c.bob.ID), x.of(c)), nil)
					return breach{x.invariant, x.space, x.of(c)}
				},
			})
		})
	}
}

func TestCheckINV14SessionsAndFamilies(t *testing.T) {
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"session of a family with another": func(tb testing.TB, c *checked) breach {
			c.editSession(tb, c.session.ID, func(s *codec.Session) { s.FamilyID = string(c.family.ID) })
			return breach{14, "sessions", string(c.session.ID)}
		},
		"family with a session of none": func(tb testing.TB, c *checked) breach {
			c.editSession(tb, c.famSession.ID, func(s *codec.Session) { s.FamilyID = "" })
			return breach{14, "refresh_families", string(c.family.ID)}
		},
		"revoked with a session": func(tb testing.TB, c *checked) breach {
			c.editFamily(tb, func(f *codec.Family) { f.RevokedAt = 1 })
			return breach{14, "refresh_families", string(c.family.ID)}
		},
	})
	// Either may be gone: swept, or ended by a bound.
	for _, id := range []string{"family", "session"} {
		c := newChecked(t)
		if id == "family" {
			rawDelete(t, c.b, "refresh_families", string(c.family.ID))
			rawDelete(t, c.b, "user_refresh_families", pair(string(c.ada.ID), string(c.family.ID)))
		} else {
			rawDelete(t, c.b, "sessions", string(c.famSession.ID))
			rawDelete(t, c.b, "user_sessions", pair(string(c.ada.ID), string(c.famSession.ID)))
		}
		if _, err := c.db.Check(ctx); err != nil {
			t.Errorf("without the %s: %v", id, err)
		}
	}
}

func TestCheckINV15ForeignHashes(t *testing.T) {
	breaking(t, map[string]func(testing.TB, *checked) breach{
		"one more": func(tb testing.TB, c *checked) breach {
			c.editState(tb, func(s *codec.State) { s.ForeignHashes++ })
			return breach{15, "meta", ""}
		},
		"one less": func(tb testing.TB, c *checked) breach {
			c.editState(tb, func(s *codec.State) { s.ForeignHashes-- })
			return breach{15, "meta", ""}
		},
	})
}
