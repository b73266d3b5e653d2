package proof_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// texts that no argument of plain text takes.
func badTexts(limit int) map[string]string {
	return map[string]string{
		"too long": strings.Repeat("x", limit+1), "too long in bytes": strings.Repeat("é", limit/2+1), "NUL": "a\x00b",
		"newline": "a\nb", "escape": "\x1b[2J", "DEL": "a\x7f", "C1 control": "a\u0085", "invalid UTF-8": "a\xff", "cut UTF-8": "a\xc3",
		"surrogate": "\xed\xa0\x80", "megabytes": strings.Repeat("x", 4<<20),
	}
}

// badPurposes are no names of a purpose, badProviders none of a provider.
var (
	badPurposes  = []string{"", "A", "a b", "é", "a.b", "a:b", "a\x00", "a\n", "\xff", "a@b", "a/b", strings.Repeat("x", 33), strings.Repeat("x", 1<<20)}
	badProviders = []string{"", "a b", "é", "a\x00", "a\n", "\xff", "a@b", "a/b", "a|b", strings.Repeat("x", 65), strings.Repeat("x", 1<<20)}
)

func outOfBounds(db *snib.DB, u snib.User) []bound {
	var all []bound
	add := func(field, name string, call func() error) {
		all = append(all, bound{fmt.Sprintf("%s %.30q", field, name), field, call})
	}
	hash, _ := db.HashPassword(ctx, password)
	newUser := func(n snib.NewUser) error { _, err := db.CreateUser(ctx, n); return err }
	imported := func(i snib.UserImport) error { _, err := db.ImportUser(ctx, i); return err }
	for _, p := range badProviders {
		add("Provider", p, func() error { return newUser(snib.NewUser{Provider: p, Identifier: "x"}) })
		add("Provider", p, func() error { return imported(snib.UserImport{Provider: p, Identifier: "x"}) })
		add("Provider", p, func() error { _, err := db.LinkIdentity(ctx, u.ID, p, "x"); return err })
		add("Provider", p, func() error { _, err := db.UpdateUserProviderID(ctx, u.ID, p, "x"); return err })
		add("Provider", p, func() error { _, err := db.AuthenticateUser(ctx, p, "x", password); return err })
	}
	for _, p := range badPurposes {
		add("Purpose", p, func() error { _, err := db.Tokens().Create(ctx, u.ID, p, time.Hour, nil); return err })
	}
	for name, s := range badTexts(256) {
		add("Identifier", name, func() error { return newUser(snib.NewUser{Provider: "github", Identifier: s}) })
		add("Reason", name, func() error { _, err := db.DisableUser(ctx, u.ID, s); return err })
		add("DisabledReason", name, func() error {
			return imported(snib.UserImport{Provider: "github", Identifier: "x", Disabled: true, DisabledReason: s})
		})
	}
	for name, s := range badTexts(64) {
		add("Attributes", "name "+name, func() error { _, err := db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{s: 1}); return err })
		add("Attributes", "session, name "+name, func() error {
			_, err := db.CreateSession(ctx, u, snib.SessionOptions{Attributes: snib.Attributes{s: 1}})
			return err
		})
	}
	for _, id := range []snib.UserID{"a b", "a\x00", "é", "a\n", " ", "\x7f", "\xff", "snses_x", snib.UserID(strings.Repeat("x", 129)), snib.UserID(strings.Repeat("x", 1<<20)), u.ID} {
		add("ID", string(id), func() error { return imported(snib.UserImport{ID: id, Provider: "github", Identifier: "x"}) })
	}
	for name, at := range map[string]time.Time{
		"future": time.Now().Add(time.Hour), "before 1970": time.Unix(-1, 0), "year 1": time.Time{}.Add(1),
		"far future": time.Unix(1<<55, 0), "wraps to 1970": time.Unix(18446744073709552, 0), "wraps below": time.Unix(-18446744073709551, 0),
	} {
		add("CreatedAt", name, func() error { return imported(snib.UserImport{Provider: "github", Identifier: "x", CreatedAt: at}) })
	}
	for _, ttl := range []time.Duration{0, -1, time.Second - 1, 90*24*time.Hour + 1, math.MaxInt64, math.MinInt64} {
		add("TTL", ttl.String(), func() error { _, err := db.Tokens().Create(ctx, u.ID, "reset", ttl, nil); return err })
	}
	add("Data", "1 KiB and 1", func() error {
		_, err := db.Tokens().Create(ctx, u.ID, "reset", time.Hour, make([]byte, 1<<10+1))
		return err
	})
	add("PasswordHash", "both", func() error {
		return newUser(snib.NewUser{Provider: "github", Identifier: "x", Password: password, PasswordHash: hash})
	})
	add("Password", "zero hash", func() error {
		return db.Update(ctx, func(tx *snib.Tx) error { _, err := tx.UpdateUserPassword(u.ID, snib.PasswordHash{}); return err })
	})
	add("Password", "in a Tx", func() error {
		return db.Update(ctx, func(tx *snib.Tx) error {
			_, err := tx.CreateUser(snib.NewUser{Provider: "github", Identifier: "x", Password: password})
			return err
		})
	})
	return append(all, attributesOutOfBounds(db, u)...)
}

