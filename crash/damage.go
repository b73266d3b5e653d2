package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"

	bolt "go.etcd.io/bbolt"
)

// Damage: one copy of a file after the other is damaged in some way, opened
// and used. This file makes the damage.

const pageSize = 4096

// A wound damages a file. It may return another slice.
type wound struct {
	name  string
	do    func(b []byte, rng *rand.Rand) []byte
	older bool // an older page may take the place of a newer one
}

// wounds in turn; those of a file in use come first and are most.
var wounds = []wound{
	{"one bit", func(b []byte, rng *rand.Rand) []byte { return flips(b, rng, 1) }, false},
	{"some bits", func(b []byte, rng *rand.Rand) []byte { return flips(b, rng, 2+rng.IntN(30)) }, false},
	{"bits of one page", flipsOfPage, false},
	{"bytes", overwrite, false},
	{"a sector of zeros", func(b []byte, rng *rand.Rand) []byte { clear(sector(b, rng)); return b }, false},
	{"a sector of noise", func(b []byte, rng *rand.Rand) []byte { noise(sector(b, rng), rng); return b }, false},
	{"a page of noise", func(b []byte, rng *rand.Rand) []byte { noise(page(b, 2+rng.IntN(pages(b)-2)), rng); return b }, false},
	{"a page in the place of another", copyPage, true},
	{"a page header", header, false},
	{"an entry of a page", entryOf, false},
	{"an entry of a bucket", bucketOf, false},
	{"a branch that leads astray", misled, false},
	{"a leaf that says it is a branch", turned, false},
	{"cut", func(b []byte, rng *rand.Rand) []byte { return b[:1+rng.IntN(len(b)-1)] }, false},
	{"cut at a page", func(b []byte, rng *rand.Rand) []byte { return b[:pageSize*(1+rng.IntN(pages(b)-1))] }, false},
	{"second half of zeros", func(b []byte, _ *rand.Rand) []byte { clear(b[len(b)/2:]); return b }, false},
	{"a meta page", func(b []byte, rng *rand.Rand) []byte { flips(page(b, rng.IntN(2))[:80], rng, 1+rng.IntN(3)); return b }, false},
	{"an older page", aged, true},
	{"an owner of another", ownerOfAnother, false},
	{"foreign", foreign, false},
}

// damage returns a damaged copy n of base, and the kind of damage.
func damage(base []byte, seed uint64, n int) (b []byte, by wound) {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	by = wounds[n%len(wounds)]
	return by.do(bytes.Clone(base), rng), by
}

func pages(b []byte) int           { return len(b) / pageSize }
func page(b []byte, id int) []byte { return b[id*pageSize : (id+1)*pageSize] }

func flips(b []byte, rng *rand.Rand, n int) []byte {
	for range n {
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	}
	return b
}

func flipsOfPage(b []byte, rng *rand.Rand) []byte {
	flips(page(b, rng.IntN(pages(b))), rng, 1+rng.IntN(8))
	return b
}

func overwrite(b []byte, rng *rand.Rand) []byte {
	at := rng.IntN(len(b) - 64)
	noise(b[at:at+1+rng.IntN(64)], rng)
	return b
}

func noise(b []byte, rng *rand.Rand) {
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
}

func sector(b []byte, rng *rand.Rand) []byte {
	at := 512 * rng.IntN(len(b)/512)
	return b[at : at+512]
}

// copyPage writes a page over another one, and half of the time makes it say
// that it is the other.
func copyPage(b []byte, rng *rand.Rand) []byte {
	from, to := 2+rng.IntN(pages(b)-2), 2+rng.IntN(pages(b)-2)
	copy(page(b, to), page(b, from))
	if rng.IntN(2) == 0 {
		binary.NativeEndian.PutUint64(page(b, to), uint64(to))
	}
	return b
}

// header changes a field of a page header: id, kind, count or overflow.
func header(b []byte, rng *rand.Rand) []byte {
	p := page(b, rng.IntN(pages(b)))
	switch rng.IntN(4) {
	case 0:
		binary.NativeEndian.PutUint64(p, uint64(rng.IntN(pages(b)+3)))
	case 1:
		binary.NativeEndian.PutUint16(p[8:], uint16([]int{1, 2, 4, 16, 3, 0, 0xffff}[rng.IntN(7)]))
	case 2:
		binary.NativeEndian.PutUint16(p[10:], uint16(rng.IntN(300)))
	case 3:
		binary.NativeEndian.PutUint32(p[12:], uint32(rng.IntN(1<<rng.IntN(31)+1)))
	}
	return b
}

// entryOf changes a field of an entry of a page: where its key is, how long,
// or where it leads.
func entryOf(b []byte, rng *rand.Rand) []byte {
	p := page(b, 2+rng.IntN(pages(b)-2))
	n := max(1, min(int(binary.NativeEndian.Uint16(p[10:])), 200))
	field := p[16+16*rng.IntN(n)+4*rng.IntN(4):]
	value := uint32(rng.IntN(1 << (1 + rng.IntN(31))))
	binary.NativeEndian.PutUint32(field, value)
	return b
}

