package phc

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of a password.
const (
	MaxPassword = 1024 // bytes, measured on the input
	MinPassword = 8    // code points, for new passwords
)

// Normalize returns the NFKC form of password, over which our own hashes are
// made: the same characters give the same hash whichever keyboard composed
// them. It never fails; a password of 1,024 bytes can grow to about 12 KB.
func Normalize(password string) string { return norm.NFKC.String(password) }

// CheckInput tells whether password can be hashed or verified at all: 1 to
// 1,024 bytes of valid UTF-8 without NUL. It looks at nothing else, so that a
// refusal tells nothing about any account. The error is a [PasswordError].
//
// NUL is refused because bcrypt repeats its key with a NUL between the copies:
// "abc" and "abc\x00abc" have one bcrypt hash.
func CheckInput(password string) error {
	switch {
	case password == "":
		return PasswordEmpty
	case len(password) > MaxPassword:
		return PasswordTooLong
	case !utf8.ValidString(password):
		return PasswordNotUTF8
	case strings.IndexByte(password, 0) >= 0:
		return PasswordHasNUL
	}
	return nil
}

// CheckNew is [CheckInput] and asks for at least so many code points, before and
// after normalization: one code point can become 18, and several can become
// one. It is for passwords being set; one that exists may be shorter.
func CheckNew(password string, least int) error {
	if err := CheckInput(password); err != nil {
		return err
	}
	n := min(utf8.RuneCountInString(password), utf8.RuneCountInString(Normalize(password)))
	if n < least {
		return PasswordTooShort
	}
	return nil
}

// A form says which bytes of a password a hash was made over.
type form uint8

const (
	formNFKC form = iota // the NFKC form; ours, and written by leaving it out
	formRaw              // the bytes as they came in
	formBoth             // not known: as they came in or NFKC
)

// text is the parameter that stands for f in a string.
func (f form) text() string {
	switch f {
	case formRaw:
		return "pw=raw"
	case formBoth:
		return "pw=both"
	}
	return ""
}

// inputs lists the byte strings to hash for a given password. Its length
// depends on f and the password alone, so that the number of passes says
// nothing about a match.
func (f form) inputs(password string) []string {
	folded := Normalize(password)
	switch {
	case f == formRaw:
		return []string{password}
	case f == formBoth && folded != password:
		return []string{password, folded}
	}
	return []string{folded}
}
