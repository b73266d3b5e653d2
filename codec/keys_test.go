package codec

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/testseed"
)

func TestIndexValueBytes(t *testing.T) {
	tests := []struct {
		v    any
		want string
	}{
		{false, "\x01"},
		{true, "\x02"},
		{int64(0), "\x03\x80\x00\x00\x00\x00\x00\x00\x00"},
		{int64(-1), "\x03\x7f\xff\xff\xff\xff\xff\xff\xff"},
		{0.5, "\x04\xbf\xe0\x00\x00\x00\x00\x00\x00"},
		{-0.5, "\x04\x40\x1f\xff\xff\xff\xff\xff\xff"},
		{"", "\x05\x00\x01"},
		{"a\x00\x01\xc3\xbf", "\x05a\x00\xff\x01\xc3\xbf\x00\x01"},
		{[]byte{0, 0xff, 0}, "\x06\x00\xff\xff\x00\xff\x00\x01"},
		{[]byte(nil), "\x06\x00\x01"},
		{time.Unix(-1, 7).UTC(), "\x07\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x07"},
	}
	for _, tt := range tests {
		got, err := AppendIndexValue([]byte("dst"), tt.v)
		if err != nil || string(got) != "dst"+tt.want {
			t.Errorf("%#v: % x, %v; want % x", tt.v, got, err, tt.want)
		}
	}
}

// A float64 that is an integer is that integer, as long as all of them are.
func TestIntegralFloatsAreIntegers(t *testing.T) {
	const exact = 1 << 53
	for _, n := range []int64{0, 1, -1, 5, exact - 1, exact, -exact} {
		if mustIndexValue(n) != mustIndexValue(float64(n)) {
			t.Errorf("%d and its float64 differ", n)
		}
	}
	if mustIndexValue(math.Copysign(0, -1)) != mustIndexValue(int64(0)) {
		t.Error("-0 is not 0")
	}
	for _, f := range []float64{exact + 2, -exact - 2, 1e300, 5.5} {
		if v := mustIndexValue(f); v[0] != tagFloat {
			t.Errorf("%v has tag %d", f, v[0])
		}
	}
}

// ascending lists index values in the order in which they sort.
var ascending = []any{
	false, true,
	int64(math.MinInt64), int64(-1 << 40), int64(-256), int64(-255), int64(-1), int64(0), int64(1), int64(255), int64(256), int64(1 << 40), int64(math.MaxInt64),
	-math.MaxFloat64, -1e300, -2.5, -1.5, -math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64, 0.5, 1.5, 1e300, math.MaxFloat64,
	"", "\x00", "\x00\x00", "\x00\x01", "\x00a", "\x01", "a", "a\x00", "a\x00\x00", "a\x00\u00ff", "a\x01", "aa", "b", "é", "\U0010ffff",
	[]byte{}, []byte{0}, []byte{0, 0}, []byte{0, 0xff}, []byte{1}, []byte{0xff}, []byte{0xff, 0}, []byte{0xff, 0xff},
	time.Time{}, time.Unix(-1, 0), time.Unix(-1, 999_999_999), time.Unix(0, 0), time.Unix(0, 1), time.Unix(1, 0), time.Unix(1<<40, 0),
}

func TestIndexValuesSort(t *testing.T) {
	for i, a := range ascending {
		for j, b := range ascending {
			x, y := mustIndexValue(a), mustIndexValue(b)
			if got, want := strings.Compare(x, y), compareInts(i, j); got != want {
				t.Errorf("%#v and %#v compare %d, want %d", a, b, got, want)
			}
			if i != j && strings.HasPrefix(x, y) {
				t.Errorf("%#v begins with %#v", a, b)
			}
		}
	}
}

