package boltkv

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/testseed"
	bolt "go.etcd.io/bbolt"
)

func metaOf(t *testing.T, path string) (meta, *file, error) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	f := &file{r: bytes.NewReader(b), size: int64(len(b))}
	err = f.findMeta()
	return f.meta, f, err
}

// TestTruncated cuts a file at every page and around. Either the file is
// refused and left alone, or nothing that was cut off was in use.
func TestTruncated(t *testing.T) {
	for _, noList := range []bool{false, true} {
		content := boltFile(t, bolt.Options{NoFreelistSync: noList}, bucketOf("snib"))
		path := filepath.Join(t.TempDir(), "db")
		opened, turned := 0, 0
		for page := 0; page <= len(content); page += os.Getpagesize() {
			for _, size := range []int{page - 1, page, page + 17, page + 100} {
				if size <= 0 || size > len(content) {
					continue
				}
				must(t, os.WriteFile(path, content[:size], 0o600))
				before := picture(t, path)
				s, err := Open(path, initialised())
				if err == nil {
					opened++
					same(t, "all there", len(read(s, "299")), 100)
					must(t, s.Close())
					check(t, path)
					continue
				}
				turned++
				if !errors.Is(err, kv.ErrCorrupt) && !(errors.Is(err, ErrForeign) && size < pageHeader+metaSize) {
					t.Errorf("cut to %d: %v", size, err)
				}
				same(t, "the file", picture(t, path), before)
			}
		}
		if opened == 0 || turned == 0 {
			t.Errorf("%d opened, %d refused", opened, turned)
		}
	}
}

// TestFlippedBits damages what is looked at before opening. Nothing may panic
// or hang, and who is refused is left alone.
func TestFlippedBits(t *testing.T) {
	seed := testseed.Of(t)
	rnd := rand.New(rand.NewPCG(seed, 0))
	quick := options()
	quick.InsecureNoSync = true
	for _, noList := range []bool{false, true} {
		content := boltFile(t, bolt.Options{NoFreelistSync: noList}, bucketOf("snib"))
		path := filepath.Join(t.TempDir(), "db")
		must(t, os.WriteFile(path, content, 0o600))
		m, _, err := metaOf(t, path)
		must(t, err)
		places := []int64{0, m.pageSize, int64(m.root) * m.pageSize}
		if !noList {
			places = append(places, int64(m.free)*m.pageSize)
		}
		refusals := 0
		for range 150 {
			at := places[rnd.IntN(len(places))] + rnd.Int64N(80)
			if noList && rnd.IntN(2) == 0 { // every page is walked
				at = 2*m.pageSize + rnd.Int64N(int64(len(content))-2*m.pageSize)
			}
			bad := bytes.Clone(content)
			bad[at] ^= 1 << rnd.IntN(8)
			must(t, os.WriteFile(path, bad, 0o600))
			before := picture(t, path)
			s, err := Open(path, quick)
			if err == nil {
				must(t, s.Close())
				continue
			}
			refusals++
			if strings.Contains(err.Error(), "freepages") {
				t.Errorf("byte %d: bbolt's walk found what ours did not: %v", at, err)
			}
			if !errors.Is(err, kv.ErrCorrupt) && !errors.Is(err, ErrForeign) {
				t.Errorf("byte %d: %v", at, err)
			}
			same(t, "the file", picture(t, path), before)
		}
		if refusals == 0 {
			t.Error("none of 150 was refused")
		}
	}
}

