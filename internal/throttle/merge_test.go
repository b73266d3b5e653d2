package throttle

import (
	"testing"
	"time"
)

// programs are Limiters that store their counts in one place.
type programs struct {
	stored map[uint16]Record
	all    []*Limiter
}

func newPrograms(n int) *programs {
	p := &programs{stored: map[uint16]Record{}}
	for range n {
		l := New([32]byte{1})
		l.Share()
		p.all = append(p.all, l)
	}
	return p
}

// store stores what a program has counted; again says that the transaction had to
// run twice.
func (p *programs) store(i int, now int64, again bool) {
	taken, _ := p.all[i].Take(now, true)
	for _, r := range taken {
		var there *Record
		if x, ok := p.stored[r.Block]; ok {
			there = &x
		}
		merged := r.On(there)
		if again {
			merged = r.On(there)
		}
		p.stored[r.Block] = merged
		p.all[i].Stored(r, merged)
	}
}

func (p *programs) read(i int) {
	for _, r := range p.stored {
		p.all[i].Renew(r)
	}
}

func fail(l *Limiter, now int64, name string) {
	if a, _ := l.Begin(Request{Now: now, Name: []string{name}}); a == nil {
		panic("must wait")
	}
}

func TestFailuresOfAllProgramsAddUp(t *testing.T) {
	p := newPrograms(3)
	for range 2 {
		for i := range p.all {
			fail(p.all[i], start, "ada")
		}
	}
	for i := range p.all {
		p.store(i, start, i == 1)
	}
	p.store(0, start, false) // nothing of its own since
	for i, want := range []int{2, 4, 6} {
		if got := p.all[i].Failures(start, "ada"); got != want {
			t.Errorf("program %d knows of %d failures, want %d", i, got, want)
		}
	}
	p.read(0)
	p.read(0)
	p.read(1)
	for i := range p.all {
		if got := p.all[i].Failures(start, "ada"); got != 6 {
			t.Errorf("program %d knows of %d failures when it has read, want 6", i, got)
		}
		if _, wait := p.all[i].Begin(Request{Now: start, Name: []string{"ada"}}); wait == 0 {
			t.Errorf("program %d lets a sixth try in", i)
		}
	}
}

// What a program counts between its reading and its writing is not lost, and not
// counted twice, whether a write or a reading comes first.
func TestCountsMeanwhileAreKept(t *testing.T) {
	p := newPrograms(2)
	a, b := p.all[0], p.all[1]
	fail(a, start, "ada")
	p.store(0, start, false)
	p.read(1)
	fail(b, start, "ada")
	taken, _ := b.Take(start, true)
	fail(b, start, "ada") // while it is being stored
	for _, r := range taken {
		x := p.stored[r.Block]
		merged := r.On(&x)
		p.stored[r.Block] = merged
		b.Stored(r, merged)
	}
	p.read(1)
	if got := b.Failures(start, "ada"); got != 3 {
		t.Errorf("%d failures, want 3", got)
	}
	p.store(1, start, false)
	p.read(0)
	if got := a.Failures(start, "ada"); got != 3 {
		t.Errorf("the other knows of %d failures, want 3", got)
	}
}

// The end of a run at one program ends it at the others, with the failures that
// it knew.
func TestASuccessAtOneProgramEndsTheRun(t *testing.T) {
	p := newPrograms(2)
	for range 4 {
		fail(p.all[0], start, "ada")
	}
	p.store(0, start, false)
	p.read(1)
	p.all[1].Forget(start, "ada")
	p.store(1, start, false)
	p.read(0)
	for i := range p.all {
		if got := p.all[i].Failures(start, "ada"); got != 0 {
			t.Errorf("program %d knows of %d failures, want 0", i, got)
		}
	}
}

// A program that has seen a later day than the other does not make counts young.
func TestCountsFadeOnceForAll(t *testing.T) {
	p := newPrograms(2)
	for range 4 {
		fail(p.all[0], start, "ada")
	}
	p.store(0, start, false)
	p.read(1)
	later := start + 2*FadeEvery.Milliseconds()
	if got := p.all[1].Failures(later, "ada"); got != 2 {
		t.Fatalf("%d failures two fadings later, want 2", got)
	}
	fail(p.all[1], later, "ada")
	p.store(1, later, false)
	p.store(0, later, false)
	p.read(0)
	if got := p.all[0].Failures(later+int64(time.Second/time.Millisecond), "ada"); got != 3 {
		t.Errorf("%d failures, want 3", got)
	}
}
