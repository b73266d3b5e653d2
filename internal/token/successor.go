package token

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"github.com/snibdb/snib/codec"
)

// A Derivation gives all that follows from a parent token in one generation of
// its family (RFC 5869): a repeated answer is derived again, not stored. The
// parent and a key that lives in this process only go into it, so a file tells
// nothing of it, not even together with old tokens; and the family's nonce,
// which is new with each answer, so that another answer is another secret.
type Derivation struct {
	key  []byte
	info [codec.OwnedKeyBytes + 8 + nonceBytes]byte
}

const nonceBytes = len(codec.Family{}.Nonce)

// Derive takes a key of 32 bytes, the family with its generation and nonce, and
// the part of its parent token that is new in each generation.
func Derive(key []byte, f *codec.Family, parent []byte) (d Derivation) {
	n := copy(d.info[:], f.Key[:])
	binary.BigEndian.PutUint64(d.info[n:], f.Generation)
	copy(d.info[n+8:], f.Nonce[:])
	var err error
	if d.key, err = hkdf.Extract(sha256.New, parent, key); err != nil {
		panic(err) // unreachable: both are of 32 bytes
	}
	return d
}

// Successor is the part of the next token that is new, 32 bytes.
func (d *Derivation) Successor() []byte {
	return d.expand("snib/v1/refresh token\x00", nil, 32)
}

// Session is the secret of a session that the successor comes with, 32 bytes.
func (d *Derivation) Session(id codec.OwnID) []byte {
	return d.expand("snib/v1/refresh session\x00", id[:], 32)
}

// Client is a hash of a client's network, zero for nil, an unknown one. To find
// the network by trial one would need the key and the parent token: the file
// keeps nothing personal, and one network has another hash in each generation.
func (d *Derivation) Client(network []byte) (h [8]byte) {
	if network != nil {
		copy(h[:], d.expand("snib/v1/refresh client\x00", network, len(h)))
	}
	return h
}

// Foreign reports whether a client is known to be in another network than the
// one that the generation was given to.
func (d *Derivation) Foreign(f *codec.Family, network []byte) bool {
	return network != nil && f.Client != [8]byte{} && f.Client != d.Client(network)
}

func (d *Derivation) expand(label string, more []byte, n int) []byte {
	info := append(append([]byte(label), d.info[:]...), more...)
	out, err := hkdf.Expand(sha256.New, d.key, string(info), n)
	if err != nil {
		panic(err) // unreachable: HKDF-SHA256 gives up to 8,160 bytes
	}
	return out
}
