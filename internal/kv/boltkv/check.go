package boltkv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"

	"github.com/snibdb/snib/internal/kv"
)

// The look at a file before bbolt maps it. bbolt's Open trusts the file beyond
// its meta pages: on one that was cut it panics, keeping the lock, and on one
// whose list of free pages names a page in use it would overwrite that page
// later. Work that bbolt would do with a sound file is not repeated here.
//
// The layout, in the byte order of the machine:
//
//	page   0 id  8 flags(2)  10 count(2)  12 overflow(4)  16 …
//	meta  16 magic(4)  version(4)  page size(4)  flags(4)
//	      32 root page  sequence  free list page  high-water mark
//	      64 transaction  checksum: FNV-1a of bytes 16 to 71
const (
	pageHeader = 16
	metaSize   = 64
	metaSum    = 56 // bytes of a meta that its checksum covers
	boltMagic  = 0xED0CDAED
	boltFormat = 2

	// No page is longer, overflow included: the offsets of its entries have 32
	// bits, and the length of a value has at most 31. A system of 32 bits
	// cannot map a longer one.
	maxRun = min(4<<30+2<<30, maxInt/2)

	leafPage  = 0x02
	innerPage = 0x01
	freePage  = 0x10

	noFreeList = ^uint64(0) // written by a bbolt with NoFreelistSync
)

var native = binary.NativeEndian

type meta struct {
	pageSize         int64
	root, free, high uint64 // pages; high is the first that was never used
	txid             uint64
}

var errNoMeta = errors.New("no whole meta page")

// readMeta reads the meta page at offset off. The error is errNoMeta or one of
// reading; magic tells whether there is the beginning of one.
func readMeta(r io.ReaderAt, off int64) (m meta, magic bool, err error) {
	b := make([]byte, metaSize)
	if _, err := r.ReadAt(b, off+pageHeader); err == io.EOF {
		return m, false, errNoMeta
	} else if err != nil {
		return m, false, err
	}
	magic = native.Uint32(b) == boltMagic
	sum := fnv.New64a()
	sum.Write(b[:metaSum])
	if !magic || native.Uint32(b[4:]) != boltFormat || native.Uint64(b[metaSum:]) != sum.Sum64() {
		return m, magic, errNoMeta
	}
	return meta{
		pageSize: int64(native.Uint32(b[8:])),
		root:     native.Uint64(b[16:]),
		free:     native.Uint64(b[32:]),
		high:     native.Uint64(b[40:]),
		txid:     native.Uint64(b[48:]),
	}, true, nil
}

// file is a bbolt file under examination.
type file struct {
	r    io.ReaderAt
	size int64
	meta meta // the one that bbolt will use

	header [pageHeader]byte // of the page that head has read
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", kv.ErrCorrupt, fmt.Sprintf(format, args...))
}

// checkFile examines a file of size bytes, not zero and without a writer, for
// the sake of one of its buckets. The error is ErrForeign if there is no sign
// of bbolt, kv.ErrCorrupt if bbolt must not be let near it, or one of reading.
func checkFile(r io.ReaderAt, size int64, bucket string) error {
	return (&file{r: r, size: size}).check(bucket, false)
}

// check is checkFile; blind leaves shadows out.
func (f *file) check(bucket string, blind bool) error {
	if err := f.findMeta(); err != nil {
		return err
	}
	m := f.meta
	switch {
	case m.high < 4 || m.high > uint64(f.size/m.pageSize):
		return damaged("%d bytes do not hold %d pages of %d", f.size, m.high, m.pageSize)
	case m.root < 2 || m.free < 2:
		return damaged("a meta page stands for a root or free list")
	}
	if _, err := f.page(m.root, leafPage, innerPage); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if m.free == noFreeList {
		return f.walk()
	}
	if err := f.checkFreeList(); err != nil {
		return err
	}
	return f.skeleton(bucket, blind)
}

// findMeta finds the page size and the meta page, as bbolt does it.
func (f *file) findMeta() error {
	m, seen, err := readMeta(f.r, 0)
	first := err == nil
	for size := int64(minPage); err == errNoMeta && size <= maxPage && size < f.size; size *= 2 {
		var magic bool
		m, magic, err = readMeta(f.r, size)
		seen = seen || magic
		if err == nil && m.pageSize != size {
			return damaged("second meta page is not where it says")
		}
	}
	switch {
	case err != nil && err != errNoMeta:
		return fmt.Errorf("read meta page: %w", err)
	case err != nil && !seen:
		return ErrForeign
	case err != nil:
		return damaged("no meta page is whole")
	case !pageSizeFits(m.pageSize):
		return damaged("page size %d", m.pageSize)
	}
	f.meta = m
	if !first {
		return nil
	}
	switch other, _, err := readMeta(f.r, m.pageSize); {
	case err != nil: // torn; the first one serves
	case other.pageSize != m.pageSize:
		return damaged("meta pages disagree on the page size")
	case other.txid > m.txid:
		f.meta = other
	}
	return nil
}

