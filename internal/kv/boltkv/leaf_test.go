package boltkv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// ranged makes a file with three keys under each of many owners, and returns
// its bytes and those keys.
func ranged(t *testing.T, path string, owners int) (b []byte, keys [][]byte) {
	t.Helper()
	s, err := Open(path, options())
	must(t, err)
	must(t, s.Exclusive(ctx, func(tx kv.Tx) error {
		for i := range owners {
			for j := range 3 {
				keys = append(keys, fmt.Appendf(nil, "%08d/%d", 7*i, j))
				if err := tx.Put(plain, keys[len(keys)-1], bytes.Repeat([]byte("v"), 100)); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	must(t, s.Close())
	b, err = os.ReadFile(path)
	must(t, err)
	return b, keys
}

// leafWounds change one or both of two entries of a leaf.
var leafWounds = map[string]func(page []byte, one, other entry, i, j int){
	"swapped": func(_ []byte, one, other entry, _, _ int) {
		was := bytes.Clone(one.key)
		copy(one.key, other.key)
		copy(other.key, was)
	},
	"entries swapped": func(page []byte, _, _ entry, i, j int) {
		// The offset of a key counts from its entry.
		a, b := page[pageHeader+16*i:][:16], page[pageHeader+16*j:][:16]
		was := bytes.Clone(a)
		copy(a, b)
		copy(b, was)
		apart := uint32(16 * (j - i))
		native.PutUint32(a[4:], native.Uint32(a[4:])+apart)
		native.PutUint32(b[4:], native.Uint32(b[4:])-apart)
	},
	"high":      func(_ []byte, one, _ entry, _, _ int) { one.key[0] |= 0x80 },
	"low":       func(_ []byte, one, _ entry, _, _ int) { one.key[0] = 0 },
	"other's":   func(_ []byte, one, other entry, _, _ int) { copy(one.key[:8], other.key) },
	"repeated":  func(_ []byte, one, other entry, _, _ int) { copy(one.key, other.key) },
	"one digit": func(_ []byte, one, _ entry, _, _ int) { one.key[5] ^= 4 },
}

// A range in a leaf with damaged keys is found whole but for the keys that were
// damaged, or is an error: what is removed must not live on.
func TestRangeInDamagedLeaf(t *testing.T) {
	dir := t.TempDir()
	b, keys := ranged(t, filepath.Join(dir, "sound"), 60)
	f := &file{r: bytes.NewReader(b), size: int64(len(b))}
	must(t, f.findMeta())
	_, _, leaves := inUse(t, b, f.meta)
	if len(leaves) < 3 {
		t.Fatalf("%d leaves", len(leaves))
	}
	tried, refused := 0, 0
	for name, wound := range leafWounds {
		for n, leaf := range leaves {
			at := int64(leaf.id) * f.meta.pageSize
			for i := 0; i < pageCount(b[at:])-1; i += 5 {
				damagedFile := bytes.Clone(b)
				page := damagedFile[at:][:f.meta.pageSize]
				j := i + (pageCount(page)-i)/2
				one, err := entryAt(page, i)
				must(t, err)
				other, err := entryAt(page, j)
				must(t, err)
				lost := [][]byte{bytes.Clone(one.key), bytes.Clone(other.key)}
				wound(page, one, other, i, j)
				path := filepath.Join(dir, fmt.Sprint(tried))
				must(t, os.WriteFile(path, damagedFile, 0o600))
				tried++
				refused += removeAll(t, fmt.Sprintf("%s, leaf %d, %d and %d", name, n, i, j), path, keys, lost)
				must(t, os.Remove(path))
			}
		}
	}
	if tried < 100 || 10*refused < 9*tried { // a few keep the order
		t.Errorf("%d of %d files had a range that was refused", refused, tried)
	}
}

// removeAll removes and scans the range of each owner. It returns 1 if one was
// refused.
func removeAll(t *testing.T, what, path string, keys, lost [][]byte) (refused int) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true})
	must(t, err)
	defer db.Close()
	s, err := Attach(db, insecure()) // Open would find first keys that are wrong
	must(t, err)
	defer s.Close()
	for o := 0; o < len(keys); o += 3 {
		var want int
		for _, k := range keys[o : o+3] {
			if !slices.ContainsFunc(lost, func(l []byte) bool { return bytes.Equal(l, k) }) {
				want++
			}
		}
		from, to := keys[o][:9:9], append(bytes.Clone(keys[o][:8]), '/'+1)
		found, removed := 0, 0
		err := s.View(ctx, func(r kv.Reader) error {
			return r.Scan(plain, from, to, 0, func(_, _ []byte) error { found++; return nil })
		})
		switch {
		case errors.Is(err, kv.ErrCorrupt):
			refused = 1
		case err != nil || found < want:
			t.Errorf("%s: scan of %s found %d of %d: %v", what, from, found, want, err)
		}
		err = s.Apply(ctx, func(tx kv.Tx) (err error) {
			removed, err = tx.DeleteRange(plain, from, to)
			return err
		})
		switch {
		case errors.Is(err, kv.ErrCorrupt):
			refused = 1
		case err != nil || removed < want:
			t.Errorf("%s: removal of %s found %d of %d: %v", what, from, removed, want, err)
		}
	}
	return refused
}
