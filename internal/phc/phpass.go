package phc

import (
	"crypto/md5"
	"crypto/sha512"
	"hash"
	"strings"
)

// phpass: n is log2 of the rounds. WordPress, phpBB and older Drupals have it;
// the salt is the text of eight characters.
var (
	phpassMD5    = newPhpass("phpass-md5", md5.New, md5.Size)
	phpassSHA512 = newPhpass("phpass-sha512", sha512.New, 32) // Drupal keeps that much
)

const (
	phpassSalt   = 8
	minPhpass    = 7
	maxPhpass    = 20   // of 30 in the definition; systems write 8 to 16
	maxRoundsIn  = 1024 // bytes that a round of phpass may hash again
	phpassDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func newPhpass(name string, h func() hash.Hash, keyLen int) *scheme {
	return &scheme{
		name: name, params: []string{"ln"},
		check: func(p *Parsed, _ Limits) error {
			switch {
			case len(p.salt) != phpassSalt:
				return malformed("length of the salt")
			case len(p.key) != keyLen:
				return malformed("length of the key")
			case p.n[0] < minPhpass || p.n[0] > 30:
				return malformed("ln")
			case p.n[0] > maxPhpass:
				return beyond("work")
			}
			return nil
		},
		memory: func(*Parsed) uint64 { return 1 << 10 },
		match: func(p *Parsed, input string) (bool, error) {
			// All rounds hash the input again, so its cost is bounded.
			bounded := input[:min(len(input), maxRoundsIn)]
			ok := equal(p.key, iterate(h(), p.salt, bounded, 1<<p.n[0])[:keyLen])
			return ok && bounded == input, nil
		},
	}
}

// iterate returns the digest of salt and input, hashed rounds times more
// together with input.
func iterate(h hash.Hash, salt []byte, input string, rounds int) []byte {
	text := []byte(input)
	h.Write(salt)
	h.Write(text)
	sum := h.Sum(nil)
	for range rounds {
		h.Reset()
		h.Write(sum)
		h.Write(text)
		sum = h.Sum(sum[:0])
	}
	return sum
}

// readPhpass reads one digit of rounds, eight characters of salt and the key.
func readPhpass(sch *scheme, keyLen int) reader {
	return func(rest string) (Parsed, error) {
		if len(rest) < 1+phpassSalt {
			return Parsed{}, malformed("length")
		}
		rounds := strings.IndexByte(phpassDigits, rest[0])
		if rounds < 0 {
			return Parsed{}, malformed("rounds")
		}
		key, ok := fromLow64(rest[1+phpassSalt:], keyLen)
		if !ok {
			return Parsed{}, malformed("key")
		}
		return Parsed{
			scheme: sch, n: [3]uint64{uint64(rounds)}, form: formBoth,
			salt: []byte(rest[1 : 1+phpassSalt]), key: key,
		}, nil
	}
}

// fromLow64 decodes crypt's base64, which fills characters from the lowest bit
// of the first byte on, to at most size bytes. Bits beyond them are dropped if
// they are all that the last character has to spare; text is as long as size
// bytes need, and ok is false if it is not or has another character.
func fromLow64(text string, size int) (b []byte, ok bool) {
	if len(text) != (size*8+5)/6 {
		return nil, false
	}
	var acc, bits uint
	for i := range len(text) {
		v := strings.IndexByte(phpassDigits, text[i])
		if v < 0 {
			return nil, false
		}
		acc |= uint(v) << bits
		for bits += 6; bits >= 8; bits -= 8 {
			b = append(b, byte(acc))
			acc >>= 8
		}
	}
	return b, true
}
