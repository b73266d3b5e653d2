package codec

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/testseed"
)

func TestAttributesRoundTrip(t *testing.T) {
	m := map[string]any{}
	for name, v := range goldenAttributes {
		c, err := Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		m[name] = c
	}
	raw := mustAttributes(goldenAttributes)
	got, err := DecodeAttributes(raw)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "decoded", got, m)
	if again := mustAttributes(got); again != raw {
		t.Errorf("encoded again: % x\nwant % x", again, raw)
	}
}

func TestAttributesAreSorted(t *testing.T) {
	m := map[string]any{"b": 1, "a": map[string]int{"z": 1, "": 2, "y": 3}, "aa": 2, "é": 3}
	const want = "\x84\xa1a\x83\xa0\x02\xa1y\x03\xa1z\x01\xa2aa\x02\xa1b\x01\xa2é\x03"
	for range 20 { // a map ranges in another order each time
		if got := mustAttributes(m); got != want {
			t.Fatalf("got % x\nwant % x", got, want)
		}
	}
}

func TestAttributesEmpty(t *testing.T) {
	for _, m := range []map[string]any{nil, {}} {
		if got := mustAttributes(m); got != "\x80" {
			t.Errorf("%#v: % x", m, got)
		}
	}
	for _, raw := range []string{"", "\x80"} {
		m, err := DecodeAttributes(raw)
		if err != nil || m == nil || len(m) != 0 {
			t.Errorf("%q: %#v, %v", raw, m, err)
		}
	}
}

func TestAppendAttributesRefuses(t *testing.T) {
	many := func(n int) map[string]any {
		m := map[string]any{}
		for i := range n {
			m[fmt.Sprint(i)] = i
		}
		return m
	}
	text := func(n int) map[string]any { return map[string]any{"t": strings.Repeat("x", n)} }
	all, few := Bounds{}, Bounds{Keys: 16, Bytes: 4 << 10}
	tests := []struct {
		name   string
		m      map[string]any
		bounds Bounds
		attr   string
		reason string // "" is accepted
	}{
		{"64 names", many(64), all, "", ""},
		{"65 names", many(65), all, "", "64 names"},
		{"wider bounds do not help", many(65), Bounds{Keys: 100, Bytes: 1 << 20}, "", "64 names"},
		{"16 names", many(16), few, "", ""},
		{"17 names", many(17), few, "", "16 names"},
		{"empty name", map[string]any{"": 1}, all, "", "1–64 bytes"},
		{"name of 64 bytes", map[string]any{strings.Repeat("n", 64): 1}, all, "", ""},
		{"name of 65 bytes", map[string]any{strings.Repeat("n", 65): 1}, all, "", "1–64 bytes"},
		{"control character", map[string]any{"a\nb": 1}, all, "", "control"},
		{"delete", map[string]any{"a\x7f": 1}, all, "", "control"},
		{"C1 control", map[string]any{"a\u0085": 1}, all, "", "control"},
		{"invalid name", map[string]any{"a\xff": 1}, all, "", "UTF-8"},
		{"nested names are free", map[string]any{"a": map[string]any{"": 1, "\n": 2}}, all, "", ""},
		{"nested name of 65 bytes", map[string]any{"a": map[string]any{strings.Repeat("n", 65): 1}}, all, "a", "names"},
		{"bad value", map[string]any{"a": 1, "b": math.NaN()}, all, "b", "finite"},
		{"first of two", map[string]any{"z": math.NaN(), "b": func() {}, "y": math.NaN()}, all, "b", "func()"},
		{"deep enough", map[string]any{"a": []any{[]any{[]any{[]any{[]any{[]any{[]any{1}}}}}}}}, all, "", ""},
		{"too deep", map[string]any{"a": []any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{1}}}}}}}}}, all, "a", "8 deep"},
		{"64 KiB", text(MaxAttributeBytes - 6), all, "", ""},
		{"64 KiB and one", text(MaxAttributeBytes - 5), all, "", "65536 bytes"},
		{"4 KiB", text(4<<10 - 6), few, "", ""},
		{"4 KiB and one", text(4<<10 - 5), few, "", "4096 bytes"},
		{"4 KiB of numbers", map[string]any{"a": make([]int, 4<<10)}, few, "", "4096 bytes"},
	}
	for _, tt := range tests {
		dst := []byte("before")
		got, err := AppendAttributes(dst, tt.m, tt.bounds)
		if tt.reason == "" {
			if _, again := DecodeAttributes(string(got[len(dst):])); err != nil || again != nil || !bytes.HasPrefix(got, dst) {
				t.Errorf("%s: %v, and decoded: %v", tt.name, err, again)
			}
			continue
		}
		var e *ValueError
		if !errors.As(err, &e) || e.Name != tt.attr || !strings.Contains(e.Reason, tt.reason) {
			t.Errorf("%s: %v, want name %q and a reason with %q", tt.name, err, tt.attr, tt.reason)
		}
		if string(got) != "before" {
			t.Errorf("%s: returned %q beside an error", tt.name, got)
		}
	}
}

