package remote

import (
	"bytes"
	"slices"

	"github.com/snibdb/snib/internal/kv"
)

// Scan implements kv.Reader.
func (t *tx) Scan(space kv.Space, from, to []byte, limit int, visit func(key, value []byte) error) error {
	if err := t.usable(); err != nil {
		return err
	}
	return t.walk(Range{Space: space, From: from, To: to, Limit: limit}, visit)
}

// after is the key that follows key.
func after(key []byte) []byte { return append(bytes.Clone(key), 0) }

// walk visits the pairs of a range, page by page, under the changes that are
// held back. A limit <= 0 is none.
func (t *tx) walk(r Range, visit func(key, value []byte) error) error {
	if r.To != nil && bytes.Compare(r.From, r.To) >= 0 {
		return nil
	}
	left := r.Limit
	own := t.heldIn(r)
	for {
		ask := r
		if ask.Limit = t.s.o.Page; left > 0 {
			ask.Limit = min(t.s.o.Page, left+len(own)) // as many of these may be deletes
		}
		base, rest, full, err := t.page(ask)
		if err != nil {
			return err
		}
		if full {
			r.From = rest
		}
		for len(base) > 0 || len(own) > 0 {
			if full && len(base) == 0 && bytes.Compare(own[0].Key, r.From) >= 0 {
				break // it lies behind the page
			}
			var p Pair
			var there bool
			p, there, base, own = next(base, own)
			if !there {
				continue
			}
			if err := visit(p.Key, p.Value); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
		}
		if !full {
			return nil
		}
	}
}

// next takes the first key of both lists. It is not there if it was deleted.
func next(base []Pair, own []Change) (Pair, bool, []Pair, []Change) {
	order := -1
	switch {
	case len(base) == 0:
		order = 1
	case len(own) > 0:
		order = bytes.Compare(base[0].Key, own[0].Key)
	}
	if order < 0 {
		return base[0], true, base[1:], own
	}
	if order == 0 {
		base = base[1:]
	}
	return Pair{own[0].Key, own[0].Value}, !own[0].Delete, base, own[1:]
}

// heldIn returns the changes of a range that are held back, in order.
func (t *tx) heldIn(r Range) (own []Change) {
	for p, c := range t.own {
		if p.space == r.Space && p.key >= string(r.From) && (r.To == nil || p.key < string(r.To)) {
			own = append(own, c)
		}
	}
	slices.SortFunc(own, func(a, b Change) int { return bytes.Compare(a.Key, b.Key) })
	return own
}
