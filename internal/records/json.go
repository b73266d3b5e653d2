package records

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// JSON as an export needs it, without reflection, which every program would
// link.

// An Object is a JSON object whose fields keep their order.
type Object []Field

// A Field of an Object. Value is nil, a bool, an int, an int64, a float64, text,
// bytes (written in base64), a time, JSON, an Object, or a list or map of these.
type Field struct {
	Name  string
	Value any
}

func appendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float64: // finite, as attributes are
		return strconv.AppendFloat(dst, v, 'g', -1, 64)
	case string:
		return appendString(dst, v)
	case []byte:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"')
	case kv.JSON:
		return append(dst, v...)
	case time.Time:
		return append(v.UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			dst = appendJSON(comma(dst, i), e)
		}
		return append(dst, ']')
	case map[string]any:
		var o Object
		for _, name := range slices.Sorted(maps.Keys(v)) {
			o = append(o, Field{name, v[name]})
		}
		return appendJSON(dst, o)
	case Object:
		dst = append(dst, '{')
		for i, f := range v {
			dst = append(appendString(comma(dst, i), f.Name), ':')
			dst = appendJSON(dst, f.Value)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

// comma separates element i from the one before it.
func comma(dst []byte, i int) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	return dst
}

// appendString appends a JSON string. Bytes that are no UTF-8 become U+FFFD; <, >
// and & are escaped, so that the text does no harm in a page.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == '<' || r == '>' || r == '&' || r == '\u2028' || r == '\u2029' || r == 0x7f:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// Instant is a time in milliseconds as an export has it: null for unset and never.
func Instant(ms int64) any {
	if ms == 0 || ms == clock.Never {
		return nil
	}
	return clock.Time(ms)
}

// methods are the names of the bits of codec.Session.Methods.
var methods = []string{"password", "one-time token", "provider", "totp", "recovery code", "passkey", "trusted device"}

func methodNames(bits uint16) []any {
	names := []any{}
	for i, name := range methods {
		if bits&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// linked is the id of another record of the same owner, or null.
func linked(k token.Kind, key codec.OwnedKey, id codec.OwnID) any {
	if id.IsZero() {
		return nil
	}
	return k.ID(key.With(id))
}

func exportedAttributes(raw string) any { return attributesOf(&codec.User{Attributes: raw}) }

// texts is a list of texts, empty for nil.
func texts(list []string) []any {
	out := []any{}
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// attributesOf decodes those of a record, which were checked when it was read.
func attributesOf(u *codec.User) map[string]any {
	if u.Attributes == "" {
		return map[string]any{}
	}
	m, err := codec.DecodeAttributes(u.Attributes)
	if err != nil || m == nil {
		return map[string]any{}
	}
	return m
}
