package phc

import (
	"context"
	"sync/atomic"
	"time"
)

// A Turn says for whom a computation is made. Turns at the gate go from key to
// key, so that a caller with many calls holds up itself and not the others.
type Turn struct {
	// Key is the user, if Proven, else the network of the client; "" if that
	// is not known, which all such callers share.
	Key string

	// Proven callers have a live session, or are the operator. They take
	// turns with strangers as a whole: one of theirs for one of a stranger's.
	Proven bool

	began atomic.Bool
}

// Began reports whether a computation has been admitted: from then on a guess
// was made, whatever the caller got to see.
func (t *Turn) Began() bool { return t.began.Load() }

type turnKey struct{}

// WithTurn returns a context in which methods of a Hasher compute for t.
func WithTurn(ctx context.Context, t *Turn) context.Context {
	return context.WithValue(ctx, turnKey{}, t)
}

// turnOf returns the turn of ctx, or that of a stranger from nowhere.
func turnOf(ctx context.Context) *Turn {
	if t, ok := ctx.Value(turnKey{}).(*Turn); ok {
		return t
	}
	return &Turn{}
}

// A job is a computation as the gate sees it.
type job struct {
	weight uint64        // of the gate's memory
	cost   time.Duration // estimated, on one core; 0 if that is not known
	heavy  bool          // shares half of the gate with all other heavy ones
}