// TestDamaged makes each kind of damage on purpose.
func TestDamaged(t *testing.T) {
	sound := boltFile(t, bolt.Options{}, bucketOf("snib"))
	walked := boltFile(t, bolt.Options{NoFreelistSync: true}, bucketOf("snib"))
	path := filepath.Join(t.TempDir(), "db")
	for name, test := range map[string]struct {
		content []byte
		damage  func(b []byte, m meta)
	}{
		"both meta pages": {sound, func(b []byte, m meta) { b[70]++; b[m.pageSize+70]++ }},
		"format version":  {sound, func(b []byte, m meta) { b[20]++; b[m.pageSize+20]++ }},
		"root id":         {sound, func(b []byte, m meta) { b[int64(m.root)*m.pageSize]++ }},
		"root kind":       {sound, func(b []byte, m meta) { b[int64(m.root)*m.pageSize+8] = freePage }},
		"root count":      {sound, func(b []byte, m meta) { b[int64(m.root)*m.pageSize+11] = 0xFF }},
		"root overflow":   {sound, func(b []byte, m meta) { b[int64(m.root)*m.pageSize+13] = 0xFF }},
		"list kind":       {sound, func(b []byte, m meta) { b[int64(m.free)*m.pageSize+8] = leafPage }},
		"list count":      {sound, func(b []byte, m meta) { b[int64(m.free)*m.pageSize+11] = 0x7F }},
		"list names root": {sound, func(b []byte, m meta) { b[int64(m.free)*m.pageSize+16] = 0 }},
		"list has one twice": {sound, func(b []byte, m meta) {
			at := int64(m.free)*m.pageSize + 16
			copy(b[at:at+8], b[at+8:at+16])
		}},
		"list of very many": {sound, func(b []byte, m meta) {
			at := int64(m.free)*m.pageSize + 10
			b[at], b[at+1], b[at+6+7] = 0xFF, 0xFF, 0xFF
		}},
		"walk: leaf gone": {walked, func(b []byte, m meta) { wipe(b, m, leafPage) }},
		"walk: branches in a circle": {walked, func(b []byte, m meta) {
			at := pageOf(b, m, innerPage)
			native.PutUint64(b[at+pageHeader+8:], uint64(at/m.pageSize))
		}},
		"walk: key outside":       {walked, func(b []byte, m meta) { b[pageOf(b, m, leafPage)+pageHeader+7] = 0x70 }},
		"walk: empty key":         {walked, func(b []byte, m meta) { native.PutUint32(b[pageOf(b, m, leafPage)+pageHeader+8:], 0) }},
		"walk: branch key":        {walked, func(b []byte, m meta) { b[pageOf(b, m, innerPage)+pageHeader+3] = 0x70 }},
		"walk: keys out of order": {walked, func(b []byte, m meta) { keyOfLeaf(b, m, 1)[0] = 0xFF }},
		"walk: keys before those of the branch": {walked, func(b []byte, m meta) {
			for i := range 10 {
				keyOfLeaf(b, m, i)[0] = byte(i)
			}
		}},
		"walk: nested bucket":  {walked, func(b []byte, m meta) { b[int64(m.root)*m.pageSize+pageHeader+12]-- }},
		"walk: bucket is leaf": {walked, func(b []byte, m meta) { b[pageOf(b, m, leafPage)+pageHeader] = 1 }},
	} {
		bad := bytes.Clone(test.content)
		must(t, os.WriteFile(path, bad, 0o600))
		m, _, err := metaOf(t, path)
		must(t, err)
		test.damage(bad, m)
		if bytes.Equal(bad, test.content) {
			t.Errorf("%s: no damage done", name)
		}
		// Before bbolt sees it, which might object as well, or crash.
		want(t, name, checkFile(bytes.NewReader(bad), int64(len(bad)), "snib"), kv.ErrCorrupt)
		must(t, os.WriteFile(path, bad, 0o600))
		refused(t, name, path, kv.ErrCorrupt)
	}
}

// pageOf returns the offset of the last page of a kind that has entries, apart
// from the root.
func pageOf(b []byte, m meta, kind uint16) (at int64) {
	for id := uint64(2); id < m.high; id++ {
		page := b[int64(id)*m.pageSize:]
		if id != m.root && native.Uint64(page) == id && pageKind(page) == kind && pageCount(page) > 10 {
			at = int64(id) * m.pageSize
		} else if kind == innerPage && native.Uint64(page) == id && pageKind(page) == kind {
			at = int64(id) * m.pageSize
		}
	}
	return at
}

// keyOfLeaf begins with the key of entry i of the last leaf.
func keyOfLeaf(b []byte, m meta, i int) []byte {
	e := b[pageOf(b, m, leafPage)+pageHeader+16*int64(i):]
	return e[native.Uint32(e[4:]):]
}

func wipe(b []byte, m meta, kind uint16) {
	at := pageOf(b, m, kind)
	clear(b[at : at+m.pageSize])
}
