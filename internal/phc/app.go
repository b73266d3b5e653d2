package phc

import (
	"context"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// A hash of the application's own kind is stored as it came, under the name of
// its source, and verified by a function of the application. It is the way in
// for everything that this package does not know.

// AppPrefix begins the names of sources that are the application's own.
const AppPrefix = "x-"

// MaxAppText bounds, in bytes, a hash that the application verifies.
const MaxAppText = 700

// verifierTime is how long a call of the application's function may take.
const verifierTime = 10 * time.Second

// A Verifier tells whether password is the one that hash, imported under
// source, was made from. See [Config.Verifier].
type Verifier func(ctx context.Context, source, hash, password string) (bool, error)

// appScheme has the name of the source in Parsed.name and the text in
// Parsed.key. Hasher.match computes it.
var appScheme = &scheme{
	name:   "app",
	check:  func(*Parsed, Limits) error { return nil },
	memory: func(*Parsed) uint64 { return 0 }, // not known; a slot of the gate is held
}

// appParsed checks the name and the length, which are all that is known.
func appParsed(name string, text []byte) (Parsed, error) {
	short := strings.TrimPrefix(name, AppPrefix)
	if short == name || !validLabel(short) {
		return Parsed{}, malformed("name of the source")
	}
	if len(text) < 1 || len(text) > MaxAppText {
		return Parsed{}, malformed("length, of 1 to 700 bytes")
	}
	return Parsed{scheme: appScheme, form: formRaw, name: name, key: text}, nil
}

// parseApp reads the text after "$app$": the name and the text in base64.
func parseApp(rest string) (Parsed, error) {
	name, text, _ := strings.Cut(rest, "$")
	b, err := fromStrict64(text, "text")
	if err != nil {
		return Parsed{}, err
	}
	return appParsed(name, b)
}

func (p *Parsed) appString() string {
	return "$app$" + p.name + "$" + base64.RawStdEncoding.EncodeToString(p.key)
}

// validLabel reports whether s is 1 to 32 of [a-z0-9-].
func validLabel(s string) bool {
	if len(s) < 1 || len(s) > 32 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// A stuck verifier did not return in time. Its turn in the gate ends with it.
type stuck struct {
	done  <-chan struct{}
	cause error // the caller's context's, or ErrVerifier
}

func (s *stuck) Error() string { return s.cause.Error() + ": it did not return in time" }
func (s *stuck) Unwrap() error { return s.cause }

// callVerifier calls the application's function on a goroutine of its own, so
// that one that hangs takes no caller with it, and makes its panic an error.
// The value of the panic is not shown unless it is the runtime's own: it may
// hold the password.
func (h *Hasher) callVerifier(ctx context.Context, p *Parsed, password string) (bool, error) {
	timed, cancel := context.WithTimeout(ctx, h.verifierTime)
	defer cancel()
	var ok bool
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				ok, err = false, panicked(r)
			}
		}()
		ok, err = h.verifier(timed, p.name, string(p.key), password)
	}()
	select {
	case <-done:
	case <-timed.Done():
		if err := ctx.Err(); err != nil {
			return false, &stuck{done, err}
		}
		return false, &stuck{done, ErrVerifier}
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrVerifier, err)
	}
	return ok, nil
}

func panicked(value any) error {
	if e, ok := value.(runtime.Error); ok {
		return fmt.Errorf("it panicked: %w", e)
	}
	return fmt.Errorf("it panicked with a %T", value)
}
