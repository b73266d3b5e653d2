package codec

import (
	"bytes"
	"encoding/binary"
)

// Entries of the space quarantine are no records: a repair puts there the bytes
// that it could not read or had to change, damage included.
//
//	key    owner, 10 bytes (all zero if unknown); name of the space; 00; key there
//	value  8 bytes of Unix milliseconds; value there

const quarantineTime = 8

// AppendQuarantineKey appends to dst the key in quarantine of bytes found under
// key in a space. The range of owner holds it; the zero Owner means unknown.
// The name of the space has no zero byte.
func AppendQuarantineKey(dst []byte, owner Owner, space string, key []byte) []byte {
	dst = append(dst, owner[:]...)
	dst = append(dst, space...)
	dst = append(dst, 0)
	return append(dst, key...)
}

// SplitQuarantineKey is the inverse of AppendQuarantineKey. space and original
// share the memory of key. ok is false for any other key.
func SplitQuarantineKey(key []byte) (owner Owner, space, original []byte, ok bool) {
	if len(key) < OwnerBytes {
		return Owner{}, nil, nil, false
	}
	space, original, ok = bytes.Cut(key[OwnerBytes:], []byte{0})
	if !ok || len(space) == 0 {
		return Owner{}, nil, nil, false
	}
	return Owner(key), space, original, true
}

// AppendQuarantineValue appends to dst the value in quarantine of a value found
// at a time, in Unix milliseconds.
func AppendQuarantineValue(dst []byte, ms int64, value []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(ms)), value...)
}

// SplitQuarantineValue is the inverse of AppendQuarantineValue. original shares
// the memory of value. ok is false if value is too short for a time.
func SplitQuarantineValue(value []byte) (ms int64, original []byte, ok bool) {
	if len(value) < quarantineTime {
		return 0, nil, false
	}
	return int64(binary.BigEndian.Uint64(value)), value[quarantineTime:], true
}
