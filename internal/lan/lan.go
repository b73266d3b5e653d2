// Package lan has networks for tests: hosts that a partition cuts off from each other
// without a word, and wires that are long. A packet to a host that is cut off is
// dropped: there is no reset, no refusal, no answer of any kind, until the network
// heals; then what was sent meanwhile may still arrive.
package lan

import (
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// skip skips a test, so that it is seen.
func skip(tb testing.TB, why error) {
	tb.Helper()
	fmt.Fprintf(os.Stderr, "!!!! %s: NO PARTITION IS TESTED: network namespaces need Linux, root and iproute2: %v !!!!\n", tb.Name(), why)
	tb.Skip(why)
}

// Slow returns an address on loopback that leads to another, with a delay each way.
// Bytes follow each other as closely as they were sent. It ends with the test.
func Slow(tb testing.TB, network, to string, delay time.Duration) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	tb.Cleanup(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			c.Close()
		}
	})
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial(network, to)
			if err != nil {
				near.Close()
				continue
			}
			mu.Lock()
			open[near], open[far] = true, true
			mu.Unlock()
			go carry(near, far, delay)
			go carry(far, near, delay)
		}
	}()
	return l.Addr().String()
}

// carry takes bytes from one connection to another, each after a delay.
func carry(from, to net.Conn, delay time.Duration) {
	type packet struct {
		bytes []byte
		due   time.Time
	}
	way := make(chan packet, 4096)
	go func() {
		defer close(way)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			if n > 0 {
				way <- packet{b[:n], time.Now().Add(delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			from.Close() // and so its reader ends
		}
	}
	to.Close()
}
