package snibpg_test

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/snibdb/snib/snibpg/internal/cluster"
)

// TestServersOutliveThreads: a server of the tests does not end with the thread that
// was in use when it was started.
func TestServersOutliveThreads(t *testing.T) {
	server(t)
	for range 5 {
		s, err := cluster.Start(ctx)
		if errors.Is(err, cluster.ErrMissing) && os.Getenv("SNIB_REQUIRE_SERVERS") != "1" {
			t.Skip(err)
		}
		must(t, err)
		var group sync.WaitGroup
		for range 50 {
			group.Go(runtime.LockOSThread) // and the thread ends with the goroutine
		}
		group.Wait()
		if got := on(t, s, "select 1"); got != "1" {
			t.Errorf("got %s", got)
		}
		must(t, s.Stop())
	}
}