func attributesOutOfBounds(db *snib.DB, u snib.User) (all []bound) {
	keys := func(n int) snib.Attributes {
		a := snib.Attributes{}
		for i := range n {
			a[fmt.Sprint(i)] = nil
		}
		return a
	}
	for _, c := range []struct {
		name string
		a    snib.Attributes
	}{{"17 keys", keys(17)}, {"4 KiB", snib.Attributes{"x": strings.Repeat("x", 4<<10)}}, {"NaN", snib.Attributes{"x": math.NaN()}}} {
		all = append(all,
			bound{"session, " + c.name, "Attributes", func() error {
				_, err := db.CreateSession(ctx, u, snib.SessionOptions{Attributes: c.a})
				return err
			}},
			bound{"family, " + c.name, "Attributes", func() error {
				_, _, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{Attributes: c.a})
				return err
			}})
	}
	for name, v := range map[string]any{
		"too long": strings.Repeat("x", 513), "list": []any{1}, "map": map[string]any{}, "unsupported": struct{}{}, "NaN": math.NaN(), "refused": "\u202e",
	} {
		all = append(all, bound{"indexed, " + name, "Attributes[nick]", func() error {
			_, err := db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"nick": v})
			return err
		}})
	}
	all = append(all,
		bound{"65 keys", "Attributes", func() error { _, err := db.UpdateUserAttributes(ctx, u.ID, keys(65)); return err }},
		bound{"not declared", "Name", func() error { _, err := db.GetUserByAttribute(ctx, "x", 1); return err }},
		bound{"no name", "Name", func() error { _, err := db.GetUserByAttribute(ctx, "", 1); return err }},
		bound{"list, not declared", "Name", func() error {
			for _, err := range db.ListUsersByAttribute(ctx, "x\x00", 1, snib.ListOptions{}) {
				return err
			}
			return nil
		}})
	return all
}

func TestOutsideTheBoundsNothingIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := snibtest.OpenDB(t, path, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}}})
	u := email(t, db, "a@example.com")
	before := traceOf(t, db, path)
	for _, b := range outOfBounds(db, u) {
		wrong := b.call()
		e, ok := errors.AsType[*snib.InputError](wrong)
		if !ok || e.Field != b.field && !strings.HasPrefix(e.Field, b.field+"[") || !errors.Is(wrong, snib.ErrInvalidInput) {
			t.Errorf("%s: got %v, want an InputError of %s", b.name, wrong, b.field)
		} else if e.Reason == "" || len(wrong.Error()) > 300 {
			t.Errorf("%s: the reason is %.300q", b.name, e.Reason)
		}
		if got := traceOf(t, db, path); got != before {
			t.Fatalf("%s: something was written: %+v, was %+v", b.name, got, before)
		}
	}
}

