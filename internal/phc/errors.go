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

	// ErrWeak: the string is a digest that costs nothing to guess and that
	// only [Hasher.Import] takes in, because it has to be hashed for that.
	ErrWeak = errors.New("phc: the digest is too weak to be stored as it is")

	// ErrSlow: a verification would take longer here than Config.ImportTime.
	ErrSlow = errors.New("phc: verifying the password hash takes too long here")

	// ErrMissing: the hash needs a pepper or a verifier that [Config] lacks.
	ErrMissing = errors.New("phc: the password hash needs what is not configured")

	// ErrVerifier: the application's verifier failed, panicked or did not
	// return in time.
	ErrVerifier = errors.New("phc: the verifier of the password hash failed")

	// ErrAmbiguous: more than one system writes such strings, for different
	// computations. The caller has to name the source.
	ErrAmbiguous = errors.New("phc: the password hash does not say which system made it")

	// ErrUnknownSource: [Import] was given a name that is not in [Sources].
	ErrUnknownSource = errors.New("phc: unknown source of password hashes")
)

// Unusable reports whether err, of [Hasher.Verify], is about the stored hash or
// the application's verifier, and not about the call: no password can be
// verified until the operator has repaired the data, the configuration or the
// verifier.
func Unusable(err error) bool {
	for _, about := range []error{ErrMalformed, ErrLimits, ErrMissing, ErrVerifier} {
		if errors.Is(err, about) {
			return true
		}
	}
	return false
}

// ErrBusy is returned by the methods of [Hasher] that hash, when as many calls
// as [Config.Queue] allows are waiting already. Nothing was computed; the
// caller may try again later.
var ErrBusy = errors.New("phc: too many passwords are waiting to be hashed")

// PasswordError says which rule a password breaks, never the password itself.
// The constants below are all its values; compare with errors.Is.
type PasswordError string

// Error returns the broken rule as a phrase to show to the user.
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
func unsupported(kind string) error {
	return &hashError{ErrUnsupported, kind}
}

// hashError adds to a sentinel which part of a string it is about.
type hashError struct {
	sentinel error
	what     string
}

func (e *hashError) Error() string { return e.sentinel.Error() + ": " + e.what }
func (e *hashError) Unwrap() error { return e.sentinel }
