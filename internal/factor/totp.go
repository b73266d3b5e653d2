// Package factor computes second factors: time-based codes of RFC 6238 and
// recovery codes. It stores nothing.
package factor

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// Parameters of RFC 6238 that every authenticator program takes.
const (
	SeedBytes = 20 // RFC 4226, R6
	Digits    = 6
	Period    = 30_000 // milliseconds of a step

	window = 1 // steps accepted before and behind the clock's
)

// Step returns the time step of a time in Unix milliseconds.
func Step(ms int64) uint64 { return uint64(max(ms, 0)) / Period }

// hotp is the truncated value of RFC 4226, 5.3. SHA-1 is no weakness here: HMAC
// asks for no resistance to collisions.
func hotp(seed []byte, counter uint64) uint32 {
	h := hmac.New(sha1.New, seed)
	h.Write(binary.BigEndian.AppendUint64(nil, counter))
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 0x0f
	return binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
}

// A Code is six digits as they are typed.
type Code [Digits]byte

// CodeAt returns the code of a seed in a step.
func CodeAt(seed []byte, step uint64) (c Code) {
	n := hotp(seed, step)
	for i := Digits - 1; i >= 0; i-- {
		c[i] = '0' + byte(n%10)
		n /= 10
	}
	return c
}

// Match returns the step of a code, which is the clock's step or one beside it
// and later than last, the last that was accepted. All steps are compared, in
// constant time.
func Match(seed []byte, c Code, now, last uint64) (step uint64, ok bool) {
	for s := max(now, window) - window; s <= now+window; s++ {
		want := CodeAt(seed, s)
		if subtle.ConstantTimeCompare(want[:], c[:]) == 1 && s > last {
			step, ok = s, true
		}
	}
	return step, ok
}

// maxTyped bounds the text of a code, in bytes: a longer one is not read.
const maxTyped = 64

// squeeze removes the separators that people type. ok is false for a text that
// is too long to be a code.
func squeeze(text string) (_ string, ok bool) {
	if len(text) > maxTyped {
		return "", false
	}
	return strings.NewReplacer(" ", "", "-", "", "\t", "", "\r", "", "\n", "").Replace(text), true
}

// ParseCode reads six digits, with blanks or hyphens anywhere.
func ParseCode(text string) (c Code, ok bool) {
	text, ok = squeeze(text)
	if !ok || len(text) != Digits || strings.Trim(text, "0123456789") != "" {
		return Code{}, false
	}
	copy(c[:], text)
	return c, true
}

// SeedText is a seed as authenticator programs take it: base32 of RFC 4648,
// without padding.
func SeedText(seed []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed)
}

// URI is a seed in the form otpauth, which QR codes carry. The issuer must not
// contain a colon, which ends it.
func URI(issuer, account string, seed []byte) string {
	return "otpauth://totp/" + escape(issuer) + ":" + escape(account) + "?secret=" + SeedText(seed) +
		"&issuer=" + escape(issuer) + "&algorithm=SHA1&digits=6&period=30"
}

// escape writes text as a component of a URI (RFC 3986): blanks as %20, which
// all programs read, while a plus sign is one to some.
func escape(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
	var b strings.Builder
	for _, c := range []byte(text) {
		if strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		const hex = "0123456789ABCDEF"
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}
