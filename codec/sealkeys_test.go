package codec

import (
	"errors"
	"testing"
)

// A list that contradicts itself is damage, however sound its checksum is.
func TestDecodeSealKeysRefuses(t *testing.T) {
	k := SealKey{ID: "a", Canary: digest(1), Uses: 1}
	for name, r := range map[string]SealKeys{
		"no key":         {Version: 1},
		"no version":     {Keys: []SealKey{k}},
		"one id twice":   {Keys: []SealKey{k, {ID: "b"}, k}, Version: 1},
		"no id":          {Keys: []SealKey{{Canary: digest(1)}}, Version: 1},
		"other letters":  {Keys: []SealKey{{ID: "A"}}, Version: 1},
		"33 letters":     {Keys: []SealKey{{ID: "abcdefghijklmnopqrstuvwxyz0123456"}}, Version: 1},
		"a zero byte":    {Keys: []SealKey{{ID: "a\x00b"}}, Version: 1},
		"a dollar sign":  {Keys: []SealKey{{ID: "a$"}}, Version: 1},
		"not even UTF-8": {Keys: []SealKey{{ID: "\xff"}}, Version: 1},
	} {
		if got, err := DecodeSealKeys(r.Append(nil)); !errors.Is(err, ErrCorrupt) || got.Keys != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	r := SealKeys{Keys: []SealKey{{ID: "abcdefghijklmnopqrstuvwxyz_-0123"}, k}, Version: 1}
	if got, err := DecodeSealKeys(r.Append(nil)); err != nil || len(got.Keys) != 2 || got.Keys[1] != k {
		t.Errorf("%v, %v", got, err)
	}
}
