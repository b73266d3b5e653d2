package boltkv

import (
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// What a meta page says of the number of pages is compared with the file by
// Open only. An absurd number must not end the program under Attach, nor leave
// a slot taken.
func TestAbsurdNumberOfPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, high := range []uint64{1 << 40, 1<<51 + 5, 1<<63/4096 - 1} {
		must(t, os.WriteFile(path, boltFile(t, bolt.Options{PageSize: 4096}, bucketOf("snib")), 0o600))
		content, err := os.ReadFile(path)
		must(t, err)
		for page := range 2 {
			m := content[page*4096:]
			native.PutUint64(m[56:], high)
			sum := fnv.New64a()
			sum.Write(m[16:72])
			native.PutUint64(m[72:], sum.Sum64())
		}
		must(t, os.WriteFile(path, content, 0o600))
		b, err := bolt.Open(path, 0o600, nil)
		must(t, err)
		s, err := Attach(b, options())
		must(t, err)
		get := func(r kv.Reader) error {
			_, _, err := r.Get(plain, []byte("k"))
			return err
		}
		must(t, s.View(ctx, get))
		p, err := s.Pin(ctx)
		must(t, err)
		err = get(p)
		must(t, p.Release(nil))
		must(t, err)
		must(t, s.Close())
		must(t, b.Close())
	}
}
