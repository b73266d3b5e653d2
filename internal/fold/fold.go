// Package fold defines how identifiers and indexed values are compared: it
// turns each into the bytes of a key, or says in words why it has no key.
package fold

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"github.com/snibdb/snib/codec"
)

// UnicodeVersion is that of the tables by which this package folds.
const UnicodeVersion = precis.UnicodeVersion

// The rules for identifiers.
const (
	Exact    = "exact"
	Email    = "email"
	Username = "username"
)

// MaxIdentifier bounds an identifier and its key, in bytes.
const MaxIdentifier = 256

// Identifier returns the key of an identifier by a rule; any other rule, also
// "", is Exact. reason is "" unless it has no key.
func Identifier(rule, identifier string) (key, reason string) {
	if reason := PlainText(identifier, MaxIdentifier); reason != "" {
		return "", reason
	}
	switch rule {
	case Email:
		return email(identifier)
	case Username:
		return username(identifier)
	default:
		return identifier, ""
	}
}

func email(address string) (key, reason string) {
	local, domain, _ := strings.Cut(address, "@")
	if local == "" || domain == "" || strings.ContainsAny(domain, "@ ") || strings.Contains(local, " ") {
		return "", "must be an address: one @ between two parts, no spaces"
	}
	for _, c := range []byte(address) {
		if c >= utf8.RuneSelf {
			return "", "must be an address in ASCII"
		}
	}
	return strings.ToLower(address), ""
}

func username(name string) (key, reason string) {
	key, err := precis.UsernameCaseMapped.String(name)
	if err != nil || key == "" || len(key) > MaxIdentifier || strings.ContainsAny(key, `@/\:`) {
		return "", `must be a user name (RFC 8265) without @ / \ and colon`
	}
	return key, ""
}

// PlainText says why a text is not 1 to limit bytes of valid UTF-8 without
// control characters; "" if it is.
func PlainText(s string, limit int) (reason string) {
	switch {
	case s == "":
		return "is required"
	case len(s) > limit:
		return fmt.Sprintf("must be at most %d bytes", limit)
	case !utf8.ValidString(s):
		return "must be valid UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "must have no control characters"
	}
	return ""
}

// Name reports whether s names a provider or a purpose: 1–32 bytes of
// [a-z0-9_-].
func Name(s string) bool {
	if len(s) < 1 || len(s) > 32 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// maxFolded bounds text before it is folded, which takes time by its length.
const maxFolded = 512 // bytes

// errEmptyFold is the error of text that folds to nothing; precis exports no
// name for it.
var _, errEmptyFold = precis.Nickname.CompareKey("")

// Value returns the encoded form under which an index finds v, a canonical
// value of an attribute. ok is false for values that are not indexed: null, and
// text that folds to nothing. reason is "" unless v cannot be indexed.
func Value(v any, foldText bool) (encoded string, ok bool, reason string) {
	if v == nil {
		return "", false, ""
	}
	if text, isText := v.(string); isText && foldText {
		if len(text) > maxFolded {
			return "", false, "cannot be indexed: must be at most 512 bytes"
		}
		folded, err := precis.Nickname.CompareKey(text)
		if folded == "" && (err == nil || errors.Is(err, errEmptyFold)) {
			return "", false, ""
		}
		if err != nil {
			return "", false, "has characters that a folded index refuses (RFC 8266)"
		}
		v = folded
	}
	b, err := codec.AppendIndexValue(nil, v)
	if err != nil {
		return "", false, "cannot be indexed: must be a scalar of at most 512 bytes"
	}
	return string(b), true, ""
}
