package phc

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// kinds are the hashes that are known and not read, by prefix: a refusal that
// names the kind is worth more than thousands that do not.
var kinds = []struct{ prefix, name string }{
	{"$1$", "MD5-crypt"},
	{"$apr1$", "Apache's MD5-crypt"},
	{"$2", "bcrypt of an unknown variant"},
	{"$3$", "NT hash"},
	{"$7$", "scrypt of crypt(3)"},
	{"$y$", "yescrypt"},
	{"$gy$", "gost-yescrypt"},
	{"$argon2d$", "Argon2d"},
	{"$sha1$", "SHA-1-crypt"},
	{"$md5", "Sun's MD5-crypt"},
	{"$A$", "MySQL's caching_sha2_password"},
	{"$f_scrypt$", "Firebase without its signer key"},
	{"$bcrypt-sha256$", "bcrypt-sha256 of another version"},
	{"argon2$", "Django's Argon2 of another type"},
	{"bcrypt$", "Django's bcrypt of another variant"},
	{"bcrypt_sha256$", "Django's bcrypt of another variant"},
	{"pbkdf2:", "Werkzeug's PBKDF2 with another digest"},
	{"pbkdf2_", "Django's PBKDF2 with another digest"},
	{"crypt$", "DES-crypt"},
	{"md5$", "a salted MD5"},
	{"sha1$", "a salted SHA-1"},
	{"plain$", "a password in clear"},
	{"{noop}", "a password in clear"},
	{"{PLAIN}", "a password in clear"},
	{"{CLEARTEXT}", "a password in clear"},
	{"U$", "Drupal's phpass over MD5"},
	{"SCRAM-SHA-256$", "SCRAM"},
	{"{SCRAM-SHA", "SCRAM"},
	{"0x0100", "Microsoft SQL Server"},
	{"0x0200", "Microsoft SQL Server"},
	{"grub.pbkdf2", "GRUB's PBKDF2"},
	{"\"", "something in quotation marks, as in a CSV file"},
}

// kindOf names the kind of a string that no marked format fits, or returns "".
// It shows nothing of a string but a name between dollars or braces.
func kindOf(foreign string) string {
	for _, k := range kinds {
		if strings.HasPrefix(foreign, k.prefix) {
			return k.name
		}
	}
	return marked(foreign)
}

// unread names the kind of a string that no format fits.
func unread(foreign string) error {
	if kind := kindOf(foreign); kind != "" {
		return unsupported(kind)
	}
	if shape := shape(foreign); shape != "" {
		return malformed("unknown syntax, " + shape)
	}
	return malformed("unknown syntax")
}

// marked returns the beginning "$name$" or "{name}" of a string, or "". A name
// that is long, or has many digits, may be a salt and is not shown.
func marked(s string) string {
	for _, m := range []string{"$$", "{}"} {
		if s == "" || s[0] != m[0] {
			continue
		}
		name, _, ok := strings.Cut(s[1:], m[1:])
		const letters, digits = "abcdefghijklmnopqrstuvwxyz-_@", "0123456789"
		few := len(strings.Trim(name, digits)) > 0 && len(strings.Map(keep(digits), name)) <= 4
		if ok && few && len(name) <= 16 && strings.Trim(strings.ToLower(name), letters+digits) == "" {
			return m[:1] + name + m[1:]
		}
	}
	return ""
}

// keep returns a function for strings.Map that drops all characters but some.
func keep(some string) func(rune) rune {
	return func(r rune) rune {
		if strings.ContainsRune(some, r) {
			return r
		}
		return -1
	}
}

// digestNames are the digests that hexadecimal digits of a length may be.
var digestNames = map[int]string{32: "an MD5", 40: "a SHA-1", 64: "a SHA-256", 128: "a SHA-512"}

// shape describes a string that no mark begins.
func shape(s string) string {
	if _, err := hex.DecodeString(s); err == nil && s != "" {
		if name := digestNames[len(s)]; name != "" {
			return fmt.Sprintf("%d hexadecimal digits: %s? then the source is to be named", len(s), name)
		}
		return fmt.Sprintf("%d hexadecimal digits", len(s))
	}
	if _, err := base64.StdEncoding.DecodeString(s); err == nil && len(s) >= 16 {
		return fmt.Sprintf("%d characters of base64", len(s))
	}
	return ""
}
