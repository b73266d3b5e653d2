package kv

import (
	"context"
	"log/slog"
	"time"
)

// An Engine opens a Store that several programs may share: a database server,
// or a file of another kind than bbolt's.
type Engine interface {
	// Open returns the store of these spaces. It makes them, and runs
	// Setup.Init in the transaction that makes them, unless they are there.
	Open(ctx context.Context, setup Setup) (Store, error)
}

// Setup is what an Engine is told of the accounts.
type Setup struct {
	Spaces []SpaceSpec
	Init   func(Tx) error // fills a new store

	// BusyTimeout bounds how long a write waits for its turn, or is tried again
	// after it lost to others, before it is ErrBusy. Negative: no bound.
	BusyTimeout time.Duration

	Logger *slog.Logger // never nil
}

// What a Store can do beside the contract. The accounts ask for each with a type
// assertion, and live without it, or return errors.ErrUnsupported.
type (
	// Extender learns of spaces that a later program has made: spaces are those of
	// Setup, and these behind them.
	Extender interface{ Extend(spaces []SpaceSpec) }

	// ScanWanter is a Wanter of ranges: the keys in [from, to), at most limit of
	// them, will probably be scanned, counted or removed. The next read fetches
	// them in its own trip. A range that has come whole answers Gets in it, too.
	ScanWanter interface {
		WantScan(space Space, from, to []byte, limit int)
	}

	// Claimer is a Tx of an engine where writers run at once. Claim names keys that
	// the transaction puts if it finds them absent: the next read fetches them in
	// its own trip, as Want does, and may keep others from putting them until the
	// transaction ends. So a check that a key is free is in the way of nothing but
	// the same key. It is a hint: results do not depend on it.
	Claimer interface{ Claim(refs []Ref) }

	// Shadower has shadows of spaces (SpaceSpec.Shadow), for building indexes:
	// Swap puts those of the names in the place of their spaces, Drop empties all.
	// Both run in an Exclusive, in which nothing was written to either before.
	Shadower interface {
		SwapShadows(w Tx, names ...string) error
		DropShadows(w Tx) error
	}

	// Timer is a Reader of a store that has a clock of its own, in Unix
	// milliseconds: of the moment when the transaction began to read. It never
	// goes back from one committed transaction to a later one by more than the
	// clocks of its machines do.
	Timer interface{ Time() (int64, error) }

	// Counter is a Reader that counts the keys of a space without reading them
	// all. Above 50,000 keys the count may be an estimate.
	Counter interface {
		Count(space Space) (int64, error)
	}

	// Lister is a Reader that tells the names of all spaces that are there, known
	// or not.
	Lister interface{ SpaceNames() ([]string, error) }

	// Underlier is a Reader that hands out the transaction it wraps. Taking it in
	// a Tx counts as writing. nil after the transaction has ended.
	Underlier interface{ Underlying() any }
)

// Figures are the counts of a store since it was opened, of engines that have
// them (interface{ Figures() Figures }).
type Figures struct {
	Commits, Operations int64 // transactions, and operations in them
	Replays             int64 // runs of an operation after the first
	Busy                int64 // writes that ended with ErrBusy
	Trips               int64 // to the server
}

// As finds what a Reader can do, such as [Timer], under wrappers that have the
// method Unwrap() Reader.
func As[T any](r Reader) (able T, ok bool) {
	for {
		if able, ok = r.(T); ok {
			return able, true
		}
		outer, wraps := r.(interface{ Unwrap() Reader })
		if !wraps {
			return able, false
		}
		r = outer.Unwrap()
	}
}
