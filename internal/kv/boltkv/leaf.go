package boltkv

import (
	"bytes"
	"encoding/binary"
	"unsafe"
)

// bbolt finds a key by a binary search in a leaf. If damage has put the keys of
// the leaf out of order, the search may end anywhere and a range seem empty: the
// sessions of a user would outlive their revocation. A write would spread it: it
// may split the leaf, or merge its neighbour with it, at a key that lies
// elsewhere, and whole leaves are then found by no search. So each leaf is
// checked before a range that reaches into it is believed or removed, and before
// a key is put there. Get and Delete of one key agree on what they find, so that
// what a Delete misses is accepted nowhere; they are not kept from a damaged leaf.
//
// In a write transaction that is the leaf as it was last committed. bbolt takes
// its nodes from there and keeps their order, and reuses no page of that commit
// before the next transaction.

// A mapped reads pages where bbolt has them in memory, good as long as its
// transaction is open. A fault in it is a panic, as in bbolt's own reads.
type mapped struct {
	base     unsafe.Pointer
	pageSize uint64
	high     uint64 // pages; the first that was never used
}

func (p *pages) mapped() mapped {
	if p.memory.base == nil {
		info := p.btx.DB().Info()
		size := uint64(info.PageSize)
		p.memory = mapped{mapBase(info), size, uint64(p.btx.Size()) / size}
	}
	return p.memory
}

// page returns the bytes of a branch or a leaf, with its overflow.
func (m mapped) page(id uint64) ([]byte, error) {
	if id < 2 || id >= m.high {
		return nil, damaged("page %d is outside", id)
	}
	start := (*byte)(unsafe.Add(m.base, id*m.pageSize))
	head := unsafe.Slice(start, pageHeader)
	n := uint64(native.Uint32(head[12:])) + 1
	if native.Uint64(head) != id || n > m.high-id || n > uint64(maxRun)/m.pageSize {
		return nil, damaged("page %d has a wrong id or length", id)
	}
	b := unsafe.Slice(start, n*m.pageSize)
	if kind := pageKind(b); kind != leafPage && kind != innerPage || !counted(b) {
		return nil, damaged("page %d has a wrong kind or number of entries", id)
	}
	return b, nil
}

// A stretch is the keys of a leaf that was checked: from a key, or the first if
// that is nil, to the first of the next leaf, nil if there is none.
type stretch struct {
	from, end []byte
	checked   bool
	wide      bool // with the leaves on both sides
}

func (x stretch) covers(key []byte, wide bool) bool {
	return x.checked && (x.wide || !wide) && bytes.Compare(x.from, key) <= 0 && before(key, x.end)
}

// sound checks the leaf of a space in which key is or would be; if wide its
// neighbours, too, with which bbolt may merge it when keys go. The order of
// branches was checked when the file was opened, and bbolt keeps it.
func (p *pages) sound(s *space, key []byte, wide bool) (stretch, error) {
	if s.sound.covers(key, wide) {
		return s.sound, nil
	}
	at, found := child{id: uint64(s.bucket.Root())}, stretch{checked: true, wide: wide}
	if at.id == 0 {
		return s.small()
	}
	for range maxDepth {
		b, err := p.mapped().page(at.id)
		switch {
		case err != nil:
			return found, err
		case pageKind(b) == leafPage:
			if err := at.ordered(b, found.end); err != nil {
				return found, err
			}
			s.sound = found
			return found, nil
		}
		if at, err = p.descend(b, key, &found); err != nil {
			return found, err
		}
	}
	return found, damaged("branch page %d leads nowhere", at.id)
}

// descend returns the child of a branch page to which key belongs, and narrows x
// to the keys of that child.
func (p *pages) descend(b, key []byte, x *stretch) (child, error) {
	i, high := 0, pageCount(b)
	for high-i > 1 {
		middle := (i + high) / 2
		switch c, err := childAt(b, middle); {
		case err != nil:
			return c, err
		case bytes.Compare(c.key, key) <= 0:
			i = middle
		default:
			high = middle
		}
	}
	if x.wide {
		for _, j := range []int{i - 1, i + 1} {
			if err := p.neighbour(b, j, x.end); err != nil {
				return child{}, err
			}
		}
	}
	c, err := childAt(b, i)
	if i > 0 {
		x.from = c.key
	}
	if err == nil && i+1 < pageCount(b) {
		var next child
		next, err = childAt(b, i+1)
		x.end = next.key
	}
	return c, err
}

// neighbour checks child i of a branch page, if there is one and it is a leaf.
func (p *pages) neighbour(b []byte, i int, end []byte) error {
	if i < 0 || i >= pageCount(b) {
		return nil
	}
	c, err := childAt(b, i)
	if err == nil && i+1 < pageCount(b) {
		var next child
		next, err = childAt(b, i+1)
		end = next.key
	}
	if err != nil {
		return err
	}
	leaf, err := p.mapped().page(c.id)
	if err != nil || pageKind(leaf) != leafPage {
		return err
	}
	return c.ordered(leaf, end)
}

// childAt returns entry i of a branch page.
func childAt(b []byte, i int) (child, error) {
	if i >= pageCount(b) {
		return child{}, damaged("a branch page is empty")
	}
	e, err := entryAt(b, i)
	return child{e.page, e.key}, err
}

// reach checks the leaves that follow x as far as the one of key, nil being
// beyond the last, and returns that.
func (p *pages) reach(s *space, x stretch, key []byte) (_ stretch, err error) {
	wide := x.wide
	for x.end != nil && err == nil && (key == nil || bytes.Compare(x.end, key) <= 0) {
		x, err = p.sound(s, x.end, wide)
	}
	return x, err
}

// ordered checks that the keys of a leaf rise from the one by which its parent
// has it to the next one of the parent, end, if it has a parent. The first eight
// bytes of two keys mostly tell.
func (c child) ordered(b, end []byte) error {
	if err := c.first(b); err != nil {
		return err
	}
	var last []byte
	var lastHead uint64
	for i := range pageCount(b) {
		key, err := leafKey(b, i)
		if err != nil {
			return err
		}
		head := lastHead
		if len(key) >= 8 {
			head = binary.BigEndian.Uint64(key)
		}
		if (head <= lastHead || len(last) < 8) && bytes.Compare(last, key) >= 0 {
			return damaged("the keys of page %d are out of order", c.id)
		}
		last, lastHead = key, head
	}
	if !before(last, end) {
		return damaged("the keys of page %d go beyond those of its parent", c.id)
	}
	return nil
}

// leafKey returns key i of a leaf, as entryAt does.
func leafKey(b []byte, i int) ([]byte, error) {
	at := pageHeader + 16*i
	e := b[at : at+16]
	from := uint64(at) + uint64(native.Uint32(e[4:]))
	end := from + uint64(native.Uint32(e[8:]))
	if from == end || end+uint64(native.Uint32(e[12:])) > uint64(len(b)) {
		return nil, damaged("a key or value is empty or outside its page")
	}
	return b[from:end], nil
}

// small checks a space that is so small that it lies in the page of its parent.
func (s *space) small() (stretch, error) {
	c, last := s.bucket.Cursor(), []byte(nil)
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if bytes.Compare(last, k) >= 0 {
			return s.sound, outOfOrder()
		}
		last = k
	}
	s.sound = stretch{checked: true, wide: true}
	return s.sound, nil
}
