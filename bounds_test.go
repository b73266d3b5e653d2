package snib_test

import (
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

// second drops all but the error.
func second[T any](_ T, err error) error { return err }

func TestPasswordsWithinTheirBoundsAreTakenWhole(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	long := strings.Repeat("x", 1023)
	for name, c := range map[string]struct{ set, same, other string }{
		"8 code points":      {"12345678", "", "123456789"},
		"8 of 4 bytes":       {strings.Repeat("😀", 8), "", strings.Repeat("😀", 7)},
		"1,024 bytes":        {long + "y", "", long + "z"},
		"NFKC growth":        {strings.Repeat("\ufdfa", 341), "", strings.Repeat("\ufdfa", 340) + "x"},
		"NFKC":               {ligature, folded, "fil VIII étude"},
		"decomposed":         {"e\u0301tude etude", "\u00e9tude etude", "etude etude"},
		"spaces at the ends": {"  12345678  ", "", "12345678"},
		"only spaces":        {strings.Repeat(" ", 8), "", strings.Repeat(" ", 9)},
		"wide spaces":        {strings.Repeat("\u3000", 8), strings.Repeat(" ", 8), strings.Repeat(" ", 7)},
		"controls":           {"a\tb\nc\x7f1234", "", "abc1234"},
		"case":               {"PassWord", "", "password"},
	} {
		t.Run(name, func(t *testing.T) {
			must(db.UpdateUserPassword(ctx, u.ID, c.set))(t)
			for _, p := range []string{c.set, c.same} {
				if p != "" {
					must(db.AuthenticateUser(ctx, "email", "a@example.com", p))(t)
				}
			}
			for _, p := range []string{c.other, c.set + "x", c.set[:len(c.set)-1], "x"} {
				if _, err := db.AuthenticateUser(ctx, "email", "a@example.com", p); err == nil {
					t.Errorf("%.30q is accepted too", p)
				}
			}
		})
	}
}

func TestOptionsOutsideTheirBoundsCreateNoFile(t *testing.T) {
	const years = 200 * 365 * 24 * time.Hour
	manyProviders, manyIndexes := map[string]snib.IdentifierRule{}, []snib.Index{}
	for i := range 65 {
		manyProviders[fmt.Sprint("p", i)] = snib.Exact
		manyIndexes = append(manyIndexes, snib.Index{Name: fmt.Sprint(i)})
	}
	for i, c := range []struct {
		field string
		o     snib.Options
	}{
		{"Options.Sessions.Active", snib.Options{Sessions: snib.SessionPolicy{Active: -1}}},
		{"Options.Sessions.Active", snib.Options{Sessions: snib.SessionPolicy{Active: time.Second - 1}}},
		{"Options.Sessions.Active", snib.Options{Sessions: snib.SessionPolicy{Active: years}}},
		{"Options.Sessions.Idle", snib.Options{Sessions: snib.SessionPolicy{Idle: years}}},
		{"Options.Sessions.Absolute", snib.Options{Sessions: snib.SessionPolicy{Absolute: time.Millisecond}}},
		{"Options.Sessions.ExtendEvery", snib.Options{Sessions: snib.SessionPolicy{ExtendEvery: years}}},
		{"Options.Sessions.MaxPerUser", snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 1001}}},
		{"Options.Sessions.MaxPerUser", snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: -1}}},
		{"Options.Refresh.Idle", snib.Options{Refresh: snib.RefreshPolicy{Idle: -1}}},
		{"Options.Refresh.Absolute", snib.Options{Refresh: snib.RefreshPolicy{Absolute: years}}},
		{"Options.Refresh.Session", snib.Options{Refresh: snib.RefreshPolicy{Session: 1}}},
		{"Options.Refresh.Grace", snib.Options{Refresh: snib.RefreshPolicy{Grace: 5*time.Minute + 1}}},
		{"Options.Refresh.MaxPerUser", snib.Options{Refresh: snib.RefreshPolicy{MaxPerUser: 101}}},
		{"Options.Refresh.MaxPerUser", snib.Options{Refresh: snib.RefreshPolicy{MaxPerUser: -1}}},
		{"Options.Passwords", snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: 7, Time: 1, Parallelism: 1}}},
		{"Options.Passwords", snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: 16, Parallelism: 3}}},
		{"Options.Passwords", snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: math.MaxUint32}}},
		{"Options.Passwords", snib.Options{Passwords: snib.PasswordPolicy{Time: math.MaxUint32}}},
		{"Options.Passwords", snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: 2048, MaxHashMemory: 1 << 20}}},
		{"Options.SweepEvery", snib.Options{SweepEvery: time.Millisecond}},
		{"Options.MaxSize", snib.Options{MaxSize: 1<<20 - 1}},
		{"Options.Providers", snib.Options{Providers: manyProviders}},
		{"Options.Providers", snib.Options{Providers: map[string]snib.IdentifierRule{"": snib.Exact}}},
		{"Options.Providers", snib.Options{Providers: map[string]snib.IdentifierRule{"A": snib.Exact}}},
		{"Options.Providers", snib.Options{Providers: map[string]snib.IdentifierRule{"a": "soundex"}}},
		{"Options.Indexes", snib.Options{Indexes: manyIndexes}},
		{"Options.Indexes", snib.Options{Indexes: []snib.Index{{Name: ""}}}},
		{"Options.Indexes", snib.Options{Indexes: []snib.Index{{Name: "a\x00b"}}}},
		{"Options.Indexes", snib.Options{Indexes: []snib.Index{{Name: strings.Repeat("x", 65)}}}},
		{"Options.Indexes", snib.Options{Indexes: []snib.Index{{Name: "a"}, {Name: "a", Unique: true}}}},
	} {
		dir := t.TempDir()
		db, err := snib.Open(filepath.Join(dir, "a.db"), &c.o)
		if err == nil {
			db.Close()
		}
		e, ok := errors.AsType[*snib.InputError](err)
		if !ok || !strings.HasPrefix(e.Field, c.field) || db != nil {
			t.Errorf("case %d: got %v, want an InputError of %s", i, err, c.field)
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 0 {
			t.Errorf("case %d, %s: a file was created", i, c.field)
		}
	}
}
