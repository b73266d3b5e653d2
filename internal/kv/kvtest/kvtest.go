// Package kvtest checks that an engine keeps the contract of package kv. Each
// subtest of [Run] is one point of it.
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// Spaces that the tests use.
const (
	plain     kv.Space = iota // keys in any order
	ascending                 // keys mostly in order
	other                     // touched by few
)

var specs = []kv.SpaceSpec{{Name: "plain"}, {Name: "ascending", Ascending: true}, {Name: "other"}}

// Open opens the store in dir, which is empty or was used before. It sees to
// it that the store is closed and checked when the test has ended. twice asks
// that closures are run twice; an engine that cannot do that ignores it.
type Open func(tb testing.TB, dir string, spaces []kv.SpaceSpec, twice bool) kv.Store

// A Trait is a choice that the contract leaves to an engine.
type Trait int

const (
	// ManyWriters: closures of writers run at once, and those that lose to others
	// run again.
	ManyWriters Trait = iota

	// LateSnapshots: a snapshot is fixed by its reads, not by its begin.
	LateSnapshots

	// BoundedExclusive: an Exclusive has a bound on writes, too, as a transaction is
	// one request.
	BoundedExclusive
)

// Run runs all subtests, each on a store of its own.
func Run(t *testing.T, open func(tb testing.TB, dir string, spaces []kv.SpaceSpec, twice bool) kv.Store, traits ...Trait) {
	waits, snapshots := contextWhileWaiting, snapshots
	if slices.Contains(traits, ManyWriters) {
		waits = contextWhileWriting
	}
	if slices.Contains(traits, LateSnapshots) {
		snapshots = lateSnapshots
	}
	exclusive := exclusiveHasNoBudget
	if slices.Contains(traits, BoundedExclusive) {
		exclusive = exclusiveIsRefusedWhole
	}
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open Open)
	}{
		{"ReadYourWrites", readYourWrites},
		{"SpacesAreIndependent", spacesAreIndependent},
		{"Order", order},
		{"RandomOperations", randomOperations},
		{"GetMany", getMany},
		{"GetManyVisits", getManyVisits},
		{"ReadAhead", readAhead},
		{"PhantomsAhead", phantomsAhead},
		{"Claims", claims},
		{"KeysAndValues", keysAndValues},
		{"Budget", budget},
		{"BudgetOfDeleteRange", budgetOfDeleteRange},
		{"ExclusiveBudget", exclusive},
		{"EmptyIsNotAbsent", emptyIsNotAbsent},
		{"ArgumentsAreNotKept", argumentsAreNotKept},
		{"SlicesLastAsPromised", slicesLastAsPromised},
		{"ClosureError", closureError},
		{"VisitError", visitError},
		{"RunTwice", runTwice},
		{"Doomed", doomed},
		{"Durable", durable},
		{"Snapshots", snapshots},
		{"AckIsVisible", ackIsVisible},
		{"Increments", increments},
		{"WriteSkew", writeSkew},
		{"WriteSkewOfMany", writeSkewOfMany},
		{"WriteSkewOfAnOwner", writeSkewOfAnOwner},
		{"Phantoms", phantoms},
		{"Sums", sums},
		{"ContextBefore", contextBefore},
		{"ContextWhileWaiting", waits},
		{"Nested", nested},
		{"OtherGoroutine", otherGoroutine},
		{"FailingMembers", failingMembers},
		{"Goexit", goexit},
		{"Panic", panics},
		{"PanicOfApply", panicOfApply},
		{"GoexitOfApply", goexitOfApply},
		{"Release", release},
		{"UseAfterEnd", useAfterEnd},
		{"Close", closeStore},
		{"CloseWaits", closeWaits},
		{"CloseWhileWriting", closeWhileWriting},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// fresh opens a store in a directory of its own.
func fresh(t *testing.T, open Open) kv.Store {
	t.Helper()
	return open(t, t.TempDir(), specs, false)
}

var ctx = context.Background()

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want reports an error that is not the wanted one.
func want(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// key is the i-th key in order.
func key(i int) []byte { return fmt.Appendf(nil, "k%06d", i) }

// put commits one key.
func put(t testing.TB, s kv.Store, space kv.Space, k, v string) {
	t.Helper()
	must(t, s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(space, []byte(k), []byte(v)) }))
}

// dump returns all of a space as text.
func dump(t testing.TB, s kv.Store, space kv.Space) string {
	t.Helper()
	var text string
	must(t, s.View(ctx, func(r kv.Reader) (err error) {
		text, err = list(r, space, nil, nil, 0)
		return err
	}))
	return text
}

// list returns the result of a scan as text.
func list(r kv.Reader, space kv.Space, from, to []byte, limit int) (string, error) {
	var b bytes.Buffer
	err := r.Scan(space, from, to, limit, func(k, v []byte) error {
		fmt.Fprintf(&b, "%q=%q ", k, v)
		return nil
	})
	return b.String(), err
}

// get returns a value as text, "absent" if the key is missing.
func get(t testing.TB, r kv.Reader, space kv.Space, k string) string {
	t.Helper()
	v, ok, err := r.Get(space, []byte(k))
	switch {
	case err != nil:
		t.Errorf("get %q: %v", k, err)
		return "error"
	case !ok:
		return "absent"
	}
	return string(v)
}

func same(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// writers are the three ways to write.
func writers(s kv.Store) map[string]func(context.Context, func(kv.Tx) error) error {
	return map[string]func(context.Context, func(kv.Tx) error) error{
		"Update": s.Update, "Apply": s.Apply, "Exclusive": s.Exclusive,
	}
}

// parallel runs fn n times at once and waits.
func parallel(n int, fn func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { fn(i) })
	}
	group.Wait()
}

// hold keeps the writer busy in an Update until the returned function is
// called, so that others gather behind it.
func hold(t testing.TB, s kv.Store) (release func()) {
	t.Helper()
	began, end, ended := make(chan bool, 2), make(chan bool), make(chan error, 1)
	go func() {
		ended <- s.Update(ctx, func(kv.Tx) error {
			began <- true
			<-end
			return nil
		})
	}()
	<-began
	return func() {
		t.Helper()
		close(end)
		must(t, <-ended)
	}
}
