package importer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/cmd/importer"
	"github.com/snibdb/snib/snibtest"
)

// newDB opens a database whose clock stands in 2030, so that the times of samples
// are past wherever the test runs.
func newDB(t testing.TB, o *snib.Options) *snib.DB {
	t.Helper()
	if o == nil {
		o = &snib.Options{}
	}
	if o.Now == nil {
		o.Now = snibtest.NewClock().Now
	}
	o.Passwords.MaxImportTime = -1
	return snibtest.NewDB(t, o)
}

// sample copies a file of testdata, so that no state lies beside it.
func sample(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Base(name), string(data))
}

// write makes a file of an age that all tests agree on.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t testing.TB, db *snib.DB, s importer.Source, o importer.Options) *importer.Report {
	t.Helper()
	r, err := importer.Run(t.Context(), db, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Finished || r.Rows != r.Imported+r.Updated+r.Unchanged+r.Kept+r.Refused {
		t.Errorf("finished %v, the counts do not add up: %+v", r.Finished, r)
	}
	return r
}

// logsIn fails the test unless exactly the right password lets the user in.
func logsIn(t testing.TB, db *snib.DB, provider, identifier, password string) {
	t.Helper()
	ctx := snib.AsOperator(context.Background())
	if _, err := db.AuthenticateUser(ctx, provider, identifier, password+"x"); !errors.Is(err, snib.ErrInvalidCredentials) {
		t.Errorf("%s %s: a wrong password: %v", provider, identifier, err)
	}
	if _, err := db.AuthenticateUser(ctx, provider, identifier, password); err != nil {
		t.Errorf("%s %s: the right password: %v", provider, identifier, err)
	}
}

func user(t testing.TB, db *snib.DB, provider, identifier string) snib.User {
	t.Helper()
	u, err := db.GetUserByProviderID(t.Context(), provider, identifier)
	if err != nil {
		t.Fatalf("%s %s: %v", provider, identifier, err)
	}
	return u
}

// kind returns the count of a kind of refusals, and its rows.
func kind(list []importer.Kind, name string) (n int, rows []int) {
	for _, k := range list {
		if k.Kind == name {
			for _, at := range k.Rows {
				rows = append(rows, at.Row)
			}
			return k.Count, rows
		}
	}
	return 0, nil
}
