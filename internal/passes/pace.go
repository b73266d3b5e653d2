package passes

import (
	"context"
	"time"

	"github.com/snibdb/snib/internal/latency"
	"github.com/snibdb/snib/internal/records"
)

// The pace of a pass that is in no hurry. All writers wait while a transaction
// runs, so it is short; a rest follows each step, so that most writers meet none.
const (
	turnTime    = time.Millisecond       // of removing in one transaction
	turnLook    = 16                     // records between two looks at the time
	restTimes   = 3                      // as long as the step before
	longestRest = 100 * time.Millisecond // a step may have waited for others
)

type step = func(context.Context, func(*records.Tx) error) error

// A pace is that of one pass.
type pace struct {
	owed  time.Duration // rest, for the last step
	watch func() (elapsed func() time.Duration)
	pause func(context.Context, time.Duration) error
}

// Paced returns a Runner for one pass by one goroutine. It rests before each step
// but the first, so that what a step has done is counted if ctx ends meanwhile. In a
// store that is far away it goes as fast as it can: it keeps no writer waiting.
func (r Runner) Paced() Runner {
	if r.Far {
		return r
	}
	return r.at(&pace{
		watch: func() func() time.Duration { return latency.Start().Elapsed },
		pause: Pause,
	})
}

func (r Runner) at(p *pace) Runner {
	return Runner{View: p.rested(r.View), Update: p.rested(r.Update), IfNeeded: p.rested(r.IfNeeded), pace: p}
}

// rested makes a step that rests first.
func (p *pace) rested(run step) step {
	return func(ctx context.Context, fn func(*records.Tx) error) error {
		if p.owed > 0 {
			if err := p.pause(ctx, p.owed); err != nil {
				return err
			}
		}
		elapsed := p.watch()
		err := run(ctx, fn)
		p.owed = min(restTimes*elapsed(), longestRest)
		return err
	}
}

// turn begins that of one run of a transaction. The function that it returns reports
// whether the transaction, which has seen to so many records, takes no more.
func (r *Runner) turn() (over func(done int) bool) {
	if r.pace == nil {
		return func(int) bool { return false }
	}
	elapsed := r.pace.watch()
	return func(done int) bool { return done > 0 && done%turnLook == 0 && elapsed() >= turnTime }
}

// most is the bound of a transaction whose time cannot be looked at meanwhile.
func (r *Runner) most(alone, paced int) int {
	if r.pace == nil {
		return alone
	}
	return paced
}
