package throttle

import (
	"context"
	"testing"
	"time"
)

// A timer that was set again while it ran out is not lost: Stop does not wait for
// it.
func TestStopWaitsForNoTimer(t *testing.T) {
	k := NewKeeper(New([32]byte{}), KeeperConfig{
		Now: func() int64 { return start }, Refused: func(int) {}, Failed: func(error) {},
		Store: func(context.Context, []Record) error { return nil },
	})
	k.mu.Lock()
	k.armLocked(0, false)
	time.Sleep(10 * time.Millisecond) // it has run out, and waits for the lock
	k.armLocked(time.Hour, true)
	k.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	stopped := make(chan struct{})
	go func() { defer close(stopped); k.Stop(context.Background()) }()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Fatal("Stop waits for the timer")
	}
}
