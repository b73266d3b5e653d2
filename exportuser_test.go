package snib_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/accounttest"
	"github.com/snibdb/snib/snibtest"
	bolt "go.etcd.io/bbolt"
)

// exported is ExportUser, as text.
func exported(tb testing.TB, db *snib.DB, id snib.UserID) string {
	tb.Helper()
	var out bytes.Buffer
	if err := db.ExportUser(ctx, id, &out); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

// leaked returns a form in which nine bytes of secret in a row, or five in base32,
// are in out but for its ids. Nine that could be read as text are none.
func leaked(out string, secret []byte) string {
	out = regexp.MustCompile(`[a-z]{3}_[0-9a-z]{26,32}`).ReplaceAllString(out, "")
	for i := range len(secret) - 9 {
		window := secret[i : i+9]
		if printable := bytes.IndexFunc(window, func(r rune) bool { return r < ' ' || r > '~' }) < 0; printable {
			continue
		}
		for _, form := range []string{
			string(window), hex.EncodeToString(window), base64.StdEncoding.EncodeToString(window),
			base64.URLEncoding.EncodeToString(window), accounttest.Crockford.EncodeToString(window[:5]),
		} {
			if strings.Contains(out, form) {
				return form
			}
		}
	}
	return ""
}

// repeating is a source of random bytes that repeats in each test.
func repeating() io.Reader { return rand.NewChaCha8([32]byte{1}) }

// portrait is a user with one of everything, always the same.
func portrait(tb testing.TB) (*snib.DB, snib.UserID) {
	tb.Helper()
	clock := snibtest.NewClock()
	db := snibtest.NewDB(tb, &snib.Options{Now: clock.Now, Rand: repeating(), Owned: []string{"notes", "unused"}, SweepEvery: -1})
	u := must(db.CreateUser(ctx, snib.NewUser{
		Provider: "email", Identifier: "Ada@Example.com", Password: password,
		Attributes: snib.Attributes{"name": "Ada <\"Countess\">\n\u2028\x00", "born": time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC), "key": []byte{0, 255}, "n": []any{int64(1), 2.5, true, nil}, "empty": map[string]any{}},
	}))(tb)
	must(db.LinkIdentity(ctx, u.ID, "github", "1"))(tb)
	must(db.CreateSession(ctx, asNow(tb, db, u.ID), snib.SessionOptions{Attributes: snib.Attributes{"agent": "Firefox"}}))(tb)
	_, r, err := db.CreateRefreshToken(ctx, asNow(tb, db, u.ID), snib.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	clock.Advance(time.Minute)
	if _, _, err := db.Refresh(ctx, r.Token.Reveal()); err != nil {
		tb.Fatal(err)
	}
	must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, []byte("new@example.com")))(tb)
	must(db.APIKeys().CreateFor(ctx, u.ID, snib.NewAPIKey{Name: "backup", Scopes: []string{"notes:read"}, TTL: snib.Never}))(tb)
	must(db.Roles().Grant(ctx, u.ID, "support"))(tb)
	err = db.Update(ctx, func(tx *snib.Tx) error {
		b, err := inFile(tb, tx).CreateBucketIfNotExists([]byte("notes"))
		if err != nil {
			return err
		}
		inner, err := b.CreateBucket(snib.OwnedKey(u.ID, "inside"))
		if err != nil {
			return err
		}
		return errors.Join(inner.Put([]byte("k"), []byte("v")), b.Put(snib.OwnedKey(u.ID, ""), nil),
			b.Put(snib.OwnedKey(u.ID, "zz"), []byte("text")), b.Put(snib.OwnedKey(u.ID+"x", "other"), []byte("of another")))
	})
	if err != nil {
		tb.Fatal(err)
	}
	return db, u.ID
}

var updateExport = flag.Bool("update", false, "rewrite testdata/export.json")

