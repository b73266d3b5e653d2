package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/factor"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/move"
)

// All records travel from store to store as they are: none is decoded but those
// that must not go on. See docs/FORMAT.md, Exports.

// Moved counts the records of an export.
type Moved struct {
	Users, Records, LeftOut int
	Bytes                   int64 // of the export; zero when it is read
}

var (
	errLost     = errors.New("the snapshot was lost: export again")
	errOvertake = errors.New("another import into the store goes on")

	// ErrAccounts refuses an import into a store that has accounts.
	ErrAccounts = errors.New("store has accounts")

	// ErrOther refuses an import into a store that has a part of another export.
	ErrOther = errors.New("store has a part of another export")
)

// Complete returns ErrIncomplete while an import into the store has not ended.
func Complete(r kv.Reader) error {
	_, there, err := r.Get(SpaceMeta, []byte(codec.KeyMoving))
	if err == nil && there {
		err = ErrIncomplete
	}
	return err
}

// moves reports whether records of a space travel. One-time tokens do not: in
// the copy, one that was used since would be good again. Quarantine is damage.
func moves(space kv.Space) bool {
	return space != SpaceMeta && space != SpaceOneTime && space != SpaceQuarantine && !(int(space) < len(Spaces) && Spaces[space].Shadow)
}

// remains reports whether a factor goes on in a copy: recovery codes do not, for
// the reason of one-time tokens, nor does a factor that waits to be confirmed. A
// record that cannot be read travels as it is, for Check to find.
func remains(key, value []byte) (f codec.Factor, ok bool, err error) {
	f, err = codec.DecodeFactor(key, value)
	return f, err != nil || f.Type != FactorRecovery && Confirmed(&f), err
}

// rewound returns the value of a factor that refuses the codes and challenges that
// could have been used in the other store, of a state, at a time of the wall.
func rewound(f codec.Factor, value []byte, state codec.State, wall int64) []byte {
	switch {
	case f.Type == FactorTOTP:
		f.Counter = max(f.Counter, factor.Step(wall)+1)
	case f.Type == FactorPasskey && refuseUntil(&f, state.Epoch, max(wall, state.Floor)) == nil:
	default:
		return value
	}
	return f.Append(nil)
}

// counted says whether bytes were written.
type counted struct {
	io.Writer
	began bool
}

func (c *counted) Write(b []byte) (int, error) {
	c.began = true
	return c.Writer.Write(b)
}

// Export writes all records to w, of one snapshot.
func (f *File) Export(ctx context.Context, store kv.Store, w io.Writer) (m Moved, err error) {
	out := &counted{Writer: w}
	var id [move.IDBytes]byte
	if _, err := io.ReadFull(f.Rand, id[:]); err != nil {
		return m, fmt.Errorf("reading random bytes: %w", err)
	}
	err = store.View(ctx, func(r kv.Reader) error {
		if out.began {
			return errLost // the bytes so far belong to another snapshot
		}
		m, err = f.export(ctx, r, out, id)
		return err
	})
	return m, err
}

func (f *File) export(ctx context.Context, r kv.Reader, w io.Writer, id [move.IDBytes]byte) (m Moved, err error) {
	if err := Complete(r); err != nil {
		return m, err
	}
	var meta []move.Pair
	err = r.Scan(SpaceMeta, nil, nil, 0, func(key, value []byte) error {
		switch string(key) {
		case codec.KeySweepLease, codec.KeyBuildLease:
		default:
			meta = append(meta, move.Pair{Key: bytes.Clone(key), Value: bytes.Clone(value)})
		}
		return nil
	})
	if err != nil {
		return m, err
	}
	x, err := move.NewWriter(w, id, meta)
	if err != nil {
		return m, err
	}
	for i := range f.spaces {
		space := kv.Space(i)
		err := r.Scan(space, nil, nil, 0, func(key, value []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			ok := moves(space)
			if ok && space == SpaceFactors {
				_, ok, _ = remains(key, value)
			}
			if !ok {
				if space == SpaceOneTime || space == SpaceFactors {
					m.LeftOut++
				}
				return nil
			}
			if space == SpaceUsers {
				m.Users++
			}
			return x.Add(f.Name(space), move.Pair{Key: key, Value: value})
		})
		if err != nil {
			return m, err
		}
	}
	if err = x.Close(); err != nil {
		return m, err
	}
	m.Records, m.Bytes = int(x.Records), x.Bytes
	return m, nil
}

// An Importer holds the target of an import, and its rules.
type Importer struct {
	Store kv.Store
	Wall  int64 // Unix milliseconds: codes of factors up to now are used
	Rows  bool  // the store has rows of the application's

	// Keys verifies the keys of the export, before anything is written.
	Keys func(codec.SealKeys) error
}

// Import writes the records of an export to a store without accounts, or goes on
// where an earlier import of that export has stopped.
func (f *File) Import(ctx context.Context, r io.Reader, to Importer) (m Moved, err error) {
	x, err := move.NewReader(r)
	if err != nil {
		return m, exportError(err)
	}
	about, err := f.describes(x.Meta)
	if err != nil {
		return m, err
	}
	if err := to.Keys(about.keys); err != nil {
		return m, err
	}
	spaces := f.UseOwned(about.owned.Names)
	if extender, ok := to.Store.(kv.Extender); ok {
		extender.Extend(spaces)
	} else if later := f.LaterNames(); len(later) > 0 {
		return m, fmt.Errorf("records of a later program (%s): %w", later[0], errors.ErrUnsupported)
	}
	done, err := f.beginMove(ctx, to.Store, x.ID)
	if err != nil {
		return m, err
	}
	for {
		frame, err := x.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, exportError(err)
		}
		space, err := f.spaceOf(frame.Space)
		if err != nil {
			return m, err
		}
		if space == SpaceUsers {
			m.Users += len(frame.Pairs)
		}
		if m.Records += len(frame.Pairs); x.Frames > done {
			if err := f.place(ctx, to, about.state, space, frame.Pairs, codec.Moving{Export: x.ID, Frames: x.Frames}); err != nil {
				return m, err
			}
		}
	}
	return m, to.Store.Exclusive(ctx, func(w kv.Tx) error {
		if err := overtaken(w, codec.Moving{Export: x.ID, Frames: x.Frames}); err != nil {
			return err
		}
		return f.endMove(w, about, to.Rows)
	})
}

// exportError makes an error of this package of one of the export's own.
func exportError(err error) error {
	kind := kv.ErrCorrupt
	switch {
	case errors.Is(err, move.ErrForeign):
		kind = ErrForeignFile
	case errors.Is(err, move.ErrNewer):
		kind = ErrNewerFormat
	case !errors.Is(err, move.ErrDamaged) && !errors.Is(err, move.ErrCut):
		return err // of reading
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// described holds an export's records about the store that it comes from.
type described struct {
	pairs    []move.Pair
	state    codec.State
	declared codec.Declarations
	owned    codec.OwnedSpaces
	keys     codec.SealKeys
}

// describes reads it. Everything is verified before the first write.
func (f *File) describes(pairs []move.Pair) (d described, err error) {
	d.pairs = pairs
	values := map[string][]byte{}
	for _, p := range pairs {
		values[string(p.Key)] = p.Value
	}
	read := func(key string, decode func([]byte) error) {
		if err == nil {
			if err = decode(values[key]); err != nil && (!errors.Is(err, ErrForeignFile) && !errors.Is(err, ErrNewerFormat)) {
				err = f.Damaged(SpaceMeta, err)
			}
		}
	}
	read(codec.KeyFormat, func(v []byte) error {
		format, err := codec.DecodeFormat(v)
		if err == nil {
			err = CheckFormat(format)
		}
		if err == nil && format.Version != codec.FormatVersion {
			err = codec.ErrCorrupt // none was ever written
		}
		return err
	})
	read(codec.KeyState, func(v []byte) (err error) { d.state, err = codec.DecodeState(v); return err })
	read(codec.KeyOwners, func(v []byte) error { _, err := codec.DecodeOwnerKey(v); return err })
	read(codec.KeyDeclarations, func(v []byte) (err error) { d.declared, err = codec.DecodeDeclarations(v); return err })
	read(codec.KeyOwnedSpaces, func(v []byte) (err error) {
		d.owned, err = codec.DecodeOwnedSpaces(v)
		d.owned.Names = OwnedNames(d.owned.Names)
		return err
	})
	if values[codec.KeySealKeys] != nil {
		read(codec.KeySealKeys, func(v []byte) (err error) { d.keys, err = codec.DecodeSealKeys(v); return err })
	}
	if values[codec.KeyMoving] != nil && err == nil {
		err = f.Corrupt(codec.SpaceMeta, "an export of half an import")
	}
	return d, err
}

// spaceOf finds the space of a frame, which must be one of those that travel.
func (f *File) spaceOf(name string) (kv.Space, error) {
	i := slices.IndexFunc(f.spaces, func(s kv.SpaceSpec) bool { return s.Name == name && !s.Shadow })
	if i < 0 || !moves(kv.Space(i)) {
		return 0, f.Corrupt("export", "records of a space that does not travel")
	}
	return kv.Space(i), nil
}

// beginMove makes the store one that is incomplete, and returns how many frames of
// the export it has. Programs that have it open find no state any more.
func (f *File) beginMove(ctx context.Context, store kv.Store, id [move.IDBytes]byte) (done uint64, err error) {
	err = store.Exclusive(ctx, func(w kv.Tx) error {
		value, there, err := w.Get(SpaceMeta, []byte(codec.KeyMoving))
		if err != nil {
			return err
		}
		if there {
			m, err := codec.DecodeMoving(value)
			if err == nil && m.Export != id {
				return ErrOther
			}
			done = m.Frames
			return err
		}
		if err := f.free(w); err != nil {
			return err
		}
		done = 0
		for _, space := range []kv.Space{SpaceThrottle, SpaceOutbox, SpaceCursors} {
			if _, err := w.DeleteRange(space, nil, nil); err != nil {
				return err
			}
		}
		format, _, err := w.Get(SpaceMeta, []byte(codec.KeyFormat))
		if err != nil {
			return err
		}
		format = bytes.Clone(format)
		if _, err := w.DeleteRange(SpaceMeta, nil, nil); err != nil {
			return err
		}
		m := codec.Moving{Export: id}
		return errors.Join(w.Put(SpaceMeta, []byte(codec.KeyFormat), format), w.Put(SpaceMeta, []byte(codec.KeyMoving), m.Append(nil)))
	})
	return done, err
}

// free refuses a store that is not of this library or has accounts.
func (f *File) free(w kv.Tx) error {
	format, err := Meta(f, w, codec.KeyFormat, codec.DecodeFormat)
	if err == nil {
		err = CheckFormat(format)
	}
	if err != nil {
		return err
	}
	for i := range f.spaces {
		switch space := kv.Space(i); space {
		case SpaceMeta, SpaceThrottle, SpaceOutbox, SpaceCursors:
		default:
			err := w.Scan(space, nil, nil, 1, func(_, _ []byte) error { return ErrAccounts })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// overtaken fails unless the store is where this import has left it.
func overtaken(w kv.Tx, m codec.Moving) error {
	value, there, err := w.Get(SpaceMeta, []byte(codec.KeyMoving))
	if err != nil {
		return err
	}
	if at, err := codec.DecodeMoving(value); !there || err != nil || at != m {
		return errOvertake
	}
	return nil
}

// place writes the records of a frame, and that the frame is there.
func (f *File) place(ctx context.Context, to Importer, state codec.State, space kv.Space, pairs []move.Pair, m codec.Moving) error {
	return to.Store.Apply(ctx, func(w kv.Tx) error {
		if err := overtaken(w, codec.Moving{Export: m.Export, Frames: m.Frames - 1}); err != nil {
			return err
		}
		for _, p := range pairs {
			value := p.Value
			if space == SpaceFactors {
				x, ok, err := remains(p.Key, value)
				if !ok {
					continue
				}
				if err == nil {
					value = rewound(x, value, state, to.Wall)
				}
			}
			if err := w.Put(space, p.Key, value); err != nil {
				return err
			}
		}
		return w.Put(SpaceMeta, []byte(codec.KeyMoving), m.Append(nil))
	})
}

// endMove writes the records about the store, in the place of the mark.
func (f *File) endMove(w kv.Tx, about described, rows bool) error {
	if _, err := w.DeleteRange(SpaceMeta, nil, nil); err != nil {
		return err
	}
	if !rows {
		about.declared.Owned = nil // the rows stay behind
	}
	for _, p := range about.pairs {
		value := p.Value
		switch string(p.Key) {
		case codec.KeyDeclarations:
			value = about.declared.Append(nil)
		case codec.KeyOwnedSpaces:
			value = about.owned.Append(nil)
		}
		if err := w.Put(SpaceMeta, p.Key, value); err != nil {
			return err
		}
	}
	return nil
}
