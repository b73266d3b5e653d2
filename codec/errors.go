package codec

import (
	"errors"
	"fmt"
	"strconv"
)

// The errors of decoding, to be compared with errors.Is. A decoder that returns
// an error returns the zero value beside it. No error text holds a key or a
// value.
var (
	// ErrCorrupt says that this package did not write these bytes under that
	// key: damage, a record of another key, or other software.
	ErrCorrupt = errors.New("codec: record is damaged")

	// ErrNewer says that the record is whole and has a version that this
	// package does not know. A newer program can read it.
	ErrNewer = errors.New("codec: record has a newer version")
)

// Made once: refusing must cost no more than accepting.
var (
	errChecksum   = fmt.Errorf("%w: checksum does not match", ErrCorrupt)
	errStructure  = fmt.Errorf("%w: structure is wrong", ErrCorrupt)
	errAttributes = fmt.Errorf("%w: attributes are malformed", ErrCorrupt)
)

// ValueError says why a value given by a program cannot be an attribute or a
// key of an index.
type ValueError struct {
	// Name of the attribute at the top level, even if the trouble is deep
	// inside its value. "" if the caller gave a value alone, or if the
	// trouble is with a name or with all attributes together: a bad name is
	// never repeated.
	Name string

	// Reason reads after the name: "must be …". It never holds a value.
	Reason string

	// Code is the kind of trouble: "malformed", "unsupported", "too_long" for
	// more than Max bytes, "too_many" for more than Max of them.
	Code string

	// Max is the bound that Code names, else 0.
	Max int
}

// Error returns the reason, and the attribute's name if there is one.
func (e *ValueError) Error() string {
	if e.Name == "" {
		return "attributes: " + e.Reason
	}
	return "attribute " + strconv.Quote(e.Name) + ": " + e.Reason
}
