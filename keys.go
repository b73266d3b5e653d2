package snib

import (
	"context"

	"github.com/snibdb/snib/internal/seal"
)

// A Key is a secret of 32 bytes that the program keeps apart from the file, for
// Options.Keys, and its id. Make it with [NewKey] or [KeyFile]. It prints as
// REDACTED, as a [Token] does, and nothing gives the secret back.
type Key struct {
	secret // for its methods
	source *keySource
}

// keySource is where a Key comes from. The code that only a program with keys
// needs is reached through it, so that others do not link it.
type keySource struct {
	id    string // "" as long as it is not known
	open  func(keyPlace) (seal.Key, error)
	check func([]Key) error
	adopt func(keyUser, context.Context) error
}

// keyUser is a DB, whose method is linked into programs that make a Key.
type keyUser interface{ adoptKeys(context.Context) error }

// keyPlace is for whom a Key is opened.
type keyPlace struct {
	database string // path
	create   bool   // whether the key may be made now
}

func newKey(id string, open func(keyPlace) (seal.Key, error)) Key {
	return Key{source: &keySource{id, open, checkKeys, keyUser.adoptKeys}}
}

// checkKeys looks at Options.Keys as far as that can be done without a file.
func checkKeys(keys []Key) error {
	ids := map[string]bool{}
	for _, k := range keys {
		switch {
		case k.source == nil:
			return &InputError{Field: "Options.Keys", Code: CodeRequired, Reason: "must be made by NewKey or KeyFile"}
		case ids[k.source.id]:
			return errOneKeyTwice
		}
		ids[k.source.id] = k.source.id != ""
	}
	if len(keys) > 16 {
		return &InputError{Field: "Options.Keys", Code: CodeTooMany, Max: 16, Reason: "must be at most 16"}
	}
	return nil
}

var errOneKeyTwice = &InputError{Field: "Options.Keys", Code: CodeTaken, Reason: "must have different ids"}

// NewKey returns a key of a program that gets its secrets from elsewhere: a key
// management service, a credential of systemd. The secret is 32 random bytes
// (openssl rand 32), not a password, and is copied. The id, 1–32 of [a-z0-9_-],
// is stored with everything sealed under the key; an id names one secret for
// ever. ErrInvalidInput (Key).
func NewKey(id string, secret []byte) (Key, error) {
	k, err := seal.New(id, secret)
	if err != nil {
		return Key{}, &InputError{Field: "Key", Code: CodeMalformed, Reason: err.Error()}
	}
	return newKey(id, func(keyPlace) (seal.Key, error) { return k, nil }), nil
}
