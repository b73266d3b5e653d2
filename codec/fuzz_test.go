package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// Every target has seeds in testdata/fuzz besides those it adds itself, found
// by fuzzing or written for a border. A folder without a target, or a target
// without a folder, would be seeds that nobody runs.
func TestFuzzSeedsAreUsed(t *testing.T) {
	targets := make(map[string]bool)
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			targets[m[1]] = true
		}
	}
	if len(targets) == 0 {
		t.Fatal("no targets found")
	}
	dirs, err := os.ReadDir("testdata/fuzz")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		seeds, err := filepath.Glob(filepath.Join("testdata/fuzz", dir.Name(), "*"))
		if err != nil || len(seeds) == 0 {
			t.Errorf("%s holds no seeds (%v)", dir.Name(), err)
		}
		if !targets[dir.Name()] {
			t.Errorf("%s belongs to no target", dir.Name())
		}
		delete(targets, dir.Name())
	}
	for name := range targets {
		t.Errorf("%s has no seeds", name)
	}
}

// fuzzDecode decodes input as it is, and again with a right checksum, because
// hardly any input gets past the checksum otherwise.
func fuzzDecode(f *testing.F, space string, decode func(key, value []byte) (any, error), encode func(record any, key []byte) []byte) {
	for _, s := range samples() {
		if s.space == space {
			f.Add([]byte(s.key), s.value)
			f.Add([]byte(s.key), s.counted(s.with(0xc0), s.count()+1))
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		checkDecode(t, key, value, decode, encode)
		if len(value) >= offFields {
			checkDecode(t, key, reseal(space, string(key), bytes.Clone(value)), decode, encode)
		}
	})
}

// checkDecode holds what is true of every decoder and every input: an error
// comes with the zero value, and what decodes encodes to the same bytes, up to
// the elements that a newer program appended.
func checkDecode(t *testing.T, key, value []byte, decode func(key, value []byte) (any, error), encode func(record any, key []byte) []byte) {
	t.Helper()
	k, v := bytes.Clone(key), bytes.Clone(value)
	got, err := decode(k, v)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
			t.Fatalf("unknown error %v", err)
		}
		if !isZero(got) {
			t.Fatalf("returned %#v beside %v", got, err)
		}
		return
	}
	if !bytes.Equal(k, key) || !bytes.Equal(v, value) {
		t.Fatal("input was changed")
	}
	for _, b := range [][]byte{k, v} {
		for i := range b {
			b[i] ^= 0xff // what was decoded must not change with it
		}
	}
	again := encode(got, key)
	if !bytes.HasPrefix(value[offVersion:], again[offVersion:]) {
		t.Fatalf("decoded % x\nand wrote % x", value, again)
	}
	if bytes.Equal(value[:offCRCMark], again[:offCRCMark]) && !bytes.Equal(value, again) {
		t.Fatalf("decoded % x\nand wrote % x", value, again)
	}
	second, err := decode(key, again)
	if err != nil || !reflect.DeepEqual(second, got) {
		t.Fatalf("decoded %#v\nthen %#v, %v", got, second, err)
	}
	attributesOpen(t, got)
}

// attributesOpen fails unless the attributes of a decoded record decode.
func attributesOpen(t *testing.T, record any) {
	t.Helper()
	field := reflect.ValueOf(record).FieldByName("Attributes")
	if !field.IsValid() {
		return
	}
	if _, err := DecodeAttributes(field.String()); err != nil {
		t.Fatalf("attributes of a decoded record: %v", err)
	}
}

func FuzzDecodeSession(f *testing.F) {
	fuzzDecode(f, SpaceSessions,
		func(k, v []byte) (any, error) { return anyOf(DecodeSession(k, v)) },
		func(r any, _ []byte) []byte { x := r.(Session); return x.Append(nil) })
}

func FuzzDecodeFamily(f *testing.F) {
	fuzzDecode(f, SpaceFamilies,
		func(k, v []byte) (any, error) { return anyOf(DecodeFamily(k, v)) },
		func(r any, _ []byte) []byte { x := r.(Family); return x.Append(nil) })
}

func FuzzDecodeOneTimeToken(f *testing.F) {
	fuzzDecode(f, SpaceOneTime,
		func(k, v []byte) (any, error) { return anyOf(DecodeOneTimeToken(k, v)) },
		func(r any, _ []byte) []byte { x := r.(OneTimeToken); return x.Append(nil) })
}

func FuzzDecodeUser(f *testing.F) {
	fuzzDecode(f, SpaceUsers,
		func(k, v []byte) (any, error) { return anyOf(DecodeUser(k, v)) },
		func(r any, _ []byte) []byte { x := r.(User); return x.Append(nil) })
}

// FuzzViews holds views against decoders: one accepts what the other does, and
// both say the same.
func FuzzViews(f *testing.F) {
	for _, s := range samples() {
		if len(s.key) == OwnedKeyBytes {
			f.Add([]byte(s.key), s.value, madeUser)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte, user string) {
		for _, space := range []string{SpaceSessions, SpaceFamilies, SpaceOneTime} {
			if len(value) >= offFields {
				value = reseal(space, string(key), bytes.Clone(value))
			}
			s, err := DecodeSession(key, value)
			if v, errView := ViewSession(key, value); errView != err || err == nil && (v.Key() != s.Key ||
				v.Who().Is(user) != (s.UserID == user) || !v.Who().Is(s.UserID) || v.IdleUntil() != s.IdleUntil || v.Family() != s.Family) {
				t.Fatalf("session % x: %#v, %v; %#v, %v", value, v, errView, s, err)
			}
			fam, err := DecodeFamily(key, value)
			if v, errView := ViewFamily(key, value); errView != err || err == nil && (v.Key() != fam.Key ||
				v.Who().Is(user) != (fam.UserID == user) || !v.Who().Is(fam.UserID) || v.RevokedAt() != fam.RevokedAt || v.Session() != fam.Session) {
				t.Fatalf("family % x: %#v, %v; %#v, %v", value, v, errView, fam, err)
			}
			o, err := DecodeOneTimeToken(key, value)
			if v, errView := ViewOneTimeToken(key, value); errView != err || err == nil && (v.Key() != o.Key ||
				v.Who().Is(user) != (o.UserID == user) || !v.Who().Is(o.UserID) || !v.IsPurpose(o.Purpose) || v.ExpiresAt() != o.ExpiresAt) {
				t.Fatalf("token % x: %#v, %v; %#v, %v", value, v, errView, o, err)
			}
		}
	})
}

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

