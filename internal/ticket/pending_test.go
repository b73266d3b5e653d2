package ticket

import (
	"reflect"
	"strings"
	"testing"

	"github.com/snibdb/snib/codec"
)

// FuzzDecodePending: a text is one pending log-in or none.
func FuzzDecodePending(f *testing.F) {
	full := Pending{
		Goal: ForAgain, User: "usr_01j9zk3m4n5p6q7r8s9t0v1w2w", Version: 1 << 62, Epoch: 3, Expires: 1_760_000_000_000, At: 5, Until: -1,
		Methods: 9, Session: codec.OwnedKey{1, 2, 3}, Attributes: "\x81\xa1a\xc0", Replaces: []string{"", "snses_", strings.Repeat("x", 200)},
	}
	f.Add(full.encode())
	f.Add((&Pending{}).encode())
	f.Add(full.encode() + "\x80")
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := decodePending(text)
		if !ok {
			return
		}
		again, ok := decodePending(p.encode())
		if !ok || !reflect.DeepEqual(again, p) {
			t.Fatalf("%+v, then %+v, %t", p, again, ok)
		}
	})
}

// TestPendingKeepsAllItsFields, and no text that is shorter or longer is one.
func TestPendingKeepsAllItsFields(t *testing.T) {
	p := Pending{
		Goal: ForFamily, User: "u", Version: 1, Epoch: 2, Expires: 3, At: 4, Until: 5, Methods: 6, Asked: 8, Persistent: 1, Active: 9, Idle: 10, Absolute: 11,
		Session: codec.OwnedKey{7}, Attributes: "a", Replaces: []string{"b"},
	}
	v := reflect.ValueOf(p)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the sample has no %s", v.Type().Field(i).Name)
		}
	}
	text := p.encode()
	if got, ok := decodePending(text); !ok || !reflect.DeepEqual(got, p) {
		t.Errorf("%+v, %t, want %+v", got, ok, p)
	}
	for i := range text[:len(text)-4] {
		if _, ok := decodePending(text[:i]); ok {
			t.Errorf("%d of %d bytes are one", i, len(text))
		}
	}
	if _, ok := decodePending(text + strings.Repeat("\x00", MaxReplaced)); ok {
		t.Error("more tokens than can be replaced are one")
	}
}
