package boltkv

import "sync/atomic"

// A gate counts the calls inside and can be shut, once, for a reason. Those
// inside are not disturbed; wait returns when the last has left.
//
// No lock is needed: enter counts itself before it looks at the reason, shut
// stores the reason before wait looks at the count, so at least one of the two
// sees the other.
type gate struct {
	open atomic.Int64
	why  atomic.Pointer[error]
	idle chan struct{} // holds a token when the count may have become zero
}

func (g *gate) init() { g.idle = make(chan struct{}, 1) }

// reason returns why the gate is shut; nil while it is open.
func (g *gate) reason() error {
	if why := g.why.Load(); why != nil {
		return *why
	}
	return nil
}

func (g *gate) enter() error {
	g.open.Add(1)
	if err := g.reason(); err != nil {
		g.leave()
		return err
	}
	return nil
}

func (g *gate) leave() {
	if g.open.Add(-1) == 0 && g.why.Load() != nil {
		g.poke()
	}
}

// shut reports whether it was the one that shut the gate.
func (g *gate) shut(why error) bool { return g.why.CompareAndSwap(nil, &why) }

// wait is called once, after shut. It gives up on those inside when stuck
// says so, which is asked again at each poke.
func (g *gate) wait(stuck func() bool) {
	for g.open.Load() != 0 && !stuck() {
		<-g.idle
	}
}

func (g *gate) poke() {
	select {
	case g.idle <- struct{}{}:
	default:
	}
}
