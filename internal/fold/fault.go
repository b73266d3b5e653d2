package fold

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/snibdb/snib/codec"
)

// A Fault is why a value is refused: a code and the bounds for programs, words
// for people. The zero Fault means that the value is good.
type Fault struct {
	Code, Reason string
	Min, Max     int64 // in the unit of the code; 0 is no bound
}

// Found reports whether there is a fault.
func (f Fault) Found() bool { return f.Code != "" }

// The codes are those of the root package and explained there.
const (
	Required    = "required"
	TooLong     = "too_long"
	TooMany     = "too_many"
	Malformed   = "malformed"
	NotAllowed  = "not_allowed"
	Unsupported = "unsupported"
	Ambiguous   = "ambiguous"
	Taken       = "taken"
	OutOfRange  = "out_of_range"
)

func malformed(reason string) Fault { return Fault{Code: Malformed, Reason: reason} }

// PlainText looks whether a text is 1 to limit bytes of valid UTF-8 without
// control characters.
func PlainText(s string, limit int) Fault {
	switch {
	case s == "":
		return Fault{Code: Required, Reason: "is required"}
	case len(s) > limit:
		return Fault{Code: TooLong, Max: int64(limit), Reason: fmt.Sprintf("must be at most %d bytes", limit)}
	case !utf8.ValidString(s):
		return malformed("must be valid UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return malformed("must have no control characters")
	}
	return Fault{}
}

// Unfit is the fault that the codec found in a value.
func Unfit(err error) Fault {
	if e, ok := errors.AsType[*codec.ValueError](err); ok {
		return Fault{Code: e.Code, Reason: e.Reason, Max: int64(e.Max)}
	}
	return Fault{Code: Unsupported, Reason: err.Error()}
}
