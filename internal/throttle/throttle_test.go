package throttle

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// start is a time for tests, in Unix milliseconds.
const start = int64(1_800_000_000_000)

func at(d time.Duration) int64 { return start + d.Milliseconds() }

func addr(s string) Address { return netip.MustParseAddr(s).As16() }

// try makes an attempt that fails, and returns how long it would have to wait.
func try(l *Limiter, when time.Duration, from Address, name ...string) time.Duration {
	_, wait := l.Begin(Request{Now: at(when), Name: name, From: from})
	return wait
}

// TestStep: the rule's own numbers.
func TestStep(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		0: 0, 4: 0, 5: 30 * time.Second, 6: time.Minute, 7: 2 * time.Minute, 8: 4 * time.Minute, 9: 8 * time.Minute,
		10: 16 * time.Minute, 11: 32 * time.Minute, 12: time.Hour, 13: time.Hour, 49: time.Hour, 50: 24 * time.Hour, 127: 24 * time.Hour,
	} {
		if got := Step(failures); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
}

// TestGuessingRate: whoever tries every second for weeks gets ten guesses in
// fifteen minutes, and one a day in the long run.
func TestGuessingRate(t *testing.T) {
	l := New([32]byte{1})
	var made []time.Duration
	for when := time.Duration(0); when < 40*Day; when += time.Second {
		if when > Day && when%time.Minute != 0 {
			continue
		}
		if try(l, when, Address{}, "user", "ada") == 0 {
			made = append(made, when)
		}
	}
	for i, when := range made {
		n := 0
		for _, later := range made[i:] {
			if later-when < 15*time.Minute {
				n++
			}
		}
		if n > 10 {
			t.Errorf("%d guesses in the 15 minutes from %v", n, when)
		}
	}
	last := 0
	for _, when := range made {
		if when > 30*Day {
			last++
		}
	}
	if last != 10 || len(made) > 100 {
		t.Errorf("%d guesses in 40 days, %d in the last ten", len(made), last)
	}
}

// TestManyAtOnce: each attempt counts before it is made.
func TestManyAtOnce(t *testing.T) {
	l, n := New([32]byte{1}), 0
	for range 40 {
		if try(l, 0, Address{}, "user", "ada") == 0 {
			n++
		}
	}
	if n != Free {
		t.Errorf("%d of 40 at once are made, want %d", n, Free)
	}
}

// TestClose: the 100th failure closes a name where that is asked for, and the
// next day does not open it.
func TestClose(t *testing.T) {
	l := New([32]byte{1})
	request := Request{Name: []string{"user", "ada"}, Closes: true}
	n, when := 0, time.Duration(0)
	for ; when < 400*Day; when += Day {
		request.Now = at(when)
		if _, wait := l.Begin(request); wait == 0 {
			n++
		} else {
			break
		}
	}
	if n < Close || n > 2*Close { // counts fade by one in two days
		t.Fatalf("closed after %d guesses, one a day", n)
	}
	request.Closes = false
	if _, wait := l.Begin(request); wait != 0 {
		t.Errorf("where nothing closes: wait %v", wait)
	}
	l.Forget(at(when), request.Name...)
	request.Closes = true
	if _, wait := l.Begin(request); wait != 0 {
		t.Errorf("unlocked: wait %v", wait)
	}
}

// TestFloodEvictsNothing: a name stays throttled whatever other names are
// guessed at, and the memory is fixed.
func TestFloodEvictsNothing(t *testing.T) {
	l := New([32]byte{1})
	for range Free {
		try(l, 0, Address{}, "user", "ada")
	}
	for i := range 200_000 {
		try(l, 10*time.Second, Address{}, "identity", fmt.Sprint(i))
	}
	if wait := try(l, 20*time.Second, Address{}, "user", "ada"); wait == 0 {
		t.Error("a flood of names has set it free")
	}
	free := 0
	for i := range 1000 {
		if try(l, 20*time.Second, Address{}, "user", fmt.Sprint("other", i)) == 0 {
			free++
		}
	}
	if free < 990 {
		t.Errorf("%d of 1000 other names are free after 200,000 failures", free)
	}
	n := 0
	for _, b := range l.blocks {
		if b != nil {
			n++
		}
	}
	if n != Blocks-proven {
		t.Errorf("%d blocks", n)
	}
}

