package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

type (
	namedString string
	namedInt    int16
	namedFloat  float32
	namedBool   bool
	namedByte   uint8
	namedBytes  []namedByte
	namedMap    map[namedString]namedInt
)

var paris = time.FixedZone("CET", 3600)

func TestCanonical(t *testing.T) {
	at := time.Date(2025, 10, 9, 9, 53, 20, 5, paris)
	tests := []struct {
		name     string
		in, want any
	}{
		{"nil", nil, nil},
		{"bool", true, true},
		{"named bool", namedBool(true), true},
		{"int", 5, int64(5)},
		{"int8", int8(-128), int64(-128)},
		{"int64", int64(math.MinInt64), int64(math.MinInt64)},
		{"named int", namedInt(-3), int64(-3)},
		{"duration", time.Second, int64(1e9)},
		{"uint8", uint8(200), int64(200)},
		{"largest uint64", uint64(math.MaxInt64), int64(math.MaxInt64)},
		{"float32", float32(1.5), 1.5},
		{"float64", 2.0, 2.0},
		{"negative zero", math.Copysign(0, -1), math.Copysign(0, -1)},
		{"named float", namedFloat(0.25), 0.25},
		{"string", "é", "é"},
		{"named string", namedString("x"), "x"},
		{"bytes", []byte{1, 0xff}, []byte{1, 0xff}},
		{"named bytes", namedBytes{1, 2}, []byte{1, 2}},
		{"raw JSON", json.RawMessage("{}"), []byte("{}")},
		{"array of bytes", [3]byte{1, 2, 3}, []byte{1, 2, 3}},
		{"array", [2]int{1, 2}, []any{int64(1), int64(2)}},
		{"JSON integer", json.Number("-12"), int64(-12)},
		{"JSON fraction", json.Number("1.5"), 1.5},
		{"JSON exponent", json.Number("1e3"), 1000.0},
		{"time", at, time.Date(2025, 10, 9, 8, 53, 20, 5, time.UTC)},
		{"[]string", []string{"a"}, []any{"a"}},
		{"[]time.Time", []time.Time{at}, []any{at.UTC()}},
		{"map[string]string", map[string]string{"a": "b"}, map[string]any{"a": "b"}},
		{"named map", namedMap{"a": 1}, map[string]any{"a": int64(1)}},
		{"nested", []any{map[string]any{"a": []any{nil, 1}}}, []any{map[string]any{"a": []any{nil, int64(1)}}}},
		{"nil slice", []string(nil), []any{}},
		{"nil bytes", []byte(nil), []byte{}},
		{"nil map", map[string]any(nil), map[string]any{}},
		{"as deep as can be", []any{[]any{[]any{[]any{[]any{[]any{[]any{1}}}}}}}, []any{[]any{[]any{[]any{[]any{[]any{[]any{int64(1)}}}}}}}},
	}
	for _, tt := range tests {
		got, err := Canonical(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		same(t, tt.name, got, tt.want)
	}
}

func TestCanonicalDropsTheMonotonicReading(t *testing.T) {
	now := time.Now()
	got, err := Canonical(now)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "time", got, time.Unix(now.Unix(), int64(now.Nanosecond())).UTC())
}

