package phc

import (
	"crypto/aes"
	"fmt"

	"golang.org/x/crypto/scrypt"
)

// scrypt: n is log2 of N, r, p.
var (
	scryptKey = newScrypt("scrypt", func(p *Parsed, input string) ([]byte, error) {
		return deriveScrypt(p, input, len(p.key))
	})

	// scryptCTR is Firebase's: scrypt derives the key of AES-256 in counter
	// mode from zero, and the hash is its keystream over the project's signer
	// key. The import takes that key off again, which leaves the keystream and
	// no use for the signer key.
	scryptCTR = newScrypt("scrypt-aes256-ctr", keystream)
)

func newScrypt(name string, derive func(p *Parsed, input string) ([]byte, error)) *scheme {
	return &scheme{
		name: name, params: []string{"ln", "r", "p"},
		check: checkScrypt, memory: memoryScrypt,
		match: func(p *Parsed, input string) (bool, error) {
			key, err := derive(p, input)
			if err != nil {
				return false, fmt.Errorf("phc: compute scrypt: %w", err)
			}
			return equal(p.key, key), nil
		},
	}
}

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
	return l.allow(memoryScrypt(p), p.work())
}

// memoryScrypt counts the N blocks of 128·r bytes, the p blocks that are mixed
// into them (few blocks and many lanes is a way to ask for much memory) and
// two for scratch.
func memoryScrypt(p *Parsed) uint64 {
	return mul(mul(128, p.n[1]), 1<<p.n[0]+p.n[2]+2)
}

func deriveScrypt(p *Parsed, input string, keyLen int) ([]byte, error) {
	return scrypt.Key([]byte(input), p.salt, 1<<p.n[0], int(p.n[1]), int(p.n[2]), keyLen)
}

func keystream(p *Parsed, input string) ([]byte, error) {
	key, err := deriveScrypt(p, input, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	// Counter mode written out: crypto/cipher would link all modes there are.
	stream := make([]byte, (len(p.key)+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize)
	for i := range len(stream) / aes.BlockSize {
		b := stream[i*aes.BlockSize:][:aes.BlockSize]
		b[aes.BlockSize-1] = byte(i) // a key has few blocks, so the rest is zero
		block.Encrypt(b, b)
	}
	return stream[:len(p.key)], nil
}