func compareInts(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestIndexValueRefuses(t *testing.T) {
	tests := []struct {
		name   string
		v      any
		reason string
	}{
		{"nil", nil, "to be indexed"},
		{"list", []any{int64(1)}, "to be indexed"},
		{"map", map[string]any{}, "to be indexed"},
		{"not canonical", 5, "to be indexed"},
		{"NaN", math.NaN(), "finite"},
		{"infinity", math.Inf(1), "finite"},
		{"text of 510", strings.Repeat("x", 510), "512 bytes"},
		{"text of 255 zeros", strings.Repeat("\x00", 255), "512 bytes"},
		{"bytes of a megabyte", make([]byte, 1<<20), "512 bytes"},
	}
	for _, tt := range tests {
		got, err := AppendIndexValue([]byte("dst"), tt.v)
		var e *ValueError
		if !errors.As(err, &e) || e.Name != "" || !strings.Contains(e.Reason, tt.reason) || string(got) != "dst" {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
	for _, v := range []string{strings.Repeat("x", 509), strings.Repeat("\x00", 254) + "x"} {
		if got := mustIndexValue(v); len(got) != MaxIndexValue {
			t.Errorf("the longest text takes %d bytes", len(got))
		}
	}
}

var hostileTexts = []string{"", "u", "u1", "u10", "u1.", "usr_1", "v", "zz", "\x01", "\xff", "\xff\xff", "a\xff"}

func TestPairs(t *testing.T) {
	for _, a := range hostileTexts {
		from, to := PairRange(a)
		for _, b := range hostileTexts {
			for _, c := range hostileTexts {
				key := AppendPair([]byte("x"), b, c)[1:]
				x, y, ok := SplitPair(key)
				if !ok || string(x) != b || string(y) != c {
					t.Errorf("%q: split into %q %q %v", key, x, y, ok)
				}
				if in := within(key, from, to); in != (a == b) {
					t.Errorf("%q in the range of %q: %v", key, a, in)
				}
			}
		}
	}
	for _, bad := range []string{"", "a", "a\x00b\x00", "\x00\x00"} {
		if a, b, ok := SplitPair([]byte(bad)); ok || a != nil || b != nil {
			t.Errorf("%q: split into %q %q", bad, a, b)
		}
	}
}

func within(key, from, to []byte) bool {
	return bytes.Compare(key, from) >= 0 && (to == nil || bytes.Compare(key, to) < 0)
}

// An entry is in the range of its own name and value and of no other.
func TestEntryRanges(t *testing.T) {
	names := []string{"a", "a\x01", "aa", "b", "é"}
	ids := []string{"u", "u1", "u10", "usr_1", "zz", "~"}
	var values []string
	for _, v := range ascending {
		values = append(values, mustIndexValue(v))
	}
	for _, name := range names {
		for _, value := range values {
			for _, id := range ids {
				key := AppendEntryKey(nil, name, value, id)
				n, v, u, ok := SplitEntryKey(key, false)
				if !ok || string(n) != name || string(v) != value || string(u) != id {
					t.Fatalf("% x: split into %q % x %q %v", key, n, v, u, ok)
				}
				for _, otherName := range names {
					for _, otherValue := range values {
						from, to := EntryRange(otherName, otherValue)
						if in := within(key, from, to); in != (name == otherName && value == otherValue) {
							t.Fatalf("% x in the range of %q % x: %v", key, otherName, otherValue, in)
						}
					}
				}
			}
		}
	}
}

// The end of a range after values that end with the last byte.
func TestEntryRangeEnds(t *testing.T) {
	tests := []struct{ name, value, to string }{
		{"a", "\x01", "a\x00\x02"},
		{"a", "\x05x\x00\x01", "a\x00\x05x\x00\x02"},
		{"a", "\x03\xff\xff\xff\xff\xff\xff\xff\xff", "a\x00\x04"},
		{"a", "\x03\x80\x00\x00\x00\x00\x00\x00\xff", "a\x00\x03\x80\x00\x00\x00\x00\x00\x01"},
		{"a", "\xff", "a\x01"},
	}
	for _, tt := range tests {
		from, to := EntryRange(tt.name, tt.value)
		if string(from) != tt.name+"\x00"+tt.value || string(to) != tt.to {
			t.Errorf("%q % x: [% x, % x)", tt.name, tt.value, from, to)
		}
		if !within(append(bytes.Clone(from), "\xff\xff\xff"...), from, to) {
			t.Errorf("%q % x: the last id is outside", tt.name, tt.value)
		}
	}
	if to := afterPrefix([]byte{0xff, 0xff}); to != nil {
		t.Errorf("after the last prefix: % x", to)
	}
}

func TestSplitEntryKey(t *testing.T) {
	text := mustIndexValue("x")
	tests := []struct {
		name   string
		key    string
		unique bool
		ok     bool
	}{
		{"unique", "n\x00" + text, true, true},
		{"unique with an id", "n\x00" + text + "u", true, false},
		{"entry", "n\x00" + text + "u", false, true},
		{"entry without an id", "n\x00" + text, false, false},
		{"no name", "\x00" + text, true, false},
		{"no separator", "n", true, false},
		{"no value", "n\x00", true, false},
		{"no value, no id", "n\x00", false, false},
		{"tag 0", "n\x00\x00", true, false},
		{"tag 8", "n\x00\x08\x00\x01", true, false},
		{"tag 8 with an id", "n\x00\x08\x00\x01u", false, false},
		{"int cut, an id wanted", "n\x00\x03\x00\x00\x00\x00\x00\x00\x00", false, false},
		{"int cut", "n\x00\x03\x00\x00\x00\x00\x00\x00\x00", true, false},
		{"time cut", "n\x00\x07" + strings.Repeat("\x00", 11), true, false},
		{"text without end", "n\x00\x05xyz", true, false},
		{"text cut in its end", "n\x00\x05xyz\x00", true, false},
		{"text with a wrong escape", "n\x00\x05x\x00\x02\x00\x01", true, false},
		{"text of 513 bytes", "n\x00\x05" + strings.Repeat("x", 510) + "\x00\x01", true, false},
		{"text of 512 bytes", "n\x00\x05" + strings.Repeat("x", 509) + "\x00\x01", true, true},
		{"nothing", "", true, false},
	}
	for _, tt := range tests {
		name, value, id, ok := SplitEntryKey([]byte(tt.key), tt.unique)
		if ok != tt.ok {
			t.Errorf("%s: %v", tt.name, ok)
		}
		if !ok && (name != nil || value != nil || id != nil) {
			t.Errorf("%s: returned parts beside false", tt.name)
		}
		if ok && string(name)+"\x00"+string(value)+string(id) != tt.key {
			t.Errorf("%s: %q %q %q do not make the key", tt.name, name, value, id)
		}
	}
}

func TestUniqueKeys(t *testing.T) {
	value := mustIndexValue("x\x00y")
	key := AppendUniqueKey([]byte("dst"), "nick", value)
	if want := "dstnick\x00" + value; string(key) != want {
		t.Errorf("got %q, want %q", key, want)
	}
	name, v, id, ok := SplitEntryKey(key[3:], true)
	if !ok || string(name) != "nick" || string(v) != value || id != nil {
		t.Errorf("split into %q %q %q %v", name, v, id, ok)
	}
}

// Random values sort as they should and are told apart.
func TestRandomIndexValuesSort(t *testing.T) {
	seed := testseed.Of(t)
	r := rand.New(rand.NewPCG(seed, 0))
	alphabet := []byte{0, 1, 'a', 0xfe, 0xff}
	var texts []string
	var floats []float64
	for range 2000 {
		b := make([]byte, r.IntN(5))
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		texts = append(texts, string(b))
		floats = append(floats, r.NormFloat64()*math.Pow(10, float64(r.IntN(600)-300)))
	}
	slices.Sort(texts)
	slices.Sort(floats)
	for i := range len(texts) - 1 {
		a, b := mustIndexValue([]byte(texts[i])), mustIndexValue([]byte(texts[i+1]))
		if strings.Compare(a, b) != strings.Compare(texts[i], texts[i+1]) {
			t.Errorf("% x and % x do not sort", texts[i], texts[i+1])
		}
		x, y := mustIndexValue(floats[i]), mustIndexValue(floats[i+1])
		if x[0] == y[0] && (x < y) != (floats[i] < floats[i+1]) {
			t.Errorf("%v and %v do not sort", floats[i], floats[i+1])
		}
	}
}
