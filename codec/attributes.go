package codec

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

// Bounds of attributes. They are part of the format: what exceeds them is not
// written, and is ErrCorrupt when read.
const (
	MaxAttributes     = 64       // names at the top level
	MaxAttributeName  = 64       // bytes in a name, nested ones too
	MaxAttributeBytes = 64 << 10 // bytes encoded, all together
	MaxAttributeDepth = 8        // nesting of one attribute; a scalar is 1 deep
)

// Bounds are narrower bounds for one kind of record. A zero field is the bound
// of the package, and none is wider.
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
	w := writer{b: dst}
	if err := encode(msgpack.NewEncoder(&w), canonical); err != nil {
		return dst, err
	}
	if len(w.b)-len(dst) > b.Bytes {
		return dst, tooLarge(b.Bytes)
	}
	return w.b, nil
}

func canonicalAttributes(m map[string]any, b Bounds) (map[string]any, error) {
	if len(m) > b.Keys {
		return nil, &ValueError{Reason: fmt.Sprintf("must have at most %d names", b.Keys)}
	}
	c := canonicaliser{limit: b.Bytes}
	out := make(map[string]any, len(m))
	// Sorted, so that of two bad attributes always the same one is named.
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if len(name) > MaxAttributeName || !utf8.ValidString(name) || !plainName([]byte(name)) {
			return nil, &ValueError{Reason: "must have names of 1–64 bytes of valid UTF-8 without control characters"}
		}
		v, bad := c.value(m[name], MaxAttributeDepth)
		if bad != "" {
			return nil, c.refuse(name, bad)
		}
		out[name] = v
	}
	return out, nil
}

// A writer appends what the encoder writes.
type writer struct{ b []byte }

func (w *writer) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *writer) WriteByte(c byte) error {
	w.b = append(w.b, c)
	return nil
}

// errNotCanonical is unreachable: only canonical values are encoded.
var errNotCanonical = errors.New("codec: value is not canonical")

// encode writes a canonical value. It uses only those methods of the encoder
// that write one thing in one way: what they do for a type they are given, and
// the order of a map, would depend on the encoder's settings.
func encode(e *msgpack.Encoder, v any) error {
	switch v := v.(type) {
	case nil:
		return e.EncodeNil()
	case bool:
		return e.EncodeBool(v)
	case int64:
		return e.EncodeInt(v) // the shortest form
	case float64:
		return e.EncodeFloat64(v)
	case string:
		return e.EncodeString(v)
	case []byte:
		return e.EncodeBytes(v)
	case time.Time:
		return e.EncodeTime(v)
	case []any:
		return encodeList(e, v)
	case map[string]any:
		return encodeMap(e, v)
	}
	return errNotCanonical
}

func encodeList(e *msgpack.Encoder, list []any) error {
	if err := e.EncodeArrayLen(len(list)); err != nil {
		return err
	}
	for _, x := range list {
		if err := encode(e, x); err != nil {
			return err
		}
	}
	return nil
}

func encodeMap(e *msgpack.Encoder, m map[string]any) error {
	if err := e.EncodeMapLen(len(m)); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if err := e.EncodeString(name); err != nil {
			return err
		}
		if err := encode(e, m[name]); err != nil {
			return err
		}
	}
	return nil
}

// DecodeAttributes decodes what AppendAttributes made, into canonical values
// that are the caller's own. "" is the empty map. It succeeds on the
// attributes of every record that a decoder of this package returned; else
// the error is ErrCorrupt.
func DecodeAttributes(raw string) (map[string]any, error) {
	if raw == "" {
		return map[string]any{}, nil
	}
	b := []byte(raw)
	if n, ok := attributesLen(b); !ok || n != len(b) {
		return nil, errAttributes
	}
	m, err := decodeMap(msgpack.NewDecoder(bytes.NewReader(b)))
	if err != nil {
		return nil, errAttributes // unreachable after the check
	}
	return m, nil
}

// decode reads a value that has been checked, and nothing else: see Check. It
// asks the decoder for one type at a time, because the types that it picks by
// itself depend on how a number was written.
func decode(d *msgpack.Decoder) (any, error) {
	c, err := d.PeekCode()
	if err != nil {
		return nil, err
	}
	switch kindOf(c) {
	case kindNil:
		return nil, d.DecodeNil()
	case kindBool:
		return d.DecodeBool()
	case kindUint, kindInt:
		return d.DecodeInt64()
	case kindFloat64:
		return d.DecodeFloat64()
	case kindText:
		return d.DecodeString()
	case kindBytes:
		return d.DecodeBytes()
	case kindList:
		return decodeList(d)
	case kindMap:
		return decodeMap(d)
	case kindExt:
		t, err := d.DecodeTime()
		return t.UTC(), err
	}
	return nil, errAttributes
}

func decodeList(d *msgpack.Decoder) (any, error) {
	n, err := d.DecodeArrayLen()
	if err != nil {
		return nil, err
	}
	out := make([]any, n)
	for i := range out {
		if out[i], err = decode(d); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decodeMap(d *msgpack.Decoder) (map[string]any, error) {
	n, err := d.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, n)
	for range n {
		name, err := d.DecodeString()
		if err != nil {
			return nil, err
		}
		if out[name], err = decode(d); err != nil {
			return nil, err
		}
	}
	return out, nil
}
