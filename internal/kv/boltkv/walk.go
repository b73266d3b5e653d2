package boltkv

import "bytes"

// A file that was written with NoFreelistSync has no list of free pages. bbolt
// finds them by walking all others, on a goroutine of its own: a panic there
// ends the program, and at the first fault that it reports it leaves the
// goroutine behind, reading a map without an owner. So the whole file is walked
// here first, by reads that can fail, and bbolt gets it only if its own walk
// will find nothing: no page out of place or used twice, no key outside its
// page or out of order.

// walk visits every page that can be reached from the root.
func (f *file) walk() error {
	w := newWalker(f)
	_, err := w.tree(f.meta.root, nil, nil)
	return err
}

type walker struct {
	*file
	seen  map[uint64]bool // so that pages which point at each other end
	depth int
}

// maxNesting bounds how deep pages and buckets lie inside each other, far
// beyond any real file: a file that is made for it could else have so many
// buckets in one page that the walk outgrows the stack, which ends the program.
const maxNesting = 1 << 10

func newWalker(f *file) *walker { return &walker{file: f, seen: map[uint64]bool{}} }

// tree walks the subtree of a page, whose keys must lie in [min, max), nil
// being no bound. It returns the last key.
func (w *walker) tree(id uint64, min, max []byte) (last []byte, err error) {
	b, err := w.page(id, leafPage, innerPage)
	if err != nil {
		return nil, err
	}
	for i := range uint64(len(b)) / uint64(w.meta.pageSize) {
		if w.seen[id+i] {
			return nil, damaged("page %d is used twice", id+i)
		}
		w.seen[id+i] = true
	}
	return w.entries(b, min, max)
}

// entries walks the pages that the entries of a page lead to.
func (w *walker) entries(b, min, max []byte) (last []byte, err error) {
	if w.depth++; w.depth > maxNesting {
		return nil, damaged("more than %d levels of pages and buckets", maxNesting)
	}
	defer func() { w.depth-- }()
	last = min
	for i := range pageCount(b) {
		e, err := entryAt(b, i)
		if err != nil {
			return nil, err
		}
		order := bytes.Compare(last, e.key)
		if order > 0 || order == 0 && i > 0 || max != nil && bytes.Compare(e.key, max) >= 0 {
			return nil, damaged("keys are out of order")
		}
		last = e.key
		switch {
		case pageKind(b) == innerPage:
			end := max
			if i+1 < pageCount(b) {
				next, err := entryAt(b, i+1)
				if err != nil {
					return nil, err
				}
				end = next.key
			}
			if last, err = w.tree(e.page, e.key, end); err != nil {
				return nil, err
			}
		case e.flags&1 != 0:
			if err := w.bucket(e.value); err != nil {
				return nil, err
			}
		}
	}
	return last, nil
}

// entry is one entry of a page.
//
//	branch   0 pos(4)    4 key size(4)   8 page
//	leaf     0 flags(4)  4 pos(4)        8 key size(4)  12 value size(4)
//
// pos counts from the entry to the key; the value follows the key.
type entry struct {
	flags      uint32
	page       uint64
	key, value []byte
	from, end  uint64 // where key and value lie in the page
}

// entryAt returns entry i of a page, which has that many.
func entryAt(b []byte, i int) (entry, error) {
	at := uint64(pageHeader + 16*i)
	e := b[at:]
	u32 := func(off int) uint64 { return uint64(native.Uint32(e[off:])) }
	var found entry
	from, keyEnd, end := at+u32(0), at+u32(0)+u32(4), at+u32(0)+u32(4)
	if pageKind(b) == innerPage {
		found.page = native.Uint64(e[8:])
	} else {
		found.flags = native.Uint32(e)
		from = at + u32(4)
		keyEnd = from + u32(8)
		end = keyEnd + u32(12)
	}
	if from == keyEnd || end > uint64(len(b)) { // sums of 32-bit numbers: no overflow
		return found, damaged("a key or value is empty or outside its page")
	}
	found.key, found.value, found.from, found.end = b[from:keyEnd], b[keyEnd:end], from, end
	return found, nil
}

// eachEntry visits the entries of a page. Each begins where the one before ends,
// as bbolt writes them: so damage is found that makes a key another one by its
// place or length.
func eachEntry(b []byte, visit func(entry) error) error {
	at := uint64(pageHeader + 16*pageCount(b))
	for i := range pageCount(b) {
		e, err := entryAt(b, i)
		if err != nil {
			return err
		}
		if e.from != at {
			return damaged("a page has a gap between two entries")
		}
		if err := visit(e); err != nil {
			return err
		}
		at = e.end
	}
	return nil
}

// bucket walks a nested bucket: its root page, zero if the page follows here,
// and a sequence number.
func (w *walker) bucket(value []byte) error {
	if len(value) < 16 {
		return damaged("bucket of %d bytes", len(value))
	}
	if root := native.Uint64(value); root != 0 {
		_, err := w.tree(root, nil, nil)
		return err
	}
	inline, err := inlinePage(value)
	if err == nil {
		_, err = w.entries(inline, nil, nil)
	}
	return err
}

// inlinePage returns the only page of a bucket, which stands in its value.
func inlinePage(value []byte) ([]byte, error) {
	b := value[16:]
	if len(b) < pageHeader || pageKind(b) != leafPage || !counted(b) {
		return nil, damaged("bucket with a damaged page")
	}
	return b, nil
}
