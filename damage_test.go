package snib_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
	bolt "go.etcd.io/bbolt"
)

// flip returns a copy of record with one bit of byte i changed.
func flip(record []byte, i int) []byte {
	out := bytes.Clone(record)
	out[i] ^= 1 << (i % 8)
	return out
}

// newer returns a copy of record that says it is of a higher version, and is
// whole.
func newer(space, key string, record []byte) []byte {
	out := bytes.Clone(record)
	out[8]++
	sum := append([]byte(space), 0)
	sum = append(sum, rawKey(key)...)
	sum = append(sum, out[:3]...)
	sum = append(sum, out[8:]...)
	binary.BigEndian.PutUint32(out[4:], crc32.Checksum(sum, crc32.MakeTable(crc32.Castagnoli)))
	return out
}

// A kind of record, where one lies, and the methods that meet it.
type recordKind struct {
	space string
	key   func(tb testing.TB, c *checked) string
	id    func(c *checked) string // that Check reports
	meet  map[string]func(c *checked) error
}

func recordKinds() []recordKind {
	none := func(*checked) string { return "" }
	return []recordKind{
		{"users", func(_ testing.TB, c *checked) string { return string(c.ada.ID) }, func(c *checked) string { return string(c.ada.ID) }, meetUser()},
		{"identities", func(testing.TB, *checked) string { return pair("email", "ada@example.com") }, none, map[string]func(*checked) error{
			"GetUserByProviderID": func(c *checked) error { return second(c.db.GetUserByProviderID(ctx, "email", "ada@example.com")) },
			"CreateUser": func(c *checked) error {
				return second(c.db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com"}))
			},
			"LinkIdentity": func(c *checked) error { return second(c.db.LinkIdentity(ctx, c.bob.ID, "email", "ada@example.com")) },
			"AuthenticateUser": func(c *checked) error {
				return second(c.db.AuthenticateUser(ctx, "email", "ada@example.com", password))
			},
		}},
		{"attributes", func(tb testing.TB, _ *checked) string { return indexKey(tb, "nick", "countess", "") }, none, map[string]func(*checked) error{
			"GetUserByAttribute": func(c *checked) error { return second(c.db.GetUserByAttribute(ctx, "nick", "countess")) },
			"UpdateUserAttributes": func(c *checked) error {
				return second(c.db.UpdateUserAttributes(ctx, c.bob.ID, snib.Attributes{"nick": "countess"}))
			},
		}},
		{"sessions", func(_ testing.TB, c *checked) string { return string(c.session.ID) }, func(c *checked) string { return string(c.session.ID) }, meetSession()},
		{"refresh_families", func(_ testing.TB, c *checked) string { return string(c.family.ID) }, func(c *checked) string { return string(c.family.ID) }, map[string]func(*checked) error{
			"Refresh":                  func(c *checked) error { _, _, err := c.db.Refresh(ctx, c.family.Token.Reveal()); return err },
			"RefreshTokens.List":       func(c *checked) error { return second(c.db.RefreshTokens().List(ctx, c.ada.ID)) },
			"RefreshTokens.RevokeByID": func(c *checked) error { return c.db.RefreshTokens().RevokeByID(ctx, c.family.ID) },
			"RevokeToken":              func(c *checked) error { return c.db.RevokeToken(ctx, c.family.Token.Reveal()) },
		}},
		{"one_time_tokens", func(_ testing.TB, c *checked) string { return string(c.link.ID) }, func(c *checked) string { return string(c.link.ID) }, map[string]func(*checked) error{
			"UseOneTimeToken": func(c *checked) error { return second(c.db.Tokens().Use(ctx, "reset", c.link.Token.Reveal())) },
		}},
		{"meta", func(testing.TB, *checked) string { return "state" }, none, map[string]func(*checked) error{
			"GetUser":         func(c *checked) error { return second(c.db.GetUser(ctx, c.ada.ID)) },
			"ValidateSession": func(c *checked) error { return second(c.db.ValidateSession(ctx, c.session.Token.Reveal())) },
			"CreateSession":   func(c *checked) error { return second(c.db.CreateSession(ctx, c.ada, snib.SessionOptions{})) },
			"View":            func(c *checked) error { return c.db.View(ctx, func(*snib.Tx) error { return nil }) },
			"Update":          func(c *checked) error { return c.db.Update(ctx, func(*snib.Tx) error { return nil }) },
			"EndEverything":   func(c *checked) error { return c.db.EndEverything(ctx) },
			"Stats":           func(c *checked) error { return second(c.db.Stats(ctx)) },
		}},
	}
}

func meetUser() map[string]func(*checked) error {
	return map[string]func(*checked) error{
		"GetUser":              func(c *checked) error { return second(c.db.GetUser(ctx, c.ada.ID)) },
		"GetUserByProviderID":  func(c *checked) error { return second(c.db.GetUserByProviderID(ctx, "email", "ada@example.com")) },
		"GetUserByAttribute":   func(c *checked) error { return second(c.db.GetUserByAttribute(ctx, "nick", "countess")) },
		"UpdateUserAttributes": func(c *checked) error { return second(c.db.UpdateUserAttributes(ctx, c.ada.ID, nil)) },
		"AuthenticateUser": func(c *checked) error {
			return second(c.db.AuthenticateUser(ctx, "email", "ada@example.com", password))
		},
		"CreateSession": func(c *checked) error { return second(c.db.CreateSession(ctx, c.ada, snib.SessionOptions{})) },
		"ValidateSessionUser": func(c *checked) error {
			_, _, err := c.db.ValidateSessionUser(ctx, c.session.Token.Reveal())
			return err
		},
		"Refresh":         func(c *checked) error { _, _, err := c.db.Refresh(ctx, c.family.Token.Reveal()); return err },
		"UseOneTimeToken": func(c *checked) error { return second(c.db.Tokens().Use(ctx, "reset", c.link.Token.Reveal())) },
		"ListUsers": func(c *checked) error {
			for _, err := range c.db.ListUsers(ctx, snib.ListOptions{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func meetSession() map[string]func(*checked) error {
	return map[string]func(*checked) error{
		"ValidateSession":        func(c *checked) error { return second(c.db.ValidateSession(ctx, c.session.Token.Reveal())) },
		"ExtendSession":          func(c *checked) error { return second(c.db.ExtendSession(ctx, c.session.Token.Reveal())) },
		"RenewSession":           func(c *checked) error { return second(c.db.RenewSession(ctx, c.session.Token.Reveal())) },
		"GetSession":             func(c *checked) error { return second(c.db.GetSession(ctx, c.session.ID)) },
		"ListUserSessions":       func(c *checked) error { return second(c.db.ListUserSessions(ctx, c.ada.ID)) },
		"RevokeSessionByID":      func(c *checked) error { return c.db.RevokeSessionByID(ctx, c.session.ID) },
		"RevokeToken":            func(c *checked) error { return c.db.RevokeToken(ctx, c.session.Token.Reveal()) },
		"DeleteDeadUserSessions": func(c *checked) error { return second(c.db.DeleteDeadUserSessions(ctx, c.ada.ID)) },
	}
}

func TestFlippedBitIsDamageToWhatMeetsIt(t *testing.T) {
	for _, k := range recordKinds() {
		t.Run(k.space, func(t *testing.T) {
			c := newChecked(t)
			key := k.key(t, c)
			record := rawGet(t, c.b, k.space, key)
			for i := range record {
				rawPut(t, c.b, k.space, key, flip(record, i))
				for name, method := range k.meet {
					err := method(c)
					wantErr(t, err, snib.ErrCorrupt)
					c.saysNothingPrivate(t, name+err.Error())
					if i%16 != 0 {
						break // one of them, another each time
					}
				}
			}
			want := breach{2, k.space, k.id(c)}
			if k.space == "meta" {
				want.invariant = 1
			}
			c.breaches(t, want)
			rawPut(t, c.b, k.space, key, record)
			must(c.db.Check(ctx))(t) // nothing was written meanwhile
		})
	}
}

func TestRecordOfAHigherVersion(t *testing.T) {
	for _, k := range recordKinds() {
		t.Run(k.space, func(t *testing.T) {
			c := newChecked(t)
			key := k.key(t, c)
			rawPut(t, c.b, k.space, key, newer(k.space, key, rawGet(t, c.b, k.space, key)))
			for name, method := range k.meet {
				if err := method(c); err == nil {
					t.Errorf("%s accepted it", name)
				} else {
					wantErr(t, err, snib.ErrNewerFormat)
				}
			}
			if k.space == "meta" {
				_, err := c.db.Check(ctx)
				wantErr(t, err, snib.ErrNewerFormat)
				return
			}
			c.breaches(t, breach{2, k.space, k.id(c)})
		})
	}
}

func TestDamagedUserIsInNobodysWay(t *testing.T) {
	c := newChecked(t)
	id := string(c.ada.ID)
	rawPut(t, c.b, "users", id, flip(rawGet(t, c.b, "users", id), 30))
	valid(t, c.db, c.bobs)
	must(c.db.UpdateUserAttributes(ctx, c.bob.ID, snib.Attributes{"nick": "Bricklayer"}))(t)
	must(c.db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "new@example.com", Attributes: snib.Attributes{"team": "engine"}}))(t)
	if err := c.db.DeleteUser(ctx, c.bob.ID); err != nil {
		t.Errorf("deleting another user: %v", err)
	}
	invalid(t, c.db, c.bobs)
	c.breaches(t, breach{2, "users", id})
}

// An index that leads to a record which is missing is damage, and not the
// word for a user, session or token who is unknown.
func TestDanglingEntryIsDamage(t *testing.T) {
	c := newChecked(t)
	c.refer(t, "identities", pair("github", "1"), "ghost")
	c.refer(t, "attributes", indexKey(t, "nick", "nobody", ""), "ghost")
	rawPut(t, c.b, "attributes", indexKey(t, "team", "ghosts", "ghost"), nil)
	for name, method := range map[string]func() error{
		"GetUserByProviderID": func() error { return second(c.db.GetUserByProviderID(ctx, "github", "1")) },
		"GetUserByAttribute":  func() error { return second(c.db.GetUserByAttribute(ctx, "nick", "nobody")) },
		"ListUsersByAttribute": func() error {
			for _, err := range c.db.ListUsersByAttribute(ctx, "team", "ghosts", snib.ListOptions{}) {
				return err
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) { wantErr(t, method(), snib.ErrCorrupt) })
	}
}

// TestMovedRecordIsDamage: a record under the key of another user's would be a
// session of that user's.
func TestMovedRecordIsDamage(t *testing.T) {
	c := newChecked(t)
	for space, id := range map[string]string{"sessions": string(c.session.ID), "refresh_families": string(c.family.ID)} {
		key := c.key(t, string(c.bob.ID), 1)
		rawPut(t, c.b, space, string(key[:]), rawGet(t, c.b, space, id))
	}
	wantErr(t, second(c.db.ListUserSessions(ctx, c.bob.ID)), snib.ErrCorrupt)
	wantErr(t, second(c.db.RefreshTokens().List(ctx, c.bob.ID)), snib.ErrCorrupt)
	must(c.db.ListUserSessions(ctx, c.ada.ID))(t)
}

// TestRecordsOutOfReach: a space that leads to one of its own leaves looks sound, and
// lacks all that is in the others. Check says so; Repair cannot mend it, and changes
// nothing.
func TestRecordsOutOfReach(t *testing.T) {
	c := newChecked(t)
	path := c.b.Path()
	for range 60 {
		must(c.db.CreateSession(ctx, c.ada, snib.SessionOptions{}))(t)
	}
	var root uint64
	if err := c.b.View(func(tx *bolt.Tx) error {
		root = uint64(tx.Bucket([]byte("snib")).Bucket([]byte("sessions")).Root())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	closeDB(t, c.db)
	b := must(os.ReadFile(path))(t)
	branch := b[int(root)*os.Getpagesize():]
	if kind := binary.NativeEndian.Uint16(branch[8:]); kind != 1 {
		t.Fatalf("the sessions are in a page of kind %d", kind)
	}
	leaf := binary.NativeEndian.Uint64(branch[16+8:]) // the first of the branch
	leads := func(to uint64) []byte { return binary.NativeEndian.AppendUint64([]byte("sessions"), to) }
	b = bytes.ReplaceAll(b, leads(root), leads(leaf))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}

	db := must(snib.Open(path, snibtest.Fast(nil)))(t)
	defer closeDB(t, db)
	report, err := db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if report.Found == 0 || report.Problems[0].Invariant != 26 || report.Problems[0].Severity != snib.LosesData {
		t.Errorf("%d problems: %v", report.Found, report.Problems)
	}
	sessions := report.Records["sessions"]
	_, err = db.Repair(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if report, _ = db.Check(ctx); report.Records["sessions"] != sessions {
		t.Errorf("%d sessions after Repair, %d before", report.Records["sessions"], sessions)
	}
}
