package codec

import "strings"

// SealKeys lists the keys with which values of the file are sealed, under
// KeySealKeys. A file without keys has no such record. The keys themselves are
// the program's and never in the file.
//
//	offset 9  dc + 2 + Keys, cf + 8 Version
type SealKeys struct {
	Keys    []SealKey // the current one first; at least one
	Version uint64    // as in State; raised by every change, never 0
}

// SealKey is a key in use: 93, text ID, c4 20 + 32 Canary, cf + 8 Uses.
type SealKey struct {
	ID     string   // 1–32 of [a-z0-9_-]; no two are equal
	Canary [32]byte // derived from the key, by which a wrong one is known
	Uses   uint64   // one bit for each sort of value that was sealed with it
}

const (
	sealKeyParts = 3
	sealKeyBytes = 1 + 2 + (2 + 32) + 9
)

var sealKeysLayout = layout{seedMeta(KeySealKeys), 1, 2}

// Append appends the value of r, whose key is KeySealKeys, to dst.
func (r *SealKeys) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, sealKeysLayout)
	dst = appendList(dst, len(r.Keys))
	for i := range r.Keys {
		k := &r.Keys[i]
		dst = appendTuple(dst, sealKeyParts)
		dst = appendText(dst, k.ID)
		dst = appendBinary(dst, k.Canary[:])
		dst = appendUint64(dst, k.Uses)
	}
	dst = appendUint64(dst, r.Version)
	return seal(dst, start, sealKeysLayout, "")
}

// DecodeSealKeys decodes the value under KeySealKeys. Errors are ErrCorrupt and
// ErrNewer.
func DecodeSealKeys(value []byte) (SealKeys, error) {
	extra, err := open(sealKeysLayout, nil, value)
	if err != nil {
		return SealKeys{}, err
	}
	r := reader{value: value, off: offFields}
	t := copyText(nil, value, offFields, len(value))
	var out SealKeys
	seen := make(map[string]bool)
	for range r.list(sealKeyBytes) {
		r.tuple(sealKeyParts)
		k := SealKey{ID: t.at(r.text())}
		copy(k.Canary[:], r.fixed(len(k.Canary)))
		k.Uses = r.uint64()
		if r.bad || seen[k.ID] || !sealKeyID(k.ID) {
			return SealKeys{}, errStructure
		}
		seen[k.ID] = true
		out.Keys = append(out.Keys, k)
	}
	out.Version = r.uint64()
	if !r.finish(extra) || len(out.Keys) == 0 || out.Version == 0 {
		return SealKeys{}, errStructure
	}
	return out, nil
}

func sealKeyID(id string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789_-"
	return id != "" && len(id) <= 32 && strings.Trim(id, letters) == ""
}
