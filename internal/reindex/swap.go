package reindex

import (
	"bytes"
	"hash/maphash"
	"io"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/sorter"
)

// swap puts the shadows and the declarations in force.
func (b *build) swap() error {
	return b.exclusive(b.ctx, func(w kv.Tx) error {
		state, err := records.Meta(b.File, w, codec.KeyState, codec.DecodeState)
		if err != nil {
			return err
		}
		if state.Declarations != b.before {
			return ErrOvertaken
		}
		changed, err := b.changes(w)
		if err != nil {
			return err
		}
		if err := b.Swap(w); err != nil {
			return err
		}
		if err := b.catchUp(w, changed); err != nil {
			return err
		}
		return b.declareIn(w, state)
	})
}

// change is a user whose record is not as it was read.
type change struct {
	was *seenUser // nil: is new
	now row       // without a key: is gone
}

// changes returns the users that differ from the build's reading. It reads all
// of them in the writer's turn, which takes about a second for a million.
func (b *build) changes(w kv.Tx) (out []change, err error) {
	m := &matcher{cursor: b.users.Cursor(), step: b.step}
	if err := m.next(); err != nil {
		return nil, err
	}
	gone := func() error {
		out = append(out, change{was: m.seen})
		return m.next()
	}
	err = w.Scan(records.SpaceUsers, nil, nil, 0, func(key, value []byte) error {
		for m.seen != nil && m.seen.user.ID < string(key) {
			if err := gone(); err != nil {
				return err
			}
		}
		c := change{now: row{key, value}}
		if m.seen != nil && m.seen.user.ID == string(key) {
			c.was = m.seen
			if err := m.next(); err != nil {
				return err
			}
		}
		if c.was == nil || c.was.hash != maphash.Bytes(b.seed, value) || b.unlike[string(key)] {
			c.now = row{bytes.Clone(key), bytes.Clone(value)}
			out = append(out, c)
		}
		return nil
	})
	for err == nil && m.seen != nil {
		err = gone()
	}
	return out, err
}

// matcher goes through the users that were read.
type matcher struct {
	cursor *sorter.Cursor
	step   func() error
	seen   *seenUser // nil behind the last
}

func (m *matcher) next() error {
	m.seen = nil
	key, value, err := m.cursor.Next()
	if err == io.EOF {
		return nil
	}
	if err == nil {
		err = m.step()
	}
	if err != nil {
		return err
	}
	seen, err := decodeSeen(key, value)
	m.seen = &seen
	return err
}

// catchUp brings changed users into the new trees. All their old keys go first:
// another of them may have got one.
func (b *build) catchUp(w kv.Tx, changed []change) error {
	for _, c := range changed {
		if c.was == nil {
			continue
		}
		for _, x := range c.was.user.Identities {
			if err := w.Delete(records.SpaceIdentities, []byte(records.PairKey(x.Provider, x.Key))); err != nil {
				return err
			}
		}
		for _, e := range c.was.user.Entries {
			if err := w.Delete(records.SpaceAttributes, []byte(records.EntryKey(e, c.was.user.ID))); err != nil {
				return err
			}
		}
		if err := w.Delete(records.SpaceUsers, []byte(c.was.user.ID)); err != nil {
			return err
		}
	}
	for _, c := range changed {
		if c.now.key == nil {
			continue
		}
		if err := b.put(w, c.now); err != nil {
			return err
		}
	}
	return nil
}

// put writes a user with all that is derived from the record.
func (b *build) put(w kv.Tx, x row) error {
	u, err := b.derive(x.key, x.value)
	if err != nil {
		return err
	}
	for _, x := range u.Identities {
		if err := b.claim(w, records.SpaceIdentities, records.PairKey(x.Provider, x.Key), u.ID); err != nil {
			return err
		}
	}
	for _, e := range u.Entries {
		if e.Unique {
			err = b.claim(w, records.SpaceAttributes, records.EntryKey(e, u.ID), u.ID)
		} else {
			err = w.Put(records.SpaceAttributes, []byte(records.EntryKey(e, u.ID)), nil)
		}
		if err != nil {
			return err
		}
	}
	return w.Put(records.SpaceUsers, x.key, u.Append(nil))
}

// claim writes a unique entry for user id, unless another user has it.
func (b *build) claim(w kv.Tx, space kv.Space, key, id string) error {
	owner, ok, err := records.Reference(b.File, w, space, key)
	if err != nil {
		return err
	}
	if ok && owner != id {
		return b.conflict(space, []byte(key), owner, id)
	}
	ref := codec.UserRef{UserID: id}
	return w.Put(space, []byte(key), ref.Append(nil, b.File.Name(space), []byte(key)))
}

// declareIn writes the declarations, and the Unicode tables in use.
func (b *build) declareIn(w kv.Tx, state codec.State) error {
	format, err := records.Meta(b.File, w, codec.KeyFormat, codec.DecodeFormat)
	if err != nil {
		return err
	}
	format.Unicode = fold.UnicodeVersion
	state.Declarations = b.after.Version
	for _, record := range []struct {
		key   string
		value []byte
	}{
		{codec.KeyFormat, format.Append(nil)},
		{codec.KeyState, state.Append(nil)},
		{codec.KeyDeclarations, b.after.Append(nil)},
	} {
		if err := w.Put(records.SpaceMeta, []byte(record.key), record.value); err != nil {
			return err
		}
	}
	return nil
}
