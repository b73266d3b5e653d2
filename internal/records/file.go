package records

import (
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
)

// Config holds a program's demands on the records of a file.
type Config struct {
	Failures
	Clock *clock.Clock
	Rand  io.Reader // safe for concurrent use

	MaxSessions, MaxFamilies int // of one user; at most the bounds of the kinds

	Protected []string // roles that never go without a holder

	MaxOutbox uint64 // events that wait for consumers; the constant but in tests
}

// File is shared by all transactions on one file. Its fields are set before the
// first transaction and do not change, but for the atomic ones.
type File struct {
	Config

	OwnerKey codec.OwnerKey
	owners   *codec.Owners // made with OwnerKey; nil before UseOwners

	spaces []kv.SpaceSpec // those of this program, then those of a later one
	Owned  []kv.Space     // all that hold records of users

	Time Time

	Declared atomic.Pointer[Declared]
	Ring     Ring // nil: the program has no keys
	seen     atomic.Pointer[seenState]
}

// Time is where the time of transactions comes from.
type Time uint8

// The kinds of Time.
const (
	OfProcess  Time = iota // the clock of the one process on the file
	OfStore                // a kv.Timer
	OfMachines             // the clocks of several, which agree by the floor
)

// seenState is the state that the readers of one version see: true for them
// for ever, and for no other version.
type seenState struct {
	version uint64
	state   codec.State
}

// Fork returns a File that a transaction may change before it is known whether
// it commits.
func (f *File) Fork() *File {
	fork := &File{Config: f.Config, Time: f.Time, OwnerKey: f.OwnerKey, owners: f.owners, spaces: f.spaces, Owned: f.Owned}
	if f.Ring != nil {
		fork.Ring = f.Ring.fork()
	}
	fork.Declared.Store(f.Declared.Load())
	return fork
}

// Name returns that of a space.
func (f *File) Name(space kv.Space) string {
	if int(space) < len(Spaces) {
		return Spaces[space].Name
	}
	return f.spaces[space].Name
}

// NewOwnerKey draws the key of the owners of a file.
func (f *File) NewOwnerKey() (k codec.OwnerKey, err error) {
	if _, err = io.ReadFull(f.Rand, k.Key[:]); err != nil {
		err = fmt.Errorf("reading random bytes: %w", err)
	}
	return k, err
}

// UseOwners makes f find the records of users by the key of their owners. The
// key of a file never changes.
func (f *File) UseOwners(k codec.OwnerKey) error {
	switch {
	case f.owners == nil:
		f.owners, f.OwnerKey = codec.NewOwners(k.Key), k
	case f.OwnerKey != k:
		return f.Corrupt(codec.SpaceMeta, "the key of owners has changed")
	}
	return nil
}

// Owner returns that of a user: the beginning of the keys of the user's
// records.
func (f *File) Owner(userID string) codec.Owner { return f.owners.Of(userID) }

// UseOwned makes cascades go through the owned spaces of the file, which may
// be of a later program. It returns all spaces of the file.
func (f *File) UseOwned(names []string) []kv.SpaceSpec {
	f.spaces, f.Owned = slices.Clone(Spaces), nil
	for _, name := range names {
		i := slices.IndexFunc(Spaces, func(s kv.SpaceSpec) bool { return s.Name == name })
		if i < 0 {
			i = len(f.spaces)
			f.spaces = append(f.spaces, kv.SpaceSpec{Name: name})
		}
		f.Owned = append(f.Owned, kv.Space(i))
	}
	return f.spaces
}

// LaterNames returns the names of the owned spaces of a later program.
func (f *File) LaterNames() (names []string) {
	for _, space := range f.Owned {
		if int(space) >= len(Spaces) {
			names = append(names, f.spaces[space].Name)
		}
	}
	return names
}

// Meta reads one record of the space meta with one of the codec's decoders.
func Meta[T any](f *File, r kv.Reader, key string, decode func([]byte) (T, error)) (record T, err error) {
	value, err := f.meta(r, key)
	if err != nil {
		return record, err
	}
	if record, err = decode(value); err != nil {
		err = f.Damaged(SpaceMeta, err)
	}
	return record, err
}

func (f *File) meta(r kv.Reader, key string) ([]byte, error) {
	value, ok, err := r.Get(SpaceMeta, []byte(key))
	switch {
	case err != nil || ok:
		return value, err
	case key == codec.KeyFormat:
		return nil, ErrForeignFile // a bucket of our name that says nothing of itself
	}
	return nil, f.Corrupt(codec.SpaceMeta, key+" is missing")
}

// Application is the application name in each file of this library.
const Application = "snib"

func putMeta(w kv.Tx, format codec.Format, state codec.State, declared codec.Declarations, owners codec.OwnerKey, spaces codec.OwnedSpaces) error {
	for _, record := range []struct {
		key   string
		value []byte
	}{
		{codec.KeyFormat, format.Append(nil)},
		{codec.KeyState, state.Append(nil)},
		{codec.KeyDeclarations, declared.Append(nil)},
		{codec.KeyOwners, owners.Append(nil)},
		{codec.KeyOwnedSpaces, spaces.Append(nil)},
	} {
		if err := w.Put(SpaceMeta, []byte(record.key), record.value); err != nil {
			return err
		}
	}
	return nil
}

// CheckFormat refuses a file of another program or of a newer format.
func CheckFormat(format codec.Format) error {
	if format.Application != Application {
		return ErrForeignFile
	}
	if format.MinReader > codec.FormatVersion {
		return fmt.Errorf("format %d: %w", format.Version, ErrNewerFormat)
	}
	return nil
}

// A Foresight lists the probable reads of a write, as far as its arguments tell.
// An engine that is far away fetches it in the trip of the first read.
type Foresight struct {
	Refs  []kv.Ref
	New   []kv.Ref    // keys to put if absent, such as an identity
	User  string      // whose record, and records in Owned, are read
	Owner codec.Owner // the same, where only a key is known
	Owned []kv.Space
	All   bool // all owned records are removed
}

// Foresee tells a far engine the reads to come after the state.
func (f *File) Foresee(r kv.Reader, x Foresight) {
	far, ok := kv.As[kv.Wanter](r)
	if !ok {
		return
	}
	head := codec.PositionKey(codec.OutboxHeadKey)
	refs := append([]kv.Ref{{Space: SpaceMeta, Key: []byte(codec.KeyState)}, {Space: SpaceOutbox, Key: head[:]}}, x.Refs...)
	if x.User != "" {
		refs = append(refs, kv.Ref{Space: SpaceUsers, Key: []byte(x.User)})
		x.Owner = f.Owner(x.User)
	}
	if claimer, ok := kv.As[kv.Claimer](r); ok {
		claimer.Claim(x.New)
	} else {
		refs = append(refs, x.New...)
	}
	far.Want(refs)
	ranges, ok := kv.As[kv.ScanWanter](r)
	if !ok || x.Owner == (codec.Owner{}) {
		return
	}
	if x.All {
		x.Owned = append(append([]kv.Space{}, f.Owned...), SpaceQuarantine)
		if d := f.Declared.Load(); d != nil && len(d.Owned) > 0 {
			far.Want([]kv.Ref{{Space: SpaceLeaving, Key: []byte(x.User)}})
		}
	}
	for _, space := range x.Owned {
		from, to := x.Owner.AppendRange(nil)
		ranges.WantScan(space, from, to, 0)
	}
}
