package witness

import (
	"encoding/binary"
	"sync"
	"testing"

	"github.com/snibdb/snib/codec"
)

// key returns a session of a user.
func key(user, session uint32) (k codec.OwnedKey) {
	binary.BigEndian.PutUint32(k[:], user)
	binary.BigEndian.PutUint32(k[codec.OwnerBytes:], session)
	return k
}

var none codec.OwnedKey

func TestUsedIsOnlyWhatWasExpectedAndAccepted(t *testing.T) {
	var x Table
	x.Accepted(key(1, 1)) // before anything is expected
	if x.Used(key(1, 1)) || x.Repeats(key(1, 1)) != 0 {
		t.Error("an empty memory knows something")
	}
	x.Repeated(key(1, 1), key(1, 1))
	x.Expect(none, key(1, 1))
	if x.Used(key(1, 1)) {
		t.Error("used before it was accepted")
	}
	x.Accepted(key(1, 2)) // another session of the user
	x.Accepted(key(2, 1))
	if x.Used(key(1, 1)) || x.Used(key(1, 2)) || x.Used(key(2, 1)) {
		t.Error("used by another session's acceptance")
	}
	x.Accepted(key(1, 1))
	x.Accepted(key(1, 1))
	if !x.Used(key(1, 1)) {
		t.Error("not used once accepted")
	}
	x.Expect(key(1, 1), key(1, 3)) // the next generation
	if x.Used(key(1, 1)) || x.Used(key(1, 3)) {
		t.Error("a generation that was replaced is remembered")
	}
}

func TestRepeatsAreCountedAndMoveWithTheSession(t *testing.T) {
	var x Table
	x.Expect(none, key(1, 1))
	x.Repeated(key(1, 1), key(1, 1))
	x.Accepted(key(1, 1))
	x.Repeated(key(1, 1), key(1, 2))
	if x.Repeats(key(1, 1)) != 0 || x.Repeats(key(1, 2)) != 2 || !x.Used(key(1, 2)) {
		t.Error("the session that took the place does not know what was known")
	}
	x.Repeated(key(1, 9), key(1, 9)) // unknown: not counted
	if x.Repeats(key(1, 9)) != 0 {
		t.Error("an unknown answer is counted")
	}
	x.Expect(key(1, 2), key(1, 3))
	if x.Repeats(key(1, 3)) != 0 {
		t.Error("repeats of another generation")
	}
}

// A user has eight, and loses the oldest of its own.
func TestNinthExpectedForgetsTheOldest(t *testing.T) {
	var x Table
	for s := range uint32(9) {
		x.Expect(none, key(1, s+1))
	}
	for s := range uint32(9) {
		x.Accepted(key(1, s+1))
		if got, want := x.Used(key(1, s+1)), s != 0; got != want {
			t.Errorf("session %d known %t, want %t", s+1, got, want)
		}
	}
	x.Expect(key(1, 5), key(1, 10)) // in the place of its own predecessor
	for _, s := range []uint32{2, 3, 4, 6, 7, 8, 9} {
		if !x.Used(key(1, s)) {
			t.Errorf("session %d was forgotten for a generation that replaces another", s)
		}
	}
}

// The memory does not grow: 64 k in all.
func TestMemoryIsBounded(t *testing.T) {
	var x Table
	const users = 100_000
	for u := range uint32(users) {
		x.Expect(none, key(u, 1))
	}
	known := 0
	for u := range uint32(users) {
		x.Accepted(key(u, 1))
		if x.Used(key(u, 1)) {
			known++
		}
	}
	if known > 64<<10 || known < 32<<10 {
		t.Errorf("%d are known of %d", known, users)
	}
}

func TestAcceptedAllocatesNothing(t *testing.T) {
	var x Table
	x.Expect(none, key(1, 1))
	if n := testing.AllocsPerRun(100, func() { x.Accepted(key(1, 1)); x.Accepted(key(1, 2)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Accepted takes no lock: run with -race.
func TestAcceptedRacesExpect(t *testing.T) {
	var x Table
	var all sync.WaitGroup
	for u := range uint32(4) {
		all.Go(func() {
			for s := range uint32(2000) {
				x.Expect(key(u, s), key(u, s+1))
				x.Accepted(key(u, s+1))
				if !x.Used(key(u, s+1)) {
					t.Errorf("user %d: session %d was accepted and is not used", u, s+1)
					return
				}
			}
		})
		all.Go(func() {
			for s := range uint32(2000) {
				x.Accepted(key(u, s/2))
				x.Repeated(key(u, s), key(u, s))
			}
		})
	}
	all.Wait()
}

func BenchmarkAccepted(b *testing.B) {
	var x Table
	x.Expect(none, key(1, 1))
	for b.Loop() {
		x.Accepted(key(1, 1))
	}
}
