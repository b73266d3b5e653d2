package phc

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// A scheme is one algorithm as the stored syntax knows it. Schemes are compared
// by pointer.
type scheme struct {
	name    string
	version string   // a segment of its own after the name, or ""
	params  []string // names of Parsed.n, in the order they are written

	// check reports whether the algorithm defines the parameters and l allows
	// them. Lengths of salt and key have been checked.
	check func(p *Parsed, l Limits) error

	// memory is what one computation takes, in bytes, for parameters that
	// passed check.
	memory func(p *Parsed) uint64

	// match computes the hash of input once and compares in constant time.
	match func(p *Parsed, input string) (bool, error)
}

var (
	argon2id = &scheme{
		name: "argon2id", version: "v=19", params: []string{"m", "t", "p"},
		check: checkArgon2, memory: memoryArgon2, match: matchArgon2(argon2.IDKey),
	}
	argon2i = &scheme{
		name: "argon2i", version: "v=19", params: []string{"m", "t", "p"},
		check: checkArgon2, memory: memoryArgon2, match: matchArgon2(argon2.Key),
	}
	scryptKey = &scheme{
		name: "scrypt", params: []string{"ln", "r", "p"},
		check: checkScrypt, memory: memoryScrypt, match: matchScrypt,
	}
	pbkdf2SHA1   = newPBKDF2("pbkdf2-sha1", sha1.New, sha1.Size)
	pbkdf2SHA256 = newPBKDF2("pbkdf2-sha256", sha256.New, sha256.Size)
	pbkdf2SHA512 = newPBKDF2("pbkdf2-sha512", sha512.New, sha512.Size)

	// bcrypt reads 72 bytes and ignores the rest, so some systems hash the
	// password first. They differ in how the digest is spelled.
	bcryptPlain      = newBcrypt("bcrypt", func(_, input string) string { return input })
	bcryptSHA256Hex  = newBcrypt("bcrypt-sha256-hex", digestHex)
	bcryptSHA256B64  = newBcrypt("bcrypt-sha256-b64", digestB64)
	bcryptHMACSHA256 = newBcrypt("bcrypt-hmac-sha256", digestHMAC)
)

// schemes is all of them, by name.
var schemes = func() map[string]*scheme {
	m := make(map[string]*scheme)
	for _, s := range []*scheme{
		argon2id, argon2i, scryptKey, pbkdf2SHA1, pbkdf2SHA256, pbkdf2SHA512,
		bcryptPlain, bcryptSHA256Hex, bcryptSHA256B64, bcryptHMACSHA256,
	} {
		m[s.name] = s
	}
	return m
}()

// equal compares in constant time. The lower bound on the length makes sure
// that no mistake elsewhere turns an empty key into one that always matches.
func equal(stored, computed []byte) bool {
	return len(stored) >= minKey && subtle.ConstantTimeCompare(stored, computed) == 1
}

// ---- Argon2: n is memory in KiB, passes, lanes.

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

type argon2Func = func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte

// deriveArgon2 computes a key for parameters that passed checkArgon2: within
// uint32 and uint8, and never the zeros on which the implementation panics.
func deriveArgon2(f argon2Func, p *Parsed, input string, keyLen int) []byte {
	return f([]byte(input), p.salt, uint32(p.n[1]), uint32(p.n[0]), uint8(p.n[2]), uint32(keyLen))
}

func matchArgon2(f argon2Func) func(*Parsed, string) (bool, error) {
	return func(p *Parsed, input string) (bool, error) {
		return equal(p.key, deriveArgon2(f, p, input, len(p.key))), nil
	}
}

// ---- scrypt: n is log2 of N, r, p.

func checkScrypt(p *Parsed, l Limits) error {
	ln, r, lanes := p.n[0], p.n[1], p.n[2]
	switch {
	case ln < 1:
		return malformed("ln")
	case r < 1:
		return malformed("r")
	case lanes < 1:
		return malformed("p")
	case ln > 30 || mul(r, lanes) >= 1<<30:
		return beyond("work")
	}
	return l.allow(memoryScrypt(p), mul(mul(1<<ln, r), lanes))
}