// page reads a page with its overflow, checks that its header names its own id
// and one of the kinds, and returns its bytes.
func (f *file) page(id uint64, kinds ...uint16) ([]byte, error) {
	if id < 2 || id >= f.meta.high {
		return nil, damaged("page %d is outside", id)
	}
	kind, overflow, err := f.head(id)
	switch {
	case err != nil:
		return nil, err
	case kind == 0:
		return nil, damaged("page %d has a wrong id, length or kind", id)
	}
	size := int64(overflow+1) * f.meta.pageSize
	if size > maxRun {
		return nil, damaged("page %d has %d bytes", id, size)
	}
	b := make([]byte, size)
	if _, err := f.r.ReadAt(b, int64(id)*f.meta.pageSize); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	if kind = pageKind(b); !slices.Contains(kinds, kind) || kind != freePage && !counted(b) {
		return nil, damaged("page %d has a wrong kind or number of entries", id)
	}
	return b, nil
}

// counted reports whether a page of entries, of 16 bytes each, has as many as
// its header says: bbolt writes the first key right behind the last entry. A
// lower number would hide records, and nothing else would tell.
func counted(b []byte) bool {
	n := pageCount(b)
	if n == 0 {
		return true
	}
	end := 16 * n // from the first entry on
	pos := native.Uint32(b[pageHeader+4:])
	if pageKind(b) == innerPage {
		pos = native.Uint32(b[pageHeader:])
	}
	return pageHeader+end <= len(b) && uint64(pos) == uint64(end)
}

func pageKind(b []byte) uint16 { return native.Uint16(b[8:]) }
func pageCount(b []byte) int   { return int(native.Uint16(b[10:])) }

// checkFreeList requires ids of pages in use, ascending, which is how bbolt
// writes them, so that no id is there twice.
func (f *file) checkFreeList() error {
	return f.eachFree(func(uint64) error { return nil })
}

// eachFree visits the ids in the free list, which is checked on the way.
func (f *file) eachFree(visit func(id uint64) error) error {
	b, err := f.page(f.meta.free, freePage)
	if err != nil {
		return fmt.Errorf("free list: %w", err)
	}
	n, ids := uint64(pageCount(b)), b[pageHeader:]
	if n == 0xFFFF { // too many for the header: the first entry is the number
		n, ids = native.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return damaged("free list has %d entries and no room for them", n)
	}
	last := uint64(1)
	for i := range n {
		id := native.Uint64(ids[8*i:])
		if id <= last || id >= f.meta.high {
			return damaged("free list names page %d", id)
		}
		last = id
		if err := visit(id); err != nil {
			return err
		}
	}
	return nil
}

// A bucket that by damage leads to a page inside its own tree looks sound, and hides
// all that is in the rest. The branch page above that one is then in no tree, and
// still leads there. To find such pages takes a look at each page that is neither
// ours nor free, those of the application above all. Open does not do that; Check does.

// strays looks for branch pages that are in no tree and lead into one of a bucket's.
// Where the file has no list of free pages, it cannot tell them from old ones. stop
// says now and then why not to go on.
func (f *file) strays(bucket string, stop func() error) error {
	if f.meta.free == noFreeList {
		return nil
	}
	if err := f.checkFreeList(); err != nil {
		return err
	}
	w, err := f.bones(bucket, false, 0) // whose leaves Check reads for their records
	if err != nil {
		return err
	}
	for _, e := range w.others {
		if len(e.value) >= 8 && w.inUse(native.Uint64(e.value)) {
			return damaged("page %d is in two buckets", native.Uint64(e.value))
		}
	}
	for id := uint64(2); id < f.meta.high; id++ {
		if w.taken(id) && (!w.unread.has(id) || w.taken(id+1)) {
			continue
		}
		if err := stop(); err != nil {
			return err
		}
		kind, overflow, err := f.head(id)
		if err != nil {
			return err
		}
		if kind == innerPage && overflow <= maxBranch && !w.taken(id) {
			if err := w.stray(id); err != nil {
				return err
			}
		}
		id += overflow // which is what its bytes are, whatever they look like
	}
	return nil
}

// maxBranch bounds the overflow of a branch page, in pages: it has 65,535 entries at
// most, and bbolt splits it long before.
const maxBranch = 1 << 10

// stray requires that a branch page that is in no tree of ours leads to none either.
func (w *bones) stray(id uint64) error {
	b, err := w.page(id, innerPage)
	if err != nil {
		return nil // not a page that ever was above another
	}
	for i := range pageCount(b) {
		e, err := entryAt(b, i)
		if err == nil && w.inUse(e.page) {
			return damaged("page %d is out of reach, and leads to page %d, which is in use", id, e.page)
		}
	}
	return nil
}

// head returns the kind and overflow of a page; 0 if no page begins there.
func (f *file) head(id uint64) (kind uint16, overflow uint64, err error) {
	b := f.header[:]
	if _, err := f.r.ReadAt(b, int64(id)*f.meta.pageSize); err != nil {
		return 0, 0, fmt.Errorf("read page %d: %w", id, err)
	}
	overflow = uint64(native.Uint32(b[12:]))
	if native.Uint64(b) != id || id+overflow >= f.meta.high {
		return 0, 0, nil
	}
	return pageKind(b), overflow, nil
}