func TestCanonicalRefuses(t *testing.T) {
	text := "x"
	loop := []any{nil, nil}
	loop[0], loop[1] = loop, loop
	ring := map[string]any{}
	ring["ring"] = ring
	var shared any = 1 // one part, a thousand times at each of seven levels
	for range 7 {
		shared = slices.Repeat([]any{shared}, 1000)
	}
	const secret = "s3cret"
	tests := []struct {
		name   string
		in     any
		reason string
	}{
		{"uint64 above int64", uint64(math.MaxInt64) + 1, "64 bits"},
		{"NaN", math.NaN(), "finite"},
		{"infinity", math.Inf(-1), "finite"},
		{"float32 infinity", float32(math.Inf(1)), "finite"},
		{"JSON integer too large", json.Number("9223372036854775808"), "64 bits"},
		{"JSON float too large", json.Number("1e999"), "finite"},
		{"JSON nothing", json.Number(""), "a number"},
		{"JSON word", json.Number("Inf"), "a number"},
		{"JSON hexadecimal", json.Number("0x1p3"), "a number"},
		{"JSON nonsense", json.Number("1-e"), "finite"},
		{"invalid UTF-8", secret + "\xff", "UTF-8"},
		{"invalid UTF-8 within", []string{secret, "\xc3"}, "UTF-8"},
		{"channel", make(chan int), "chan int"},
		{"function", func() {}, "func()"},
		{"struct", struct{ A string }{secret}, "struct"},
		{"net address", netip.Addr{}, "netip.Addr"},
		{"pointer", &text, "*string"},
		{"nil pointer", (*int)(nil), "*int"},
		{"error", errors.New(secret), "*errors.errorString"},
		{"complex", complex(1, 2), "complex128"},
		{"uintptr", uintptr(1), "uintptr"},
		{"unsafe pointer", unsafe.Pointer(&text), "unsafe.Pointer"},
		{"map[int]string", map[int]string{1: secret}, "map[int]string"},
		{"map[any]any", map[any]any{secret: 1}, "interface"},
		{"name of invalid UTF-8", map[string]any{"\xff" + secret: 1}, "names"},
		{"long name", map[string]any{strings.Repeat("n", 65): 1}, "names"},
		{"too deep", []any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{1}}}}}}}}, "deep"},
		{"too deep, empty", []any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{}}}}}}}}}, "deep"},
		{"slice in itself", loop, "deep"},
		{"map in itself", ring, "deep"},
		{"one part very often", shared, "65536 bytes"},
		{"long text", strings.Repeat("x", MaxAttributeBytes), "65536 bytes"},
		{"long bytes", make([]byte, MaxAttributeBytes), "65536 bytes"},
		{"long array of bytes", [MaxAttributeBytes]byte{}, "65536 bytes"},
		{"long list", make([]bool, MaxAttributeBytes), "65536 bytes"},
		{"one value too many", []any{strings.Repeat("x", 65532), 1, 2, 3}, "65536 bytes"},
		{"large map", largeMap(40_000), "65536 bytes"},
		{"long names", largeMap(15_000), "65536 bytes"},
		{"many texts", []string{strings.Repeat("x", 40_000), strings.Repeat("x", 40_000)}, "65536 bytes"},
	}
	for _, tt := range tests {
		got, err := Canonical(tt.in)
		var e *ValueError
		if !errors.As(err, &e) || got != nil {
			t.Errorf("%s: got %T and %v, want a ValueError", tt.name, got, err)
			continue
		}
		if e.Name != "" || !strings.Contains(e.Reason, tt.reason) || !strings.Contains(err.Error(), e.Reason) {
			t.Errorf("%s: %+v, want a reason with %q", tt.name, e, tt.reason)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error repeats the value: %v", tt.name, err)
		}
	}
}

func largeMap(n int) map[string]bool {
	m := make(map[string]bool, n)
	for i := range n {
		m[fmt.Sprint("name", i)] = true
	}
	return m
}

// Exactly as much as is allowed.
func TestCanonicalAtTheLimit(t *testing.T) {
	if _, err := Canonical([]any{strings.Repeat("x", 65531), 1, 2, 3}); err != nil {
		t.Error(err)
	}
}

// A copy is the caller's own, all the way down.
func TestCanonicalCopies(t *testing.T) {
	blob, list := []byte{1}, []any{int64(1)}
	in := map[string]any{"blob": blob, "list": list}
	got, err := Canonical(in)
	if err != nil {
		t.Fatal(err)
	}
	blob[0], list[0], in["more"] = 9, 9, 9
	same(t, "copy", got, map[string]any{"blob": []byte{1}, "list": []any{int64(1)}})
}
