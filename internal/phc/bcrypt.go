package phc

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// bcrypt: n is the cost. It reads 72 bytes and ignores the rest, so some
// systems hash the password first. They differ in how.
var (
	bcryptPlain      = newBcrypt("bcrypt", plainInput)
	bcryptSHA256Hex  = newBcrypt("bcrypt-sha256-hex", digestHex)
	bcryptSHA256B64  = newBcrypt("bcrypt-sha256-b64", digestB64)
	bcryptHMACSHA256 = newBcrypt("bcrypt-hmac-sha256", digestHMAC)
	bcryptWP         = newBcrypt("bcrypt-wp-sha384", digestWP)

	bcryptSchemes = []*scheme{bcryptPlain, bcryptSHA256Hex, bcryptSHA256B64, bcryptHMACSHA256, bcryptWP}
)

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

func plainInput(_, input string) string { return input }

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

// digestWP is WordPress's since 6.8, which trims passwords as PHP does.
func digestWP(_, input string) string {
	mac := hmac.New(sha512.New384, []byte("wp-sha384"))
	mac.Write([]byte(strings.Trim(input, " \t\n\r\x00\x0b")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
