package accounttest

import (
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"regexp"
	"testing"
)

// Crockford is the encoding of the documents, from another library.
var Crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// TokenForms is a second writing of the documented forms of tokens: id, secret,
// checksum.
var TokenForms = map[string]*regexp.Regexp{
	"session":  regexp.MustCompile(`^sn(ses_[0-9a-z]{32})\.([0-9a-z]{52})([0-9a-z]{7})$`),
	"refresh":  regexp.MustCompile(`^sn(rft_[0-9a-z]{32})\.([0-9a-z]{77})([0-9a-z]{7})$`),
	"one-time": regexp.MustCompile(`^sn(ott_[0-9a-z]{32})\.([0-9a-z]{52})([0-9a-z]{7})$`),
	"device":   regexp.MustCompile(`^sn(dev_[0-9a-z]{32})\.([0-9a-z]{52})([0-9a-z]{7})$`),
	"api-key":  regexp.MustCompile(`^sn(key_[0-9a-z]{32})\.([0-9a-z]{52})([0-9a-z]{7})$`),
}

// MakeToken returns the text of a token of id with this secret.
func MakeToken(id string, secret []byte) string {
	text := "sn" + id + "." + Crockford.EncodeToString(secret)
	crc := crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
	return text + Crockford.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// SecretOf returns the secret bytes of a token, whose checksum it looks at.
func SecretOf(tb testing.TB, token string) []byte {
	tb.Helper()
	for _, form := range TokenForms {
		m := form.FindStringSubmatch(token)
		if m == nil {
			continue
		}
		secret, err := Crockford.DecodeString(m[2])
		if err != nil || MakeToken(m[1], secret) != token {
			tb.Fatalf("a token that is not written as documented: %v", err)
		}
		return secret
	}
	tb.Fatal("a token of no documented form")
	return nil
}
