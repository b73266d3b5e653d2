package phc

import (
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"
)

// SHA-crypt, of Linux and mail servers: n is the number of rounds, the salt the
// text of up to 16 characters.
var (
	sha256Crypt = newSHACrypt("sha256-crypt", sha256.New, sha256.Size)
	sha512Crypt = newSHACrypt("sha512-crypt", sha512.New, sha512.Size)
)

const (
	shaCryptSalt    = 16 // bytes, at most
	minRounds       = 1000
	maxRounds       = 1_000_000
	definedRounds   = 999_999_999
	usualRounds     = 5000 // where the string does not name them
	maxShaCryptText = 512  // bytes of a password; crypt(3) itself takes no more
)

func newSHACrypt(name string, h func() hash.Hash, size int) *scheme {
	return &scheme{
		name: name, params: []string{"rounds"},
		check: func(p *Parsed, _ Limits) error {
			switch {
			case len(p.salt) > shaCryptSalt:
				return malformed("length of the salt")
			case len(p.key) != size:
				return malformed("length of the key")
			case p.n[0] < minRounds || p.n[0] > definedRounds:
				return malformed("rounds")
			case p.n[0] > maxRounds:
				return beyond("rounds")
			}
			return nil
		},
		memory: func(*Parsed) uint64 { return 4 << 10 },
		match: func(p *Parsed, input string) (bool, error) {
			// Rounds hash the input again, so its cost is bounded.
			bounded := input[:min(len(input), maxShaCryptText)]
			ok := equal(p.key, shaCrypt(h, bounded, p.salt, int(p.n[0])))
			return ok && bounded == input, nil
		},
	}
}

// shaCrypt is steps 1 to 21 of Drepper's "Unix crypt using SHA-256 and
// SHA-512", 2007.
func shaCrypt(newHash func() hash.Hash, password string, salt []byte, rounds int) []byte {
	text, h := []byte(password), newHash()
	sum := func(parts ...[]byte) []byte {
		h.Reset()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	b := sum(text, salt, text)
	h.Reset()
	h.Write(text)
	h.Write(salt)
	h.Write(stretch(b, len(text)))
	for n := len(text); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write(b)
		} else {
			h.Write(text)
		}
	}
	c := h.Sum(nil)
	p := stretch(sum(stretch(text, len(text)*len(text))), len(text))
	s := stretch(sum(stretch(salt, len(salt)*(16+int(c[0])))), len(salt))
	for i := range rounds {
		c = shaCryptRound(h, i, c, p, s)
	}
	return c
}

// shaCryptRound overwrites c with the digest of round i.
func shaCryptRound(h hash.Hash, i int, c, p, s []byte) []byte {
	h.Reset()
	first, last := c, p
	if i&1 != 0 {
		first, last = p, c
	}
	h.Write(first)
	if i%3 != 0 {
		h.Write(s)
	}
	if i%7 != 0 {
		h.Write(p)
	}
	h.Write(last)
	return h.Sum(c[:0])
}

// stretch returns the first n bytes of b repeated.
func stretch(b []byte, n int) []byte {
	out := make([]byte, n)
	for done := 0; done < n; {
		done += copy(out[done:], b)
	}
	return out
}

// readSHACrypt reads "rounds=…$salt$key" or "salt$key".
func readSHACrypt(sch *scheme, size int) reader {
	return func(rest string) (Parsed, error) {
		p := Parsed{scheme: sch, n: [3]uint64{usualRounds}, form: formBoth}
		if after, ok := strings.CutPrefix(rest, "rounds="); ok {
			digits, tail, _ := strings.Cut(after, "$")
			n, err := number(digits, "rounds")
			if err != nil {
				return Parsed{}, err
			}
			p.n[0], rest = n, tail
		}
		parts, err := split(rest, "$", 2)
		if err != nil {
			return Parsed{}, err
		}
		key, ok := fromLow64(parts[1], size)
		if !ok {
			return Parsed{}, malformed("key")
		}
		p.salt, p.key = []byte(parts[0]), unshuffle(key)
		return p, nil
	}
}

// unshuffle undoes the order in which SHA-crypt writes its digest: in groups of
// three, each byte a third of the digest from the next and the thirds changing
// places from group to group, the last of a group first.
func unshuffle(written []byte) []byte {
	size := len(written)
	third := size / 3
	digest := make([]byte, size)
	at := [3]int{0, third, 2 * third}
	i := 0
	for ; i+3 <= third*3; i += 3 {
		digest[at[2]], digest[at[1]], digest[at[0]] = written[i], written[i+1], written[i+2]
		if size == sha512.Size {
			at = [3]int{at[1] + 1, at[2] + 1, at[0] + 1}
		} else {
			at = [3]int{at[2] + 1, at[0] + 1, at[1] + 1}
		}
	}
	copy(digest[i:], written[i:]) // one or two bytes in their places
	return digest
}