// FuzzDecodeMeta decodes one value as each of the records that stand in meta,
// and as a reference.
func FuzzDecodeMeta(f *testing.F) {
	for _, s := range samples() {
		if s.space == SpaceMeta || s.space == SpaceIdentities {
			f.Add(s.value)
		}
	}
	metas := []struct {
		space, key string
		decode     func(k, v []byte) (any, error)
		encode     func(r any, k []byte) []byte
	}{
		{SpaceMeta, KeyFormat, func(_, v []byte) (any, error) { return anyOf(DecodeFormat(v)) },
			func(r any, _ []byte) []byte { x := r.(Format); return x.Append(nil) }},
		{SpaceMeta, KeyState, func(_, v []byte) (any, error) { return anyOf(DecodeState(v)) },
			func(r any, _ []byte) []byte { x := r.(State); return x.Append(nil) }},
		{SpaceMeta, KeyDeclarations, func(_, v []byte) (any, error) { return anyOf(DecodeDeclarations(v)) },
			func(r any, _ []byte) []byte { x := r.(Declarations); return x.Append(nil) }},
		{SpaceMeta, KeyOwners, func(_, v []byte) (any, error) { return anyOf(DecodeOwnerKey(v)) },
			func(r any, _ []byte) []byte { x := r.(OwnerKey); return x.Append(nil) }},
		{SpaceMeta, KeyOwnedSpaces, func(_, v []byte) (any, error) { return anyOf(DecodeOwnedSpaces(v)) },
			func(r any, _ []byte) []byte { x := r.(OwnedSpaces); return x.Append(nil) }},
		{SpaceIdentities, "a\x00b", func(k, v []byte) (any, error) { return anyOf(DecodeUserRef(SpaceIdentities, k, v)) },
			func(r any, k []byte) []byte { x := r.(UserRef); return x.Append(nil, SpaceIdentities, k) }},
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, m := range metas {
			checkDecode(t, []byte(m.key), value, m.decode, m.encode)
			if len(value) >= offFields {
				checkDecode(t, []byte(m.key), reseal(m.space, m.key, bytes.Clone(value)), m.decode, m.encode)
			}
		}
	})
}

// FuzzCheck holds Check against the decoder that it protects: what Check
// accepts, msgpack decodes, with memory bounded by the input, to a value whose
// one encoding the input was.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(mustAttributes(goldenAttributes)))
	f.Add([]byte(sampleAttributes))
	f.Add([]byte("\xdd\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MaxAttributeBytes || Check(b, MaxAttributeDepth, MaxAttributeBytes) != nil {
			return
		}
		in := bytes.NewReader(b)
		before := allocated()
		v, err := msgpack.NewDecoder(in).DecodeInterface()
		used := allocated() - before
		if err != nil || in.Len() != 0 {
			t.Fatalf("% x: %v, %d bytes left", b, err, in.Len())
		}
		// The process of the fuzzer allocates a little by itself.
		if limit := uint64(1<<20 + 512*len(b)); used > limit {
			t.Fatalf("% x: %d bytes for %d", b, used, len(b))
		}
		if got := encoded(t, v); !bytes.Equal(got, b) {
			t.Fatalf("% x\nencodes again as % x", b, got)
		}
	})
}

// encoded returns the encoding of any one value.
func encoded(t *testing.T, v any) []byte {
	t.Helper()
	c, err := Canonical(v)
	if err != nil {
		t.Fatal(err)
	}
	var w writer
	if err := encode(msgpack.NewEncoder(&w), c); err != nil {
		t.Fatal(err)
	}
	return w.b
}

// allocated returns the bytes that the process has allocated so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// FuzzAttributesRoundTrip decodes what may be attributes and encodes them to
// the same bytes, and builds attributes from the input, which must survive.
func FuzzAttributesRoundTrip(f *testing.F) {
	f.Add(mustAttributes(goldenAttributes), "name", "text", int64(5), 1.5, []byte{1})
	f.Add("", "é", "", int64(math.MinInt64), math.Inf(1), []byte(nil))
	f.Fuzz(func(t *testing.T, raw, name, text string, n int64, x float64, blob []byte) {
		if m, err := DecodeAttributes(raw); err == nil && raw != "" {
			if again, err := AppendAttributes(nil, m, Bounds{}); err != nil || string(again) != raw {
				t.Fatalf("decoded % x\nand wrote % x, %v", raw, again, err)
			}
		}
		m := map[string]any{name: text, "n": n, "m": map[string]any{text: []any{x, blob, nil, n > 0}}, "t": time.Unix(n, int64(len(text)))}
		b, err := AppendAttributes(nil, m, Bounds{})
		var refusal *ValueError
		if errors.As(err, &refusal) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if Check(b, MaxAttributeDepth+1, MaxAttributeBytes) != nil {
			t.Fatalf("wrote % x, which Check refuses", b)
		}
		got, err := DecodeAttributes(string(b))
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := Canonical(m); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v\nwant %#v", got, want)
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