// TestExportUserIsAlwaysTheSame: everything that the file knows, in one order,
// and JSON by another reader.
func TestExportUserIsAlwaysTheSame(t *testing.T) {
	db, id := portrait(t)
	got := exported(t, db, id)
	if *updateExport {
		if err := os.WriteFile("testdata/export.json", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(must(os.ReadFile("testdata/export.json"))(t)); got != want {
		t.Errorf("exported\n%s\nwant\n%s", got, want)
	}
	if again := exported(t, db, id); again != got {
		t.Errorf("a second time\n%s", again)
	}
	var all map[string]any
	if err := json.Unmarshal([]byte(got), &all); err != nil {
		t.Fatal(err)
	}
	attributes := all["user"].(map[string]any)["attributes"]
	want := map[string]any{"name": "Ada <\"Countess\">\n\u2028\x00", "born": "1815-12-10T00:00:00Z", "key": "AP8=", "n": []any{1.0, 2.5, true, nil}, "empty": map[string]any{}}
	if !reflect.DeepEqual(attributes, want) {
		t.Errorf("attributes are read as %v", attributes)
	}
}

// TestExportUserHasNoSecret: no bytes of a hash or a key in the file, in any form,
// and no token.
func TestExportUserHasNoSecret(t *testing.T) {
	db, id := portrait(t)
	s := must(db.CreateSession(ctx, asNow(t, db, id), snib.SessionOptions{}))(t)
	code := must(db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com"))(t)
	if err := db.Codes().Store(ctx, code); err != nil {
		t.Fatal(err)
	}
	out := exported(t, db, id)
	if strings.Contains(out, s.Token.Reveal()) || strings.Contains(out, "$argon2") || strings.Contains(out, password) {
		t.Errorf("a secret: %s", out)
	}
	records, _ := content(t, db)
	n := 0
	for key, value := range records {
		if strings.HasPrefix(key, "sessions/") || strings.HasPrefix(key, "refresh") || strings.HasPrefix(key, "one_time") || strings.HasPrefix(key, "meta/") {
			n++
			if form := leaked(out, []byte(value)); form != "" {
				t.Errorf("of %s: %s", key, form)
			}
		}
		if _, hash, ok := strings.Cut(value, "$argon2id$"); ok {
			for _, part := range strings.Split(hash, "$")[2:] {
				if strings.Contains(out, part[:min(len(part), 20)]) {
					t.Errorf("a part of the hash: %s", part)
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d records have a secret", n)
	}
}

// TestExportUserFails without a user or a writer, and ends with the writer and ctx.
func TestExportUserFails(t *testing.T) {
	db, id := portrait(t)
	for _, unknown := range []snib.UserID{"", "nobody", "two words", id + "x"} {
		var out bytes.Buffer
		wantErr(t, db.ExportUser(ctx, unknown, &out), snib.ErrUserNotFound)
		if out.Len() > 0 {
			t.Errorf("written: %q", out.String())
		}
	}
	wantField(t, db.ExportUser(ctx, id, nil), "w")
	broken := errors.New("broken pipe")
	wantErr(t, db.ExportUser(ctx, id, writer(func([]byte) (int, error) { return 0, broken })), broken)
	wantErr(t, db.ExportUser(ctx, id, writer(func(b []byte) (int, error) {
		_, err := db.GetUser(ctx, id)
		wantErr(t, err, snib.ErrNested)
		return len(b), nil
	})), nil)
	putRows(t, db, "notes", 2000, id)
	ending, cancel := context.WithCancel(ctx)
	wantErr(t, db.ExportUser(ending, id, writer(func(b []byte) (int, error) { cancel(); return len(b), nil })), context.Canceled)
	n := 0
	wantErr(t, db.ExportUser(ctx, id, writer(func(b []byte) (int, error) {
		if n++; n > 1 {
			t.Error("written after a failure")
		}
		return 0, broken
	})), broken)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// TestExportUserSaysWhatItLeavesOut: a record of a later program, and what Repair
// has put aside. Without the key of a sealed hash it does without the algorithm.
func TestExportUserSaysWhatItLeavesOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, &snib.Options{Keys: []snib.Key{testKey("a", 1)}, Passwords: snib.PasswordPolicy{Seal: true}})
	u := email(t, db, "ada@example.com")
	if out := exported(t, db, u.ID); !strings.Contains(out, `"algorithm":"argon2id"`) || !strings.Contains(out, `"not_exported":{}`) {
		t.Errorf("with the key: %s", out)
	}
	owner := ownerOf(t, handle(t, db), u.ID)
	rawBucket(t, handle(t, db), "quarantine", func(b *bolt.Bucket) error {
		return b.Put(append(owner[:], "users\x00a secret"...), []byte("0123456789 a secret"))
	})
	closeDB(t, db)
	db = openFile(t, path, nil)
	out := exported(t, db, u.ID)
	if !strings.Contains(out, `"not_exported":{"quarantine":1}`) || strings.Contains(out, "secret") || strings.Contains(out, "algorithm") || !strings.Contains(out, `"set":true`) {
		t.Errorf("without the key: %s", out)
	}
	closeDB(t, db)
}
