package boltkv

import (
	"bytes"
	"fmt"
)

// bbolt follows the branch pages of a file wherever they lead: on two that lead
// to each other it recurses until the stack is full, which no recover survives,
// and a page that is in two trees, or in use and free at once, gives one tree
// the data of the other. So before bbolt gets a file, its skeleton is walked by
// reads that can fail: the buckets at the top, ours and those in it, down to
// the leaves. All leaves of a bbolt tree are equally deep, so where they are is
// known without reading them. They are read, too, while there are few; a leaf
// among many that says it is a branch is left to chance. Keys out of order
// inside a leaf are found when they are read.
//
// Other buckets are the application's, and not walked.

// maxLeaves is how many leaves are read at most, for the sake of the time that
// Open takes: 4 MiB, where pages have 4 KiB.
const maxLeaves = 1 << 10

// maxDepth bounds the levels of branch pages in a tree. A tree that deep, with
// only two pages under each branch, is a file of 16 TiB.
const maxDepth = 32

// skeleton walks the trees of bucket's, but for shadows if it is blind to them.
func (f *file) skeleton(bucket string, blind bool) error {
	_, err := f.bones(bucket, blind, maxLeaves)
	return err
}

// bones is skeleton with another bound on leaves that are read. It returns the pages
// that it has met.
func (f *file) bones(bucket string, blind bool, leaves int) (*bones, error) {
	w := newBones(f)
	w.most = leaves
	if err := w.free(); err != nil {
		return nil, err
	}
	top, err := w.buckets(f.meta.root, 0)
	if err != nil {
		return nil, err
	}
	for _, e := range top {
		if string(e.key) != bucket {
			w.others = append(w.others, e)
			continue
		}
		spaces, err := w.nested(e, func(root uint64) ([]entry, error) { return w.buckets(root, 0) })
		if err != nil {
			return nil, err
		}
		for _, e := range spaces {
			if blind && string(e.key) == shadows {
				continue
			}
			if err := w.space(e); err != nil {
				return nil, err
			}
		}
	}
	return w, w.leafPages()
}

// space walks the tree of a space, or those of all shadows.
func (w *bones) space(e entry) error {
	if string(e.key) != shadows {
		_, err := w.nested(e, w.tree)
		return err
	}
	built, err := w.nested(e, func(root uint64) ([]entry, error) { return w.buckets(root, 0) })
	for _, e := range built {
		if err == nil {
			_, err = w.nested(e, w.tree)
		}
	}
	return err
}

type bones struct {
	*file
	used   pageSet // that have been met, or are free
	spare  pageSet // of them, those that are free
	unread pageSet // of them, leaves of which the length is not known
	most   int     // leaves are read
	leaves []child // the first of them, until they are
	others []entry // top-level buckets of the application, which are not walked
}

func newBones(f *file) *bones {
	return &bones{file: f, used: pageSet{}, spare: pageSet{}, unread: pageSet{}, most: maxLeaves}
}

func (w *bones) inUse(id uint64) bool { return w.taken(id) && !w.spare.has(id) }

// taken reports whether a page is in use, as far as it is known, or free.
func (w *bones) taken(id uint64) bool { return w.used.has(id) }

type pageSet map[uint64]uint64

func (s pageSet) has(id uint64) bool { return s[id/64]>>(id%64)&1 == 1 }
func (s pageSet) add(id uint64)      { s[id/64] |= 1 << (id % 64) }

// child is a page and the key under which its parent has it, nil for the root
// of a tree. bbolt finds the parent's entry by the first key of the page when
// it replaces the page: if they differ, the old page stays in the tree when it
// is free already, and is used for another.
type child struct {
	id  uint64
	key []byte
}

// first checks the first key of a page, which has been read.
func (c child) first(b []byte) error {
	if c.key == nil {
		return nil
	}
	if pageCount(b) == 0 {
		return damaged("page %d is empty", c.id)
	}
	e, err := entryAt(b, 0)
	if err == nil && !bytes.Equal(e.key, c.key) {
		err = damaged("page %d does not begin where its parent says", c.id)
	}
	return err
}

// take notes that n pages from id on are in use, and not twice.
func (w *bones) take(id, n uint64) error {
	for i := range n {
		p := id + i
		if p < 2 || p >= w.meta.high {
			return damaged("page %d is outside", p)
		}
		if w.taken(p) {
			return damaged("page %d is used twice", p)
		}
		w.used.add(p)
	}
	return nil
}