// memoryScrypt counts the N blocks of 128·r bytes, the p blocks that are mixed
// into them (few blocks and many lanes is a way to ask for much memory) and
// two for scratch.
func memoryScrypt(p *Parsed) uint64 {
	return mul(mul(128, p.n[1]), 1<<p.n[0]+p.n[2]+2)
}

func matchScrypt(p *Parsed, input string) (bool, error) {
	key, err := scrypt.Key([]byte(input), p.salt, 1<<p.n[0], int(p.n[1]), int(p.n[2]), len(p.key))
	if err != nil {
		return false, fmt.Errorf("phc: compute scrypt: %w", err)
	}
	return equal(p.key, key), nil
}

// ---- PBKDF2: n is the number of iterations.

func newPBKDF2(name string, h func() hash.Hash, size int) *scheme {
	return &scheme{
		name: name, params: []string{"i"},
		check: func(p *Parsed, _ Limits) error {
			if p.n[0] < 1 {
				return malformed("i")
			}
			// Each digest's worth of key costs all iterations again.
			blocks := (len(p.key) + size - 1) / size
			if mul(p.n[0], uint64(blocks)) > maxIterations {
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

// ---- bcrypt: n is the cost.

const (
	bcryptSalt = 16 // bytes, always
	bcryptKey  = 23 // bytes, always: the last of 24 is dropped by every one

	// bcryptReads is how much of its input bcrypt looks at. A shorter input
	// is followed by a NUL within these bytes, so that where it ends counts.
	bcryptReads = 72
)

// bcryptText is bcrypt's own base64. Salts are read leniently because old
// generators set the spare bits of the last character, which every bcrypt
// ignores; they are gone once a salt is bytes.
var bcryptText = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").
	WithPadding(base64.NoPadding)

// newBcrypt makes a scheme whose input goes through prehash first. prehash also
// gets the salt, in bcrypt's spelling.
func newBcrypt(name string, prehash func(salt, input string) string) *scheme {
	return &scheme{
		name: name, params: []string{"cost"},
		check:  checkBcrypt,
		memory: func(*Parsed) uint64 { return 8 << 10 },
		match: func(p *Parsed, input string) (bool, error) {
			salt := bcryptText.EncodeToString(p.salt)
			return compareBcrypt(p, salt, prehash(salt, input))
		},
	}
}

func checkBcrypt(p *Parsed, _ Limits) error {
	cost := p.n[0]
	switch {
	case len(p.salt) != bcryptSalt:
		return malformed("length of the salt")
	case len(p.key) != bcryptKey:
		return malformed("length of the key")
	case cost < uint64(bcrypt.MinCost) || cost > uint64(bcrypt.MaxCost):
		return malformed("cost")
	case cost > maxCost:
		return beyond("cost")
	}
	return nil
}

// compareBcrypt writes p in bcrypt's own syntax for the implementation, which
// compares in constant time. 2a, 2b and 2y are one computation there.
func compareBcrypt(p *Parsed, salt, input string) (bool, error) {
	text := fmt.Sprintf("$2b$%02d$%s%s", p.n[0], salt, bcryptText.EncodeToString(p.key))
	err := bcrypt.CompareHashAndPassword([]byte(text), []byte(input))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	}
	return false, fmt.Errorf("phc: compute bcrypt: %w", err)
}

func digestHex(_, input string) string {
	sum := sha256.Sum256([]byte(input))
	return hex.EncodeToString(sum[:])
}

func digestB64(_, input string) string {
	sum := sha256.Sum256([]byte(input))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func digestHMAC(salt, input string) string {
	mac := hmac.New(sha256.New, []byte(salt))
	mac.Write([]byte(input))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
