package codec

import (
	"bytes"
	"encoding/binary"
)

// Entries of the space quarantine are no records: under their key lies what a
// repair found and could not read or had to change, with whatever is wrong
// about it.
//
//	key    owner, 10 bytes (all zero if unknown); name of the space; 00; key there
//	value  8 bytes of Unix milliseconds; value there

const quarantineTime = 8

// AppendQuarantineKey appends to dst the key in quarantine of what lay under
// key in a space. It belongs to owner, whose range holds it; a zero Owner if
// that is not known. The space's name has no zero byte.
func AppendQuarantineKey(dst []byte, owner Owner, space string, key []byte) []byte {
	dst = append(dst, owner[:]...)
	dst = append(dst, space...)
	dst = append(dst, 0)
	return append(dst, key...)
}

// SplitQuarantineKey takes apart what AppendQuarantineKey made. The parts but
// owner share the memory of key. ok is false if it did not make that key.
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

// AppendQuarantineValue appends to dst what stands in quarantine for a value
// that was found at a time, in Unix milliseconds.
func AppendQuarantineValue(dst []byte, ms int64, value []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(ms)), value...)
}

// SplitQuarantineValue takes apart what AppendQuarantineValue made; original
// shares the memory of value. ok is false if value is too short for a time.
func SplitQuarantineValue(value []byte) (ms int64, original []byte, ok bool) {
	if len(value) < quarantineTime {
		return 0, nil, false
	}
	return int64(binary.BigEndian.Uint64(value)), value[quarantineTime:], true
}
