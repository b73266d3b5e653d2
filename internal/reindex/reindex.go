// Package reindex builds the identities and index entries of all users for other
// declarations, beside the current ones.
//
// Other declarations change the keys of identities, the index entries, and the
// records of users, which list both. All three trees are built anew beside the
// current ones, as shadows, in batches in key order. One small transaction swaps
// them in, together with the declarations. Until then no reader sees a shadow, so
// that each commit keeps every invariant; a crash leaves shadows, which the next
// Open drops, or on a store of several programs the next sweep.
//
// Another DB on the handle may write users meanwhile. The build keeps a hash of
// each record it reads. The swap compares them with the current records and
// redoes the users that differ.
package reindex

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/sorter"
)

// A Batch bounds one commit of a build, and its memory.
type Batch struct {
	Records, Bytes int
	Sorted         int // bytes in memory, for each of the three sorters
}

// DefaultBatch is that of programs; tests take smaller ones.
var DefaultBatch = Batch{Records: 20_000, Bytes: 4 << 20, Sorted: 16 << 20}

// ErrOvertaken says that the declarations were changed during a build.
var ErrOvertaken = errors.New("declarations have changed")

// Config is the file and what a build needs of its program.
type Config struct {
	File  *records.File
	Store kv.Store
	Path  string // beside which temporary files may lie
	Batch Batch
	Log   *slog.Logger
	Told  func(done, total int64) // may be nil

	// Hold returns an error if the turn to build has gone to another program. It
	// is called in each transaction that writes. nil: it cannot go.
	Hold func(kv.Tx) error

	Swap func(kv.Tx) error // puts the shadows in the place of their spaces
	Drop func(kv.Tx) error // removes all shadows

	// Attributes decodes those of a user.
	Attributes func(encoded string) map[string]any

	// Conflict is the error of two users with one key of a provider, in
	// SpaceIdentities, or of an index, in SpaceAttributes.
	Conflict func(space kv.Space, name, a, b string) error
}

type build struct {
	Config
	*records.Declared
	ctx    context.Context
	before uint64             // the version of the declarations in force
	after  codec.Declarations // to be in force

	seed       maphash.Seed
	users      *sorter.Sorter // user id: seenUser
	identities *sorter.Sorter // key in the space: user id
	attributes *sorter.Sorter // key in the space: user id, or nothing if not unique

	unlike map[string]bool // users whose copy is not of the record that was read

	steps, total   int64
	found, entries int64 // users read, entries derived
	began          bool  // there may be shadows
}

// Run derives the identities and index entries of all users from the
// declarations after, and puts these in force. before is the version of the
// current ones: ErrOvertaken if it has changed at the end. Two users with one key
// are a Config.Conflict. After any error the old declarations and trees stay.
func Run(ctx context.Context, c Config, before uint64, after codec.Declarations) error {
	b := &build{Config: c, Declared: records.NewDeclared(after), ctx: ctx, before: before, after: after, seed: maphash.MakeSeed(), unlike: map[string]bool{}}
	defer b.close()
	b.Log.Info("snib: other indexes or providers are declared: building them")
	for _, stage := range []func() error{b.clear, b.read, b.conflicts, b.fill, b.swap} {
		if err := stage(); err != nil {
			b.Log.Warn("snib: building indexes has ended, the declarations stay as they were", "error", err)
			b.abandon()
			return err
		}
	}
	if b.Told != nil {
		b.Told(b.total, b.total)
	}
	b.Log.Info("snib: indexes are built", "users", b.found, "entries", b.entries)
	return nil
}

// clear removes the shadows that another build could not remove at its end, which
// may have come while this one waited for its turn.
func (b *build) clear() error { return b.exclusive(b.ctx, b.Drop) }

// exclusive runs fn alone, if this build still has the turn.
func (b *build) exclusive(ctx context.Context, fn func(kv.Tx) error) error {
	return b.Store.Exclusive(ctx, func(w kv.Tx) error {
		if b.Hold != nil {
			if err := b.Hold(w); err != nil {
				return err
			}
		}
		return fn(w)
	})
}

// abandon removes the shadows. If it cannot, the next Open or sweep does.
func (b *build) abandon() {
	if !b.began {
		return
	}
	if err := b.exclusive(context.WithoutCancel(b.ctx), b.Drop); err != nil {
		b.Log.Warn("snib: what was built is left for the next Open, or sweep, to remove", "error", err)
	}
}

// step is taken for each record of each stage.
func (b *build) step() error {
	if b.steps++; b.steps%256 != 0 {
		return nil
	}
	if b.Told != nil {
		b.Told(min(b.steps, cmp.Or(b.total, b.steps)), b.total)
	}
	return b.ctx.Err()
}

