package phc

import "golang.org/x/crypto/argon2"

// Argon2: n is memory in KiB, passes, lanes.
var (
	argon2id = newArgon2("argon2id", argon2.IDKey, plainInput)
	argon2i  = newArgon2("argon2i", argon2.Key, plainInput)

	// Meteor hashes the password before it leaves the browser.
	argon2idSHA256Hex = newArgon2("argon2id-sha256-hex", argon2.IDKey, digestHex)

	argon2Schemes = []*scheme{argon2id, argon2i, argon2idSHA256Hex}
)

type argon2Func = func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte

// newArgon2 makes a scheme whose input goes through prehash first.
func newArgon2(name string, f argon2Func, prehash func(salt, input string) string) *scheme {
	return &scheme{
		name: name, version: "v=19", params: []string{"m", "t", "p"},
		check: checkArgon2, memory: memoryArgon2,
		match: func(p *Parsed, input string) (bool, error) {
			return equal(p.key, deriveArgon2(f, p, []byte(prehash("", input)), len(p.key))), nil
		},
	}
}

func checkArgon2(p *Parsed, l Limits) error {
	m, t, lanes := p.n[0], p.n[1], p.n[2]
	switch {
	case t < 1:
		return malformed("t")
	case lanes < 1 || lanes > 255:
		return malformed("p")
	case m < 8*lanes:
		// The implementation would silently take more than was asked for.
		return malformed("m")
	}
	return l.allow(memoryArgon2(p), mul(m, t))
}

func memoryArgon2(p *Parsed) uint64 { return mul(p.n[0], 1<<10) }

// deriveArgon2 computes a key for parameters that passed checkArgon2: within
// uint32 and uint8, and never the zeros on which the implementation panics.
func deriveArgon2(f argon2Func, p *Parsed, input []byte, keyLen int) []byte {
	return f(input, p.salt, uint32(p.n[1]), uint32(p.n[0]), uint8(p.n[2]), uint32(keyLen))
}
