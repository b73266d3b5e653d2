package snib_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/durable"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
	"github.com/snibdb/snib/internal/testseed"
	"github.com/snibdb/snib/snibtest"
)

// small makes batches and sorted runs so small that a few users are many.
var small = snib.Build{Records: 7, Bytes: 2000, Sorted: 700}

// accounts are users that are made alike in any file: their ids, times and
// credential versions depend on the seed alone.
type accounts struct {
	seed  uint64
	clock *snibtest.Clock
}

func (a *accounts) options(o snib.Options) *snib.Options {
	var key [32]byte
	key[0], key[1] = byte(a.seed), byte(a.seed>>8)
	a.clock = snibtest.NewClock()
	o.Now, o.Rand = a.clock.Now, &drawn{rand.NewChaCha8(key), rand.NewChaCha8([32]byte{})}
	return snibtest.Fast(&o)
}

// drawn are random bytes of which events, 2 at a time, take none: the rules of
// identifiers decide which changes are events.
type drawn struct {
	io.Reader
	events io.Reader
}

func (d *drawn) Read(p []byte) (int, error) {
	if len(p) == 2 {
		return d.events.Read(p)
	}
	return d.Reader.Read(p)
}

// fill makes n users with spellings that fold together within a user, and
// values of all types, unique where the name says so.
func (a *accounts) fill(tb testing.TB, db *snib.DB, n int) {
	tb.Helper()
	r := rand.New(rand.NewPCG(a.seed, 1))
	for i := range n {
		a.clock.Advance(time.Millisecond)
		address := fmt.Sprintf("User%d.%d@Example.com", r.IntN(1000), i)
		u := must(db.ImportUser(ctx, snib.UserImport{
			ID: snib.UserID(fmt.Sprintf("id-%d-%d", r.IntN(1000), i)), Provider: "email", Identifier: address,
			Attributes: snib.Attributes{"unique": fmt.Sprint("V", i), "text": pick(r, "Ada", "ADA", "ada", "ß", " "), "number": r.IntN(5), "none": nil, "long": strings.Repeat("x", r.IntN(900))},
		}))(tb)
		if r.IntN(2) == 0 {
			must(db.LinkIdentity(ctx, u.ID, "email", strings.ToLower(address)))(tb)
		}
		if r.IntN(3) == 0 {
			must(db.LinkIdentity(ctx, u.ID, "github", fmt.Sprint(i)))(tb)
		}
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

var (
	oldRules = snib.Options{Providers: map[string]snib.IdentifierRule{}, Indexes: []snib.Index{{Name: "number"}, {Name: "text"}}}
	newRules = snib.Options{
		Providers: map[string]snib.IdentifierRule{"email": snib.Email},
		Indexes:   []snib.Index{{Name: "text", Fold: true}, {Name: "unique", Unique: true, Fold: true}, {Name: "none", Unique: true}},
	}
)

// trees returns the records of users and what leads to them.
func trees(tb testing.TB, db *snib.DB) map[string]string {
	tb.Helper()
	all, _ := content(tb, db)
	maps.DeleteFunc(all, func(key, _ string) bool {
		space, _, _ := strings.Cut(key, "/")
		return space != "users" && space != "identities" && space != "attributes"
	})
	return all
}

// born returns the trees of a file that was declared so from the beginning, in
// which the same was done.
func born(tb testing.TB, o snib.Options, seed uint64, do func(*accounts, *snib.DB)) map[string]string {
	tb.Helper()
	a := accounts{seed: seed}
	db := snibtest.NewDB(tb, a.options(o))
	do(&a, db)
	return trees(tb, db)
}

func sameTrees(tb testing.TB, got, want map[string]string) {
	tb.Helper()
	for key := range want {
		if v, ok := got[key]; !ok || v != want[key] {
			tb.Errorf("%s: there %t, %q, want %q", key, ok, v, want[key])
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			tb.Errorf("%s is left over", key)
		}
	}
}

// tidy fails the test if there is anything beside the file, or a shadow in it.
func tidy(tb testing.TB, path string) {
	tb.Helper()
	for _, e := range must(os.ReadDir(filepath.Dir(path)))(tb) {
		if e.Name() != filepath.Base(path) {
			tb.Errorf("%s is left", e.Name())
		}
	}
	if shadowed(tb, path) {
		tb.Error("a shadow is left")
	}
}

func shadowed(tb testing.TB, path string) (found bool) {
	tb.Helper()
	b := must(bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second}))(tb)
	defer b.Close()
	if err := b.View(func(tx *bolt.Tx) error {
		found = tx.Bucket([]byte("snib")).Bucket([]byte("shadow")) != nil
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return found
}

// old makes a file with the old declarations and users, and closes it.
func old(tb testing.TB, seed uint64, n int) (path string, before map[string]string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "accounts.db")
	a := accounts{seed: seed}
	db := must(snib.Open(path, a.options(oldRules)))(tb)
	a.fill(tb, db, n)
	before = trees(tb, db)
	snibtest.CheckAndClose(tb, db)
	return path, before
}

func filled(tb testing.TB, seed uint64, n int) map[string]string {
	return born(tb, newRules, seed, func(a *accounts, db *snib.DB) { a.fill(tb, db, n) })
}

func TestOpenMakesWhatAFileDeclaredSoFromTheBeginningHas(t *testing.T) {
	seed := testseed.Of(t) % 1000
	for _, c := range []struct {
		name  string
		build snib.Build
		n     int
	}{
		{"no users", small, 0}, {"one", small, 1}, {"many batches", small, 150},
		{"one batch", snib.Build{Records: 20_000, Bytes: 4 << 20, Sorted: 1 << 20}, 150},
		{"each closure twice", snib.Build{Records: 20, Bytes: 9000, Sorted: 900, Twice: true}, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, before := old(t, seed, c.n)
			db := must(c.build.OpenContext(ctx, path, snibtest.Fast(&newRules)))(t)
			sameTrees(t, trees(t, db), filled(t, seed, c.n))
			snibtest.CheckAndClose(t, db)
			tidy(t, path)

			db = must(c.build.OpenContext(ctx, path, snibtest.Fast(&oldRules)))(t)
			if c.n == 0 {
				sameTrees(t, trees(t, db), before)
			}
			snibtest.CheckAndClose(t, db)
			tidy(t, path)
		})
	}
}

