package codec

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// OwnerBytes is the length of an [Owner].
const OwnerBytes = 10

// Owner begins the key of every record that belongs to one user: the first 10
// bytes of HMAC-SHA256(file key, user id). Only with the file key can one test
// whether an owner is a given user's, or choose two user ids with one owner.
// All zero is no owner.
type Owner [OwnerBytes]byte

// AppendRange returns the range [from, to) of exactly the keys that begin with
// o: a user's records in an owned space, or their remains in quarantine.
// A nil to is no upper end. Both use the room of dst, at most 20 bytes.
func (o Owner) AppendRange(dst []byte) (from, to []byte) {
	start, n := len(dst), raisable(o[:])
	dst = append(grow(dst, 2*OwnerBytes), o[:]...)
	from, dst = dst[start:len(dst):len(dst)], append(dst, o[:n]...)
	if n == 0 {
		return from, nil
	}
	to = dst[start+OwnerBytes:]
	to[n-1]++
	return from, to
}

// Owners computes the owners of one file. It is safe for concurrent use.
type Owners struct{ macs sync.Pool }

// mac is HMAC with the file key, and room for its input and output, which
// would escape otherwise.
type mac struct {
	hash.Hash
	buf []byte
}

// NewOwners returns the Owners of the file with the key of an [OwnerKey]
// record. The key is copied.
func NewOwners(key [32]byte) *Owners {
	return &Owners{sync.Pool{New: func() any {
		return &mac{Hash: hmac.New(sha256.New, key[:])}
	}}}
}

// Of returns the owner that begins the keys of a user's records. It allocates
// nothing once warm.
func (o *Owners) Of(userID string) Owner {
	m := o.macs.Get().(*mac)
	defer o.macs.Put(m)
	m.Reset()
	m.buf = append(m.buf[:0], userID...)
	m.Write(m.buf)
	m.buf = m.Sum(m.buf[:0])
	return Owner(m.buf)
}
