package snib

import (
	"context"
	"sync"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// Tx is one transaction on the accounts, given to the closure of [DB.View] or
// [DB.Update] or made by [DB.Join]. It has the methods of DB without a context
// (the transaction already runs under one), except methods that hash a password
// or are transactions of their own kind: Refresh, ImportUsers, Sweep, Check,
// Repair, copies, EndEverything, ResetClock. It ends with the closure, after which
// every method returns ErrTxClosed, and is not safe for concurrent use.
//
// The methods by noun, of [Tx.Logins] and its like, run in this transaction and end
// with it; ctx is checked before each begins. The few that hash a password, or go on
// through several transactions, are ErrNested there. Those of [DB.Logins] and its like
// run each in a transaction of its own.
//
// Methods that write return ErrReadOnly in a View. A method that returns an
// error has written nothing.
type Tx struct {
	db    *DB
	rec   records.Tx
	ended bool
	gone  func() bool // whether the joined transaction has ended; nil without one

	changing codec.OwnedKey         // the session that ChangeCredentials gives back
	over     []func(committed bool) // run once the transaction has ended

	// Kept for the next transaction, as memory only.
	text  []byte // of the session being returned
	spare codec.User
}

// begin makes the Tx of one transaction, or of one run of it, and fixes its
// time. w is nil in a read-only one.
func (db *DB) begin(r kv.Reader, w kv.Tx) (*Tx, error) {
	tx := &Tx{db: db}
	if err := tx.rec.Begin(db.file, r, w); err != nil {
		return nil, err
	}
	return tx, nil
}

// spareTx keeps the Tx of snapshots for the next ones. No application sees
// these, so no use follows its return to the pool.
var spareTx = sync.Pool{New: func() any { return new(Tx) }}

// reset makes tx as new, but for the memory that is used again.
func (tx *Tx) reset() {
	identities, entries := tx.spare.Identities[:0], tx.spare.Entries[:0]
	clear(identities[:cap(identities)])
	clear(entries[:cap(entries)])
	*tx = Tx{
		rec: records.Tx{Key: tx.rec.Key}, text: tx.text,
		spare: codec.User{Identities: identities, Entries: entries},
	}
}

// end makes every later call return ErrTxClosed.
func (tx *Tx) end() { tx.ended = true }

// whenOver has fn run after the transaction has ended, for what is not in the
// file and must follow it. A closure that runs again begins with none. Of a
// joined transaction fn learns of the commit alone.
func (tx *Tx) whenOver(fn func(committed bool)) { tx.over = append(tx.over, fn) }

// settle runs what waits for the end of the transaction. tx may be nil.
func (tx *Tx) settle(committed bool) {
	if tx == nil {
		return
	}
	over := tx.over
	tx.over = nil
	for _, fn := range over {
		fn(committed)
	}
}

// reading begins every reading method of Tx.
func (tx *Tx) reading() error {
	if tx.ended || tx.gone != nil && tx.gone() {
		return ErrTxClosed
	}
	return tx.rec.Doomed
}

// writing begins every writing method of Tx.
func (tx *Tx) writing() error {
	if err := tx.reading(); err != nil {
		return err
	}
	if tx.rec.W == nil {
		return ErrReadOnly
	}
	return nil
}

// A handle runs a family of calls that is written once for DB and Tx: each in a
// transaction of its own, or in the given one. Its methods are those of DB by
// the same names.
type handle struct {
	db *DB
	tx *Tx // nil: a transaction of its own
}

func (h handle) view(ctx context.Context, fn func(*Tx) error) error {
	if h.tx == nil {
		return h.db.view(ctx, fn)
	}
	return h.inside(ctx, h.tx.reading(), fn)
}

func (h handle) update(ctx context.Context, fn func(*Tx) error) error {
	if h.tx == nil {
		return h.db.update(ctx, fn)
	}
	return h.inside(ctx, h.tx.writing(), fn)
}

func (h handle) updateIfNeeded(ctx context.Context, fn func(*Tx) error) error {
	if h.tx == nil {
		return h.db.updateIfNeeded(ctx, fn)
	}
	return h.inside(ctx, h.tx.writing(), fn)
}

// inside runs fn in the given transaction if that is fit for it.
func (h handle) inside(ctx context.Context, unfit error, fn func(*Tx) error) error {
	if unfit != nil {
		return unfit
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fn(h.tx)
}
