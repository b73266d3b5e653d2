package phc

import (
	"crypto/subtle"
	"strings"
)

// A scheme is one algorithm as the stored syntax knows it. Schemes are compared
// by pointer.
type scheme struct {
	name    string
	version string   // a segment of its own after the name, or ""
	params  []string // names of Parsed.n, in the order they are written
	block   int      // bytes of key that stand alone; 0 where no part does
	weak    int      // bytes of the digest that the key was made over; 0 without one

	// check reports whether the algorithm defines the parameters and l allows
	// them. Lengths of salt and key have been checked.
	check func(p *Parsed, l Limits) error

	// memory is the need of one computation, in bytes, for parameters that
	// passed check.
	memory func(p *Parsed) uint64

	// match computes the hash of input once and compares in constant time.
	match func(p *Parsed, input string) (bool, error)
}

// schemes is all of them, by name.
var schemes = func() map[string]*scheme {
	m := make(map[string]*scheme)
	for _, list := range [][]*scheme{
		argon2Schemes, {scryptKey, scryptCTR}, pbkdf2Schemes, bcryptSchemes,
		{phpassMD5, phpassSHA512, sha256Crypt, sha512Crypt}, weakSchemes, {appScheme},
	} {
		for _, s := range list {
			m[s.name] = s
		}
	}
	return m
}()

// equal compares in constant time. The lower bound on the length makes sure
// that no mistake elsewhere turns an empty key into one that always matches.
func equal(stored, computed []byte) bool {
	return len(stored) >= minKey && subtle.ConstantTimeCompare(stored, computed) == 1
}

// Scheme returns the name of the algorithm of a stored hash, "" if it is none.
func (h Hash) Scheme() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(string(h), "$"), "$")
	if schemes[name] == nil {
		return ""
	}
	return name
}
