package snib

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/declare"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/lease"
	"github.com/snibdb/snib/internal/pulse"
	"github.com/snibdb/snib/internal/records"
)

// Engine opens a store that several programs may share, such as a database
// server. The modules beside this one make engines; a program hands one to
// [OpenStore] and does nothing else with it.
type Engine = kv.Engine

// OpenStore opens the accounts in a store that several programs, on several
// machines, may have open at once. It makes them if they are not there. Every
// call has the guarantees that it has on a file, between the programs too: a
// session that one has revoked is refused by the next call of any other. opts may be nil.
//
// The differences:
//
//   - Time is the store's own, if it has a clock: Options.Now is not asked.
//     Without one the clocks of the machines may differ by a minute. One that
//     differs by more is [ErrClock], here and by every call that writes.
//   - Indexes and Providers that differ from those of the store are
//     ErrInvalidInput here, which names what differs. [File.Redeclare] puts them
//     in force.
//   - Give all programs the same Options.Keys. Without them a refresh token that
//     two programs are given at the same time has two answers, of which the
//     earlier one ends: two tabs behind a balancer may log each other out.
//   - One program at a time sweeps. Failed guesses are counted in each program and
//     added up each minute, sooner where they make callers wait: see
//     docs/SECURITY.md for what N programs let through.
//   - [ErrUnsupported] are Backup, BackupFile, Compact, CompactTo and, where the
//     store has a clock, ResetClock, of [File]; Join; and Redeclare on a store
//     that cannot build beside what is in force. [Tx.Bolt] is nil; see
//     [Tx.Underlying]. LockTimeout, MaxSize and InsecureNoSync must not be set,
//     and Owned only for a store with tables of the program: ErrInvalidInput.
//
// Errors are those of the engine, ErrInvalidInput, ErrForeignFile,
// ErrNewerFormat, ErrCorrupt and ErrClock.
func OpenStore(ctx context.Context, engine Engine, opts *Options) (*DB, error) {
	if engine == nil {
		return nil, during("open", missing("engine"))
	}
	if err := onlyOfFiles(opts); err != nil {
		return nil, during("open", err)
	}
	db, err := prepare(opts)
	if err != nil {
		return nil, during("open", err)
	}
	db.shared = true
	db.others = &others{(*DB).agree, (*DB).leaseTurn, (*DB).leaseSweep, (*DB).leaseLeftover, (*DB).startPulse}
	if _, err := rand.Read(db.holder[:]); err != nil {
		return nil, during("open", err)
	}
	s, err := engine.Open(ctx, kv.Setup{
		Spaces: records.Spaces, Init: db.initialise, BusyTimeout: db.o.BusyTimeout, Logger: db.o.Logger,
	})
	if err != nil {
		return nil, during("open", err)
	}
	if err := db.look(ctx, s); err != nil {
		return nil, during("open", errors.Join(err, s.Close()))
	}
	return db.start(ctx, s)
}

// look finds the abilities of a shared store.
func (db *DB) look(ctx context.Context, s kv.Store) error {
	timed, rows := false, false
	err := s.View(ctx, func(r kv.Reader) error {
		_, timed = kv.As[kv.Timer](r)
		rows = kv.HasRows(r)
		_, db.far = kv.As[kv.Wanter](r)
		if err := records.Complete(r); err != nil { // before the clock is read, which may not be there
			return err
		}
		return db.findTables(r)
	})
	switch {
	case err != nil:
		return err
	case len(db.o.Owned) > 0 && !rows:
		return &InputError{Field: "Options.Owned", Code: CodeNotAllowed, Reason: "needs a store with rows of the program: a file, SQLite or PostgreSQL"}
	case timed:
		db.file.Time = records.OfStore
		db.clock.Follow()
		return nil
	}
	db.file.Time = records.OfMachines
	db.clock.Join()
	return db.machine(s).Join(ctx)
}

// findTables verifies the tables that Owned names, if r is of a store of tables.
func (db *DB) findTables(r kv.Reader) error {
	tables, ok := kv.As[kv.Tables](r)
	if !ok {
		return nil
	}
	for i, name := range db.o.Owned {
		reason, err := tables.FindTable(name)
		if err != nil {
			return err
		}
		if reason != "" {
			return &InputError{Field: fmt.Sprintf("Options.Owned[%d]", i), Code: CodeNotAllowed, Reason: reason}
		}
	}
	return nil
}

// onlyOfFiles refuses options that mean nothing to a store of several programs.
func onlyOfFiles(opts *Options) error {
	if opts == nil {
		return nil
	}
	for _, x := range []struct {
		field string
		set   bool
	}{
		{"File.LockTimeout", opts.File.LockTimeout != 0},
		{"File.MaxSize", opts.File.MaxSize != 0},
		{"InsecureNoSync", opts.InsecureNoSync},
	} {
		if x.set {
			return &InputError{Field: "Options." + x.field, Code: CodeNotAllowed, Reason: "is of files only"}
		}
	}
	return nil
}

// machine lets this machine agree on the time with the others on a store without a
// clock.
func (db *DB) machine(s kv.Store) *pulse.Machine {
	return &pulse.Machine{File: db.file, Store: s, Clock: db.clock, Update: db.steps().Update, Log: db.o.Logger}
}

// startPulse keeps the time of such a store moving.
func (db *DB) startPulse() {
	if db.file.Time != records.OfMachines {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	db.endPulse = cancel
	db.pulsing.Go(func() { db.machine(db.store).Keep(ctx) })
}

// agree returns an error that names a declaration of the program which differs
// from the store. Buckets of rows are added.
func (db *DB) agree(ctx context.Context, after, before codec.Declarations) error {
	differ := func(field, name string) error {
		return &InputError{Field: field, Code: CodeNotAllowed, Reason: fmt.Sprintf("differs from the store in %q: see File.Redeclare", name)}
	}
	if name, ok := declare.DifferingIndex(after, before); ok {
		return differ("Options.Indexes", name)
	}
	if name, ok := declare.DifferingProvider(after, before); ok {
		return differ("Options.Providers", name)
	}
	if slices.Equal(after.Owned, before.Owned) {
		return nil
	}
	s := db.declaring()
	return s.AddOwned(ctx, after.Owned)
}

// leases are those of a store of several programs.
func (db *DB) leases() *lease.Leases {
	return &lease.Leases{File: db.file, Update: db.steps().Update, Log: db.o.Logger}
}

func (db *DB) leaseTurn(ctx context.Context) (lease.Turn, error) { return db.leases().Turn(ctx) }

// leaseSweep reports whether no other program has swept less than SweepEvery ago.
func (db *DB) leaseSweep(ctx context.Context) (bool, error) {
	return db.leases().Take(ctx, codec.KeySweepLease, db.holder, db.o.SweepEvery)
}

func (db *DB) leaseLeftover(ctx context.Context) error {
	return db.leases().SweepLeftover(ctx, db.store, db.holder)
}

// stopPulse ends startPulse and waits for it.
func (db *DB) stopPulse() {
	if db.endPulse != nil {
		db.endPulse()
		db.pulsing.Wait()
	}
}