// dead is a process that ends when an operation has failed: it cleans nothing up.
type dead struct{ *faultkv.Store }

func (d dead) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	if d.Failed() {
		return faultkv.ErrInjected
	}
	return d.Store.Exclusive(ctx, fn)
}

// A crash or an error at any operation leaves the file as it was declared; a
// crash may leave a shadow, which the next Open removes.
func TestOpenFailsAnywhereAndTheFileStaysAsDeclared(t *testing.T) {
	const seed, n = 3, 6
	path, before := old(t, seed, n)
	want := filled(t, seed, n)
	original := must(os.ReadFile(path))(t)
	build := small
	build.Bytes = 1500
	left := 0
	for fail := int64(0); ; fail++ {
		var faulty *faultkv.Store
		crash := fail%2 == 0
		build.Wrap = func(inner kv.Store) kv.Store {
			faulty = faultkv.Wrap(inner, faultkv.Faults{Fail: fail / 2, Overwrite: true})
			if crash {
				return dead{faulty}
			}
			return faulty
		}
		if err := os.WriteFile(path, original, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := build.OpenContext(ctx, path, snibtest.Fast(&newRules))
		if !faulty.Failed() {
			sameTrees(t, trees(t, must(db, err)(t)), want)
			snibtest.CheckAndClose(t, db)
			break
		}
		if !errors.Is(err, faultkv.ErrInjected) {
			t.Fatalf("operation %d failed, Open returned %v", fail/2, err)
		}
		switch found := shadowed(t, path); {
		case found && !crash:
			t.Fatalf("operation %d failed and a shadow is left", fail/2)
		case found:
			left++
		}
		db = must(snib.Open(path, snibtest.Fast(nil)))(t)
		sameTrees(t, trees(t, db), before)
		snibtest.CheckAndClose(t, db)
		tidy(t, path)
		if t.Failed() {
			t.Fatalf("after operation %d failed", fail/2)
		}
	}
	if left < 10 {
		t.Errorf("only %d crashes have left a shadow", left)
	}
}

func TestOpenContextIsCancelledAtAnyTimeOfABuild(t *testing.T) {
	path, before := old(t, 4, 150)
	for last := 1; ; last++ {
		ctx, cancel := context.WithCancel(ctx)
		var told []snib.Progress
		o := newRules
		o.Progress = func(p snib.Progress) {
			if told = append(told, p); len(told) == last {
				cancel()
			}
		}
		db, err := small.OpenContext(ctx, path, snibtest.Fast(&o))
		cancel()
		if len(told) < last {
			t.Fatal("not cancelled")
		}
		if err == nil { // told only that it is over
			if end := told[last-1]; last < 5 || end.Op != "index" || end.Done != end.Total || !slices.IsSortedFunc(told, func(a, b snib.Progress) int { return int(a.Done - b.Done) }) {
				t.Errorf("told %v", told)
			}
			snibtest.CheckAndClose(t, db)
			tidy(t, path)
			return
		}
		wantErr(t, err, context.Canceled)
		tidy(t, path)
		db = must(snib.Open(path, snibtest.Fast(nil)))(t)
		sameTrees(t, trees(t, db), before)
		snibtest.CheckAndClose(t, db)
	}
}

// The temporary files have no names where an open file can go without, and are
// not for others to read.
func TestOpenLeavesNothingBesideTheFile(t *testing.T) {
	path, _ := old(t, 5, 150)
	beside := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	left := must(durable.Beside(path, "sorting"))(t) // by a crash, where the name of an open file stays
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"accounts.db.sorting-123", "accounts.db.sorting-"} {
		if err := os.WriteFile(beside(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(beside("accounts.db.sorting-5"), 0o700); err != nil {
		t.Fatal(err)
	}
	o := newRules
	most := 0
	o.Progress = func(snib.Progress) { most = max(most, len(must(os.ReadDir(filepath.Dir(path)))(t))) }
	snibtest.CheckAndClose(t, must(small.OpenContext(ctx, path, snibtest.Fast(&o)))(t))
	var got []string
	for _, e := range must(os.ReadDir(filepath.Dir(path)))(t) {
		got = append(got, e.Name())
	}
	want := []string{"accounts.db", "accounts.db.sorting-", "accounts.db.sorting-123", "accounts.db.sorting-5"}
	if !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
	if most != len(want) {
		t.Errorf("%d files during the build, want %d", most, len(want))
	}
}

func wantConflict(tb testing.TB, err error, name string, users ...snib.UserID) {
	tb.Helper()
	e, ok := errors.AsType[*snib.ConflictError](err)
	if !ok || e.Name != name || !slices.Equal(e.Users[:], users) {
		tb.Errorf("got %#v, want a conflict about %s of %v", err, name, users)
	}
}

// A conflict that is found only when sorted runs are merged changes no byte.
func TestOpenWithAConflictInSortedRunsLeavesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	a := accounts{seed: 9}
	db := must(snib.Open(path, a.options(oldRules)))(t)
	for _, id := range []snib.UserID{"zz", "aa"} {
		must(db.ImportUser(ctx, snib.UserImport{ID: id, Provider: "github", Identifier: string(id), Attributes: snib.Attributes{"unique": "Same"}}))(t)
	}
	a.fill(t, db, 150)
	snibtest.CheckAndClose(t, db)
	original := must(os.ReadFile(path))(t)
	_, err := small.OpenContext(ctx, path, snibtest.Fast(&newRules))
	wantErr(t, err, snib.ErrAttributeTaken)
	wantConflict(t, err, "unique", "aa", "zz")
	if string(original) != string(must(os.ReadFile(path))(t)) {
		t.Error("the file was changed")
	}
	tidy(t, path)
}

// weigher is a store that tells how many bytes one transaction has put at most.
type weigher struct {
	kv.Store
	most *int
}

func (w weigher) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	return w.Store.Exclusive(ctx, func(t kv.Tx) error {
		x := &weighed{Tx: t}
		err := fn(x)
		*w.most = max(*w.most, x.bytes)
		return err
	})
}

type weighed struct {
	kv.Tx
	bytes int
}

func (w *weighed) Put(space kv.Space, key, value []byte) error {
	w.bytes += len(key) + len(value)
	return w.Tx.Put(space, key, value)
}

func (w *weighed) Unwrap() kv.Reader { return w.Tx }

// Memory is that of one batch, however many users there are and however long
// their records.
func TestOpenBuildsInTransactionsOfBoundedSize(t *testing.T) {
	path, _ := old(t, 13, 150)
	build, most := small, 0
	build.Wrap = func(inner kv.Store) kv.Store { return weigher{inner, &most} }
	db := must(build.OpenContext(ctx, path, snibtest.Fast(&newRules)))(t)
	longest, total := 0, 0
	for key, value := range trees(t, db) {
		longest, total = max(longest, len(key)+len(value)), total+len(value)
	}
	snibtest.CheckAndClose(t, db)
	if bound := small.Bytes + longest; most > bound || total < 10*bound {
		t.Errorf("a transaction has put %d bytes, more than %d; %d in all", most, bound, total)
	}
}
