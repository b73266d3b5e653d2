package frozen

import (
	"encoding/binary"
	"strings"
)

// A reader takes the fields of a record one after the other. After a wrong one
// everything reads as zero and bad is set.
type reader struct {
	b   []byte
	off int
	bad bool
}

// open verifies the header: the checksum, the version, the number of fields.
func open(seed uint32, key, value []byte, fields int) (reader, error) {
	if len(value) < offFields || value[0] != markArray16 || value[offMark] != markUint32 ||
		binary.BigEndian.Uint32(value[offCRC:]) != checksum(seed, key, value) ||
		value[offVersion] != version || int(binary.BigEndian.Uint16(value[offCount:])) != headFields+fields {
		return reader{}, ErrDamaged
	}
	return reader{b: value, off: offFields}, nil
}

// take returns the n bytes behind a mark.
func (r *reader) take(mark byte, n int) []byte {
	if r.bad || len(r.b)-r.off <= n || r.b[r.off] != mark {
		r.bad = true
		return nil
	}
	r.off += 1 + n
	return r.b[r.off-n : r.off]
}

func (r *reader) number(mark byte) uint64 {
	if b := r.take(mark, 8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uint() uint64 { return r.number(markUint64) }

func (r *reader) time() int64 { return int64(r.number(markInt64)) }

func (r *reader) digest() (d [32]byte) {
	if b := r.take(markBytes8, 1+len(d)); b != nil && b[0] == byte(len(d)) {
		return [32]byte(b[1:])
	}
	r.bad = true
	return d
}

// A span is where a string lies in the value.
type span struct{ from, to int }

func (r *reader) text() span {
	head := r.take(markText8, 1)
	if r.bad || int(head[0]) > len(r.b)-r.off {
		r.bad = true
		return span{}
	}
	from := r.off
	r.off += int(head[0])
	return span{from, r.off}
}

// strs is the one copy that a decoder makes: the key and the value from some
// offset on. All strings of a record share it.
type strs struct {
	all        string
	key, shift int
}

func copyText(key, value []byte, from int) strs {
	var b strings.Builder
	b.Grow(len(key) + len(value) - from)
	b.Write(key)
	b.Write(value[from:])
	return strs{b.String(), len(key), len(key) - from}
}

func (t strs) id() string { return t.all[:t.key] }

func (t strs) at(p span) string { return t.all[p.from+t.shift : p.to+t.shift] }
