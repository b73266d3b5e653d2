package boltkv

import (
	"hash/fnv"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// endless is a file of so many pages, all of one kind. Branches lead each to
// the next page.
type endless struct {
	pages uint64
	kind  uint16
}

func (f endless) ReadAt(p []byte, off int64) (int, error) {
	const size = minPage
	page := make([]byte, size)
	id := uint64(off) / size
	native.PutUint64(page, id)
	switch {
	case id < 2:
		native.PutUint32(page[16:], boltMagic)
		native.PutUint32(page[20:], boltFormat)
		native.PutUint32(page[24:], size)
		native.PutUint64(page[32:], 3)
		native.PutUint64(page[48:], 2)
		native.PutUint64(page[56:], f.pages)
		sum := fnv.New64a()
		sum.Write(page[16:72])
		native.PutUint64(page[72:], sum.Sum64())
	case id == 2:
		native.PutUint16(page[8:], freePage)
	default:
		native.PutUint16(page[8:], f.kind)
		if f.kind == innerPage {
			native.PutUint16(page[10:], 1)
			native.PutUint32(page[16:], 16)
			native.PutUint32(page[20:], 1)
			native.PutUint64(page[24:], id+1)
			page[32] = 'k'
		}
	}
	return copy(p, page[off%size:]), nil
}

// Neither the stack nor the memory for what was seen grows with what a file
// says of itself: where that ends, so does the program.
func TestLookAtAnEndlessFile(t *testing.T) {
	long := endless{1 << 32, innerPage}
	want(t, "a chain of branches", checkFile(long, int64(long.pages*minPage), "snib"), kv.ErrCorrupt)
	wide := endless{1 << 47, leafPage}
	want(t, "pages that are not there", checkFile(wide, int64(wide.pages*minPage), "snib"), nil)
}