// TestStrangersDoNotReachTheCountsOfLiveSecrets, with whatever names.
func TestStrangersDoNotReachTheCountsOfLiveSecrets(t *testing.T) {
	l := New([32]byte{1})
	live := map[uint16]bool{}
	for i := range 20_000 {
		live[l.place([]string{Device, "ada", fmt.Sprint(i)}).block] = true
		live[l.place([]string{Session, "ada", fmt.Sprint(i)}).block] = true
		live[l.place([]string{Factor, fmt.Sprint(i)}).block] = true
	}
	for i := range 20_000 {
		for _, kind := range []string{"user", "identity", "purpose", "device ", ""} {
			if b := l.place([]string{kind, fmt.Sprint(i)}).block; live[b] {
				t.Fatalf("%q of strangers counts in block %d", kind, b)
			}
		}
	}
	if len(live) != proven {
		t.Errorf("live secrets count in %d blocks, want %d", len(live), proven)
	}
}

// TestSuccessLeavesOthers: a name that shares a cell with another does not set
// that free, however often it succeeds.
func TestSuccessLeavesOthers(t *testing.T) {
	l := New([32]byte{1})
	target := placeOf(l.sum("account", "user", "ada"), false)
	b := l.block(target.block, start)
	for range 12 {
		b.add(target, start)
	}
	shared := 0
	for i := 0; shared < 20; i++ {
		name := fmt.Sprint(i)
		p := placeOf(l.sum("account", "user", name), false)
		if p.block != target.block || !slices.ContainsFunc(p.cells[:], func(c uint8) bool { return slices.Contains(target.cells[:], c) }) {
			continue
		}
		shared++
		for range 3 {
			if a, _ := l.Begin(Request{Now: at(time.Hour), Name: []string{"user", name}}); a != nil {
				a.Succeed()
			}
		}
	}
	if got := l.Failures(start, "user", "ada"); got < 12 {
		t.Errorf("%d failures are left of 12", got)
	}
}

func TestSuccessEndsTheRun(t *testing.T) {
	l := New([32]byte{1})
	for range 4 {
		try(l, 0, Address{}, "user", "ada")
	}
	a, _ := l.Begin(Request{Now: start, Name: []string{"user", "ada"}})
	a.Succeed()
	for i := range Free {
		if wait := try(l, time.Second, Address{}, "user", "ada"); wait != 0 {
			t.Errorf("guess %d after a success: %v", i, wait)
		}
	}
}

// TestRefund: an attempt that was not made neither counts nor moves the time of
// the last.
func TestRefund(t *testing.T) {
	l := New([32]byte{1})
	for range Free {
		try(l, 0, addr("203.0.113.9"), "user", "ada")
	}
	for i := range 50 {
		a, wait := l.Begin(Request{Now: at(time.Minute), Name: []string{"user", "ada"}, From: addr("203.0.113.9")})
		if a == nil {
			t.Fatalf("after %d that were not made: %v", i, wait)
		}
		a.Refund()
	}
}

// TestRefusedOnesCountNothing: whoever goes on trying does not keep the owner
// out for longer, and is told the step and not the rest of it.
func TestRefusedOnesCountNothing(t *testing.T) {
	l := New([32]byte{1})
	for range Free {
		try(l, 0, Address{}, "user", "ada")
	}
	for when := time.Duration(0); when < 30*time.Second; when += time.Second {
		if wait := try(l, when, Address{}, "user", "ada"); wait != 30*time.Second {
			t.Fatalf("at %v: %v", when, wait)
		}
	}
	if wait := try(l, 30*time.Second, Address{}, "user", "ada"); wait != 0 {
		t.Errorf("after the step: %v", wait)
	}
}

// TestCountsFade: by one in two days, and never faster than a guess a day.
func TestCountsFade(t *testing.T) {
	l := New([32]byte{1})
	for range Free {
		try(l, 0, Address{}, "user", "ada")
	}
	if got := l.Failures(at(2*FadeEvery), "user", "ada"); got != Free-2 {
		t.Errorf("%d failures after two periods, want %d", got, Free-2)
	}
	if got := l.Failures(at(100*FadeEvery), "user", "ada"); got != 0 {
		t.Errorf("%d failures after a hundred", got)
	}
}

// TestClockSetBack: nobody waits for longer than a step.
func TestClockSetBack(t *testing.T) {
	l := New([32]byte{1})
	from := addr("203.0.113.9")
	for range Free {
		try(l, 1000*Day, from, "user", "ada")
	}
	try(l, 0, from, "user", "ada") // the clock is a thousand days back
	if wait := try(l, time.Hour, from, "user", "ada"); wait != 0 {
		t.Errorf("an hour later: %v", wait)
	}
}