// bucketOf flips a bit of a bucket, at the root or among the spaces: in the header of
// its entry, in its name or in the number of its root page.
func bucketOf(b []byte, rng *rand.Rand) []byte {
	meta := page(b, 0)
	if other := page(b, 1); binary.NativeEndian.Uint64(other[64:]) > binary.NativeEndian.Uint64(meta[64:]) {
		meta = other
	}
	p := page(b, int(binary.NativeEndian.Uint64(meta[32:])))
	if rng.IntN(4) > 0 {
		_, value := entryAt(p, int(binary.NativeEndian.Uint16(p[10:]))-1) // "snib" is the last
		p = page(b, int(binary.NativeEndian.Uint64(value)))
	}
	i := rng.IntN(int(binary.NativeEndian.Uint16(p[10:])))
	bits := p[16+16*i : 32+16*i]
	name, root := entryAt(p, i)
	switch rng.IntN(3) {
	case 0:
		bits = name
	case 1:
		bits = root[:8]
	}
	flips(bits, rng, 1)
	return b
}

// entryAt returns key and value of entry i of a leaf.
func entryAt(p []byte, i int) (key, value []byte) {
	e := p[16+16*i:]
	at := binary.NativeEndian.Uint32(e[4:])
	end := at + binary.NativeEndian.Uint32(e[8:])
	return e[at:end], e[end : end+binary.NativeEndian.Uint32(e[12:])]
}

// some returns a page of a kind, or -1.
func some(b []byte, rng *rand.Rand, kind uint16) int {
	var found []int
	for id := 2; id < pages(b); id++ {
		p := page(b, id)
		if binary.NativeEndian.Uint16(p[8:]) == kind && binary.NativeEndian.Uint64(p) == uint64(id) {
			found = append(found, id)
		}
	}
	if len(found) == 0 {
		return -1
	}
	return found[rng.IntN(len(found))]
}

// misled makes an entry of a branch page lead to another page, often itself or
// a branch again.
func misled(b []byte, rng *rand.Rand) []byte {
	id := some(b, rng, 1)
	if id < 0 {
		return b
	}
	p := page(b, id)
	n := max(1, int(binary.NativeEndian.Uint16(p[10:])))
	to := []int{id, some(b, rng, 1), 2 + rng.IntN(pages(b)-2)}[rng.IntN(3)]
	binary.NativeEndian.PutUint64(p[16+16*rng.IntN(n)+8:], uint64(to))
	return b
}

// turned makes a leaf, or a branch, say that it is the other.
func turned(b []byte, rng *rand.Rand) []byte {
	kind := uint16(1 + rng.IntN(2))
	if id := some(b, rng, kind); id >= 0 {
		binary.NativeEndian.PutUint16(page(b, id)[8:], 3-kind)
	}
	return b
}

// aged overwrites a page with another leaf. That may be its own earlier version,
// still present in a free page.
func aged(b []byte, rng *rand.Rand) []byte {
	for range 200 {
		from, to := 2+rng.IntN(pages(b)-2), 2+rng.IntN(pages(b)-2)
		p := page(b, from)
		if from != to && binary.NativeEndian.Uint16(p[8:]) == 2 {
			copy(page(b, to), p)
			binary.NativeEndian.PutUint64(page(b, to), uint64(to))
			return b
		}
	}
	return b
}

// ownerOfAnother puts the first 10 bytes of an owned record's key before
// another's: damage that, unnoticed, would make one user's session another's.
func ownerOfAnother(b []byte, rng *rand.Rand) []byte {
	for range 200 {
		p := page(b, 2+rng.IntN(pages(b)-2))
		n := int(binary.NativeEndian.Uint16(p[10:]))
		if binary.NativeEndian.Uint16(p[8:]) != 2 || n < 2 || 16+16*n > len(p) {
			continue
		}
		i := rng.IntN(n - 1)
		one, ok1 := ownedKeyAt(p, i)
		other, ok2 := ownedKeyAt(p, i+1)
		if ok1 && ok2 && !bytes.Equal(one[:10], other[:10]) {
			copy(one[:10], other)
			return b
		}
	}
	return b
}

// ownedKeyAt returns the key of entry i of a leaf, if it has the length of an
// owned record's and more than a flag follows.
func ownedKeyAt(p []byte, i int) (key []byte, ok bool) {
	e := p[16+16*i:]
	at := 16*uint64(i+1) + uint64(binary.NativeEndian.Uint32(e[4:]))
	if binary.NativeEndian.Uint32(e[8:]) != 20 || at+20 > uint64(len(p)) {
		return nil, false
	}
	return p[at : at+20], true
}

// foreign is a file that was never one of this library's.
func foreign(b []byte, rng *rand.Rand) []byte {
	out := make([]byte, 1+rng.IntN(200_000))
	switch rng.IntN(5) {
	case 0:
		noise(out, rng)
	case 1:
		copy(out, "SQLite format 3\x00")
	case 2:
		return bytes.Repeat([]byte("name,mail\nada,ada@example.com\n"), 1+rng.IntN(5000))
	case 3: // of zeros
	case 4:
		return otherBolt(rng)
	}
	return out
}

// otherBolt is a bbolt database of another program.
func otherBolt(rng *rand.Rand) []byte {
	f, err := os.CreateTemp("", "other-*")
	if err != nil {
		panic(err) // unreachable but for want of space
	}
	defer os.Remove(f.Name())
	f.Close()
	db, err := bolt.Open(f.Name(), 0o600, &bolt.Options{NoSync: true})
	if err == nil {
		err = db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("other"))
			for i := 0; err == nil && i < rng.IntN(100); i++ {
				err = b.Put(fmt.Append(nil, i), []byte("value"))
			}
			return err
		})
	}
	if err != nil {
		panic(err) // unreachable likewise
	}
	db.Close()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		panic(err) // unreachable likewise
	}
	return b
}
