package snibops

import (
	"sync"
	"testing"
)

// TestInfoMayBeAskedMeanwhile: by another goroutine, while a call connects.
func TestInfoMayBeAskedMeanwhile(t *testing.T) {
	c := local(t, nil, nil)
	var asking sync.WaitGroup
	asking.Go(func() {
		for c.Info().Protocol == 0 {
		}
	})
	must(VerbPing.Do(t.Context(), c, None{}, nil))(t)
	asking.Wait()
}
