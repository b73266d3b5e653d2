package codec

import (
	"encoding/hex"
	"reflect"
	"testing"
)

// TestThrottle: a block is read as it was written, its bytes are those of
// FORMAT.md, and no changed byte is accepted.
func TestThrottle(t *testing.T) {
	b := Throttle{Block: 0x0102, Faded: 7, Cells: []ThrottleCell{{Index: 3, Count: 1, Last: 9}, {Index: 255, Count: 127, Last: 1 << 31}}}
	key, value := b.Key(), b.Append(nil)
	got, err := DecodeThrottle(key, value)
	if err != nil || !reflect.DeepEqual(got, b) {
		t.Fatalf("read %+v, %v", got, err)
	}
	if text := hex.EncodeToString(value[offFields:]); text != "ce00000007c40c030100000009ff7f80000000" {
		t.Errorf("fields %s", text)
	}
	for i := range value {
		value[i] ^= 0x10
		if _, err := DecodeThrottle(key, value); err == nil {
			t.Errorf("byte %d can be changed", i)
		}
		value[i] ^= 0x10
	}
	for name, bad := range map[string]Throttle{
		"a block too far": {Block: ThrottleBlocks}, "no count": {Cells: []ThrottleCell{{}}},
		"a large count": {Cells: []ThrottleCell{{Count: 128}}}, "out of order": {Cells: []ThrottleCell{{Index: 1, Count: 1}, {Index: 1, Count: 1}}},
	} {
		if _, err := DecodeThrottle(bad.Key(), bad.Append(nil)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := DecodeThrottle(key[:1], value); err == nil {
		t.Error("a short key is accepted")
	}
}
