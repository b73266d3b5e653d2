package codec

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Canonical returns a private copy of v in the form that attributes have in
// memory: nil, bool, int64, float64, string of valid UTF-8, []byte, time.Time
// in UTC, []any and map[string]any of these, nested at most
// [MaxAttributeDepth] deep.
//
// Other integers and float32 are converted, and so is a json.Number: to an
// int64 if it is an integer, else to a float64. A named type counts as its
// underlying type. Slices and arrays of bytes become []byte, others []any; maps
// with string keys become map[string]any; nil ones become empty ones, as only
// an untyped nil is null. Times lose their location and monotonic reading.
//
// A *[ValueError] (without a name) refuses the rest: integers that do not fit
// an int64, numbers that are not finite, strings and names of invalid UTF-8,
// names over [MaxAttributeName] bytes, structs, pointers, functions, channels,
// complex numbers, maps with other keys, and more than [MaxAttributeBytes].
// That and the depth stop values that contain themselves. v is not kept and
// not changed.
func Canonical(v any) (any, error) {
	c := canonicaliser{limit: MaxAttributeBytes}
	out, bad := c.value(v, MaxAttributeDepth)
	if bad != "" {
		return nil, c.refuse("", bad)
	}
	return out, nil
}

// reason is the text of a ValueError; "" is no error.
type reason string

const (
	badDepth  reason = "must nest at most 8 deep"
	badSize   reason = "too large" // refuse says how large
	badInt    reason = "must be an integer that fits 64 bits with a sign"
	badFloat  reason = "must be a finite number"
	badNumber reason = "must be a number"
	badText   reason = "must be valid UTF-8"
	badNames  reason = "must have maps with names of at most 64 bytes of valid UTF-8"
)

// badType names a type, which is the program's and no value.
func badType(t reflect.Type) reason {
	return reason("must not be of type " + t.String())
}

// A canonicaliser counts the least encoded size of the values, so that a value
// that contains itself, or one part very often, cannot run away.
type canonicaliser struct{ used, limit int }

func (c *canonicaliser) spend(n int) reason {
	if n > c.limit-c.used {
		return badSize
	}
	c.used += n
	return ""
}

// room looks whether n values can follow, before memory is taken for them.
func (c *canonicaliser) room(n int) reason {
	if n > c.limit-c.used {
		return badSize
	}
	return ""
}

// refuse makes the error for a value of the attribute name.
func (c *canonicaliser) refuse(name string, bad reason) *ValueError {
	if bad == badSize {
		return tooLarge(c.limit)
	}
	return &ValueError{Name: name, Code: "unsupported", Reason: string(bad)}
}

// tooLarge names no attribute: they are too large together.
func tooLarge(limit int) *ValueError {
	return &ValueError{Code: "too_long", Max: limit, Reason: fmt.Sprintf("must take at most %d bytes together, encoded", limit)}
}

// value returns v in canonical form; it may nest depth deep.
func (c *canonicaliser) value(v any, depth int) (any, reason) {
	if depth < 1 {
		return nil, badDepth
	}
	if bad := c.spend(1); bad != "" {
		return nil, bad
	}
	switch v := v.(type) {
	case nil, bool, int64:
		return v, ""
	case []byte:
		if bad := c.spend(len(v)); bad != "" {
			return nil, bad
		}
		return append([]byte{}, v...), ""
	case time.Time:
		return v.UTC(), "" // drops the monotonic reading too
	case json.Number:
		return number(string(v))
	}
	return c.reflected(reflect.ValueOf(v), depth)
}

// reflected is value for everything that is known by its kind.
func (c *canonicaliser) reflected(v reflect.Value, depth int) (any, reason) {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), ""
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), ""
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return nil, badInt
		}
		return int64(v.Uint()), ""
	case reflect.Float32, reflect.Float64:
		if !finite(v.Float()) {
			return nil, badFloat
		}
		return v.Float(), ""
	case reflect.String:
		return c.text(v.String())
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return c.bytes(v)
		}
		return c.list(v, depth-1)
	case reflect.Map:
		if v.Type().Key().Kind() == reflect.String {
			return c.mapping(v, depth-1)
		}
	}
	return nil, badType(v.Type())
}

func (c *canonicaliser) text(s string) (any, reason) {
	if bad := c.spend(len(s)); bad != "" {
		return nil, bad
	}
	if !utf8.ValidString(s) {
		return nil, badText
	}
	return s, ""
}

func (c *canonicaliser) bytes(v reflect.Value) (any, reason) {
	if bad := c.spend(v.Len()); bad != "" {
		return nil, bad
	}
	out := make([]byte, v.Len())
	for i := range out {
		out[i] = byte(v.Index(i).Uint())
	}
	return out, ""
}

func (c *canonicaliser) list(v reflect.Value, depth int) (any, reason) {
	if bad := c.room(v.Len()); bad != "" {
		return nil, bad
	}
	out := make([]any, v.Len())
	for i := range out {
		x, bad := c.value(v.Index(i).Interface(), depth)
		if bad != "" {
			return nil, bad
		}
		out[i] = x
	}
	return out, ""
}

func (c *canonicaliser) mapping(v reflect.Value, depth int) (any, reason) {
	if bad := c.room(v.Len()); bad != "" {
		return nil, bad
	}
	out := make(map[string]any, v.Len())
	for key, elem := range v.Seq2() {
		name := key.String()
		if len(name) > MaxAttributeName || !utf8.ValidString(name) {
			return nil, badNames
		}
		if bad := c.spend(1 + len(name)); bad != "" {
			return nil, bad
		}
		x, bad := c.value(elem.Interface(), depth)
		if bad != "" {
			return nil, bad
		}
		out[name] = x
	}
	return out, ""
}

// number converts the text of a JSON number. An integer too large for an
// int64 is refused like any other, not rounded to a float64.
func number(s string) (any, reason) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, ""
	}
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return nil, badNumber // accepted by ParseFloat and not by JSON
	}
	if !strings.ContainsAny(s, ".eE") {
		return nil, badInt
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, badFloat
	}
	return f, ""
}
