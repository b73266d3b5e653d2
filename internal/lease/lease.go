// Package lease takes turns between the programs on a store, by leases in it: one at a
// time sweeps, and one builds indexes.
package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/passes"
	"github.com/snibdb/snib/internal/records"
)

// Build is how long a build of indexes has its lease without a commit. A program
// that ends in the middle keeps others waiting so long.
const Build = 2 * time.Minute

// errLost ends a build whose program was away for so long that another one has
// begun.
var errLost = errors.New("another program has begun to build indexes")

// Leases are those of one store.
type Leases struct {
	File   *records.File
	Update func(context.Context, func(*records.Tx) error) error
	Log    *slog.Logger
}

// Take takes a lease for a time, or makes it longer. False if another holder has it.
func (l *Leases) Take(ctx context.Context, key string, holder [16]byte, d time.Duration) (ok bool, err error) {
	err = l.Update(ctx, func(tx *records.Tx) (err error) {
		ok, err = tx.TakeLease(key, holder, tx.Now+d.Milliseconds())
		return err
	})
	return ok && err == nil, err
}

// End gives a lease back.
func (l *Leases) End(ctx context.Context, key string, holder [16]byte) error {
	return l.Update(ctx, func(tx *records.Tx) error { return tx.EndLease(key, holder) })
}

// Holds reports whether a holder has a lease still, in a transaction that relies on
// it.
func (l *Leases) Holds(w kv.Tx, key string, holder [16]byte) (bool, error) {
	tx := records.Tx{File: l.File, R: w}
	return tx.HoldsLease(key, holder)
}

// A Turn is that of one DB to build indexes.
type Turn struct {
	Hold func(kv.Tx) error // an error if another program has it by now; nil without others
	Done func()
}

// TurnOfFile waits until no other DB on the handle builds. try begins a turn, or
// returns what is closed at the end of the present one.
func TurnOfFile(ctx context.Context, try func() (done func(), busy <-chan struct{})) (Turn, error) {
	for {
		done, busy := try()
		if done != nil {
			return Turn{Done: done}, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return Turn{}, waiting(ctx.Err())
		}
	}
}

func waiting(err error) error { return fmt.Errorf("wait for another build of indexes: %w", err) }

// Turn waits until no other program builds indexes in the store. Each transaction
// of the build looks whether it has the lease still, and a goroutine makes it longer
// while the build reads and sorts.
func (l *Leases) Turn(ctx context.Context) (Turn, error) {
	var holder [16]byte // two builds of one DB take turns as well
	if _, err := rand.Read(holder[:]); err != nil {
		return Turn{}, err
	}
	for {
		ok, err := l.Take(ctx, codec.KeyBuildLease, holder, Build)
		if err != nil {
			return Turn{}, err
		}
		if ok {
			break
		}
		if err := passes.Pause(ctx, time.Second); err != nil {
			return Turn{}, waiting(err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for passes.Pause(ctx, Build/4) == nil {
			if ok, err := l.Take(ctx, codec.KeyBuildLease, holder, Build); err == nil && !ok {
				return // the build notices
			}
		}
	}()
	hold := func(w kv.Tx) error {
		held, err := l.Holds(w, codec.KeyBuildLease, holder)
		if err == nil && !held {
			err = errLost
		}
		return err
	}
	return Turn{Hold: hold, Done: func() {
		cancel()
		<-ended
		if err := l.End(context.Background(), codec.KeyBuildLease, holder); err != nil {
			l.Log.Warn("snib: the lease of a build was not given back", "error", err)
		}
	}}, nil
}
