package records

import (
	"bytes"
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// Bounds of a page of a walk.
const (
	pageRecords = 1000
	pageBytes   = 1 << 20
)

// A row is a record of a page; both slices are its own.
type row struct{ key, value []byte }

// page reads the next records of a space from a key on, n at most.
func page(r kv.Reader, space kv.Space, from []byte, n int) (rows []row, err error) {
	size := 0
	err = r.Scan(space, from, nil, n, func(key, value []byte) error {
		rows = append(rows, row{bytes.Clone(key), append([]byte{}, value...)})
		if size += len(key) + len(value); size >= pageBytes {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return rows, err
}

// Walk visits all records of a space. visit may write: changed counts the writes
// that a scan sees, and after one the rest is read anew. Without writes, pages
// grow.
func Walk(ctx context.Context, r kv.Reader, space kv.Space, changed func() int, visit func(key, value []byte) error) error {
	var from []byte
	for n := 1; ; n = min(2*n, pageRecords) {
		rows, err := page(r, space, from, n)
		if err != nil || len(rows) == 0 {
			return err
		}
		before := changed()
		for _, x := range rows {
			from = append(bytes.Clone(x.key), 0)
			if err := errors.Join(ctx.Err(), visit(x.key, x.value)); err != nil {
				return err
			}
			if changed() != before {
				n = 0
				break
			}
		}
		n = max(n, 1)
	}
}

// far visits all records of a space of an engine that is far away, in pages. The targets of the
// records of a page come in one trip.
func (c *checker) far(engine kv.Wanter, space kv.Space, visit func(key, value []byte) error) error {
	var from []byte
	for {
		rows, err := page(c.tx.R, space, from, pageRecords)
		if err != nil || len(rows) == 0 {
			return err
		}
		engine.Want(c.leadTo(space, rows))
		c.surplus(space, rows)
		for _, x := range rows {
			from = append(x.key[:len(x.key):len(x.key)], 0)
			if err := errors.Join(c.step(), visit(x.key, x.value)); err != nil {
				return err
			}
		}
	}
}

// leadTo returns the keys that the records of a page lead to.
func (c *checker) leadTo(space kv.Space, rows []row) (refs []kv.Ref) {
	last := ""
	user := func(id string) {
		if id != last {
			refs, last = append(refs, kv.Ref{Space: SpaceUsers, Key: []byte(id)}), id
		}
	}
	for _, x := range rows {
		switch space {
		case SpaceUsers:
			u, err := codec.DecodeUser(x.key, x.value)
			if err != nil {
				continue
			}
			for _, i := range u.Identities {
				refs = append(refs, kv.Ref{Space: SpaceIdentities, Key: []byte(PairKey(i.Provider, i.Key))})
			}
			for _, e := range u.Entries {
				refs = append(refs, kv.Ref{Space: SpaceAttributes, Key: []byte(EntryKey(e, u.ID))})
			}
		case SpaceIdentities:
			if ref, err := codec.DecodeUserRef(codec.SpaceIdentities, x.key, x.value); err == nil {
				user(ref.UserID)
			}
		case SpaceAttributes:
			if _, id, ok := splitEntry(x.key, x.value); ok {
				user(id)
			}
		default:
			k := KindOf(space)
			if k == nil {
				continue
			}
			if l, err := k.Life(x.key, x.value); err == nil {
				user(l.Who.String())
			}
			refs = append(refs, c.partner(space, x)...)
		}
	}
	return refs
}

// partner is the family of a session, or the session of a family.
func (c *checker) partner(space kv.Space, x row) []kv.Ref {
	key, ok := codec.ParseOwnedKey(x.key)
	switch {
	case !ok:
	case space == SpaceSessions:
		if v, err := codec.ViewSession(x.key, x.value); err == nil && !v.Family().IsZero() {
			family := key.With(v.Family())
			return []kv.Ref{{Space: SpaceFamilies, Key: family[:]}}
		}
	case space == SpaceFamilies:
		if f, err := codec.DecodeFamily(x.key, x.value); err == nil && !f.Session.IsZero() {
			session := key.With(f.Session)
			return []kv.Ref{{Space: SpaceSessions, Key: session[:]}}
		}
	}
	return nil
}

// surplus notes the owners of a page that have no more records than are within every
// bound, all in the page: nothing of theirs is above one.
func (c *checker) surplus(space kv.Space, rows []row) {
	c.few = nil
	k := KindOf(space)
	if k == nil {
		return
	}
	n := map[codec.Owner]int{}
	var first, last codec.Owner
	for i, x := range rows {
		key, ok := codec.ParseOwnedKey(x.key)
		if !ok {
			return // whose page cannot be told
		}
		if n[key.Owner()]++; i == 0 {
			first = key.Owner()
		}
		last = key.Owner()
	}
	c.few = map[codec.Owner]bool{}
	for owner, many := range n {
		c.few[owner] = many <= within(k) && owner != first && owner != last
	}
}
