package snibsqlite

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

func benchKey(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)*0x9e3779b97f4a7c15) }

// BenchmarkPin reads two records of 100,000 in one snapshot, as the validation of
// a session does.
func BenchmarkPin(b *testing.B) {
	s := openAt(b, filepath.Join(b.TempDir(), "db"), false, one)
	const n = 100_000
	value := make([]byte, 150)
	must(b, s.Exclusive(ctx, func(w kv.Tx) error {
		for i := range n {
			if err := w.Put(0, benchKey(i), value); err != nil {
				return err
			}
		}
		return nil
	}))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p, err := s.Pin(ctx)
		must(b, err)
		for range 2 {
			if _, ok, err := p.Get(0, benchKey(i%n)); !ok || err != nil {
				b.Fatal(ok, err)
			}
			i++
		}
		must(b, p.Release(nil))
	}
}

// BenchmarkApply commits one record by each of some writers at once.
func BenchmarkApply(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := openAt(b, filepath.Join(b.TempDir(), "db"), false, one)
			value := make([]byte, 150)
			var wg sync.WaitGroup
			for g := range writers {
				wg.Go(func() {
					for i := range (b.N + writers - 1) / writers {
						if err := s.Apply(ctx, func(w kv.Tx) error { return w.Put(0, benchKey(i*writers+g), value) }); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
