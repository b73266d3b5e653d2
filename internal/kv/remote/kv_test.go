package remote_test

import (
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/kvtest"
	"github.com/snibdb/snib/internal/kv/remote"
	"github.com/snibdb/snib/internal/testseed"
)

// TestContract runs the contract over a server in memory: a calm one, one that
// fails every third commit, and one that runs writers twice. Scans read pages of
// 97 keys.
func TestContract(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(string, remote.Mode) error
		twice bool
	}{
		{"Calm", nil, false},
		{"Hostile", hostile(testseed.Of(t), 3, "begin", "commit", "resolve"), false},
		{"Twice", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			servers := map[string]*server{}
			kvtest.Run(t, func(tb testing.TB, dir string, _ []kv.SpaceSpec, twice bool) kv.Store {
				mu.Lock()
				defer mu.Unlock()
				if servers[dir] == nil {
					servers[dir] = newServer()
				}
				s := remote.New(&fake{server: servers[dir], fault: test.fault}, remote.Options{
					Twice: twice || test.twice, Page: 97, BusyTimeout: time.Minute,
				})
				tb.Cleanup(func() {
					if err := s.Close(); err != nil {
						tb.Error(err)
					}
				})
				return s
			}, kvtest.ManyWriters, kvtest.LateSnapshots)
		})
	}
}
