package remote

import (
	"bytes"
	"context"
	"slices"

	"github.com/snibdb/snib/internal/kv"
)

// maxWanted bounds the ranges that one trip brings unasked.
const maxWanted = 64

// span is a range that WantScan has named and a trip has brought: all keys in
// [from, to) with their values, as they are without the changes held back.
type span struct {
	space    kv.Space
	from, to []byte // a nil to is open
	pairs    []Pair
}

// holds reports whether the span has the key, or knows that it is absent.
func (x *span) holds(space kv.Space, key []byte) bool {
	return x.space == space && bytes.Compare(x.from, key) <= 0 && (x.to == nil || bytes.Compare(key, x.to) < 0)
}

// find returns the index of the first pair at or behind key.
func (x *span) find(key []byte) (i int, exact bool) {
	return slices.BinarySearchFunc(x.pairs, key, func(p Pair, key []byte) int { return bytes.Compare(p.Key, key) })
}

// newSpan returns what the answer of r tells. A full page tells nothing of the
// keys behind its last.
func newSpan(r Range, pairs []Pair) *span {
	x := &span{space: r.Space, from: r.From, to: r.To, pairs: pairs}
	if len(pairs) >= r.Limit {
		x.to = after(pairs[len(pairs)-1].Key)
	}
	return x
}

// WantScan implements kv.ScanWanter. A session that is no Batcher would pay a
// trip for each range, so that the hint is dropped.
func (t *tx) WantScan(space kv.Space, from, to []byte, limit int) {
	if _, ok := t.in.(Batcher); !ok || t.ended || len(t.ranges) == maxWanted || to != nil && bytes.Compare(from, to) >= 0 {
		return
	}
	r := Range{Space: space, From: append([]byte{}, from...), To: bytes.Clone(to), Limit: t.s.o.Page}
	if limit > 0 {
		r.Limit = min(limit, r.Limit)
	}
	if t.spanOf(space, from) == nil {
		t.ranges = append(t.ranges, r)
	}
}

// spanOf returns the span that holds a key, nil if there is none.
func (t *tx) spanOf(space kv.Space, key []byte) *span {
	for _, x := range t.spans {
		if x.holds(space, key) {
			return x
		}
	}
	return nil
}

// coming reports whether a range that is wanted answers r.
func (t *tx) coming(r Range) bool {
	return slices.ContainsFunc(t.ranges, func(x Range) bool {
		return x.Space == r.Space && bytes.Equal(x.From, r.From) && x.Limit >= r.Limit &&
			(x.To == nil || r.To != nil && bytes.Compare(r.To, x.To) <= 0)
	})
}

// forget drops all that was read, as flushed writes are under it now.
func (t *tx) forget() {
	clear(t.have)
	t.spans = nil
}

// missing returns the keys of places, and of those wanted, that are not known.
func (t *tx) missing(places []place) (refs []kv.Ref) {
	asked := map[place]bool{}
	for _, p := range places {
		if !asked[p] && !t.known(p) && readable([]byte(p.key)) {
			asked[p] = true
			refs = append(refs, p.ref())
		}
	}
	return refs
}

// bring makes refs and ranges known, in one trip, and returns the pairs of the
// ranges.
func (t *tx) bring(refs []kv.Ref, ranges []Range) (pairs [][]Pair, err error) {
	err = t.ask(func(ctx context.Context) (err error) {
		var values []Value
		if len(ranges) == 0 {
			values, err = t.in.Get(ctx, refs)
		} else {
			values, pairs, err = t.in.(Batcher).Batch(ctx, refs, ranges)
		}
		if err != nil {
			return err
		}
		for i, r := range refs {
			t.have[place{r.Space, string(r.Key)}] = values[i]
		}
		return nil
	})
	return pairs, err
}

// bringWanted makes known the wanted keys and ranges, places, and the answer of
// each of also, which is returned.
func (t *tx) bringWanted(places []place, also ...Range) ([][]Pair, error) {
	refs, ranges := t.missing(append(places, t.wants...)), t.ranges
	t.wants, t.ranges = nil, nil
	pairs, err := t.bring(refs, append(ranges[:len(ranges):len(ranges)], also...))
	if err != nil {
		return nil, err
	}
	for i, r := range ranges {
		t.spans = append(t.spans, newSpan(r, pairs[i]))
	}
	return pairs[len(ranges):], nil
}

// page returns the first pairs of r. If there may be more, they begin at next.
func (t *tx) page(r Range) (pairs []Pair, next []byte, more bool, err error) {
	if pairs, next, more, ok := t.nearPage(r); ok {
		return pairs, next, more, nil
	}
	_, batch := t.in.(Batcher)
	switch {
	case batch && t.coming(r):
		if _, err = t.bringWanted(nil); err != nil {
			return nil, nil, false, err
		}
		if pairs, next, more, ok := t.nearPage(r); ok {
			return pairs, next, more, nil
		}
		err = t.ask(func(ctx context.Context) (err error) { pairs, err = t.in.Scan(ctx, r); return err })
	case batch && len(t.wants)+len(t.ranges) > 0:
		var answers [][]Pair
		if answers, err = t.bringWanted(nil, r); err == nil {
			pairs = answers[0]
		}
	default:
		err = t.ask(func(ctx context.Context) (err error) { pairs, err = t.in.Scan(ctx, r); return err })
	}
	if more = err == nil && len(pairs) == r.Limit; more {
		next = after(pairs[len(pairs)-1].Key)
	}
	return pairs, next, more, err
}

// nearPage is page of a span that is here.
func (t *tx) nearPage(r Range) (pairs []Pair, next []byte, more, ok bool) {
	x := t.spanOf(r.Space, r.From)
	if x == nil {
		return nil, nil, false, false
	}
	first, _ := x.find(r.From)
	last := len(x.pairs)
	inside := r.To != nil && (x.to == nil || bytes.Compare(r.To, x.to) <= 0)
	if inside {
		last, _ = x.find(r.To)
	}
	switch pairs = x.pairs[first:last]; {
	case len(pairs) > r.Limit:
		pairs = pairs[:r.Limit]
		return pairs, after(pairs[r.Limit-1].Key), true, true
	case inside || x.to == nil:
		return pairs, nil, false, true
	}
	return pairs, x.to, true, true
}
