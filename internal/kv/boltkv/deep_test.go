package boltkv

import (
	"bytes"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// nested returns a bbolt file without a list of free pages, whose root page
// has n buckets inside each other, each with nothing but the next.
func nested(n int) []byte {
	const pageSize, level = 4096, 16 + pageHeader + 16 + 1 // bucket, page, entry, key
	size := pageHeader + 17 + n*level
	pages := 1 + (size-1)/pageSize
	b := make([]byte, (3+pages)*pageSize)
	for id := range 2 {
		m := b[id*pageSize:]
		native.PutUint64(m, uint64(id))
		native.PutUint16(m[8:], 4)
		for off, v := range map[int]uint64{32: 3, 48: noFreeList, 56: uint64(3 + pages), 64: uint64(id)} {
			native.PutUint64(m[off:], v)
		}
		native.PutUint32(m[16:], boltMagic)
		native.PutUint32(m[20:], boltFormat)
		native.PutUint32(m[24:], pageSize)
		sum := fnv.New64a()
		sum.Write(m[16:72])
		native.PutUint64(m[72:], sum.Sum64())
	}
	p := b[3*pageSize:]
	native.PutUint64(p, 3)
	native.PutUint32(p[12:], uint32(pages-1))
	for left := n - 1; ; left-- {
		native.PutUint16(p[8:], leafPage)
		if left < 0 {
			return b
		}
		native.PutUint16(p[10:], 1)
		e := p[pageHeader:]
		native.PutUint32(e, 1) // a bucket
		native.PutUint32(e[4:], 16)
		native.PutUint32(e[8:], 1)
		native.PutUint32(e[12:], uint32(16+pageHeader+left*level))
		e[16] = 'k'
		p = e[17+16:]
	}
}

// Go ends the program when a stack grows beyond its bound, and no recover
// helps.
func TestNestingIsBounded(t *testing.T) {
	for n, kind := range map[int]error{100: nil, 10000: kv.ErrCorrupt} {
		content := nested(n)
		want(t, "look", checkFile(bytes.NewReader(content), int64(len(content)), "snib"), kind)
		path := filepath.Join(t.TempDir(), "f")
		must(t, os.WriteFile(path, content, 0o600))
		want(t, "copy", CopyFile(ctx, io.Discard, path, time.Second, nil), kind)
	}
}

func TestCompactingNestedBucketsIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, nested(maxNesting+10), 0o600))
	b, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	defer b.Close()
	s, err := Attach(b, options())
	must(t, err)
	defer s.Close()
	want(t, "compact", s.CompactTo(ctx, path+".copy", false, nil), kv.ErrCorrupt)
	beside(t, s)
}

// sparse is a file of which the beginning was written.
type sparse []byte

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(s)) {
		copy(p, s[off:])
	}
	return len(p), nil
}

// A sparse file costs nobody anything, and a page of it can be said to be as
// long as it: more than there is memory for, which would end the program.
func TestLengthOfAPageIsBounded(t *testing.T) {
	const size = 1 << 43
	content := nested(1)
	for id := range 2 {
		m := content[id*4096:]
		native.PutUint64(m[56:], size/4096)
		sum := fnv.New64a()
		sum.Write(m[16:72])
		native.PutUint64(m[72:], sum.Sum64())
	}
	native.PutUint32(content[3*4096+12:], size/4096-8)
	want(t, "look", checkFile(sparse(content), size, ""), kv.ErrCorrupt)
}
