package codec

// OwnerKey is the key from which the owners of a file are made, under
// KeyOwners; see [Owner]. It is drawn when the file is made, never changed,
// and travels with every copy, or no token of the copy would be found. It is
// no key for secrets: knowing it tells which user ids the keys belong to.
//
//	offset 9  c4 20 + 32  Key
type OwnerKey struct {
	Key [32]byte // all zero was not drawn, and is damage when it is read
}

var ownerKeyLayout = layout{seedMeta(KeyOwners), 1, 1}

// Append appends the value of r, whose key is KeyOwners, to dst.
func (r *OwnerKey) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, ownerKeyLayout)
	dst = appendBinary(dst, r.Key[:])
	return seal(dst, start, ownerKeyLayout, "")
}

// DecodeOwnerKey decodes the value under KeyOwners. Errors are ErrCorrupt and
// ErrNewer.
func DecodeOwnerKey(value []byte) (k OwnerKey, err error) {
	extra, err := open(ownerKeyLayout, nil, value)
	if err != nil {
		return OwnerKey{}, err
	}
	r := reader{value: value, off: offFields}
	copy(k.Key[:], r.fixed(len(k.Key)))
	if !r.finish(extra) || allZero(k.Key[:]) {
		return OwnerKey{}, errStructure
	}
	return k, nil
}
