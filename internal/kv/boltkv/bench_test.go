package boltkv

import (
	"fmt"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

// BenchmarkGet takes the path of a read apart: what bbolt's View and Get cost,
// what is left when the transaction is kept, and what the lookup of the key in
// it costs. Compare within one run.
func BenchmarkGet(b *testing.B) {
	s := newStoreIn(b, insecure())
	const n = 10_000
	keys := make([][]byte, n)
	must(b, s.Exclusive(ctx, func(tx kv.Tx) error {
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "ses_%026d", i*7919%n)
			if err := tx.Put(ascending, keys[i], make([]byte, 160)); err != nil {
				return err
			}
		}
		return nil
	}))
	each := func(name string, get func(key []byte) []byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if get(keys[i%n]) == nil {
					b.Fatal("absent")
				}
				i++
			}
		})
	}
	each("bbolt=View+Get", func(key []byte) (v []byte) {
		s.db.View(func(btx *bolt.Tx) error {
			v = btx.Bucket([]byte("snib")).Bucket([]byte("ascending")).Get(key)
			return nil
		})
		return v
	})
	pin := func(key []byte) []byte {
		p, err := s.Pin(ctx)
		must(b, err)
		v, _, err := p.Get(ascending, key)
		must(b, err)
		p.Release(nil)
		return v
	}
	each("pool=off", func(key []byte) []byte {
		s.pool.keep = false
		defer func() { s.pool.keep = true }()
		return pin(key)
	})
	each("pool=on", pin)
	btx, err := s.db.Begin(false)
	must(b, err)
	defer btx.Rollback()
	p := s.pages(btx)
	sp, err := p.space(ascending)
	must(b, err)
	each("lookup", func(key []byte) []byte { _, v := sp.seek(key); return v })
}

// BenchmarkBesideClosures is a read while closures are open, as a report or a
// backup keeps one for long. Compare within one run.
func BenchmarkBesideClosures(b *testing.B) {
	s := newStoreIn(b, insecure())
	put(b, s, "k", "v")
	pin := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p, err := s.Pin(ctx)
			must(b, err)
			p.Get(plain, []byte("k"))
			p.Release(nil)
		}
	}
	for _, open := range []int{0, 1, 100} {
		b.Run(fmt.Sprint("views=", open), func(b *testing.B) {
			leave, left := make(chan bool), make(chan error)
			for range open {
				entered := make(chan bool)
				go func() { left <- s.View(ctx, func(kv.Reader) error { close(entered); <-leave; return nil }) }()
				<-entered
			}
			pin(b)
			close(leave)
			for range open {
				must(b, <-left)
			}
		})
	}
}

// BenchmarkView is a closure with one Get, against bbolt's. Compare within one
// run.
func BenchmarkView(b *testing.B) {
	s := newStoreIn(b, insecure())
	put(b, s, "k", "v")
	b.Run("bbolt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.db.View(func(btx *bolt.Tx) error {
				btx.Bucket([]byte("snib")).Bucket([]byte("plain")).Get([]byte("k"))
				return nil
			})
		}
	})
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.View(ctx, func(r kv.Reader) error {
				_, _, err := r.Get(plain, []byte("k"))
				return err
			})
		}
	})
}

// BenchmarkLone is a write that nobody shares, led by its caller or handed to
// the writer and back, against bbolt's. Compare within one run.
func BenchmarkLone(b *testing.B) {
	s := newStoreIn(b, insecure())
	put(b, s, "k", "v")
	for name, write := range map[string]func() error{
		"led": func() error { return s.Apply(ctx, putting("k", "v")) },
		"handed": func() error {
			s.last.Store(2) // as if the last commit had been shared
			return s.Apply(ctx, putting("k", "v"))
		},
		"bbolt": func() error {
			return s.db.Update(func(btx *bolt.Tx) error {
				return btx.Bucket([]byte("snib")).Bucket([]byte("plain")).Put([]byte("k"), []byte("v"))
			})
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				must(b, write())
			}
		})
	}
}

// BenchmarkRange is the scan and the count of one owner's ten keys among 100,000,
// and the removal, against bbolt's cursor, which checks nothing. Compare within
// one run.
func BenchmarkRange(b *testing.B) {
	s := newStoreIn(b, insecure())
	const owners = 10_000
	owner := func(i int) []byte { return fmt.Appendf(nil, "%010d", i*7919%owners) }
	must(b, s.Exclusive(ctx, func(tx kv.Tx) error {
		for i := range 10 * owners {
			if err := tx.Put(plain, fmt.Appendf(owner(i/10), "%010d", i), make([]byte, 130)); err != nil {
				return err
			}
		}
		return nil
	}))
	btx, err := s.db.Begin(false)
	must(b, err)
	defer btx.Rollback()
	p := s.pages(btx)
	sp, err := p.space(plain)
	must(b, err)
	each := func(name string, scan func(from, to []byte) int) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				from := owner(i)
				if n := scan(from, append(from[:10:10], 0xFF)); n != 10 {
					b.Fatal(n)
				}
			}
		})
	}
	each("bbolt", func(from, to []byte) (n int) {
		c := sp.bucket.Cursor()
		for k, _ := c.Seek(from); k != nil && before(k, to); k, _ = c.Next() {
			n++
		}
		return n
	})
	each("store", func(from, to []byte) (n int) {
		r := reader{pages: p}
		must(b, r.Scan(plain, from, to, 0, func(_, _ []byte) error { n++; return nil }))
		return n
	})
	each("check", func(from, _ []byte) int {
		sp.sound = stretch{}
		_, err := p.sound(sp, from, false)
		must(b, err)
		return 10
	})
}
