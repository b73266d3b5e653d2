package snib

import (
	"reflect"
	"strings"
	"testing"

	"github.com/snibdb/snib/codec"
)

// FuzzDecodePending: a text is one pending log-in or none.
func FuzzDecodePending(f *testing.F) {
	full := pendingLogIn{
		goal: goalAgain, user: "usr_01j9zk3m4n5p6q7r8s9t0v1w2w", version: 1 << 62, epoch: 3, expires: 1_760_000_000_000, at: 5, until: -1,
		methods: 9, session: codec.OwnedKey{1, 2, 3}, attributes: "\x81\xa1a\xc0", replaces: []string{"", "snses_", strings.Repeat("x", 200)},
	}
	f.Add(full.encode())
	f.Add((&pendingLogIn{}).encode())
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
	p := pendingLogIn{
		goal: goalFamily, user: "u", version: 1, epoch: 2, expires: 3, at: 4, until: 5, methods: 6, asked: 8, persistent: 1, active: 9, idle: 10, absolute: 11,
		session: codec.OwnedKey{7}, attributes: "a", replaces: []string{"b"},
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
	if _, ok := decodePending(text + strings.Repeat("\x00", maxReplaced)); ok {
		t.Error("more tokens than can be replaced are one")
	}
}
