package snib

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/sorter"
)

// Other declarations change the keys of identities, the index entries, and the
// records of users, which list both. All three trees are built anew beside the
// current ones, as shadows, in batches in key order. One small transaction swaps
// them in, together with the declarations. Until then nobody reads a shadow, so
// that each commit keeps every invariant; a crash leaves shadows, which the next
// Open drops.
//
// Another DB on the handle may write users meanwhile (see New). The builder
// keeps a hash of each record it reads. The swap compares them with the current
// records and redoes the users that differ.

// A batch bounds one commit of a builder, and its memory.
type batch struct {
	records, bytes int
	sorted         int // bytes in memory, for each of the three sorters
}

var defaultBatch = batch{records: 20_000, bytes: 4 << 20, sorted: 16 << 20}

// errOvertaken says that the declarations were changed during a build.
var errOvertaken = errors.New("declarations have changed")

type builder struct {
	ctx context.Context
	db  *DB
	*declared
	before uint64             // the version of the declarations in force
	after  codec.Declarations // to be in force

	seed       maphash.Seed
	users      *sorter.Sorter // user id: seenUser
	identities *sorter.Sorter // key in the space: user id
	attributes *sorter.Sorter // key in the space: user id, or nothing if not unique

	told           func(done, total int64)
	steps, total   int64
	found, entries int64 // users read, entries derived
	began          bool  // there may be shadows
}

// rebuild derives the identities and index entries of all users from the
// declarations after, and puts these in force. before is the version of the
// current ones: errOvertaken if it has changed at the end. Two users with one key
// are a ConflictError. After any error the old declarations and trees stay.
func (db *DB) rebuild(ctx context.Context, before uint64, after codec.Declarations) error {
	b := &builder{
		ctx: ctx, db: db, declared: newDeclared(after), before: before, after: after,
		seed: maphash.MakeSeed(), told: db.o.told("index"),
	}
	defer b.close()
	db.o.Logger.Info("snib: other indexes or providers are declared: building them")
	for _, stage := range []func() error{b.read, b.conflicts, b.fill, b.swap} {
		if err := stage(); err != nil {
			db.o.Logger.Warn("snib: building indexes has ended, the declarations stay as they were", "error", err)
			b.abandon()
			return err
		}
	}
	if b.told != nil {
		b.told(b.total, b.total)
	}
	db.o.Logger.Info("snib: indexes are built", "users", b.found, "entries", b.entries)
	return nil
}

// abandon removes the shadows. If it cannot, the next Open does.
func (b *builder) abandon() {
	if !b.began {
		return
	}
	if err := b.db.store.Exclusive(context.WithoutCancel(b.ctx), dropShadows); err != nil {
		b.db.o.Logger.Warn("snib: what was built is left for the next Open to remove", "error", err)
	}
}

// step is taken for each record of each stage.
func (b *builder) step() error {
	if b.steps++; b.steps%256 != 0 {
		return nil
	}
	if b.told != nil {
		b.told(min(b.steps, cmp.Or(b.total, b.steps)), b.total)
	}
	return b.ctx.Err()
}

// read derives the entries of all users and sorts them. It reads one snapshot:
// in two, one value could be seen at two users as it moves between them.
func (b *builder) read() error {
	err := b.db.store.View(b.ctx, func(r kv.Reader) error {
		b.close()
		b.open()
		b.found, b.entries = 0, 0
		return r.Scan(spaceUsers, nil, nil, 0, func(key, value []byte) error {
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
func (b *builder) open() {
	for _, s := range b.sorters() {
		*s = sorter.New(b.db.store.Path(), b.db.batch.sorted)
	}
}

// close frees their memory and files.
func (b *builder) close() {
	for _, s := range b.sorters() {
		if *s != nil {
			(*s).Close()
		}
	}
}

func (b *builder) sorters() []**sorter.Sorter {
	return []**sorter.Sorter{&b.users, &b.identities, &b.attributes}
}

// A row is a key and its value.
type row struct{ key, value []byte }

// derived hands the entries of one user to the sorters.
func (b *builder) derived(x row) error {
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
		if err := b.identities.Add([]byte(pairKey(i.Provider, i.Key)), x.key); err != nil {
			return err
		}
	}
	for _, e := range u.Entries {
		var owner []byte
		if e.Unique {
			owner = x.key
		}
		if err := b.attributes.Add([]byte(entryKey(e, u.ID)), owner); err != nil {
			return err
		}
	}
	return nil
}

// derive returns a user with the identities and entries that are declared.
func (b *builder) derive(key, value []byte) (codec.User, error) {
	u, err := codec.DecodeUser(key, value)
	if err != nil {
		return u, damaged(spaceUsers, err)
	}
	identities := u.Identities
	u.Identities = nil
	for _, x := range identities {
		if x.Key, err = b.rules[x.Provider].fold(x.Identifier); err != nil {
			return u, &InputError{Field: "Options.Providers[" + x.Provider + "]", Reason: "refuses an identifier of user " + u.ID}
		}
		if findIdentity(&u, x) < 0 { // else two spellings of one user's have become one
			u.Identities = append(u.Identities, x)
		}
	}
	if u.Entries, err = indexEntries(b.indexes, decodeAttributes(u.Attributes)); err != nil {
		return u, fmt.Errorf("user %s: %w", u.ID, err)
	}
	return u, nil
}

// conflicts finds two users with one key, before anything is written.
func (b *builder) conflicts() error {
	for _, s := range []struct {
		*sorter.Sorter
		taken error
	}{{b.identities, ErrIdentityTaken}, {b.attributes, ErrAttributeTaken}} {
		var last row
		err := b.each(s.Sorter, func(key, owner []byte) error {
			if bytes.Equal(key, last.key) { // an entry that is not unique ends with its user
				return conflict(key, string(last.value), string(owner), s.taken)
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
func conflict(key []byte, a, b string, taken error) error {
	name, _, _ := bytes.Cut(key, []byte{0})
	return &ConflictError{Name: string(name), Users: [2]UserID{UserID(a), UserID(b)}, kind: taken}
}

// each visits all that a sorter holds, in order.
func (b *builder) each(s *sorter.Sorter, visit func(key, value []byte) error) error {
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
