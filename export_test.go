package snib

import (
	"context"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
	"github.com/snibdb/snib/internal/phc"
	bolt "go.etcd.io/bbolt"
)

// SetVerified sets the hook between the verification of a password and the
// transaction that relies on it.
func (db *DB) SetVerified(f func()) { db.verified = f }

// ObserveHashes replaces the hasher by one that tells each pass it computes.
func (db *DB) ObserveHashes(observe func(class string)) error {
	p := db.o.Passwords
	hasher, err := phc.NewHasher(phc.Config{
		Params:  phc.Params{MemoryKiB: p.MemoryKiB, Time: p.Time, Parallelism: p.Parallelism},
		Observe: observe,
	})
	if err == nil {
		db.o.hasher = hasher
	}
	return err
}

// WrapStore puts a store around the one underneath and returns what puts it
// back.
func (db *DB) WrapStore(wrap func(kv.Store) kv.Store) (restore func()) {
	inner := db.store
	db.store = wrapped{store: inner, Store: wrap(inner)}
	return func() { db.store = inner }
}

// wrapped takes what kv.Store has from the one around.
type wrapped struct {
	store
	kv.Store
}

func (w wrapped) View(ctx context.Context, fn func(kv.Reader) error) error {
	return w.Store.View(ctx, fn)
}
func (w wrapped) Update(ctx context.Context, fn func(kv.Tx) error) error {
	return w.Store.Update(ctx, fn)
}
func (w wrapped) Pin(ctx context.Context) (kv.Snapshot, error) { return w.Store.Pin(ctx) }
func (w wrapped) Apply(ctx context.Context, op func(kv.Tx) error) error {
	return w.Store.Apply(ctx, op)
}
func (w wrapped) Exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	return w.Store.Exclusive(ctx, fn)
}
func (w wrapped) Close() error { return w.Store.Close() }

// OpenTwice is Open with an engine that runs every closure that writes twice.
func OpenTwice(path string, opts *Options) (*DB, error) {
	db, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	o := db.o.engine(db.initialise)
	o.Twice = true
	s, err := boltkv.Open(path, o)
	if err != nil {
		return nil, err
	}
	return db.start(context.Background(), s)
}

// Build says how indexes are built, for tests: in small batches, and on a store
// around the engine's.
type Build struct {
	Records, Bytes, Sorted int
	Wrap                   func(kv.Store) kv.Store
	Twice                  bool
}

// OpenContext is OpenContext with b.
func (b Build) OpenContext(ctx context.Context, path string, opts *Options) (*DB, error) {
	return b.start(ctx, opts, func(o boltkv.Options) (store, error) { return boltkv.Open(path, o) })
}

// New is New with b.
func (b Build) New(handle *bolt.DB, opts *Options) (*DB, error) {
	return b.start(context.Background(), opts, func(o boltkv.Options) (store, error) { return boltkv.Attach(handle, o) })
}

func (b Build) start(ctx context.Context, opts *Options, open func(boltkv.Options) (store, error)) (*DB, error) {
	db, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	db.batch = batch{b.Records, b.Bytes, b.Sorted}
	o := db.o.engine(db.initialise)
	o.Twice = b.Twice
	inner, err := open(o)
	if err != nil {
		return nil, err
	}
	s := inner
	if b.Wrap != nil {
		s = wrapped{store: inner, Store: b.Wrap(inner)}
	}
	if db, err = db.start(ctx, s); err == nil {
		db.store = inner
	}
	return db, err
}

// Kind is a row of the table of kinds, for tests outside of the package.
type Kind struct {
	Title, Space    string
	Most, Invariant int
	UsedOnce        bool
	Ends            map[string]bool // by occasion
}

// Occasions name what ends records, as docs/INVARIANTS.md does.
var Occasions = [occasions]string{
	"password set, changed or removed", "user disabled", "identity replaced or unlinked",
	"`RevokeUserSessions`", "`RevokeUserRefreshTokens`", "`EndEverything`, `ResetClock`, `Restore`",
}

// Kinds returns the table of kinds.
func Kinds() (out []Kind) {
	for _, k := range kinds {
		row := Kind{
			Title: k.title, Space: spaces[k.space].Name,
			Most: k.most, Invariant: k.invariant, UsedOnce: k.usedOnce, Ends: map[string]bool{},
		}
		for i, name := range Occasions {
			row.Ends[name] = k.ends&(1<<i) != 0
		}
		out = append(out, row)
	}
	return out
}

// SpaceNames returns the names of all spaces of the file.
func SpaceNames() (out []string) {
	for _, s := range spaces {
		if !s.Shadow {
			out = append(out, s.Name)
		}
	}
	return out
}
