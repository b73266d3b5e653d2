package phc

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
)

// PBKDF2: n is the number of iterations.
var (
	pbkdf2SHA1   = newPBKDF2("pbkdf2-sha1", sha1.New, sha1.Size)
	pbkdf2SHA256 = newPBKDF2("pbkdf2-sha256", sha256.New, sha256.Size)
	pbkdf2SHA512 = newPBKDF2("pbkdf2-sha512", sha512.New, sha512.Size)

	pbkdf2Schemes = []*scheme{pbkdf2SHA1, pbkdf2SHA256, pbkdf2SHA512}
)

func newPBKDF2(name string, h func() hash.Hash, size int) *scheme {
	return &scheme{
		name: name, params: []string{"i"}, block: size,
		check: func(p *Parsed, _ Limits) error {
			if p.n[0] < 1 {
				return malformed("i")
			}
			// Each digest's worth of key costs all iterations again.
			if p.work() > maxIterations {
				return beyond("iterations")
			}
			return nil
		},
		memory: func(*Parsed) uint64 { return 1 << 10 },
		match: func(p *Parsed, input string) (bool, error) {
			key, err := pbkdf2.Key(h, input, p.salt, int(p.n[0]), len(p.key))
			if err != nil {
				return false, fmt.Errorf("phc: compute PBKDF2: %w", err)
			}
			return equal(p.key, key), nil
		},
	}
}
