package codes

import (
	"strings"
	"testing"
)

// The digits of a code are all equally likely: what would favour the low ones is
// drawn again.
func TestDrawDigits(t *testing.T) {
	for random, want := range map[string]string{
		"\x00\x00\x00\x00":                                 "00000000",
		"\x05\xf5\xe1\x07":                                 "00000007", // 100,000,007
		"\xfa\x56\xe9\xff":                                 "99999999", // 42·10^8 - 1
		"\xfa\x56\xea\x00" + "\x00\x00\x00\x01":            "00000001",
		"\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x01\x00": "00000256",
	} {
		if got, err := drawDigits(strings.NewReader(random)); got != want || err != nil {
			t.Errorf("% x: %s, %v, want %s", random, got, err, want)
		}
	}
	if _, err := drawDigits(strings.NewReader("\x00")); err == nil {
		t.Error("no error for no more random bytes")
	}
}
