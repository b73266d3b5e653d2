package admit

import "sync/atomic"

// A Gate counts the calls inside and can be shut, once, for a reason. Those
// inside are not disturbed; Wait returns when the last has left. Init makes it
// ready.
//
// No lock is needed: Enter counts itself before it looks at the reason, Shut
// stores the reason before Wait looks at the count, so at least one of the two
// sees the other.
type Gate struct {
	open atomic.Int64
	why  atomic.Pointer[error]
	idle chan struct{} // holds a token when the count may have become zero
}

// Init makes the gate open and empty.
func (g *Gate) Init() { g.idle = make(chan struct{}, 1) }

// Reason returns why the gate is shut; nil while it is open.
func (g *Gate) Reason() error {
	if why := g.why.Load(); why != nil {
		return *why
	}
	return nil
}

// Enter lets a call in, which ends with Leave, or returns the reason.
func (g *Gate) Enter() error {
	g.open.Add(1)
	if err := g.Reason(); err != nil {
		g.Leave()
		return err
	}
	return nil
}

// Leave ends a call that Enter has let in.
func (g *Gate) Leave() {
	if g.open.Add(-1) == 0 && g.why.Load() != nil {
		g.Poke()
	}
}

// Shut reports whether it was the one that shut the gate.
func (g *Gate) Shut(why error) bool { return g.why.CompareAndSwap(nil, &why) }

// Wait is called once, after Shut. It gives up on those inside when stuck
// says so, which is asked again at each Poke; nil never does.
func (g *Gate) Wait(stuck func() bool) {
	for g.open.Load() != 0 && (stuck == nil || !stuck()) {
		<-g.idle
	}
}

// Poke makes Wait ask stuck again.
func (g *Gate) Poke() {
	select {
	case g.idle <- struct{}{}:
	default:
	}
}
