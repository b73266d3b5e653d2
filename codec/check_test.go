package codec

import (
	"errors"
	"strings"
	"testing"
)

var checked = []struct {
	name string
	b    string
	ok   bool
}{
	{"nothing", "", false},
	{"nil", "\xc0", true},
	{"false", "\xc2", true},
	{"true", "\xc3", true},
	{"never used", "\xc1", false},
	{"two values", "\xc0\xc0", false},
	{"fixint", "\x7f", true},
	{"negative fixint", "\xe0", true},
	{"uint8", "\xcc\x80", true},
	{"uint8 that is a fixint", "\xcc\x7f", false},
	{"uint8 cut", "\xcc", false},
	{"uint16", "\xcd\x01\x00", true},
	{"uint16 that is a uint8", "\xcd\x00\xff", false},
	{"uint32", "\xce\x00\x01\x00\x00", true},
	{"uint32 that is a uint16", "\xce\x00\x00\xff\xff", false},
	{"uint64", "\xcf\x00\x00\x00\x01\x00\x00\x00\x00", true},
	{"largest int64", "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", true},
	{"above int64", "\xcf\x80\x00\x00\x00\x00\x00\x00\x00", false},
	{"uint64 that is a uint32", "\xcf\x00\x00\x00\x00\xff\xff\xff\xff", false},
	{"int8", "\xd0\xdf", true},
	{"int8 that is a fixint", "\xd0\xe0", false},
	{"int8 that is positive", "\xd0\x7f", false},
	{"int16", "\xd1\xff\x7f", true},
	{"int16 that is an int8", "\xd1\xff\x80", false},
	{"int32", "\xd2\xff\xff\x7f\xff", true},
	{"int32 that is an int16", "\xd2\xff\xff\x80\x00", false},
	{"int64", "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", true},
	{"int64 that is an int32", "\xd3\xff\xff\xff\xff\x80\x00\x00\x00", false},
	{"int64 that is positive", "\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", false},
	{"float32", "\xca\x3f\x80\x00\x00", false},
	{"float64", "\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", true},
	{"float64 cut", "\xcb\x3f\xf0\x00\x00\x00\x00\x00", false},
	{"infinity", "\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", false},
	{"minus infinity", "\xcb\xff\xf0\x00\x00\x00\x00\x00\x00", false},
	{"NaN", "\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01", false},
	{"fixstr", "\xa1a", true},
	{"fixstr cut", "\xa2a", false},
	{"fixstr of invalid UTF-8", "\xa1\xff", false},
	{"str8", "\xd9\x20" + strings.Repeat("a", 32), true},
	{"str8 that is a fixstr", "\xd9\x1f" + strings.Repeat("a", 31), false},
	{"str16", "\xda\x01\x00" + strings.Repeat("a", 256), true},
	{"str16 that is a str8", "\xda\x00\xff" + strings.Repeat("a", 255), false},
	{"str32", "\xdb\x00\x01\x00\x00" + strings.Repeat("a", 65536), true},
	{"str32 that is a str16", "\xdb\x00\x00\xff\xff" + strings.Repeat("a", 65535), false},
	{"bin8", "\xc4\x01\xff", true},
	{"bin16 that is a bin8", "\xc5\x00\x01\xff", false},
	{"bin32 of 4 GB", "\xc6\xff\xff\xff\xff", false},
	{"fixarray", "\x92\x01\x02", true},
	{"fixarray cut", "\x92\x01", false},
	{"array16", "\xdc\x00\x10" + strings.Repeat("\xc0", 16), true},
	{"array16 that is a fixarray", "\xdc\x00\x0f" + strings.Repeat("\xc0", 15), false},
	{"array32 of 4 G", "\xdd\xff\xff\xff\xff", false},
	{"array32 that is an array16", "\xdd\x00\x00\x00\x10" + strings.Repeat("\xc0", 16), false},
	{"fixmap", "\x82\xa0\x01\xa1a\x02", true},
	{"map32 of 4 G", "\xdf\xff\xff\xff\xff", false},
	{"map16 that is a fixmap", "\xde\x00\x01\xa1a\x01", false},
	{"map cut before a value", "\x81\xa1a", false},
	{"map with one name twice", "\x82\xa1a\x01\xa1a\x02", false},
	{"map that is not sorted", "\x82\xa1b\x01\xa1a\x02", false},
	{"map sorted by bytes", "\x82\xa2ab\x01\xa1b\x02", true},
	{"map with a number as name", "\x81\x01\x01", false},
	{"map with a long name", "\x81\xd9\x41" + strings.Repeat("n", 65) + "\x01", false},
	{"map with a name of 64", "\x81\xd9\x40" + strings.Repeat("n", 64) + "\x01", true},
	{"map with an invalid name", "\x81\xa1\xff\x01", false},
	{"time of 4", "\xd6\xff\x00\x00\x00\x00", true},
	{"time of 8 with ns", "\xd7\xff\x00\x00\x00\x04\x00\x00\x00\x00", true},
	{"time of 8 after 2106", "\xd7\xff\x00\x00\x00\x01\x00\x00\x00\x00", true},
	{"time of 8 that is one of 4", "\xd7\xff\x00\x00\x00\x00\xff\xff\xff\xff", false},
	{"time of 8, 1e9 ns", "\xd7\xff\xee\x6b\x28\x00\x00\x00\x00\x00", false},
	{"time of 12 before 1970", "\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", true},
	{"time of 12 that is one of 8", "\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff", false},
	{"time of 12, 1e9 ns", "\xc7\x0c\xff\x3b\x9a\xca\x00\xff\xff\xff\xff\xff\xff\xff\xff", false},
	{"another ext of 12", "\xc7\x0c\x01\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", false},
	{"time cut", "\xd6\xff\x00\x00\x00", false},
	{"time of 4 as ext8", "\xc7\x04\xff\x00\x00\x00\x00", false},
	{"ext of 1", "\xd4\xff\x00", false},
	{"ext of 16", "\xd8\xff" + strings.Repeat("\x00", 16), false},
	{"another ext", "\xd6\x01\x00\x00\x00\x00", false},
	{"ext32 of 4 GB", "\xc9\xff\xff\xff\xff\xff", false},
}

