package snib

import (
	"errors"
	"maps"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
)

// Attributes are a program's own data about a user or a session: at most 64
// names of 1–64 bytes and, encoded, 64 KiB for a user (16 names and 4 KiB for a
// session), nested at most 8 deep.
//
// Values are nil, bool, int64, float64, string (valid UTF-8), []byte, time.Time
// (kept in UTC), []any and map[string]any. Other integers, float32, named types
// and typed slices and maps of these are converted when they are given; a value
// that does not fit (a uint64 above the largest int64, NaN, a struct, a channel
// …) is ErrInvalidInput and names the attribute. Read back, values have the
// types above.
//
// A key with the value nil is present and null; a key that is absent is not.
//
// They are stored in clear: see "What is not protected" in the package comment.
// A client's whole JSON given to UpdateUserAttributes sets every name that the
// client chooses; keep rights and roles elsewhere, or filter.
type Attributes map[string]any

// Unset as the value of an attribute that is updated removes the key. Within a
// value, and for a new session, it is ErrInvalidInput.
var Unset unset

type unset struct{}

func isUnset(_ string, v any) bool { _, gone := v.(unset); return gone }

// Attr returns the attribute key if it is there and has the type T.
func Attr[T bool | int64 | float64 | string | []byte | time.Time](a Attributes, key string) (T, bool) {
	v, ok := a[key].(T)
	return v, ok
}

// Bounds of encoded attributes.
var (
	userBounds    = codec.Bounds{Keys: codec.MaxAttributes, Bytes: codec.MaxAttributeBytes}
	sessionBounds = codec.Bounds{Keys: 16, Bytes: 4 << 10}
)

// mergedAttributes returns stored attributes with changes.
func mergedAttributes(stored string, changes Attributes) Attributes {
	merged := decodeAttributes(stored)
	maps.Copy(merged, changes)
	maps.DeleteFunc(merged, isUnset)
	return merged
}

// encodeAttributes returns the stored form of a.
func encodeAttributes(a Attributes, b codec.Bounds) (string, error) {
	if len(a) == 0 {
		return "", nil
	}
	raw, err := codec.AppendAttributes(nil, a, b)
	if err != nil {
		return "", attributeError(err)
	}
	return string(raw), nil
}

// decodeAttributes decodes the attributes of a record. They were checked when
// the record was read, so it cannot fail.
func decodeAttributes(raw string) Attributes {
	if raw == "" {
		return Attributes{}
	}
	m, err := codec.DecodeAttributes(raw)
	if err != nil || m == nil {
		return Attributes{}
	}
	return m
}

// attributeError names the attribute that the codec refused.
func attributeError(err error) error {
	field := "Attributes"
	if e, ok := errors.AsType[*codec.ValueError](err); ok && e.Name != "" {
		field += "[" + e.Name + "]"
	}
	return faulty(field, fold.Unfit(err))
}
