package snib

import (
	"context"
	"crypto/rand"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/reindex"
	"github.com/snibdb/snib/internal/witness"
)

// SetVerified sets the hook between the verification of a password and the
// transaction that relies on it.
func (db *DB) SetVerified(f func()) { db.verified = f }

// ObserveHashes replaces the hasher by one that tells each pass it computes.
func (db *DB) ObserveHashes(observe func(class string)) error {
	config := db.o.hasherConfig()
	config.Observe = observe
	hasher, err := phc.NewHasher(config)
	if err == nil {
		db.o.hasher = hasher
	}
	return err
}

// Forget makes db know no more than a process that has just opened the file.
func Forget(db *DB) {
	rand.Read(db.processKey[:])
	db.given = witness.Table{}
}

// SetMaxOutbox bounds the events that wait for consumers.
func SetMaxOutbox(db *DB, n uint64) { db.file.MaxOutbox = n }

// StoreFailures stores what the background would.
func StoreFailures(db *DB) error { return db.counts.StoreLogIns(context.Background()) }

// AddFailure is a failed log-in of a user, and Failures how many users have some
// that are not stored.
func AddFailure(db *DB, id UserID) { db.counts.LogIns.Add(string(id), [16]byte{}, db.clock.Latest()) }
func Failures(db *DB) int          { return db.counts.LogIns.Users() }

// EventNames returns the names of all kinds of events in the file.
func EventNames() (out []EventKind) {
	for n := records.EventKind(1); n.Row().Class != 0 || n == records.EventUserDeleted || n == records.EventEverythingEnded; n++ {
		out = append(out, EventKind(n.Row().Name))
	}
	return out
}

// ForgetKeyUses drops the uses of API keys that are not written yet.
func ForgetKeyUses(db *DB) { db.keyUses.Take() }

// InFile reports whether db is in a file of bbolt, and not on another engine.
func InFile(db *DB) bool { return db.path() != "" }

// Records returns all that a store holds, on any engine: values by space and key.
func Records(db *DB) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	err := db.store.View(context.Background(), func(r kv.Reader) error {
		clear(all)
		for i, spec := range records.Spaces {
			if spec.Shadow {
				continue
			}
			all[spec.Name] = map[string]string{}
			if err := r.Scan(kv.Space(i), nil, nil, 0, func(k, v []byte) error {
				all[spec.Name][string(k)] = string(v)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// PutRecords changes and removes records of a space, behind the library's back.
func PutRecords(db *DB, space string, changed map[string]string, gone []string) error {
	return db.store.Exclusive(context.Background(), func(w kv.Tx) error {
		for i, spec := range records.Spaces {
			if spec.Name != space || spec.Shadow {
				continue
			}
			for key, value := range changed {
				if err := w.Put(kv.Space(i), []byte(key), []byte(value)); err != nil {
					return err
				}
			}
			for _, key := range gone {
				if err := w.Delete(kv.Space(i), []byte(key)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// WrapStore puts a store around the one underneath and returns what puts it
// back.
func (db *DB) WrapStore(wrap func(kv.Store) kv.Store) (restore func()) {
	inner := db.store
	if in, ok := inner.(fileStore); ok {
		db.store = wrapped{fileStore: in, Store: wrap(inner)}
	} else {
		db.store = wrap(inner)
	}
	return func() { db.store = inner }
}

// wrapped takes what kv.Store has from the one around.
type wrapped struct {
	fileStore
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
	return db.start(context.Background(), bbolt{s})
}

// RepairFileTwice is RepairFile with an engine that runs every closure that writes
// twice.
func RepairFileTwice(ctx context.Context, path string, opts *Options) (RepairReport, error) {
	db, err := prepare(opts)
	if err != nil {
		return RepairReport{}, err
	}
	o := db.o.engine(db.initialise)
	o.Twice = true
	s, err := boltkv.Open(path, o)
	if err != nil {
		return RepairReport{}, err
	}
	db.store = bbolt{s}
	return db.repairFile(ctx)
}

// OpenWrapped is Open with a store around the one underneath.
func OpenWrapped(path string, opts *Options, wrap func(kv.Store) kv.Store) (*DB, error) {
	db, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	s, err := boltkv.Open(path, db.o.engine(db.initialise))
	if err != nil {
		return nil, err
	}
	return db.start(context.Background(), wrapped{fileStore: bbolt{s}, Store: wrap(s)})
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
	return b.start(ctx, opts, func(o boltkv.Options) (*boltkv.Store, error) { return boltkv.Open(path, o) })
}

// New is New with b.
func (b Build) New(handle *bolt.DB, opts *Options) (*DB, error) {
	return b.start(context.Background(), opts, func(o boltkv.Options) (*boltkv.Store, error) { return boltkv.Attach(handle, o) })
}

func (b Build) start(ctx context.Context, opts *Options, open func(boltkv.Options) (*boltkv.Store, error)) (*DB, error) {
	db, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	db.batch = reindex.Batch{Records: b.Records, Bytes: b.Bytes, Sorted: b.Sorted}
	o := db.o.engine(db.initialise)
	o.Twice = b.Twice
	inner, err := open(o)
	if err != nil {
		return nil, err
	}
	var s fileStore = bbolt{inner}
	if b.Wrap != nil {
		s = wrapped{fileStore: s, Store: b.Wrap(inner)}
	}
	if db, err = db.start(ctx, s); err == nil {
		db.store = bbolt{inner}
	}
	return db, err
}

// Kind is a row of the table of kinds, for tests outside of the package.
type Kind struct {
	Title, Space    string
	Most, Invariant int
	Refuses         bool
	UsedOnce        bool
	Lasts           bool
	History         bool
	Merge           string          // "moves", "ends" or "refuses"
	Ends            map[string]bool // by occasion
}

// Occasions name what ends records, as docs/INVARIANTS.md does.
var Occasions = [records.Occasions]string{
	"password changed by its user", "user disabled", "identity replaced or unlinked",
	"`RevokeUserSessions`", "`RefreshTokens.RevokeAll`", "`EndEverything`, `ResetClock`, `Restore`",
	"password set or removed without the old one",
	"second factor added or removed", "`Factors.Reset`",
}

// Kinds returns the table of kinds.
func Kinds() (out []Kind) {
	for _, k := range records.Kinds {
		row := Kind{
			Title: k.Title, Space: records.Spaces[k.Space].Name,
			Most: k.Most, Invariant: k.Invariant, UsedOnce: k.UsedOnce, Lasts: k.Lasts, History: k.History, Refuses: k.Refuses, Ends: map[string]bool{},
			Merge: map[records.MergeRule]string{records.MergeMoves: "moves", records.MergeEnds: "ends", records.MergeRefuses: "refuses"}[k.Merge],
		}
		for i, name := range Occasions {
			row.Ends[name] = k.Ends&(1<<i) != 0
		}
		out = append(out, row)
	}
	return out
}

// SpaceNames returns the names of all spaces of the file.
func SpaceNames() (out []string) {
	for _, s := range records.Spaces {
		if !s.Shadow {
			out = append(out, s.Name)
		}
	}
	return out
}

// WallOf is the time of the wall, as the options of db have it.
func WallOf(db *DB) time.Time {
	if db.shared {
		db.view(context.Background(), func(*Tx) error { return nil }) // which tells the time of the store
	}
	return db.clock.Wall()
}

// EndGuests decides about guests whom a sweep has seen.
func EndGuests(db *DB, ids ...string) (int, error) {
	steps := db.steps()
	return steps.EndGuests(context.Background(), ids, db.o.Roles.Protected)
}
