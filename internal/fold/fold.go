// Package fold defines how identifiers and indexed values are compared: it
// turns each into the bytes of a key, or tells why it has no key.
package fold

import (
	"errors"
	"strings"

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
// "", is Exact.
func Identifier(rule, identifier string) (key string, fault Fault) {
	if fault := PlainText(identifier, MaxIdentifier); fault.Found() {
		return "", fault
	}
	switch rule {
	case Email:
		return email(identifier)
	case Username:
		return username(identifier)
	default:
		return identifier, Fault{}
	}
}

// Prefix returns the text with which the keys of identifiers begin that begin
// with prefix, by a rule. ok is false if no key does. "" begins all of them.
func Prefix(rule, prefix string) (folded string, ok bool) {
	switch {
	case prefix == "":
		return "", true
	case len(prefix) > MaxIdentifier || strings.Contains(prefix, "\x00"):
		return "", false
	case rule == Email:
		return strings.ToLower(prefix), true
	case rule == Username:
		folded, fault := username(prefix)
		return folded, !fault.Found()
	}
	return prefix, true
}

func username(name string) (key string, fault Fault) {
	key, err := precis.UsernameCaseMapped.String(name)
	if err != nil || key == "" || len(key) > MaxIdentifier || strings.ContainsAny(key, `@/\:`) {
		return "", malformed(`must be a user name without spaces and @ / \ : (RFC 8265)`)
	}
	return key, Fault{}
}

// Name reports whether s names a purpose: 1–32 bytes of [a-z0-9_-].
func Name(s string) bool { return made(s, 32, "_-", 'a') }

// Scope reports whether s names a scope: 1–32 bytes of [a-z0-9_:.-].
func Scope(s string) bool { return made(s, 32, "_:.-", 'a') }

// Provider looks whether s names a provider: 1–64 bytes of [A-Za-z0-9._:-].
func Provider(s string) Fault {
	switch {
	case s == "":
		return Fault{Code: Required, Reason: "is required"}
	case !made(s, maxProvider, "._:-", 'a', 'A'):
		return malformed("must be 1–64 of [A-Za-z0-9._:-]")
	}
	return Fault{}
}

const maxProvider = 64 // bytes

// made reports whether s is 1 to limit bytes, each a digit, one of others, or
// of the alphabets that begin with the letters given.
func made(s string, limit int, others string, alphabets ...byte) bool {
	if len(s) < 1 || len(s) > limit {
		return false
	}
	for _, c := range []byte(s) {
		ok := '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0
		for _, a := range alphabets {
			ok = ok || a <= c && c < a+26
		}
		if !ok {
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
// value of an attribute. ok is false for values that are not indexed: null,
// the empty text in a unique index, and text that folds to nothing in an index
// that folds.
func Value(v any, x codec.Index) (encoded string, ok bool, fault Fault) {
	text, isText := v.(string)
	if v == nil || isText && text == "" && x.Unique {
		return "", false, Fault{}
	}
	if isText && x.Fold {
		if len(text) > maxFolded {
			return "", false, Fault{Code: TooLong, Max: maxFolded, Reason: "cannot be indexed: must be at most 512 bytes"}
		}
		folded, err := precis.Nickname.CompareKey(text)
		if folded == "" && (err == nil || errors.Is(err, errEmptyFold)) {
			return "", false, Fault{}
		}
		if err != nil {
			return "", false, malformed("has characters that a folded index refuses (RFC 8266)")
		}
		v = folded
	}
	b, err := codec.AppendIndexValue(nil, v)
	if err != nil {
		fault := Unfit(err)
		fault.Reason = "cannot be indexed: must be a scalar of at most 512 bytes"
		return "", false, fault
	}
	return string(b), true, Fault{}
}
