package boltkv

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// tall makes a file whose space plain has branches over branches, beside a small
// space and free pages, and returns its bytes.
func tall(t *testing.T, path string) []byte {
	t.Helper()
	s, err := Open(path, options())
	must(t, err)
	must(t, s.Exclusive(ctx, func(tx kv.Tx) error {
		for i := range 20_000 {
			if err := tx.Put(plain, fmt.Appendf(nil, "%0100d", i), []byte("value")); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, s.Exclusive(ctx, func(tx kv.Tx) error {
		_, err := tx.DeleteRange(plain, fmt.Appendf(nil, "%0100d", 5000), fmt.Appendf(nil, "%0100d", 10_000))
		return err
	}))
	must(t, s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(ascending, []byte("k"), []byte("v")) }))
	put(t, s, "k", "v") // and what was deleted is free
	put(t, s, "k", "w")
	must(t, s.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// inUse returns the offsets of a branch and a leaf of plain, and the pages of
// all its leaves.
func inUse(t *testing.T, b []byte, m meta) (branch, leaf int64, leaves []child) {
	t.Helper()
	w := newBones(&file{r: bytes.NewReader(b), size: int64(len(b)), meta: m})
	find := func(root uint64, name string) uint64 {
		found, err := w.buckets(root, 0)
		must(t, err)
		for _, e := range found {
			if string(e.key) == name {
				return native.Uint64(e.value)
			}
		}
		t.Fatalf("no bucket %q", name)
		return 0
	}
	id := find(find(m.root, "snib"), "plain")
	_, err := w.tree(id)
	must(t, err)
	for {
		at := int64(id) * m.pageSize
		if pageKind(b[at:]) == leafPage {
			return branch, at, w.leaves
		}
		branch, id = at, native.Uint64(b[at+pageHeader+8:])
	}
}

// firstKey is that of the page with which b begins.
func firstKey(t *testing.T, b []byte, m meta) []byte {
	t.Helper()
	e, err := entryAt(b[:m.pageSize], 0)
	must(t, err)
	return e.key
}

// rootOf returns the bytes that lead to the root of a bucket, which the page with
// which b begins names.
func rootOf(t *testing.T, b []byte, m meta, name string) (root []byte) {
	t.Helper()
	must(t, eachEntry(b[:m.pageSize], func(e entry) error {
		if string(e.key) == name {
			root = e.value[:8]
		}
		return nil
	}))
	return root
}

// TestSkeleton damages what leads to records, in ways that bbolt would follow:
// round and round until its stack is full, or into another tree.
func TestSkeleton(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	content := tall(t, path)
	must(t, checkFile(bytes.NewReader(content), int64(len(content)), "snib"))
	m, _, err := metaOf(t, path)
	must(t, err)
	branch, leaf, leaves := inUse(t, content, m)
	second := int64(leaves[1].id) * m.pageSize // which is not the first child
	top, err := newBones(&file{r: bytes.NewReader(content), size: int64(len(content)), meta: m}).buckets(m.root, 0)
	must(t, err)
	parent := int64(native.Uint64(top[0].value)) * m.pageSize // of the spaces
	for name, damage := range map[string]func(b []byte){
		"branch leads to itself":            func(b []byte) { native.PutUint64(b[branch+pageHeader+8:], uint64(branch/m.pageSize)) },
		"branch leads to a leaf of another": func(b []byte) { copy(b[branch+pageHeader+8:][:8], b[branch+pageHeader+16+8:]) },
		"branch leads out of the file":      func(b []byte) { native.PutUint64(b[branch+pageHeader+8:], m.high) },
		"branch without entries":            func(b []byte) { native.PutUint16(b[branch+10:], 0) },
		"branch says it is a leaf":          func(b []byte) { native.PutUint16(b[branch+8:], leafPage) },
		"leaf says it is a branch":          func(b []byte) { native.PutUint16(b[leaf+8:], innerPage) },
		"leaf has another's id":             func(b []byte) { native.PutUint64(b[leaf:], uint64(branch/m.pageSize)) },
		"leaf runs into the next":           func(b []byte) { native.PutUint32(b[leaf+12:], 1) },
		"entry runs out of its page":        func(b []byte) { native.PutUint32(b[leaf+pageHeader+12:], 1<<30) },
		"leaf hides its last entry":         func(b []byte) { native.PutUint16(b[leaf+10:], native.Uint16(b[leaf+10:])-1) },
		"leaf has an entry more":            func(b []byte) { native.PutUint16(b[leaf+10:], native.Uint16(b[leaf+10:])+1) },
		"record among buckets":              func(b []byte) { native.PutUint32(b[parent+pageHeader:], 0) },
		"bucket among records":              func(b []byte) { native.PutUint32(b[leaf+pageHeader:], 1) },
		"gap between records":               func(b []byte) { native.PutUint32(b[leaf+pageHeader+12:], native.Uint32(b[leaf+pageHeader+12:])-1) },
		"shorter name of a bucket":          func(b []byte) { native.PutUint32(b[parent+pageHeader+8:], native.Uint32(b[parent+pageHeader+8:])-1) },
		"names of buckets out of order":     func(b []byte) { b[parent+2*pageHeader+int64(native.Uint32(b[parent+2*pageHeader+4:]))] = '!' },
		"bucket without a root":             func(b []byte) { clear(rootOf(t, b[parent:], m, "plain")) },
		"leaf begins elsewhere":             func(b []byte) { firstKey(t, b[second:], m)[0]++ },
		"branch out of order":               func(b []byte) { firstKey(t, b[branch:], m)[20] += 3 },
		"page in use is free": func(b []byte) {
			list := b[int64(m.free)*m.pageSize+pageHeader:]
			for i := 1; ; i++ {
				from, to := native.Uint64(list[8*i-8:]), native.Uint64(list[8*i+8:])
				for _, c := range leaves {
					id := c.id
					if from < id && id < to {
						native.PutUint64(list[8*i:], id)
						return
					}
				}
			}
		},
	} {
		bad := bytes.Clone(content)
		damage(bad)
		want(t, name, checkFile(bytes.NewReader(bad), int64(len(bad)), "snib"), kv.ErrCorrupt)
		must(t, checkFile(bytes.NewReader(bad), int64(len(bad)), "of the application"))
	}
}

// TestKeysOutOfOrder: whatever a cursor meets on a damaged page, a scan gives
// only what lies in its range, and comes to an end.
func TestKeysOutOfOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	content := tall(t, path)
	m, _, err := metaOf(t, path)
	must(t, err)
	_, leaf, _ := inUse(t, content, m)
	page := content[leaf : leaf+m.pageSize]
	var keys [3][]byte
	for i := range keys {
		e, err := entryAt(page, i)
		must(t, err)
		keys[i] = e.key
	}
	copy(keys[2], keys[1]) // one key twice
	must(t, os.WriteFile(path, content, 0o600))
	s, err := Open(path, options())
	must(t, err)
	defer s.Close()
	n := 0
	err = s.View(ctx, func(r kv.Reader) error {
		return r.Scan(plain, keys[0], nil, 0, func(_, _ []byte) error { n++; return nil })
	})
	want(t, "scan", err, kv.ErrCorrupt)
	if n > 2 {
		t.Errorf("%d keys before the damage, want 2 at most", n)
	}
	err = s.Update(ctx, func(tx kv.Tx) error { _, err := tx.DeleteRange(plain, keys[0], nil); return err })
	want(t, "delete", err, kv.ErrCorrupt)
}

// TestSkeletonOfSoundFiles: no file that bbolt itself wrote is refused,
// whatever was put and deleted, at the edges of pages above all.
func TestSkeletonOfSoundFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	const seed = 1
	rnd := rand.New(rand.NewPCG(seed, 0))
	s, err := Open(path, options())
	must(t, err)
	defer s.Close()
	s.db.at().NoSync = true
	for commit := range 400 {
		must(t, s.Exclusive(ctx, func(tx kv.Tx) error {
			for range rnd.IntN(1 << rnd.IntN(10)) {
				space := kv.Space(rnd.IntN(2))
				key := fmt.Appendf(nil, "%0*d", 3+rnd.IntN(60), rnd.IntN(1000))
				var err error
				switch rnd.IntN(10) {
				case 0, 1, 2, 3, 4:
					err = tx.Put(space, key, bytes.Repeat([]byte("v"), rnd.IntN(1<<rnd.IntN(13))))
				case 5: // all from a page's first key on, or before it
					to := append(bytes.Clone(key[:rnd.IntN(3)+1]), 0xFF)
					_, err = tx.DeleteRange(space, key[:1], to)
				default: // the first key that is there
					first := key
					err = tx.Scan(space, key, nil, 1, func(k, _ []byte) error { first = bytes.Clone(k); return nil })
					if err == nil {
						err = tx.Delete(space, first)
					}
				}
				if err != nil {
					return err
				}
			}
			return nil
		}))
		b, err := os.ReadFile(path)
		must(t, err)
		if err := checkFile(bytes.NewReader(b), int64(len(b)), "snib"); err != nil {
			t.Fatalf("seed %d, commit %d: %v", seed, commit, err)
		}
	}
}
