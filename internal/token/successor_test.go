package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/snibdb/snib/codec"
)

// A derivation is what docs/FORMAT.md says, by RFC 5869 written out.
func TestDerivationIsHKDFAsDocumented(t *testing.T) {
	f := codec.Family{Key: codec.OwnedKey{1, 2, 3}, Generation: 0x0102, Nonce: [16]byte{9, 8}}
	processKey, parent := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{5}, 32)
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(bytes.Join(parts, nil))
		return h.Sum(nil)
	}
	prk := mac(processKey, parent)
	want := func(label string, more []byte) []byte {
		return mac(prk, []byte(label+"\x00"), f.Key[:], []byte{0, 0, 0, 0, 0, 0, 1, 2}, f.Nonce[:], more, []byte{1})
	}
	d := Derive(processKey, &f, parent)
	if !bytes.Equal(d.Successor(), want("snib/v1/refresh token", nil)) {
		t.Error("another successor")
	}
	session := codec.OwnID{4, 4}
	if !bytes.Equal(d.Session(session), want("snib/v1/refresh session", session[:])) {
		t.Error("another secret of the session")
	}
	network := []byte{192, 0, 2}
	if got := d.Client(network); !bytes.Equal(got[:], want("snib/v1/refresh client", network)[:8]) {
		t.Error("another hash of the client")
	}
	if d.Client(nil) != [8]byte{} {
		t.Error("an unknown client has a hash")
	}
}

// Each part that goes into it changes everything.
func TestDerivationDependsOnEachPart(t *testing.T) {
	seen := map[string]string{}
	add := func(name string, key, parent byte, change func(*codec.Family)) {
		f := codec.Family{Key: codec.OwnedKey{1}, Generation: 1, Nonce: [16]byte{1}}
		change(&f)
		d := Derive(bytes.Repeat([]byte{key}, 32), &f, bytes.Repeat([]byte{parent}, 32))
		client := d.Client([]byte{1})
		for _, secret := range [][]byte{d.Successor(), d.Session(codec.OwnID{}), client[:]} {
			if other := seen[string(secret)]; other != "" {
				t.Errorf("%s gives a secret of %s", name, other)
			}
			seen[string(secret)] = name
		}
	}
	add("the plain one", 1, 1, func(*codec.Family) {})
	add("another key", 2, 1, func(*codec.Family) {})
	add("another parent", 1, 2, func(*codec.Family) {})
	add("another family", 1, 1, func(f *codec.Family) { f.Key[19] = 1 })
	add("another generation", 1, 1, func(f *codec.Family) { f.Generation = 2 })
	add("another nonce", 1, 1, func(f *codec.Family) { f.Nonce[15] = 1 })
}
