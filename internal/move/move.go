// Package move is the form in which all accounts travel from one store to
// another: frames in a row, each of which is covered by a checksum that covers
// those before it too, and an end. It knows no record. docs/FORMAT.md draws it.
package move

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// Magic begins every export. The last two digits are the version of the form.
const Magic = "snib accounts 01"

// Kinds of frames.
const (
	header  = 'H'
	records = 'R'
	end     = 'E'
)

// Bounds.
const (
	IDBytes = 16

	// Enough is the size at which a frame of records is complete. It is written to
	// a store in one operation.
	Enough    = 256 << 10
	EnoughOf  = 1000       // records
	mostBytes = 1 << 20    // of the content of a frame
	mostKey   = 1 << 10    // as in internal/kv
	mostValue = 128 << 10  // likewise
	frameHead = 1 + 4      // kind and length
	endBytes  = 8 + 8 + 32 // frames, records, digest
	pairHead  = 2 + 4      // lengths of key and value
	mostName  = 255        // of a space
)

// Pair is one record.
type Pair struct{ Key, Value []byte }

func (p Pair) size() int { return pairHead + len(p.Key) + len(p.Value) }

var table = crc32.MakeTable(crc32.Castagnoli)

// Writer writes an export.
type Writer struct {
	w       io.Writer
	digest  hash.Hash
	crc     uint32
	space   string
	content []byte
	inFrame int

	Frames, Records uint64 // of records, written so far
	Bytes           int64
}

// NewWriter begins an export with its id, drawn for it, and the records that the
// store has of itself.
func NewWriter(w io.Writer, id [IDBytes]byte, meta []Pair) (*Writer, error) {
	x := &Writer{w: w, digest: sha256.New(), crc: crc32.Checksum([]byte(Magic), table)}
	if err := x.write([]byte(Magic)); err != nil {
		return nil, err
	}
	content := append([]byte{}, id[:]...)
	for _, p := range meta {
		content = appendPair(content, p)
	}
	return x, x.frame(header, content)
}

func (x *Writer) write(b []byte) error {
	x.digest.Write(b)
	n, err := x.w.Write(b)
	x.Bytes += int64(n)
	return err
}

func (x *Writer) frame(kind byte, content []byte) error {
	if len(content) > mostBytes {
		return fmt.Errorf("a frame of %d bytes", len(content))
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(content)))
	x.crc = crc32.Update(crc32.Update(x.crc, table, head), table, content)
	tail := binary.BigEndian.AppendUint32(nil, x.crc)
	for _, b := range [][]byte{head, content, tail} {
		if err := x.write(b); err != nil {
			return err
		}
	}
	return nil
}

// Add adds a record of a space. It copies key and value.
func (x *Writer) Add(space string, p Pair) error {
	if space != x.space || len(x.content)+p.size() > Enough || x.inFrame == EnoughOf {
		if err := x.flush(); err != nil {
			return err
		}
		if x.space = space; len(space) > mostName {
			return fmt.Errorf("a name of %d bytes", len(space))
		}
	}
	if x.inFrame == 0 {
		x.content = append(append(x.content[:0], byte(len(space))), space...)
	}
	x.content = appendPair(x.content, p)
	x.inFrame++
	return nil
}

func (x *Writer) flush() error {
	if x.inFrame == 0 {
		return nil
	}
	x.Frames++
	x.Records += uint64(x.inFrame)
	x.inFrame = 0
	return x.frame(records, x.content)
}

// Close writes the end. An export without it is refused.
func (x *Writer) Close() error {
	if err := x.flush(); err != nil {
		return err
	}
	content := binary.BigEndian.AppendUint64(nil, x.Frames)
	content = binary.BigEndian.AppendUint64(content, x.Records)
	return x.frame(end, x.digest.Sum(content))
}

func appendPair(dst []byte, p Pair) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.Key)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(p.Value)))
	return append(append(dst, p.Key...), p.Value...)
}

// Errors of reading. Each is wrapped in an [Error] that says where.
var (
	ErrForeign = errors.New("not an export of accounts")
	ErrNewer   = errors.New("an export of a newer form")
	ErrDamaged = errors.New("export is damaged")
	ErrCut     = errors.New("export is cut off")
)

// Error says at which byte an export is not what it must be.
type Error struct {
	At     int64 // where the frame begins
	Reason string
	Kind   error
}

// Error names the fault, and no content of the export.
func (e *Error) Error() string { return fmt.Sprintf("%v, at byte %d: %s", e.Kind, e.At, e.Reason) }

// Unwrap returns the kind of the error.
func (e *Error) Unwrap() error { return e.Kind }
