package throttle

import (
	"context"
	"testing"
	"testing/synctest"
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
	case <-time.After(time.Minute):
		t.Fatal("Stop waits for the timer")
	}
}

// A count that makes callers wait is stored a second later, also if it changes
// while others are being stored.
func TestChangeDuringAWriteIsStoredSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, begun := New([32]byte{}), time.Now()
		var stored []time.Duration
		var k *Keeper
		k = NewKeeper(l, KeeperConfig{
			Now: func() int64 { return time.Now().UnixMilli() }, Refused: func(int) {}, Failed: func(error) {},
			Store: func(context.Context, []Record) error {
				if stored = append(stored, time.Since(begun)); len(stored) == 1 {
					for range Free {
						try(l, 0, Address{}, "user", "grace")
					}
					k.Changed()
				}
				return nil
			},
		})
		for range Free {
			try(l, 0, Address{}, "user", "ada")
		}
		k.Changed()
		time.Sleep(30 * time.Second)
		k.Stop(t.Context())
		if len(stored) != 2 || stored[0] != time.Second || stored[1] != 2*time.Second {
			t.Errorf("stored after %v, want 1 s and 2 s", stored)
		}
	})
}
