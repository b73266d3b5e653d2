package codec

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

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

// errNotCanonical is for a value that is not canonical.
var errNotCanonical = fmt.Errorf("codec: value is not canonical")

// encode writes a canonical value by the encoder of msgpack/v5. It uses only those methods of the encoder
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

// byMsgpack is the encoding of a canonical value by msgpack/v5.
func byMsgpack(tb testing.TB, v any) []byte {
	tb.Helper()
	var w writer
	if err := encode(msgpack.NewEncoder(&w), v); err != nil {
		tb.Fatal(err)
	}
	return w.b
}

// TestValuesAsMsgpackWritesThem: our forms are those of msgpack/v5, at every
// bound of a form, and what it wrote is read.
func TestValuesAsMsgpackWritesThem(t *testing.T) {
	values := []any{nil, true, false, 0.0, -1.5, math.MaxFloat64, math.SmallestNonzeroFloat64, []byte{}, []any{}, map[string]any{}, ""}
	for _, n := range []int64{0, 1 << 5, 1 << 7, 1 << 8, 1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 33, 1 << 34, math.MaxInt64 - 1} {
		for d := int64(-2); d <= 1; d++ {
			values = append(values, n+d, -(n + d), time.Unix(n+d, 0).UTC(), time.Unix(n+d, 999_999_999).UTC(), time.Unix(-(n+d)%1e11, 1).UTC())
		}
	}
	values = append(values, int64(math.MinInt64))
	for _, n := range []int{1, 15, 16, 31, 32, 255, 256, 65535, 65536} {
		list, m := make([]any, n), map[string]any{}
		for i := range n {
			list[i] = int64(i)
			m[fmt.Sprint("name ", i)] = i%2 == 0
		}
		values = append(values, string(bytes.Repeat([]byte{'x'}, n)), bytes.Repeat([]byte{1}, n), list, m)
	}
	for _, v := range values {
		got, want := appendValue([]byte("before"), v), append([]byte("before"), byMsgpack(t, v)...)
		if !bytes.Equal(got, want) {
			t.Errorf("%T %.60v: % x, msgpack writes % x", v, v, got[:min(20, len(got))], want[:min(20, len(want))])
			continue
		}
		if back, rest := decodeValue(append(got[6:], "rest"...)); !reflect.DeepEqual(back, v) || string(rest) != "rest" {
			t.Errorf("%T %.60v is read as %.60v, with %q behind it", v, v, back, rest)
		}
	}
}
