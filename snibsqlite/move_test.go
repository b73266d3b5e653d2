package snibsqlite_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/move"
	"github.com/snibdb/snib/snibsqlite"
	"github.com/snibdb/snib/snibtest"
)

// contentOf are the records of an export: space and key to value.
func contentOf(tb testing.TB, export []byte) map[string]string {
	tb.Helper()
	r, err := move.NewReader(bytes.NewReader(export))
	must(tb, err)
	out := map[string]string{}
	for _, p := range r.Meta {
		out["meta "+string(p.Key)] = string(p.Value)
	}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		must(tb, err)
		for _, p := range f.Pairs {
			value := string(p.Value)
			if f.Space == codec.SpaceFactors { // the step of a code is that of the import
				x, err := codec.DecodeFactor(p.Key, p.Value)
				must(tb, err)
				x.Counter = 0
				value = fmt.Sprint(x)
			}
			out[f.Space+" "+string(p.Key)] = value
		}
	}
}

func equal(tb testing.TB, got, want map[string]string) {
	tb.Helper()
	for key, value := range want {
		if got[key] != value {
			tb.Errorf("%q is %q, want %q", key, got[key], value)
		}
	}
	if len(got) != len(want) {
		tb.Errorf("%d records, want %d", len(got), len(want))
	}
}

func export(tb testing.TB, db *snib.DB) []byte {
	tb.Helper()
	var b bytes.Buffer
	_, err := db.File().Export(ctx, &b)
	must(tb, err)
	return b.Bytes()
}

// TestAccountsMoveToSQLiteAndBack: nothing is lost on the way, and every token
// goes on.
func TestAccountsMoveToSQLiteAndBack(t *testing.T) {
	clock := snibtest.NewClock()
	key, err := snib.NewKey("k1", []byte("0123456789abcdef0123456789abcdef"))
	must(t, err)
	options := func() *snib.Options {
		return &snib.Options{
			Now: clock.Now, Keys: []snib.Key{key}, Indexes: []snib.Index{{Name: "nick", Unique: true}}, Outbox: []string{"mail"}, SweepEvery: -1,
			Passwords: snib.PasswordPolicy{Parallelism: 1, MemoryKiB: 8, Time: 1},
		}
	}
	dir := t.TempDir()
	from := snibtest.OpenDB(t, filepath.Join(dir, "from.db"), options())
	var users []snib.User
	var sessions []snib.Session
	for i := range 40 {
		u, err := from.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: fmt.Sprintf("u%d@example.com", i), Password: "correct horse battery", Attributes: snib.Attributes{"nick": fmt.Sprint("n", i)}})
		must(t, err)
		s, err := from.CreateSession(ctx, u, snib.SessionOptions{})
		must(t, err)
		users, sessions = append(users, u), append(sessions, s)
	}
	_, family, err := from.CreateRefreshToken(ctx, users[0], snib.SessionOptions{})
	must(t, err)
	apiKey, err := from.APIKeys().Create(ctx, sessions[1], snib.NewAPIKey{Name: "backup", TTL: time.Hour})
	must(t, err)
	factor, err := from.Factors().BeginTOTP(ctx, sessions[2], "Notes", "phone")
	must(t, err)
	if factor.ID == "" {
		t.Fatal("no factor")
	}
	_, err = from.DisableUser(ctx, users[3].ID, "left")
	must(t, err)
	first := export(t, from)

	engine, err := snibsqlite.Open(filepath.Join(dir, "accounts.sqlite"), nil)
	must(t, err)
	cut := io.MultiReader(bytes.NewReader(first[:len(first)*2/3]), failing{})
	if _, err := snib.ImportStore(ctx, engine, cut, options()); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("got %v", err)
	}
	if _, err := snib.OpenStore(ctx, engine, options()); !errors.Is(err, snib.ErrIncomplete) {
		t.Fatalf("got %v, want ErrIncomplete", err)
	}
	_, err = snib.ImportStore(ctx, engine, bytes.NewReader(first), options())
	must(t, err)
	middle, err := snib.OpenStore(ctx, engine, options())
	must(t, err)
	second := export(t, middle)
	equal(t, contentOf(t, second), contentOf(t, first))
	report, err := middle.Check(ctx)
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("check: %v, %v", report.Problems, err)
	}
	for i, s := range sessions {
		if _, err := middle.ValidateSession(ctx, s.Token.Reveal()); (err == nil) != (i != 3) {
			t.Errorf("session %d: %v", i, err)
		}
	}
	must(t, middle.Close())

	path := filepath.Join(dir, "back.db")
	_, err = snib.ImportFile(ctx, path, bytes.NewReader(second), options())
	must(t, err)
	back := snibtest.OpenDB(t, path, options())
	equal(t, contentOf(t, export(t, back)), contentOf(t, first))
	_, _, err = back.Refresh(ctx, family.Token.Reveal())
	must(t, err)
	_, _, err = back.APIKeys().Validate(ctx, apiKey.Token.Reveal())
	must(t, err)
	_, err = back.AuthenticateUser(ctx, "email", "u5@example.com", "correct horse battery")
	must(t, err)
	if _, err := snib.ImportStore(ctx, engine, bytes.NewReader(first), options()); !errors.Is(err, snib.ErrInvalidInput) {
		t.Errorf("into a store with accounts: %v", err)
	}
}

// failing is a reader that fails.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }
