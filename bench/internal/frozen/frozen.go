// Package frozen has records as snib kept them in the first format of its
// file: what the contenders on other engines write and check. It belongs to
// the harness, so that a change of the library's records changes the library's
// figures and no other's.
//
// A record is an array of MessagePack: checksum, version, then fields in the
// widest form of their kind. The checksum covers the name of the space and the
// key too. Times are Unix milliseconds, 0 is unset.
package frozen

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// ErrDamaged says that bytes are no record that was written under their key.
var ErrDamaged = errors.New("frozen: record is damaged")

const (
	version = 1

	// Offsets in the header.
	offCount   = 1 // uint16: elements of the array
	offMark    = 3
	offCRC     = 4 // uint32
	offVersion = 8 // the checksum goes on here
	offFields  = 9
	headFields = 2
)

// Marks of MessagePack.
const (
	markMap     = 0x80
	markTuple   = 0x90
	markText5   = 0xa0 // up to 31 bytes
	markFalse   = 0xc2
	markTrue    = 0xc3
	markBytes8  = 0xc4
	markUint32  = 0xce
	markUint64  = 0xcf
	markInt64   = 0xd3
	markTime32  = 0xd6
	markText8   = 0xd9
	markArray16 = 0xdc
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The checksum of a space's name and a zero byte, which come before the key.
var (
	seedUsers    = crc32.Checksum([]byte("users\x00"), castagnoli)
	seedSessions = crc32.Checksum([]byte("sessions\x00"), castagnoli)
	seedFamilies = crc32.Checksum([]byte("refresh_families\x00"), castagnoli)
)

func checksum(seed uint32, key, value []byte) uint32 {
	crc := crc32.Update(seed, castagnoli, key)
	crc = crc32.Update(crc, castagnoli, value[:offMark])
	return crc32.Update(crc, castagnoli, value[offVersion:])
}

// begin returns the header of a record with so many fields, with room for size
// bytes in all.
func begin(fields, size int) []byte {
	b := binary.BigEndian.AppendUint16(append(make([]byte, 0, size), markArray16), uint16(headFields+fields))
	return append(b, markUint32, 0, 0, 0, 0, version)
}

// seal puts the checksum into a whole record. The key is behind it for a
// moment, so that no copy of it is made.
func seal(b []byte, seed uint32, key string) []byte {
	end := len(b)
	b = append(b, key...)
	crc := checksum(seed, b[end:], b[:end])
	b = b[:end]
	binary.BigEndian.PutUint32(b[offCRC:], crc)
	return b
}

func appendUint(b []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, markUint64), n)
}

func appendTimes(b []byte, times ...int64) []byte {
	for _, t := range times {
		b = binary.BigEndian.AppendUint64(append(b, markInt64), uint64(t))
	}
	return b
}

func appendDigest(b []byte, d *[32]byte) []byte {
	return append(append(b, markBytes8, 32), d[:]...)
}

// appendText appends a string of up to 255 bytes, which all of the harness are.
func appendText(b []byte, s string) []byte {
	return append(append(b, markText8, byte(len(s))), s...)
}
