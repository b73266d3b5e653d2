package phc

import "errors"

// Errors about a hash string. [Parse] and [Import] return them, and
// [Hasher.Verify] returns the first two for a stored string. Their text says
// which part is wrong and never repeats the string.
var (
	// ErrMalformed: the string is not written as its syntax demands, or a
	// value is one that its algorithm does not define.
	ErrMalformed = errors.New("phc: malformed password hash")

	// ErrLimits: the string is well-formed and asks for more memory or work
	// than [Limits] allow.
	ErrLimits = errors.New("phc: password hash is above the limits")

	// ErrUnsupported: the string is of a kind that is known not to be
	// readable here, such as crypt's $6$ or Argon2 version 16.
	ErrUnsupported = errors.New("phc: unsupported kind of password hash")

	// ErrAmbiguous: more than one system writes such strings, for different
	// computations. The caller has to name the source.
	ErrAmbiguous = errors.New("phc: the password hash does not say which system made it")

	// ErrUnknownSource: [Import] was given a name that is not in [Sources].
	ErrUnknownSource = errors.New("phc: unknown source of password hashes")
)

// ErrBusy is returned by the methods of [Hasher] that hash, when as many calls
// as [Config.Queue] allows are waiting already. Nothing was computed; the
// caller may try again later.
var ErrBusy = errors.New("phc: too many passwords are waiting to be hashed")

// PasswordError says which rule a password breaks, never the password itself.
// The constants below are all its values; compare with errors.Is.
type PasswordError string

// Error returns the broken rule as a phrase for the person who typed.
func (e PasswordError) Error() string { return string(e) }

// The rules for passwords. The first four hold always ([CheckInput]), the last
// one for new passwords only ([CheckNew]).
const (
	PasswordEmpty    PasswordError = "password is empty"
	PasswordTooLong  PasswordError = "password is longer than 1024 bytes"
	PasswordNotUTF8  PasswordError = "password is not valid UTF-8"
	PasswordHasNUL   PasswordError = "password contains a NUL character"
	PasswordTooShort PasswordError = "password is shorter than 8 characters"
)

func malformed(what string) error { return &hashError{ErrMalformed, what} }
func beyond(what string) error    { return &hashError{ErrLimits, what} }

// hashError adds to a sentinel which part of a string it is about.
type hashError struct {
	sentinel error
	what     string
}

func (e *hashError) Error() string { return e.sentinel.Error() + ": " + e.what }
func (e *hashError) Unwrap() error { return e.sentinel }
