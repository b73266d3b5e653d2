package phc

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"

	"golang.org/x/crypto/argon2"
)

// A digest that costs nothing to guess is never stored. The import hashes it
// with Argon2id, as if it were a password, and verification computes the digest
// of the password first. So no weak hash is in the file from the first day on,
// and the user notices nothing.
//
// The salt of such a scheme is ours followed by the digest's own; Argon2id gets
// all of it.

// A weakFunc computes a digest of a password and a salt, which may be empty.
type weakFunc = func(h func() hash.Hash, salt []byte, input string) []byte

// passwordFirst is H(password ‖ salt), of LDAP and Joomla.
func passwordFirst(h func() hash.Hash, salt []byte, input string) []byte {
	return digest(h, []byte(input), salt)
}

// saltFirst is H(salt ‖ password), of Django and osCommerce.
func saltFirst(h func() hash.Hash, salt []byte, input string) []byte {
	return digest(h, salt, []byte(input))
}

// keyed is HMAC-H(salt, password), of old Werkzeugs.
func keyed(h func() hash.Hash, salt []byte, input string) []byte {
	mac := hmac.New(h, salt)
	mac.Write([]byte(input))
	return mac.Sum(nil)
}

// hexTwice is H(hex(H(password)) ‖ salt), of vBulletin.
func hexTwice(h func() hash.Hash, salt []byte, input string) []byte {
	return digest(h, []byte(hex.EncodeToString(digest(h, []byte(input)))), salt)
}

// twice is H(H(password)), of MySQL.
func twice(h func() hash.Hash, _ []byte, input string) []byte {
	return digest(h, digest(h, []byte(input)))
}

func digest(newHash func() hash.Hash, parts ...[]byte) []byte {
	h := newHash()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// weakSchemes is all of them. A reader names one without its "argon2id-".
var weakSchemes = []*scheme{
	newWeak("md5", md5.New, passwordFirst),
	newWeak("sha1", sha1.New, passwordFirst),
	newWeak("sha256", sha256.New, passwordFirst),
	newWeak("sha512", sha512.New, passwordFirst),
	newWeak("salt-md5", md5.New, saltFirst),
	newWeak("salt-sha1", sha1.New, saltFirst),
	newWeak("hmac-md5", md5.New, keyed),
	newWeak("hmac-sha1", sha1.New, keyed),
	newWeak("hmac-sha256", sha256.New, keyed),
	newWeak("hmac-sha512", sha512.New, keyed),
	newWeak("twice-sha1", sha1.New, twice),
	newWeak("hex-twice-md5", md5.New, hexTwice),
}

func newWeak(name string, h func() hash.Hash, f weakFunc) *scheme {
	return &scheme{
		name: "argon2id-" + name, version: "v=19", params: []string{"m", "t", "p"},
		weak: h().Size(), memory: memoryArgon2,
		check: func(p *Parsed, l Limits) error {
			if len(p.salt) < ownSalt {
				return malformed("length of the salt")
			}
			return checkArgon2(p, l)
		},
		match: func(p *Parsed, input string) (bool, error) {
			sum := f(h, p.salt[ownSalt:], input)
			return equal(p.key, deriveArgon2(argon2.IDKey, p, sum, len(p.key))), nil
		},
	}
}

// weakParsed is a digest as it was read: its salt is its own, its key the
// digest. Only wrap makes it a hash.
func weakParsed(kind string, salt, sum []byte) (Parsed, error) {
	sch := schemes["argon2id-"+kind]
	if len(sum) != sch.weak {
		return Parsed{}, malformed("length of the digest")
	}
	if len(salt) > maxSalt-ownSalt {
		return Parsed{}, malformed("length of the salt")
	}
	return Parsed{scheme: sch, form: formBoth, salt: salt, key: sum, bare: true}, nil
}

// wrap returns the hash of the digest p with the parameters of h and a fresh
// salt. The caller has entered the gate.
func (h *Hasher) wrap(p Parsed, salt []byte) Parsed {
	p.bare, p.n = false, h.current.n
	sum := p.key
	p.salt = append(salt[:ownSalt:ownSalt], p.salt...)
	p.key = deriveArgon2(argon2.IDKey, &p, sum, ownKey)
	h.observe(p.Class())
	return p
}

// readHexDigest reads a digest without salt.
func readHexDigest(kind string) reader {
	return func(rest string) (Parsed, error) {
		sum, err := fromHex(rest, "digest")
		if err != nil {
			return Parsed{}, err
		}
		return weakParsed(kind, nil, sum)
	}
}

// readDigestSalt reads "hexdigest:salt".
func readDigestSalt(kind string) reader {
	return func(rest string) (Parsed, error) {
		text, salt, _ := strings.Cut(rest, ":")
		sum, err := fromHex(text, "digest")
		if err != nil {
			return Parsed{}, err
		}
		return weakParsed(kind, []byte(salt), sum)
	}
}

// readSaltDigest reads "salt$hexdigest".
func readSaltDigest(kind string) reader {
	return func(rest string) (Parsed, error) {
		parts, err := split(rest, "$", 2)
		if err != nil {
			return Parsed{}, err
		}
		sum, err := fromHex(parts[1], "digest")
		if err != nil {
			return Parsed{}, err
		}
		return weakParsed(kind, []byte(parts[0]), sum)
	}
}

// readLDAP reads the base64 of a digest and the salt that follows it.
func readLDAP(kind string) reader {
	size := schemes["argon2id-"+kind].weak
	return func(rest string) (Parsed, error) {
		b, err := fromLoose64(rest, "digest")
		if err != nil {
			return Parsed{}, err
		}
		if len(b) < size {
			return Parsed{}, malformed("length of the digest")
		}
		return weakParsed(kind, b[size:], b[:size])
	}
}