func TestUpdateUserPasswordRefusesWhatIsOutOfBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := snibtest.OpenDB(t, path, nil)
	u := email(t, db, "a@example.com")
	s := session(t, db, u.ID)
	before := traceOf(t, db, path)
	for name, p := range map[string]string{
		"empty": "", "7 code points": "1234567", "7 of 4 bytes": strings.Repeat("😀", 7), "8 before NFKC, 7 after": "123456e\u0301",
		"1 after NFKC": "e\u0301", "7 before NFKC, more after": strings.Repeat("\ufdfa", 7), "1,025 bytes": strings.Repeat("x", 1025),
		"NUL": "12345678\x00", "only NUL": strings.Repeat("\x00", 8), "invalid UTF-8": "12345678\xff", "cut UTF-8": "12345678\xe2\x82",
		"surrogate": "12345678\xed\xa0\x80", "megabytes": strings.Repeat("x", 8<<20),
	} {
		refusals := map[string]error{
			"UpdateUserPassword": second(db.UpdateUserPassword(ctx, u.ID, p)),
			"ChangePassword":     second(db.ChangePassword(ctx, s.Token.Reveal(), password, p)),
			"HashPassword":       second(db.HashPassword(ctx, p)),
		}
		if p != "" { // which is a user without one
			refusals["CreateUser"] = second(db.CreateUser(ctx, snib.NewUser{Provider: "github", Identifier: "x", Password: p}))
		}
		for method, err := range refusals {
			if e, ok := errors.AsType[*snib.InputError](err); !ok || e.Field != "Password" {
				t.Errorf("%s, %s: %v, want an InputError of Password", method, name, err)
			}
		}
	}
	must(db.GetUserByProviderID(ctx, "email", "a@example.com"))(t)
	if _, err := db.GetUserByProviderID(ctx, "github", "x"); !errors.Is(err, snib.ErrUserNotFound) {
		t.Errorf("a user was created: %v", err)
	}
	if got := traceOf(t, db, path); got != before {
		t.Errorf("something was written: %+v, was %+v", got, before)
	}
}

// The longest of everything, in one user.
func TestExactLimitsAreAccepted(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	name, text := strings.Repeat("x", 32), strings.Repeat("é", 128)
	attributes := snib.Attributes{strings.Repeat("n", 64): strings.Repeat("x", 60<<10)}
	for i := range 63 {
		attributes[fmt.Sprint(i)] = nil
	}
	u := must(db.ImportUser(ctx, snib.UserImport{
		ID: snib.UserID(strings.Repeat("u", 128)), Provider: strings.Repeat("x", 64), Identifier: text, Attributes: attributes,
		CreatedAt: time.UnixMilli(1), Disabled: true, DisabledReason: text,
	}))(t)
	if got := must(db.GetUserByProviderID(ctx, strings.Repeat("x", 64), text))(t); got.ID != u.ID || got.DisabledReason != text || len(got.Attributes()) != 64 || !got.CreatedAt.Equal(time.UnixMilli(1)) {
		t.Errorf("got %+v", got)
	}
	must(db.EnableUser(ctx, u.ID))(t)
	must(db.DisableUser(ctx, u.ID, text))(t)
	must(db.EnableUser(ctx, u.ID))(t)
	few := snib.Attributes{strings.Repeat("n", 64): strings.Repeat("x", 3900)}
	for i := range 15 {
		few[fmt.Sprint(i)] = nil
	}
	s := must(db.CreateSession(ctx, asNow(t, db, u.ID), snib.SessionOptions{Attributes: few}))(t)
	if len(s.Attributes()) != 16 {
		t.Errorf("%d attributes", len(s.Attributes()))
	}
	for _, ttl := range []time.Duration{time.Second, 90 * 24 * time.Hour} {
		link := must(db.Tokens().Create(ctx, u.ID, name, ttl, make([]byte, 1<<10)))(t)
		if got := must(db.Tokens().Use(ctx, name, link.Token.Reveal()))(t); len(got.Data) != 1<<10 {
			t.Errorf("%d bytes of data", len(got.Data))
		}
	}
	must(db.ImportUser(ctx, snib.UserImport{Provider: "github", Identifier: "now", CreatedAt: time.Now()}))(t)
}

func TestClosedDatabaseAndEndedContextWriteNothing(t *testing.T) {
	db := must(snib.Open(filepath.Join(t.TempDir(), "a.db"), snibtest.Fast(nil)))(t)
	u := email(t, db, "a@example.com")
	over, cancel := context.WithCancel(ctx)
	cancel()
	_, err := db.HashPassword(over, password)
	wantErr(t, err, context.Canceled)
	_, err = db.AuthenticateUser(over, "email", "a@example.com", password)
	wantErr(t, err, context.Canceled)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = db.GetUser(ctx, u.ID)
	wantErr(t, err, snib.ErrClosed)
}
