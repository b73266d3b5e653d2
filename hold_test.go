package snib_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/snibdb/snib"
)

// holdWriter keeps the writer inside an Update until release is called, or the
// test ends. fn runs first, if it is not nil. Without the release at the end
// of the test a failure in between would leave Close waiting for ever; without
// the second look at done a database that refuses the Update would.
func holdWriter(tb testing.TB, db *snib.DB, fn func(*snib.Tx) error) (release func()) {
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
		err := db.Update(ctx, closure)
		for errors.Is(err, snib.ErrBusy) { // on a busy machine it did not come to its turn
			err = db.Update(ctx, closure)
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