func TestCheck(t *testing.T) {
	for _, tt := range checked {
		err := Check([]byte(tt.b), 8, 1000)
		if (err == nil) != tt.ok {
			t.Errorf("%s (%.20x): %v", tt.name, tt.b, err)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v is not ErrCorrupt", tt.name, err)
		}
	}
}

func TestCheckBounds(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("\x91", n-1) + "\xc0" }
	tests := []struct {
		name  string
		b     string
		depth int
		items int
		ok    bool
	}{
		{"a scalar is 1 deep", "\xc0", 1, 1, true},
		{"no depth", "\xc0", 0, 1, false},
		{"no items", "\xc0", 1, 0, false},
		{"negative bounds", "\xc0", -1, -1, false},
		{"empty list is 1 deep", "\x90", 1, 1, true},
		{"list of one is 2 deep", "\x91\xc0", 1, 9, false},
		{"map of one is 2 deep", "\x81\xa0\xc0", 1, 9, false},
		{"8 deep", nested(8), 8, 8, true},
		{"9 deep", nested(9), 8, 9, false},
		{"8 items", nested(8), 8, 7, false},
		{"names count", "\x81\xa0\xc0", 2, 3, true},
		{"names count as values do", "\x81\xa0\xc0", 2, 2, false},
		{"128 deep", nested(128), 1 << 30, 1 << 30, true},
		{"129 deep, whatever is asked for", nested(129), 1 << 30, 1 << 30, false},
		{"a million deep", nested(1_000_000), 1 << 30, 1 << 30, false},
	}
	for _, tt := range tests {
		if err := Check([]byte(tt.b), tt.depth, tt.items); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// What has been written passes, cut anywhere it does not.
func TestCheckEveryPrefix(t *testing.T) {
	b := []byte(mustAttributes(goldenAttributes))
	if err := Check(b, MaxAttributeDepth+1, 1000); err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if Check(b[:n:n], MaxAttributeDepth+1, 1000) == nil {
			t.Errorf("accepted the first %d of %d bytes", n, len(b))
		}
	}
}
