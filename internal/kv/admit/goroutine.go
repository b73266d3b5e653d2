package admit

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"

	"github.com/petermattis/goid"
)

// identify returns the function that gives the id of the calling goroutine. It
// is chosen when the first store is made: see identity.
var identify = sync.OnceValue(func() func() uint64 { return identity(goid.Get) })

// identity returns fast, or goroutine where fast is not right.
//
// Go gives no id but in the text of a stack trace, which takes microseconds.
// fast reads the field that the text is printed from. Where that field lies
// depends on the version of Go, and it may move without notice; but it lies in
// one place throughout a program. Therefore a few goroutines that are alive at
// once compare: if fast read something else, it would have to be right for each
// of them by accident.
func identity(fast func() int64) func() uint64 {
	const goroutines = 4
	right := make(chan bool, goroutines)
	var alive sync.WaitGroup
	alive.Add(goroutines)
	for range goroutines {
		go func() {
			alive.Done()
			alive.Wait()
			id := goroutine()
			right <- id != 0 && uint64(fast()) == id
		}()
	}
	all := true
	for range goroutines {
		all = <-right && all
	}
	if !all {
		return goroutine
	}
	return func() uint64 { return uint64(fast()) }
}

// goroutine returns the id of the calling goroutine, from the first line of
// its stack trace, "goroutine 18 [running]:"; zero if it cannot be read.
func goroutine() uint64 {
	var buf [40]byte
	text := buf[:runtime.Stack(buf[:], false)]
	text = bytes.TrimPrefix(text, []byte("goroutine "))
	digits, _, _ := bytes.Cut(text, []byte(" "))
	id, _ := strconv.ParseUint(string(digits), 10, 64)
	return id
}
