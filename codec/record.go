package codec

import (
	"encoding/binary"
	"hash/crc32"
)

// Offsets in the header that all records share.
const (
	offCount   = 1 // uint16: how many elements the array has
	offCRCMark = 3
	offCRC     = 4 // uint32
	offVersion = 8 // first byte that the checksum covers again
	offFields  = 9
	headFields = 2 // elements of the header: checksum and version
	maxVersion = 0x7f
)

// A layout holds the header's constants of one kind of record, and the seed of
// its checksum.
type layout struct {
	seed    uint32
	version byte // the one that is written, and the newest that is read
	fields  int  // elements behind the header
}

// grow makes room for n more bytes, in one allocation if any.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return append(make([]byte, 0, len(dst)+n), dst...)
}

// begin appends the header of a record. The checksum stays open until seal.
func begin(dst []byte, l layout) []byte {
	dst = append(dst, markArray16)
	dst = binary.BigEndian.AppendUint16(dst, uint16(headFields+l.fields))
	return append(dst, markUint32, 0, 0, 0, 0, l.version)
}

// seal puts the checksum into the record that begins at start and ends dst.
//
// The key is appended for a moment, because the checksum function takes bytes
// and would make a converted copy escape; it is cut off again.
func seal[K string | []byte](dst []byte, start int, l layout, key K) []byte {
	end := len(dst)
	dst = append(dst, key...)
	crc := checksum(l.seed, dst[end:], dst[start:end])
	dst = dst[:end]
	binary.BigEndian.PutUint32(dst[start+offCRC:], crc)
	return dst
}

// checksum covers the space's name and a zero byte (in seed), the key, and of
// the value everything but the element that holds the checksum.
func checksum(seed uint32, key, value []byte) uint32 {
	crc := crc32.Update(seed, castagnoli, key)
	crc = crc32.Update(crc, castagnoli, value[:offCRCMark])
	return crc32.Update(crc, castagnoli, value[offVersion:])
}

// open verifies the header of a record: checksum first, then version and
// number of elements. It returns how many elements follow the known fields,
// which a newer program of the same version may have appended.
func open(l layout, key, value []byte) (extra int, err error) {
	if len(value) < offFields || value[0] != markArray16 || value[offCRCMark] != markUint32 {
		return 0, errStructure
	}
	if binary.BigEndian.Uint32(value[offCRC:]) != checksum(l.seed, key, value) {
		return 0, errChecksum
	}
	switch v := value[offVersion]; {
	case v > l.version && v <= maxVersion:
		return 0, ErrNewer
	case v != l.version:
		return 0, errStructure
	}
	extra = int(binary.BigEndian.Uint16(value[offCount:])) - headFields - l.fields
	if extra < 0 {
		return 0, errStructure
	}
	return extra, nil
}
