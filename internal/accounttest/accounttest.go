// Package accounttest has what tests of accounts say again and again: make a user or
// a session, and fail unless an error, a token or a list is as it should be.
package accounttest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/snibdb/snib"
)

// Password is that of all users of [Email].
const Password = "correct horse battery"

// Second drops all but the error.
func Second[T any](_ T, err error) error { return err }

// Must returns v, failing the test on an error.
func Must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatalf("unexpected error: %v", err)
		}
		return v
	}
}

// WantErr fails the test unless err is want.
func WantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got error %v, want %v", err, want)
	}
}

// WantField fails the test unless err is an InputError of field.
func WantField(tb testing.TB, err error, field string) {
	tb.Helper()
	e, ok := errors.AsType[*snib.InputError](err)
	if !ok || !strings.HasPrefix(e.Field, field) || !errors.Is(err, snib.ErrInvalidInput) {
		tb.Fatalf("got error %v, want an InputError of %s", err, field)
	}
	if e.Code == "" || e.Reason == "" {
		tb.Fatalf("%s has the code %q and the reason %q", e.Field, e.Code, e.Reason)
	}
}

// Close closes db.
func Close(tb testing.TB, db *snib.DB) {
	tb.Helper()
	if err := db.Close(); err != nil {
		tb.Fatalf("close: %v", err)
	}
}

// HoldWriter keeps the writer inside an Update until release is called, or the
// test ends. fn runs first, if it is not nil. Without the release at the end
// of the test a failure in between would leave Close waiting for ever; without
// the second look at done a database that refuses the Update would.
func HoldWriter(tb testing.TB, db *snib.DB, fn func(*snib.Tx) error) (release func()) {
	tb.Helper()
	held, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		closure := func(tx *snib.Tx) error {
			if fn != nil {
				if err := fn(tx); err != nil {
					return err
				}
			}
			close(held)
			<-leave
			return nil
		}
		err := db.Update(context.Background(), closure)
		for errors.Is(err, snib.ErrBusy) { // on a busy machine it did not come to its turn
			err = db.Update(context.Background(), closure)
		}
		done <- err
	}()
	release = sync.OnceFunc(func() {
		close(leave)
		if err := <-done; err != nil {
			tb.Errorf("the Update that held the writer: %v", err)
		}
	})
	tb.Cleanup(release)
	select {
	case <-held:
	case err := <-done:
		done <- err
		tb.FailNow()
	}
	return release
}
