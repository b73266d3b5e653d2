// Package passes goes over all records of a file, for the sweep, a change of keys
// and a restored file: it reads and writes in small steps, between which others have
// their turn and the context is looked at. The steps of an interrupted pass
// stay done.
package passes

import (
	"context"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// Bounds of one step, so that it is never in anybody's way.
const (
	readAtOnce   = 1000 // records read in one snapshot
	deleteAtOnce = 500  // records deleted, or written, in one transaction
	rowsAtOnce   = 2000 // rows of the application's, likewise: they lie together
	rowsInTurn   = 500  // the same, of a pass that is in no hurry
	writeInTurn  = 100  // records written in one transaction of such a pass
	guestsAtOnce = 50   // looked at in one snapshot, and removed in one transaction if they have little
	sealAtOnce   = 200  // records sealed anew in one transaction
	sealBytes    = 256 << 10
)

// A Runner runs each step in a transaction of its own. The closure may run more
// than once.
type Runner struct {
	View     step
	Update   step
	IfNeeded step // Update, after a look whether anything is written
	Far      bool // the store is far away: no call waits for a writer

	pace *pace // nil: as fast as it goes
}

// page visits the next records of a space in one short snapshot, and returns where
// to go on; nil at the end. begin comes before each run.
func (r *Runner) page(ctx context.Context, space kv.Space, from []byte, begin func(), visit func(tx *records.Tx, key, value []byte)) (next []byte, err error) {
	err = r.View(ctx, func(tx *records.Tx) error {
		n := 0
		next = nil
		begin()
		return tx.R.Scan(space, from, nil, readAtOnce, func(key, value []byte) error {
			visit(tx, key, value)
			if n++; n == readAtOnce {
				next = append(slices.Clone(key), 0)
			}
			return nil
		})
	})
	return next, err
}

// each walks a space from the left, and hands the keys of records that pick
// chooses to act, at most so many at once. act returns how many it has seen to, one
// at least, and gets the others again.
func (r *Runner) each(ctx context.Context, space kv.Space, most int, pick func(tx *records.Tx, key, value []byte) bool, act func(keys [][]byte) (done int, err error)) error {
	var from []byte
	for {
		var found [][]byte
		next, err := r.page(ctx, space, from, func() { found = nil }, func(tx *records.Tx, key, value []byte) {
			if pick(tx, key, value) {
				found = append(found, slices.Clone(key))
			}
		})
		for len(found) > 0 && err == nil {
			var done int
			done, err = act(found[:min(len(found), most)])
			found = found[done:]
		}
		if err != nil || next == nil {
			return err
		}
		from = next
	}
}

// some runs act for the first records of n in one transaction, from 0, for as many as
// its turn allows, and returns how many those were.
func (r *Runner) some(ctx context.Context, n int, act func(tx *records.Tx, i int) error) (done int, err error) {
	return returning(ctx, r.Update, func(tx *records.Tx) (i int, err error) {
		for over := r.turn(); i < n && err == nil && !over(i); i++ {
			err = act(tx, i)
		}
		return i, err
	})
}

// owned are the keys of records of users.
func owned(keys [][]byte) []codec.OwnedKey {
	out := make([]codec.OwnedKey, len(keys))
	for i, key := range keys {
		out[i] = codec.OwnedKey(key)
	}
	return out
}

// returning makes a step that returns a value out of run. The value of a run that
// came to nothing is dropped.
func returning[T any](ctx context.Context, run func(context.Context, func(*records.Tx) error) error, fn func(*records.Tx) (T, error)) (T, error) {
	var out, zero T
	err := run(ctx, func(tx *records.Tx) (err error) {
		out, err = fn(tx)
		return err
	})
	if err != nil {
		return zero, err
	}
	return out, nil
}
