package boltkv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// An image is the file as a read transaction sees it in the map, for looking
// one key up: bbolt's cursor does the same in twice the time, and follows
// pages of a damaged file that point at each other for ever.
//
// Nothing is taken on trust but the map itself: data is cut to the pages that
// the transaction's meta page vouches for, each page to its own bytes, and
// what leads out of them is a panic of Go's that reader.rescue turns into
// kv.ErrCorrupt.
//
// A page is, in the machine's byte order:
//
//	 0  8 id   8  2 flags   10  2 count   12  4 pages that follow and belong to it
//	16  count elements of 16 bytes, then keys and values
//
//	branch  0  4 pos   4  4 key size   8  8 id of the page below
//	leaf    0  4 flags   4  4 pos   8  4 key size   12  4 value size
//
// pos counts from the element to its key; the value is behind the key.
type image struct {
	data     []byte
	pageSize uint64
}

const (
	headSize   = 16
	elemSize   = 16
	branchFlag = 1
	leafFlag   = 2
	nestedFlag = 1 // of a leaf's element: a bucket
	maxDepth   = 32
)

var order = binary.NativeEndian

var (
	errPage  = fmt.Errorf("%w: page is not what the page above says", kv.ErrCorrupt)
	errDepth = fmt.Errorf("%w: tree of pages has no bottom", kv.ErrCorrupt)
)

// newImage returns the image for btx, a read transaction that is open, and is
// good until it ends: only then the map may move.
func newImage(btx *bolt.Tx) image {
	info := btx.DB().Info()
	return image{unsafe.Slice((*byte)(mapBase(info)), btx.Size()), uint64(info.PageSize)}
}

// mapBase returns the address of the map as a pointer. The map is not memory
// of the collector's; reading the address through a pointer to it says so to
// vet, which cannot know.
func mapBase(info *bolt.Info) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&info.Data))
}

// page returns the bytes of a page, and whether it is a leaf.
func (m *image) page(id uint64) (p []byte, leaf bool, err error) {
	p = m.data[id*m.pageSize:]
	p = p[:(1+uint64(order.Uint32(p[12:])))*m.pageSize]
	flags := order.Uint16(p[8:])
	if order.Uint64(p) != id || flags != branchFlag && flags != leafFlag {
		return nil, false, errPage
	}
	return p, flags == leafFlag, nil
}

// get returns the value of key in the tree at the page root; nil if it is not
// there.
func (m *image) get(root uint64, key []byte) (value []byte, ok bool, err error) {
	for range maxDepth {
		p, leaf, err := m.page(root)
		if err != nil {
			return nil, false, err
		}
		i, found := search(p, leaf, key)
		if leaf {
			if !found {
				return nil, false, nil
			}
			return leafValue(p, i), true, nil
		}
		if !found && i > 0 {
			i-- // the last page that begins before key
		}
		root = order.Uint64(p[headSize+i*elemSize+8:])
	}
	return nil, false, errDepth
}

// search returns the index of the first element whose key is not before key,
// and whether it is key.
//
// Most of the time goes into waiting for memory, as the keys lie all over the
// page. A binary search waits for each before it knows the next; here three
// are looked at, whatever the answer, so that the processor fetches them at
// the same time.
func search(p []byte, leaf bool, key []byte) (index int, found bool) {
	pos := headSize // of an element's pos; the key size is behind it
	if leaf {
		pos += 4
	}
	count := int(order.Uint16(p[10:]))
	low, high := 0, count
	for high-low > 3 {
		q := (high - low) / 4
		n := less(keyAt(p, pos, low+q), key) + less(keyAt(p, pos, low+2*q), key) + less(keyAt(p, pos, low+3*q), key)
		from := low
		if n > 0 {
			low = from + n*q + 1
		}
		if n < 3 {
			high = from + (n+1)*q
		}
	}
	index = low
	for i := low; i < high; i++ {
		index += less(keyAt(p, pos, i), key)
	}
	return index, index < count && bytes.Equal(keyAt(p, pos, index), key)
}

// keyAt returns the key of the i-th element of a page. pos is where the first
// has its pos.
func keyAt(p []byte, pos, i int) []byte {
	e := p[i*elemSize+pos:]
	from := uint64(i*elemSize+headSize) + uint64(order.Uint32(e))
	return p[from : from+uint64(order.Uint32(e[4:]))]
}

// less returns 1 if a is before b, else 0, by no branch that depends on which:
// it could not be predicted.
func less(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x, y := binary.BigEndian.Uint64(a[i:]), binary.BigEndian.Uint64(b[i:]); x != y {
			_, borrow := bits.Sub64(x, y, 0)
			return int(borrow)
		}
	}
	for ; i < n; i++ {
		if a[i] != b[i] {
			_, borrow := bits.Sub64(uint64(a[i]), uint64(b[i]), 0)
			return int(borrow)
		}
	}
	_, borrow := bits.Sub64(uint64(len(a)), uint64(len(b)), 0)
	return int(borrow)
}

// leafValue returns the value of the i-th element of a leaf, nil for a bucket.
func leafValue(p []byte, i int) []byte {
	at := uint64(headSize + i*elemSize)
	e := p[at:]
	if order.Uint32(e)&nestedFlag != 0 {
		return nil
	}
	from := at + uint64(order.Uint32(e[4:])) + uint64(order.Uint32(e[8:]))
	to := from + uint64(order.Uint32(e[12:]))
	return p[from:to:to]
}
