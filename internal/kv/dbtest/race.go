package dbtest

import (
	"errors"
	"sync"
)

// race runs functions at once and returns their errors.
func (l *lab) race(fns ...func() error) []error {
	errs := make([]error, len(fns))
	var begin, done sync.WaitGroup
	begin.Add(1)
	for i, fn := range fns {
		done.Go(func() {
			begin.Wait()
			errs[i] = fn()
		})
	}
	begin.Done()
	done.Wait()
	return errs
}

// count counts the errors of a kind; a nil kind counts the calls without an error.
func count(errs []error, kind error) (n int) {
	for _, err := range errs {
		if kind == nil && err == nil || kind != nil && errors.Is(err, kind) {
			n++
		}
	}
	return n
}
