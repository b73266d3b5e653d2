// Package remote keeps the contract of package kv over a database server: the
// part that engines across a network share. An engine implements [Backend] and [Session],
// and [New] makes a kv.Store of it.
//
// Writes stay in memory until the commit, so that a transaction costs one trip
// for each read that depends on another, and one for the commit. Transactions of
// many processes run at once and may lose to each other: a lost one runs again,
// after a random wait, and alone once it has lost four times.
//
// A connection that breaks during a commit leaves its outcome open. Each commit
// therefore writes a [Mark] of its own, and [Backend.Resolve] settles afterwards
// if the commit has happened, or sees to it that it never will.
package remote

import (
	"context"
	"fmt"

	"github.com/snibdb/snib/internal/kv"
)

// Mode is the purpose of a session.
type Mode int

const (
	Read  Mode = iota // one snapshot
	Write             // serialisable
	Alone             // serialisable, and no other session commits meanwhile
)

// Errors of a Session after which certainly nothing was written and the closure
// is to run again. Both are kv.ErrAgain. A session may return kv.ErrAgain itself
// for reads that do not fit its snapshot.
var (
	ErrConflict    = fmt.Errorf("%w: lost to another transaction", kv.ErrAgain)
	ErrUnreachable = fmt.Errorf("%w: no connection to the server", kv.ErrAgain)
)

// LostError is an error of [Session.Commit] after which the outcome is open.
type LostError struct{ Cause error }

func (e *LostError) Error() string { return "answer of the commit was lost: " + e.Cause.Error() }
func (e *LostError) Unwrap() error { return e.Cause }

// Value is the result of reading one key.
type Value struct {
	Bytes []byte // nil if absent
	OK    bool
}

// Pair is a key with its value. The value is nil in a Range of keys only.
type Pair struct{ Key, Value []byte }

// Range is the question of a scan: the first Limit keys in [From, To). A nil From
// begins at the first key, a nil To goes on to the last. Limit is at least 1.
type Range struct {
	Space    kv.Space
	From, To []byte
	Limit    int
	KeysOnly bool
}

// Change is one write of a write set, which has at most one for a key.
type Change struct {
	Space  kv.Space
	Key    []byte
	Value  []byte
	Delete bool
}

// Mark names one commit. A commit stores N under ID, and is refused by the
// server if N or more is stored there already. Numbers under one ID rise.
type Mark struct {
	ID string // 32 lower-case hexadecimal digits
	N  int64
}

// Backend is a server.
type Backend interface {
	// Begin returns a session. It need not speak to the server: BEGIN can travel
	// with the first read. ctx bounds the wait for a connection and, in the mode
	// Alone, for the others; it may end while the session goes on.
	Begin(ctx context.Context, mode Mode) (Session, error)

	// Resolve reports if the commit of m has happened. If it has not, Resolve
	// stores a fence under m.ID that refuses m.N for ever. The answer is as
	// durable as a commit is. It may be asked again after an error.
	Resolve(ctx context.Context, m Mark) (bool, error)

	// Trips returns how often anything was sent to the server.
	Trips() int64

	// Close ends all connections. It forgets the marks, which are of no use any
	// more, as far as the server can be reached. There is no session.
	Close(marks []Mark) error
}

// Session is a transaction on one connection. It is used by one goroutine at a
// time and ended by one call of Rollback, also after a Commit.
//
// Contexts given to it are bounded, but do not end with the caller's. The
// slices that it returns are not modified afterwards. Its errors that are not kv.ErrAgain are
// final, such as kv.ErrCorrupt, kv.ErrFull, kv.ErrTooLarge.
type Session interface {
	// Get reads keys in one trip, of one snapshot with all that was read before.
	// It returns a value for each.
	Get(ctx context.Context, refs []kv.Ref) ([]Value, error)

	// Scan reads a range in one trip, in bytewise order of the keys.
	Scan(ctx context.Context, r Range) ([]Pair, error)

	// Flush sends changes ahead of the commit; later reads see them.
	// kv.ErrTooLarge where the server takes a transaction as a whole.
	Flush(ctx context.Context, changes []Change) error

	// Commit stores the rest, in one trip with the mark. nil means durable and
	// seen by every session that begins later. It returns a *LostError unless the
	// server has answered, or nothing was sent.
	Commit(ctx context.Context, changes []Change, m Mark) error

	// Rollback ends the session and gives its connection back. It may go on in
	// the background.
	Rollback()
}

// Abilities that only some Sessions have.
type (
	// Batcher is a Session that reads keys and ranges in one trip, as Get and
	// Scan do. It returns a value for each key and the pairs of each range.
	Batcher interface {
		Batch(ctx context.Context, refs []kv.Ref, ranges []Range) ([]Value, [][]Pair, error)
	}

	// Clock is a Session of a server that tells the time, in Unix milliseconds,
	// of when the session began to read.
	Clock interface {
		Time(ctx context.Context) (int64, error)
	}

	// Claimer is a Session for kv.Claimer. The keys of Claim are read once, by
	// the next Get or Batch, and are put by a later Flush or Commit unless they were
	// there; otherwise the session withdraws the claim by itself.
	Claimer interface{ Claim(refs []kv.Ref) }

	// Lender is a Session that hands its transaction to the application, for rows
	// of its own. Broken returns why the transaction cannot commit after the
	// application's statements, kv.ErrAgain if it can when run again, and nil otherwise.
	Lender interface {
		Lend(ctx context.Context) (any, error)
		Broken() error
	}
)
