package snib

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/token"
)

// Ids are public: they name things in lists, logs and forms, and they tell
// when the thing was made (to the millisecond). Knowing one gives nothing.
type (
	// UserID names a user, for ever: no method changes it. Ids made here are
	// "usr_" and 26 characters; imported ones are kept, 1–128 bytes of
	// visible ASCII, compared bytewise: escape them in URLs, paths and pages.
	UserID string

	// SessionID names a session: "ses_" and 32 characters. The first 16 of
	// them are the same in all ids of one user's sessions and tokens.
	SessionID string

	// RefreshTokenID names a family of refresh tokens, which is one device's
	// log-in and stays the same through all rotations: "rft_" and 32
	// characters, as of SessionID.
	RefreshTokenID string
)

// validUserID reports whether id could be a user's. One that could not is
// unknown, and is never looked up.
func validUserID(id UserID) bool { return token.ValidUserID(string(id)) }

// A Token is the secret text that its bearer presents: a session's, a refresh
// token's, a one-time token's, a known device's or an API key's. It is shown once, by the method that made it;
// the file holds only a hash.
//
// It prints as REDACTED with the verbs of fmt, in slog, as text and as JSON,
// and as an address with %p and where it is an unexported field of another
// struct. Only Reveal gives the text: a log-in handler that encodes a Session
// as JSON and forgets Reveal sends the word REDACTED. Compare the results of
// Reveal; two Tokens of one text are not ==.
type Token struct{ secret }

// PresentedToken is the text that a client presented, for
// [SessionOptions].Replaces. It is not looked at here: any text will do.
func PresentedToken(text string) Token { return Token{newSecret(text)} }

// Reveal returns the text, to be sent to its bearer and nowhere else; "" for
// the zero Token. It has the characters a–z, A–Z, 0–9, "_", "-" and ".", no
// capitals and hyphens where it is of a session, refresh or one-time token. A URI
// has those of one.
func (t Token) Reveal() string { return t.secret.reveal() }

func newToken(k token.Kind, key codec.OwnedKey, secretBytes []byte) Token {
	return Token{newSecret(k.Format(key, secretBytes))}
}

// A secret is text behind a pointer: where fmt reaches it without being able
// to call its methods (an unexported field), it prints an address.
type secret struct{ text *string }

const redacted = "REDACTED"

func newSecret(text string) secret { return secret{&text} }

func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Format implements fmt.Formatter: REDACTED for every verb.
func (s secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler: REDACTED.
func (s secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer: REDACTED.
func (s secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// printed writes v, which has nothing personal, as fmt would without a method. Values
// reach logs by accident, in a panic or in the arguments of an error: those with what
// a user has typed have a Format that prints without it.
func printed(f fmt.State, verb rune, v any) { fmt.Fprintf(f, fmt.FormatString(f, verb), v) }