// free takes the pages on the list of free pages, and the list itself.
func (w *bones) free() error {
	b, err := w.page(w.meta.free, freePage)
	if err != nil {
		return err
	}
	if err := w.take(w.meta.free, w.length(b)); err != nil {
		return err
	}
	ids, n := b[pageHeader:], pageCount(b)
	if n == 0xFFFF { // see checkFreeList, which has found it sound
		n, ids = int(native.Uint64(ids)), ids[8:]
	}
	for i := range n {
		id := native.Uint64(ids[8*i:])
		if err := w.take(id, 1); err != nil {
			return err
		}
		w.spare.add(id)
	}
	return nil
}

// length is in pages.
func (w *bones) length(b []byte) uint64 { return uint64(int64(len(b)) / w.meta.pageSize) }

// read takes a page and reads it.
func (w *bones) read(id uint64, kinds ...uint16) ([]byte, error) {
	b, err := w.page(id, kinds...)
	if err != nil {
		return nil, err
	}
	return b, w.take(id, w.length(b))
}

// nested walks the bucket that e is, unless its only page stands in e itself.
func (w *bones) nested(e entry, walk func(root uint64) ([]entry, error)) ([]entry, error) {
	if len(e.value) < 16 {
		return nil, damaged("bucket of %d bytes", len(e.value))
	}
	root := native.Uint64(e.value)
	if root == 0 {
		return nil, inline(e.value)
	}
	return walk(root)
}

// inline checks the page in the value of a bucket.
func inline(value []byte) error {
	b, err := inlinePage(value)
	if err == nil {
		err = recordsOnly(b)
	}
	return err
}

// recordsOnly requires that the entries of a leaf are no buckets.
func recordsOnly(b []byte) error {
	return eachEntry(b, func(e entry) error {
		if e.flags != 0 {
			return damaged("a bucket among records")
		}
		return nil
	})
}

// buckets returns the buckets in a tree, all of whose pages are read.
func (w *bones) buckets(id uint64, depth int) (found []entry, err error) {
	if depth > maxDepth {
		return nil, damaged("branch page %d leads nowhere", id)
	}
	b, err := w.read(id, leafPage, innerPage)
	if err != nil {
		return nil, err
	}
	var last []byte
	err = eachEntry(b, func(e entry) error {
		if bytes.Compare(last, e.key) >= 0 {
			return damaged("page %d is out of order", id)
		}
		last = e.key
		switch {
		case pageKind(b) == innerPage:
			more, err := w.buckets(e.page, depth+1)
			found = append(found, more...)
			return err
		case e.flags&1 == 0: // nothing else is put there
			return damaged("page %d has a record among buckets", id)
		}
		found = append(found, e)
		return nil
	})
	return found, err
}

// tree walks the branches of a tree of records.
func (w *bones) tree(root uint64) ([]entry, error) {
	depth := 0
	for id := root; ; depth++ {
		b, err := w.page(id, leafPage, innerPage)
		if err != nil {
			return nil, err
		}
		if pageKind(b) == leafPage {
			break
		}
		if pageCount(b) == 0 || depth > maxDepth { // no tree is that deep, but a ring is
			return nil, damaged("branch page %d leads nowhere", id)
		}
		e, err := entryAt(b, 0)
		if err != nil {
			return nil, err
		}
		id = e.page
	}
	return nil, w.branches(child{id: root}, depth)
}

// branches walks the subtree of a page that is so far above the leaves.
func (w *bones) branches(c child, depth int) error {
	if depth == 0 {
		if len(w.leaves) < w.most {
			w.leaves = append(w.leaves, c)
		} else {
			w.unread.add(c.id)
		}
		return w.take(c.id, 1)
	}
	b, err := w.read(c.id, innerPage)
	if err != nil {
		return err
	}
	if err := c.first(b); err != nil {
		return err
	}
	var last []byte
	for i := range pageCount(b) {
		e, err := entryAt(b, i)
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(last, e.key) >= 0 {
			return damaged("branch page %d is out of order", c.id)
		}
		last = e.key
		if err := w.branches(child{e.page, e.key}, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// leafPages reads the first leaves. An entry that runs out of its page would,
// when another one of the page is written, make the page as long as it claims
// to be, and the file with it.
func (w *bones) leafPages() error {
	for _, c := range w.leaves {
		b, err := w.page(c.id, leafPage)
		if err != nil {
			return err
		}
		if err := c.first(b); err != nil {
			return err
		}
		if err := w.take(c.id+1, w.length(b)-1); err != nil {
			return err
		}
		if err := recordsOnly(b); err != nil {
			return fmt.Errorf("page %d: %w", c.id, err)
		}
	}
	return nil
}