func TestValueErrorText(t *testing.T) {
	for e, want := range map[ValueError]string{
		{Name: "age", Reason: "must be a finite number"}:  `attribute "age": must be a finite number`,
		{Reason: "must have at most 64 names"}:            `attributes: must have at most 64 names`,
		{Name: "a\"\n", Reason: "must be a valid string"}: `attribute "a\"\n": must be a valid string`,
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Encoding must not change what it is given, nor keep it.
func TestAppendAttributesLeavesItsInput(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 5, 6, paris)
	list := []any{1, "x"}
	m := map[string]any{"at": at, "list": list, "n": uint8(3)}
	mustAttributes(m)
	same(t, "input", m, map[string]any{"at": at, "list": []any{1, "x"}, "n": uint8(3)})
}

func TestDecodeAttributesRefuses(t *testing.T) {
	long := "\x81\xa1a\xc6\x00\x01\x00\x00" + strings.Repeat("x", 1<<16)
	tests := map[string]string{
		"no map":           "\x93\x01\x02\x03",
		"nil":              "\xc0",
		"trailing":         "\x80\x80",
		"name twice":       "\x82\xa1a\x01\xa1a\x02",
		"name twice below": "\x81\xa1m\x82\xa1a\x01\xa1a\x02",
		"not sorted":       "\x82\xa1b\x01\xa1a\x02",
		"empty name":       "\x81\xa0\x01",
		"control":          "\x81\xa1\x00\x01",
		"name no string":   "\x81\x01\x01",
		"name of bytes":    "\x81\xc4\x01a\x01",
		"longer map":       "\xde\x00\x01\xa1a\x01",
		"65 names":         "\xde\x00\x41" + numbered(65),
		"cut":              "\x81\xa1a",
		"over 64 KiB":      long,
		"too deep":         "\x81\xa1a" + strings.Repeat("\x91", 8) + "\xc0",
		"uint64":           "\x81\xa1a\xcf\x80\x00\x00\x00\x00\x00\x00\x00",
		"float32":          "\x81\xa1a\xca\x00\x00\x00\x00",
		"NaN":              "\x81\xa1a\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01",
		"four billion":     "\xdf\xff\xff\xff\xff",
	}
	for name, raw := range tests {
		if m, err := DecodeAttributes(raw); !errors.Is(err, ErrCorrupt) || m != nil {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if m, err := DecodeAttributes("\xde\x00\x40" + numbered(64)); err != nil || len(m) != 64 {
		t.Errorf("64 names: %d, %v", len(m), err)
	}
}

// numbered is n pairs of a map with names in order.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\xa2%02d\x01", i)
	}
	return b.String()
}

// Random attributes survive, and their bytes do not depend on the order in
// which maps range.
func TestRandomAttributes(t *testing.T) {
	seed := testseed.Of(t)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		m := map[string]any{}
		for range r.IntN(6) {
			m[fmt.Sprint("n", r.IntN(20))] = randomValue(r, 4)
		}
		raw, err := AppendAttributes(nil, m, Bounds{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeAttributes(string(raw))
		if err != nil {
			t.Fatalf("% x: %v", raw, err)
		}
		want, err := Canonical(m)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "decoded", got, want)
		if again := mustAttributes(got); again != string(raw) {
			t.Fatalf("encoded again: % x\nwant % x", again, raw)
		}
	}
}

func randomValue(r *rand.Rand, depth int) any {
	n := r.IntN(10)
	if depth == 0 {
		n = r.IntN(8)
	}
	switch n {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return int64(r.Uint64()) >> r.IntN(64)
	case 3:
		return r.NormFloat64() * math.Pow(10, float64(r.IntN(600)-300))
	case 4:
		return strings.Repeat("é", r.IntN(200))
	case 5:
		return bytes.Repeat([]byte{0xff}, r.IntN(300))
	case 6:
		return time.Unix(int64(r.Uint64())>>r.IntN(64), r.Int64N(1e9)>>r.IntN(30))
	case 7:
		return uint16(r.Uint32())
	case 8:
		list := make([]any, r.IntN(20))
		for i := range list {
			list[i] = randomValue(r, depth-1)
		}
		return list
	}
	m := map[string]any{}
	for range r.IntN(20) {
		m[fmt.Sprint(r.IntN(1000))] = randomValue(r, depth-1)
	}
	return m
}