// TestNetworks: how many failures of names that differ come from where.
func TestNetworks(t *testing.T) {
	for _, c := range []struct {
		name string
		from func(i int) Address
		want int
	}{
		{"one address", func(int) Address { return addr("203.0.113.9") }, 20},
		{"mapped and translated", func(i int) Address { return addr([]string{"203.0.113.9", "64:ff9b::cb00:7109"}[i%2]) }, 20},
		{"a /24", func(i int) Address { return addr(fmt.Sprintf("203.0.113.%d", i%256)) }, 160},
		{"a /64", func(i int) Address { return addr(fmt.Sprintf("2001:db8::%x", i+1)) }, 20},
		{"a /56", func(i int) Address { return addr(fmt.Sprintf("2001:db8:0:%x::1", i%256)) }, 80},
		{"a /48", func(i int) Address { return addr(fmt.Sprintf("2001:db8:0:%x::1", i)) }, 320},
		{"loopback", func(int) Address { return addr("127.0.0.1") }, 10_000},
		{"private", func(int) Address { return addr("192.168.1.7") }, 10_000},
		{"unique local", func(int) Address { return addr("fd00::1") }, 10_000},
		{"link-local", func(int) Address { return addr("fe80::1") }, 10_000},
		{"not known", func(int) Address { return Address{} }, 10_000},
	} {
		l, n := New([32]byte{1}), 0
		for i := range 10_000 {
			if try(l, 0, c.from(i), "identity", fmt.Sprint(i)) == 0 {
				n++
			}
		}
		if n != c.want && !(c.want == 10_000 && n > 9_900) { // names share cells
			t.Errorf("%s: %d failures at once, want %d", c.name, n, c.want)
		}
	}
}

// TestNetworksAreSlowedAndNeverClosed: two a minute go on for ever, and
// successes cost nothing.
func TestNetworksAreSlowedAndNeverClosed(t *testing.T) {
	l, from, n := New([32]byte{1}), addr("203.0.113.9"), 0
	for when := time.Duration(0); when < time.Hour; when += time.Second {
		if try(l, when, from, "identity", fmt.Sprint(when)) == 0 {
			n++
		}
	}
	if n < 20+115 || n > 20+120 {
		t.Errorf("%d failures in an hour", n)
	}
	l = New([32]byte{1})
	for i := range 1000 {
		a, wait := l.Begin(Request{Now: start, Name: []string{"user", fmt.Sprint(i)}, From: from})
		if a == nil {
			t.Fatalf("success %d must wait %v", i, wait)
		}
		a.Succeed()
	}
}

// TestStoredAndLoaded: another process goes on where this one has stopped.
func TestStoredAndLoaded(t *testing.T) {
	l, again := New([32]byte{1}), New([32]byte{1})
	for range Free {
		try(l, 0, Address{}, "user", "ada")
		try(l, 0, Address{}, "identity", "nobody")
	}
	if some, urgent := l.Pending(); !some || !urgent {
		t.Errorf("pending %t, urgent %t", some, urgent)
	}
	all, _ := l.Take(start, true)
	for _, r := range all {
		again.Load(r)
	}
	if some, _ := l.Pending(); some {
		t.Error("there is still something to store")
	}
	for _, name := range [][]string{{"user", "ada"}, {"identity", "nobody"}} {
		if wait := try(again, 29*time.Second, Address{}, name...); wait != 30*time.Second {
			t.Errorf("%v: wait %v", name, wait)
		}
		if wait := try(again, 30*time.Second, Address{}, name...); wait != 0 {
			t.Errorf("%v: wait %v after the step", name, wait)
		}
	}
}

// TestBudgetOfAMinute: a flood over all blocks is stored little by little, and
// what makes somebody wait comes first.
func TestBudgetOfAMinute(t *testing.T) {
	l := New([32]byte{1})
	for i := range 100_000 {
		try(l, 0, Address{}, "identity", fmt.Sprint(i))
	}
	for range Free {
		try(l, 0, Address{}, "user", "ada")
	}
	ada := placeOf(l.sum("account", "user", "ada"), false).block
	taken := map[uint16]bool{}
	for minute := range 40 {
		bytes := 0
		for second := range 3 {
			some, _ := l.Take(at(time.Duration(minute)*time.Minute+time.Duration(second)*time.Second), false)
			for _, r := range some {
				bytes += r.bytes()
				taken[r.Block] = true
			}
		}
		if bytes > Budget {
			t.Errorf("%d bytes in minute %d", bytes, minute)
		}
		if !taken[ada] {
			t.Error("a count that makes others wait was not among the first")
		}
	}
	if len(taken) != Blocks-proven {
		t.Errorf("%d blocks are stored after 40 minutes", len(taken))
	}
	if some, _ := l.Pending(); some {
		t.Error("there is still something to store")
	}
	try(l, 0, Address{}, "user", "grace")
	all, _ := l.Take(at(time.Hour), true)
	l.Return(all)
	if some, _ := l.Pending(); !some {
		t.Error("what was not stored is forgotten")
	}
}
