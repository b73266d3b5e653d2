package codec

import (
	"errors"
	"testing"
)

// An upgrade reads these records of a file of format 1. Users, identities and
// attributes have the same bytes in both formats, so TestGolden holds them.
func TestFormat1(t *testing.T) {
	read := func(name string) []byte { return goldenIn(t, "testdata/golden1", name, "value") }
	format, err := DecodeFormat(read("format"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "format", format, Format{Application: "snib", Version: 1, MinReader: 1, CreatedAt: 1_760_000_000_000, Unicode: "15.0.0"})
	state, err := DecodeState1(read("state"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "state", state, State{Epoch: 1, Floor: 1_760_000_000_000})
	declarations, err := DecodeDeclarations(read("declarations"))
	if err != nil {
		t.Fatal(err)
	}
	want := sampleDeclarations
	want.Version = 0
	same(t, "declarations", declarations, want)
	least, err := DecodeDeclarations(read("declarations_least"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "declarations", least, Declarations{})
	if again := declarations.Append(nil); string(again) != string(read("declarations")) {
		t.Errorf("declarations encode to % x", again)
	}
}

// The two states are never taken for each other, whose fields are as many.
func TestStatesOfTwoFormats(t *testing.T) {
	old := goldenIn(t, "testdata/golden1", "state", "value")
	if s, err := DecodeState(old); !errors.Is(err, ErrCorrupt) || s != (State{}) {
		t.Errorf("state of format 1: %+v, %v", s, err)
	}
	if s, err := DecodeState1(sampleState.Append(nil)); !errors.Is(err, ErrNewer) || s != (State{}) {
		t.Errorf("state of format 2 as of format 1: %+v, %v", s, err)
	}
	large := append([]byte{}, old...)
	large[offFields+4]++ // the epoch, beyond 32 bits
	reseal(SpaceMeta, KeyState, large)
	if s, err := DecodeState1(large); !errors.Is(err, ErrCorrupt) || s != (State{}) {
		t.Errorf("large epoch: %+v, %v", s, err)
	}
	for bit := range 8 * len(old) {
		v := append([]byte{}, old...)
		v[bit/8] ^= 1 << (bit % 8)
		if s, err := DecodeState1(v); !errors.Is(err, ErrCorrupt) || s != (State{}) {
			t.Errorf("bit %d: %+v, %v", bit, s, err)
		}
	}
}

// A version of 0 is not written, so that declarations have one form.
func TestDeclarationsWithoutAVersion(t *testing.T) {
	s := metaSample("", KeyDeclarations, nil, nil, func(v []byte) (any, error) { return anyOf(DecodeDeclarations(v)) })
	s.value = (&Declarations{}).Append(nil)
	zero := s.counted(s.with(0xcf, 0, 0, 0, 0, 0, 0, 0, 0), s.count()+1)
	refused(t, s, nil, zero, "a version of 0")
	refused(t, s, nil, s.counted(s.with(0x01), s.count()+1), "a version in another form")
}
