package codec

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzOwnedKey takes arbitrary digits and keys of quarantine apart; the parts
// must make them again, and a key lies in the range of its owner alone.
func FuzzOwnedKey(f *testing.F) {
	key := sampleKey(1)
	f.Add(string(key.AppendDigits(nil)), AppendQuarantineKey(nil, sampleOwner, SpaceUsers, []byte("u1")), sampleOwner[:])
	f.Fuzz(func(t *testing.T, text string, quarantined, other []byte) {
		if key, ok := ParseOwnedKeyDigits(text); ok {
			if again := string(key.AppendDigits(nil)); again != text || MakeOwnedKey(key.Owner(), key.OwnID()) != key {
				t.Fatalf("%q became %x and %q", text, key, again)
			}
		} else if key != (OwnedKey{}) {
			t.Fatalf("%q: %x beside a refusal", text, key)
		}
		owner, space, original, ok := SplitQuarantineKey(quarantined)
		if !ok {
			return
		}
		if again := AppendQuarantineKey(nil, owner, string(space), original); !bytes.Equal(again, quarantined) {
			t.Fatalf("% x came apart and became % x", quarantined, again)
		}
		var o Owner
		copy(o[:], other)
		if from, to := o.AppendRange(nil); within(quarantined, from, to) != (o == owner) {
			t.Fatalf("% x in [% x, % x)", quarantined, from, to)
		}
	})
}

// FuzzIndexKeys makes the keys of two tuples: they are equal only if the tuples
// are, sort as the tuples do, come apart again, and each lies in the ranges of
// its own tuple and not of the other. It takes arbitrary keys apart, too.
func FuzzIndexKeys(f *testing.F) {
	f.Add("nick", byte(4), []byte("ada"), "u1", "nick", byte(4), []byte("ada"), "u10")
	f.Add("a", byte(2), []byte("\x7f\xff\xff\xff\xff\xff\xff\xff"), "u", "a", byte(3), []byte("\x40\x14\x00\x00\x00\x00\x00\x00"), "u")
	f.Add("a", byte(5), []byte("\x00"), "\x01", "a", byte(5), []byte("\x00\x00"), "u")
	f.Fuzz(func(t *testing.T, n1 string, k1 byte, v1 []byte, id1, n2 string, k2 byte, v2 []byte, id2 string) {
		splitAny(t, v1)
		a, ok1 := makeEntry(n1, k1, v1, id1)
		b, ok2 := makeEntry(n2, k2, v2, id2)
		if !ok1 || !ok2 {
			return
		}
		x, y := a.key(), b.key()
		if got, want := bytes.Compare(x, y), a.compare(b); got != want {
			t.Fatalf("% x and % x compare %d, want %d", x, y, got, want)
		}
		from, to := EntryRange(a.name, a.value)
		if !within(x, from, to) || within(y, from, to) != (a.name == b.name && a.value == b.value) {
			t.Fatalf("[% x, % x) and % x, % x", from, to, x, y)
		}
		name, value, id, ok := SplitEntryKey(x, false)
		if !ok || string(name) != a.name || string(value) != a.value || string(id) != a.id {
			t.Fatalf("% x came apart as % x % x % x %v", x, name, value, id, ok)
		}
		p, q := AppendPair(nil, a.name, a.id), AppendPair(nil, b.name, b.id)
		from, to = PairRange(a.name)
		if !within(p, from, to) || within(q, from, to) != (a.name == b.name) {
			t.Fatalf("[% x, % x) and % x, % x", from, to, p, q)
		}
		if bytes.Equal(p, q) != (a.name == b.name && a.id == b.id) {
			t.Fatalf("% x and % x", p, q)
		}
	})
}

// splitAny takes apart what may be a key; the parts must make it again.
func splitAny(t *testing.T, key []byte) {
	t.Helper()
	for _, unique := range []bool{true, false} {
		name, value, id, ok := SplitEntryKey(key, unique)
		if ok && !bytes.Equal(AppendEntryKey(nil, string(name), string(value), string(id)), key) {
			t.Fatalf("% x came apart as % x % x % x", key, name, value, id)
		}
	}
	if a, b, ok := SplitPair(key); ok && !bytes.Equal(AppendPair(nil, string(a), string(b)), key) {
		t.Fatalf("% x came apart as % x % x", key, a, b)
	}
}

// An entry is a tuple whose key FuzzIndexKeys makes.
type entry struct {
	name  string
	v     any
	value string // v encoded
	id    string
}

func (e entry) key() []byte { return AppendEntryKey(nil, e.name, e.value, e.id) }

// makeEntry makes a value of a kind from bytes. ok is false for tuples that
// cannot be: names and ids have no zero byte and are not empty.
func makeEntry(name string, kind byte, b []byte, id string) (e entry, ok bool) {
	if name == "" || id == "" || strings.Contains(name+id, "\x00") {
		return entry{}, false
	}
	var bits [8]byte
	copy(bits[:], b)
	n := binary.BigEndian.Uint64(bits[:])
	var v any
	switch kind % 7 {
	case 0, 1:
		v = kind%2 == 1
	case 2:
		v = int64(n)
	case 3:
		v = math.Float64frombits(n)
	case 4:
		v = string(b)
	case 5:
		v = b
	default:
		v = time.Unix(int64(n), int64(len(b))).UTC()
	}
	value, err := AppendIndexValue(nil, v)
	return entry{name, v, string(value), id}, err == nil
}

// compare orders entries by what they hold, not by how it is encoded.
func (e entry) compare(o entry) int {
	if c := strings.Compare(e.name, o.name); c != 0 {
		return c
	}
	if c := compareValues(e.v, o.v); c != 0 {
		return c
	}
	return strings.Compare(e.id, o.id)
}

func compareValues(a, b any) int {
	ra, rb := rank(a), rank(b)
	if ra != rb {
		return compareInts(ra, rb)
	}
	switch a := a.(type) {
	case int64, float64:
		x, y := integer(a), integer(b)
		if ra == tagInt {
			return slices.Compare([]int64{x}, []int64{y})
		}
		return slices.Compare([]float64{a.(float64)}, []float64{b.(float64)})
	case string:
		return strings.Compare(a, b.(string))
	case []byte:
		return bytes.Compare(a, b.([]byte))
	case time.Time:
		// By seconds: Compare goes wrong beyond the years that time.Time
		// counts, which Unix still tells apart.
		b := b.(time.Time)
		return slices.Compare([]int64{a.Unix(), int64(a.Nanosecond())}, []int64{b.Unix(), int64(b.Nanosecond())})
	}
	return 0
}

// rank is the order of types; a float64 that is an integer is one.
func rank(v any) int {
	switch v := v.(type) {
	case bool:
		if v {
			return tagTrue
		}
		return tagFalse
	case int64:
		return tagInt
	case float64:
		if v == math.Floor(v) && v >= -1<<53 && v <= 1<<53 {
			return tagInt
		}
		return tagFloat
	case string:
		return tagText
	case []byte:
		return tagBytes
	}
	return tagTime
}

func integer(v any) int64 {
	if f, ok := v.(float64); ok {
		return int64(f)
	}
	return v.(int64)
}
