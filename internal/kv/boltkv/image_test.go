package boltkv

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

var seed = flag.Uint64("image.seed", 0, "seed of random trees and damage; 0 takes the clock")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	n := *seed
	if n == 0 {
		n = uint64(time.Now().UnixNano())
	}
	t.Logf("-image.seed %d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// randomKeys have much in common, are prefixes of each other, and more.
func randomKeys(r *rand.Rand, n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		switch r.IntN(4) {
		case 0:
			keys[i] = fmt.Appendf(nil, "ses_%026d", r.IntN(10*n))
		case 1:
			keys[i] = bytes.Repeat([]byte{byte('a' + r.IntN(2))}, 1+r.IntN(200))
		case 2:
			keys[i] = fmt.Appendf(nil, "user %d\x00ses %d", r.IntN(20), r.IntN(n))
		default:
			keys[i] = make([]byte, 1+r.IntN(12))
			for j := range keys[i] {
				keys[i][j] = byte(r.Uint32())
			}
		}
	}
	return keys
}

// tree is a store with random content, and the keys of it.
func tree(t *testing.T, r *rand.Rand, n int) (*Store, [][]byte) {
	t.Helper()
	s := newStoreIn(t, insecure())
	keys := randomKeys(r, n)
	must(t, s.Exclusive(ctx, func(tx kv.Tx) error {
		for _, k := range keys {
			value := make([]byte, r.IntN(300))
			if r.IntN(50) == 0 {
				value = make([]byte, r.IntN(20_000)) // pages that follow
			}
			for i := range value {
				value[i] = byte(r.Uint32())
			}
			if err := tx.Put(plain, k, value); err != nil {
				return err
			}
		}
		return nil
	}))
	return s, keys
}

// TestImageFindsWhatBoltFinds in trees of one page, inside the page above, and
// several levels deep.
func TestImageFindsWhatBoltFinds(t *testing.T) {
	r := newRand(t)
	for _, n := range []int{1, 3, 30, 1000, 6000} {
		s, keys := tree(t, r, n)
		must(t, s.db.View(func(btx *bolt.Tx) error {
			bucket := btx.Bucket([]byte("snib")).Bucket([]byte("plain"))
			p := s.pages(btx)
			compared := 0
			for i, k := range append(keys, randomKeys(r, n)...) {
				if i%3 == 1 {
					k = append(bytes.Clone(k), 0)
				}
				if i%7 == 1 {
					k = k[:len(k)-1]
				}
				want := bucket.Get(k)
				got, ok, err := (&reader{pages: p}).Get(plain, k)
				if err != nil || ok != (want != nil) || !bytes.Equal(got, want) {
					t.Fatalf("%d keys: %x: got %d bytes, %v, %v, want %d bytes", n, k, len(got), ok, err, len(want))
				}
				if ok {
					compared++
				}
			}
			if compared < n/2 {
				t.Errorf("only %d of %d keys were there", compared, n)
			}
			return nil
		}))
	}
}

// damage changes some bytes of data, most of them in the heads of pages, and
// returns where.
func damage(r *rand.Rand, data []byte) []int {
	places := make([]int, 1+r.IntN(100))
	for i := range places {
		page := r.IntN(len(data)/4096) * 4096
		places[i] = page + r.IntN([]int{16, 200, 4096}[r.IntN(3)])
		data[places[i]] ^= byte(1 + r.IntN(255))
	}
	return places
}

// TestImageOfDamage: whatever the bytes, a look-up ends, in an answer out of
// the image or in kv.ErrCorrupt.
func TestImageOfDamage(t *testing.T) {
	r := newRand(t)
	s, keys := tree(t, r, 2000)
	must(t, s.db.View(func(btx *bolt.Tx) error {
		p := s.pages(btx)
		if _, err := p.space(plain); err != nil {
			return err
		}
		data := bytes.Clone(p.image.data)
		damaged := &pages{opt: p.opt, spaces: p.spaces, root: p.root, image: image{data, p.image.pageSize}}
		counts := map[string]int{}
		for range 500 {
			places := damage(r, data)
			for range 5 {
				_, ok, err := (&reader{pages: damaged}).Get(plain, keys[r.IntN(len(keys))])
				switch {
				case err != nil:
					want(t, "damage", err, kv.ErrCorrupt)
					counts["refused"]++
				case ok:
					counts["found"]++
				default:
					counts["absent"]++
				}
			}
			for _, at := range places {
				data[at] = p.image.data[at]
			}
		}
		t.Logf("%v", counts)
		if counts["refused"] < 50 || counts["found"] < 50 || counts["absent"] < 5 {
			t.Errorf("the damage is not what it should be: %v", counts)
		}
		return nil
	}))
}

// TestImageOfACircle: branch pages that point at each other are refused, where
// bbolt would recurse until the program ends.
func TestImageOfACircle(t *testing.T) {
	data := make([]byte, 2*4096)
	for id := range uint64(2) {
		p := data[id*4096:]
		order.PutUint64(p, id)
		order.PutUint16(p[8:], branchFlag)
		order.PutUint16(p[10:], 1)
		order.PutUint32(p[headSize:], elemSize) // pos of an empty key
		order.PutUint64(p[headSize+8:], 1-id)
	}
	m := image{data, 4096}
	_, _, err := m.get(0, []byte("k"))
	want(t, "get", err, kv.ErrCorrupt)
}

func TestLess(t *testing.T) {
	r := newRand(t)
	for range 20_000 {
		keys := randomKeys(r, 2)
		a, b := keys[0], keys[1]
		if r.IntN(2) == 0 {
			b = append(bytes.Clone(a[:r.IntN(len(a)+1)]), b...)
		}
		if r.IntN(10) == 0 {
			b = a
		}
		want := 0
		if bytes.Compare(a, b) < 0 {
			want = 1
		}
		if got := less(a, b); got != want {
			t.Fatalf("less(%x, %x) = %d", a, b, got)
		}
	}
}
