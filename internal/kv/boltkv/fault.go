package boltkv

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/snibdb/snib/internal/kv"
)

// corrupt makes kv.ErrCorrupt of a panic of bbolt. bbolt's text for a misplaced
// header quotes keys; it is cut there.
func corrupt(p any) error {
	text, _, _ := strings.Cut(fmt.Sprint(p), " header:")
	return fmt.Errorf("%w: %s", kv.ErrCorrupt, text)
}

// isFault reports whether p is a memory fault: an access to the map that the
// kernel could not serve. It is a panic only while debug.SetPanicOnFault is
// on for the goroutine; else it ends the program.
func isFault(p any) bool {
	err, ok := p.(runtime.Error)
	if !ok {
		return false
	}
	_, ok = err.(interface{ Addr() uintptr })
	return ok
}

// faultsPanic makes memory faults of this goroutine panics and returns the
// function that puts things back.
func faultsPanic() (restore func()) {
	before := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(before) }
}

// guarded runs code that calls bbolt and no closure of an application; a panic
// out of it is kv.ErrCorrupt.
func guarded(fn func() error) (err error) {
	defer faultsPanic()()
	defer func() {
		if p := recover(); p != nil {
			err = corrupt(p)
		}
	}()
	return fn()
}
