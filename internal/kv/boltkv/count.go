package boltkv

import (
	"github.com/snibdb/snib/internal/kv"
)

// maxCounted is how many leaves of a space are read to count its keys.
const maxCounted = 1000

// Count implements kv.Counter. It reads the branches of a space, which are one
// page in a hundred, and of at most maxCounted leaves the number of keys.
func (r *reader) Count(space kv.Space) (int64, error) {
	if err := r.usable(); err != nil {
		return 0, err
	}
	s, err := r.space(space)
	if err != nil || s.bucket == nil {
		return 0, err
	}
	root := uint64(s.bucket.Root())
	if root == 0 { // so small that it lies in the page of its parent
		var n int64
		c := s.bucket.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			n++
		}
		return n, nil
	}
	leaves, err := r.leaves([]uint64{root})
	if err != nil {
		return 0, err
	}
	return r.count(leaves)
}

// leaves returns the pages at the bottom of a tree, whose branches are of one
// depth, as bbolt keeps them.
func (p *pages) leaves(level []uint64) ([]uint64, error) {
	for range maxDepth {
		b, err := p.mapped().page(level[0])
		if err != nil || pageKind(b) == leafPage {
			return level, err
		}
		var next []uint64
		for _, id := range level {
			b, err := p.mapped().page(id)
			if err != nil {
				return nil, err
			}
			if pageKind(b) != innerPage {
				return nil, damaged("page %d is no branch, beside others", id)
			}
			if uint64(len(next)+pageCount(b)) > p.mapped().high {
				return nil, damaged("branches have more children than there are pages")
			}
			for i := range pageCount(b) {
				c, err := childAt(b, i)
				if err != nil {
					return nil, err
				}
				next = append(next, c.id)
			}
		}
		if len(next) == 0 {
			return nil, damaged("branch page %d is empty", level[0])
		}
		level = next
	}
	return nil, damaged("branch page %d leads nowhere", level[0])
}

// count adds the keys of leaves, if there are many by a sample from end to end.
func (p *pages) count(leaves []uint64) (int64, error) {
	read, n := min(len(leaves), maxCounted), int64(0)
	for i := range read {
		b, err := p.mapped().page(leaves[i*len(leaves)/read])
		if err != nil {
			return 0, err
		}
		n += int64(pageCount(b))
	}
	return n * int64(len(leaves)) / int64(read), nil
}
