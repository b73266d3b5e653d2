package snibetcd

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/kvtest"
)

// prefixes gives each directory of a test a prefix.
var prefixes struct {
	sync.Mutex
	of map[string]string
}

func prefixOf(dir string) string {
	prefixes.Lock()
	defer prefixes.Unlock()
	if prefixes.of == nil {
		prefixes.of = map[string]string{}
	}
	if prefixes.of[dir] == "" {
		prefixes.of[dir] = fmt.Sprintf("/t%d/", len(prefixes.of))
	}
	return prefixes.of[dir]
}

// TestContract: the contract of an engine, with and without runs in vain.
func TestContract(t *testing.T) {
	for _, vain := range []bool{false, true} {
		t.Run(map[bool]string{false: "Once", true: "Twice"}[vain], func(t *testing.T) {
			c := connect(t)
			kvtest.Run(t, func(tb testing.TB, dir string, spaces []kv.SpaceSpec, twice bool) kv.Store {
				tb.Helper()
				e, err := Open(c, &Options{Prefix: prefixOf(dir)})
				if err != nil {
					tb.Fatal(err)
				}
				e.twice = twice || vain
				s, err := e.Open(context.Background(), kv.Setup{Spaces: spaces, BusyTimeout: 1e11})
				if err != nil {
					tb.Fatal(err)
				}
				tb.Cleanup(func() {
					if err := s.Close(); err != nil && !strings.Contains(filepath.Base(tb.Name()), "Close") {
						tb.Error(err)
					}
				})
				return s
			}, kvtest.ManyWriters, kvtest.LateSnapshots, kvtest.BoundedExclusive)
		})
	}
}
