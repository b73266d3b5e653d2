package records

import (
	"errors"
	"fmt"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
)

// Sentinels of the root package that this one returns, beside those of the kinds.
var (
	ErrUserNotFound   = errors.New("user not found")
	ErrIdentityTaken  = errors.New("identity is taken by another user")
	ErrNewerFormat    = errors.New("written by a newer version")
	ErrClock          = errors.New("the clock of this machine differs from those of others")
	ErrIncomplete     = errors.New("an import has not ended")
	ErrNoKey          = errors.New("key is not given")
	ErrLastHolder     = errors.New("last holder of a protected role")
	ErrTooMany        = errors.New("a user may have no more")
	ErrInvalidInput   = errors.New("invalid input")
	ErrAttributeTaken = errors.New("attribute is taken by another user")
	ErrForeignFile    = kv.ErrForeign
)

// A missing is the error for a record that is not there: each kind has its own.
type missing struct{ text string }

func (m *missing) Error() string { return m.text }

// Failures makes the errors that are types of the root package.
type Failures struct {
	Corrupt func(space, reason string) error       // an ErrCorrupt
	Input   func(field string, f fold.Fault) error // an ErrInvalidInput
	Taken   func(attribute string) error           // an ErrAttributeTaken

	LastHolder func(role string) error // an ErrLastHolder
}

// Damaged turns an error of the codec about a record in a space into one of
// the file.
func (f *File) Damaged(space kv.Space, err error) error {
	name := f.Name(space)
	if errors.Is(err, codec.ErrNewer) {
		return fmt.Errorf("record in %s: %w", name, ErrNewerFormat)
	}
	return f.Corrupt(name, "checksum or structure is wrong")
}

// Orphan turns "not found" into the damage that it is, for a record to which
// an index or another record leads.
func (f *File) Orphan(space kv.Space, err error) error {
	if IsMissing(err) {
		return f.Corrupt(f.Name(space), "leads to a record that is missing")
	}
	return err
}

// Stray is the damage of an index entry that leads to a user who does not own
// it.
func (f *File) Stray(space kv.Space) error {
	return f.Corrupt(f.Name(space), "leads to a user who does not have it")
}

// DamagedOrMissing reports whether err says of a record that should be there
// that it is damaged or missing. One of a newer version is neither.
func DamagedOrMissing(err error) bool { return isGone(err) || errors.Is(err, kv.ErrCorrupt) }

// IsMissing reports whether err says that there is no such user or record, of
// the user's kinds.
func IsMissing(err error) bool {
	return errors.Is(err, ErrUserNotFound) || isGone(err) && !errors.Is(err, kv.ErrCorrupt)
}

func isGone(err error) bool {
	_, ok := errors.AsType[*missing](err)
	return ok
}

// unreadable reports whether err is about a record that cannot be read, which
// is found where its space is walked.
func unreadable(err error) bool {
	return errors.Is(err, kv.ErrCorrupt) || errors.Is(err, ErrNewerFormat)
}