// read derives the entries of all users and sorts them. It reads one snapshot:
// in two, one value could be seen at two users as it moves between them.
func (b *build) read() error {
	err := b.Store.View(b.ctx, func(r kv.Reader) error {
		b.close()
		b.open()
		b.found, b.entries = 0, 0
		return r.Scan(records.SpaceUsers, nil, nil, 0, func(key, value []byte) error {
			if err := b.step(); err != nil {
				return err
			}
			return b.derived(row{key, value})
		})
	})
	// Users are seen when read, written and swapped, entries when compared and
	// written.
	b.total = 3*b.found + 2*b.entries
	return err
}

// open makes empty sorters.
func (b *build) open() {
	for _, s := range b.sorters() {
		*s = sorter.New(b.Path, b.Batch.Sorted)
	}
}

// close frees their memory and files.
func (b *build) close() {
	for _, s := range b.sorters() {
		if *s != nil {
			(*s).Close()
		}
	}
}

func (b *build) sorters() []**sorter.Sorter {
	return []**sorter.Sorter{&b.users, &b.identities, &b.attributes}
}

// A row is a key and its value.
type row struct{ key, value []byte }

// derived hands the entries of one user to the sorters.
func (b *build) derived(x row) error {
	u, err := b.derive(x.key, x.value)
	if err != nil {
		return err
	}
	b.found++
	b.entries += int64(len(u.Identities) + len(u.Entries))
	seen := seenUser{hash: maphash.Bytes(b.seed, x.value), user: codec.User{ID: u.ID, Identities: u.Identities, Entries: u.Entries}}
	if err := b.users.Add(x.key, seen.append(nil)); err != nil {
		return err
	}
	for _, i := range u.Identities {
		if err := b.identities.Add([]byte(records.PairKey(i.Provider, i.Key)), x.key); err != nil {
			return err
		}
	}
	for _, e := range u.Entries {
		var owner []byte
		if e.Unique {
			owner = x.key
		}
		if err := b.attributes.Add([]byte(records.EntryKey(e, u.ID)), owner); err != nil {
			return err
		}
	}
	return nil
}

// derive returns a user with the identities and entries that are declared.
func (b *build) derive(key, value []byte) (codec.User, error) {
	u, err := codec.DecodeUser(key, value)
	if err != nil {
		return u, b.File.Damaged(records.SpaceUsers, err)
	}
	identities := u.Identities
	u.Identities = nil
	for _, x := range identities {
		key, fault := b.Fold(x.Provider, x.Identifier)
		if fault.Found() {
			return u, b.File.Input("Options.Providers["+x.Provider+"]", fold.Fault{Code: fold.NotAllowed, Reason: "refuses an identifier of user " + u.ID})
		}
		x.Key = key
		if records.FindIdentity(&u, x) < 0 { // else two spellings of one user's have become one
			u.Identities = append(u.Identities, x)
		}
	}
	if u.Entries, err = b.File.Entries(b.Indexes, b.Attributes(u.Attributes)); err != nil {
		return u, fmt.Errorf("user %s: %w", u.ID, err)
	}
	return u, nil
}

// conflicts finds two users with one key, before anything is written.
func (b *build) conflicts() error {
	for _, s := range []struct {
		*sorter.Sorter
		space kv.Space
	}{{b.identities, records.SpaceIdentities}, {b.attributes, records.SpaceAttributes}} {
		var last row
		err := b.each(s.Sorter, func(key, owner []byte) error {
			if bytes.Equal(key, last.key) { // an entry that is not unique ends with its user
				return b.conflict(s.space, key, string(last.value), string(owner))
			}
			last.key, last.value = append(last.key[:0], key...), append(last.value[:0], owner...)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// conflict says that two users have one key of a unique index. Both kinds of
// keys begin with the name, of the provider or the attribute, and a zero byte.
func (b *build) conflict(space kv.Space, key []byte, first, second string) error {
	name, _, _ := bytes.Cut(key, []byte{0})
	return b.Conflict(space, string(name), first, second)
}

// each visits all that a sorter holds, in order.
func (b *build) each(s *sorter.Sorter, visit func(key, value []byte) error) error {
	c := s.Cursor()
	for {
		key, value, err := c.Next()
		switch {
		case err == io.EOF:
			return nil
		case err == nil:
			err = b.step()
		}
		if err == nil {
			err = visit(key, value)
		}
		if err != nil {
			return err
		}
	}
}
