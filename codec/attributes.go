package codec

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Bounds of attributes. They are part of the format: a larger map is not
// written, and is ErrCorrupt when read.
const (
	MaxAttributes     = 64       // names at the top level
	MaxAttributeName  = 64       // bytes in a name, nested ones too
	MaxAttributeBytes = 64 << 10 // bytes encoded, all together
	MaxAttributeDepth = 8        // nesting of one attribute; a scalar is 1 deep
)

// Bounds are narrower bounds for one kind of record. A zero field is the bound
// of the package, and no field is wider.
type Bounds struct {
	Keys  int // names at the top level
	Bytes int // encoded, all together
}

// orMax returns the bounds with zero fields filled in.
func (b Bounds) orMax() Bounds {
	if b.Keys == 0 {
		b.Keys = MaxAttributes
	}
	if b.Bytes == 0 {
		b.Bytes = MaxAttributeBytes
	}
	return Bounds{min(b.Keys, MaxAttributes), min(b.Bytes, MaxAttributeBytes)}
}

// AppendAttributes appends the encoded form of m to dst: a MessagePack map in
// the form that [Check] describes. Values are made canonical first, as
// [Canonical] says; equal maps are equal bytes. A nil map is an empty one.
//
// Names at the top level are 1–64 bytes of valid UTF-8 without control
// characters. The error is a *[ValueError], which names the attribute; dst
// comes back as it was. m is not kept and not changed.
func AppendAttributes(dst []byte, m map[string]any, b Bounds) ([]byte, error) {
	b = b.orMax()
	canonical, err := canonicalAttributes(m, b)
	if err != nil {
		return dst, err
	}
	out := appendMap(dst, canonical)
	if len(out)-len(dst) > b.Bytes {
		return dst, tooLarge(b.Bytes)
	}
	return out, nil
}

func canonicalAttributes(m map[string]any, b Bounds) (map[string]any, error) {
	if len(m) > b.Keys {
		return nil, &ValueError{Code: "too_many", Max: b.Keys, Reason: fmt.Sprintf("must have at most %d names", b.Keys)}
	}
	c := canonicaliser{limit: b.Bytes}
	out := make(map[string]any, len(m))
	// Sorted, so that of two bad attributes always the same one is named.
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if len(name) > MaxAttributeName || !utf8.ValidString(name) || !plainName([]byte(name)) {
			return nil, &ValueError{Code: "malformed", Reason: "must have names of 1–64 bytes of valid UTF-8 without control characters"}
		}
		v, bad := c.value(m[name], MaxAttributeDepth)
		if bad != "" {
			return nil, c.refuse(name, bad)
		}
		out[name] = v
	}
	return out, nil
}

// DecodeAttributes decodes the output of AppendAttributes, into canonical
// values that are the caller's own. "" is the empty map. It succeeds on the
// attributes of every record that a decoder of this package returned; else the
// error is ErrCorrupt.
func DecodeAttributes(raw string) (map[string]any, error) {
	if raw == "" {
		return map[string]any{}, nil
	}
	b := []byte(raw)
	if n, ok := attributesLen(b); !ok || n != len(b) {
		return nil, errAttributes
	}
	m, _ := decodeMap(b)
	return m, nil
}
