package move

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// Reader reads an export, a frame at a time. Each frame is as it was written; the
// export is known to be whole only when Next has returned io.EOF.
type Reader struct {
	r      *bufio.Reader
	digest hash.Hash
	crc    uint32
	at     int64 // of the next frame
	buf    []byte

	ID   [IDBytes]byte
	Meta []Pair

	Frames, Records uint64 // of records, read so far
}

// A Frame is some records of one space. They are valid until the next one is read.
type Frame struct {
	Space string
	Pairs []Pair
}

// NewReader reads the beginning of an export.
func NewReader(r io.Reader) (*Reader, error) {
	x := &Reader{r: bufio.NewReaderSize(r, 64<<10), digest: sha256.New()}
	magic := make([]byte, len(Magic))
	if _, err := io.ReadFull(x.r, magic); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, x.wrong(ErrForeign, "too short")
		}
		return nil, err
	}
	switch {
	case string(magic) == Magic:
	case string(magic[:len(Magic)-2]) == Magic[:len(Magic)-2]:
		return nil, x.wrong(ErrNewer, "version of the form")
	default:
		return nil, x.wrong(ErrForeign, "first bytes")
	}
	x.digest.Write(magic)
	x.crc, x.at = crc32.Checksum(magic, table), int64(len(magic))
	kind, content, err := x.next()
	if err != nil {
		return nil, err
	}
	if kind != header || len(content) < IDBytes {
		return nil, x.wrong(ErrDamaged, "no header")
	}
	copy(x.ID[:], content)
	pairs, ok := parse(bytes.Clone(content[IDBytes:]))
	if !ok {
		return nil, x.wrong(ErrDamaged, "header")
	}
	x.Meta = pairs
	return x, nil
}

func (x *Reader) wrong(kind error, reason string) error {
	return &Error{At: x.at, Reason: reason, Kind: kind}
}

// read fills b, of the frame at x.at.
func (x *Reader) read(b []byte) error {
	_, err := io.ReadFull(x.r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return x.wrong(ErrCut, "the end is missing")
	}
	return err
}

// next reads a frame. A frame is bounded, so that
// the length that it claims to have costs little.
func (x *Reader) next() (kind byte, content []byte, err error) {
	var head [frameHead]byte
	if err := x.read(head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > mostBytes {
		return 0, nil, x.wrong(ErrDamaged, "length of a frame")
	}
	if cap(x.buf) < int(n)+4 {
		x.buf = make([]byte, n+4)
	}
	b := x.buf[:n+4]
	if err := x.read(b); err != nil {
		return 0, nil, err
	}
	content = b[:n]
	crc := crc32.Update(crc32.Update(x.crc, table, head[:]), table, content)
	if crc != binary.BigEndian.Uint32(b[n:]) {
		return 0, nil, x.wrong(ErrDamaged, "checksum")
	}
	if kind = head[0]; kind == end { // the digest is of all before it
		return kind, content, x.finish(content)
	}
	x.crc = crc
	x.digest.Write(head[:])
	x.digest.Write(b)
	x.at += int64(len(head) + len(b))
	return kind, content, nil
}

// finish compares the end with the frames that were read.
func (x *Reader) finish(content []byte) error {
	if len(content) != endBytes {
		return x.wrong(ErrDamaged, "end")
	}
	frames, count := binary.BigEndian.Uint64(content), binary.BigEndian.Uint64(content[8:])
	if frames != x.Frames || count != x.Records || !bytes.Equal(content[16:], x.digest.Sum(nil)) {
		return x.wrong(ErrDamaged, fmt.Sprintf("the end is that of %d records, and there are %d", count, x.Records))
	}
	if _, err := x.r.ReadByte(); err == nil {
		return x.wrong(ErrDamaged, "bytes behind the end")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Next returns the next frame of records; io.EOF after a whole export. Errors are
// [Error] and those of the reader.
func (x *Reader) Next() (Frame, error) {
	kind, content, err := x.next()
	switch {
	case err != nil:
		return Frame{}, err
	case kind == end:
		return Frame{}, io.EOF
	case kind != records || len(content) == 0 || len(content) < 1+int(content[0]):
		return Frame{}, x.wrong(ErrDamaged, "kind of a frame")
	}
	name := string(content[1 : 1+int(content[0])])
	pairs, ok := parse(content[1+len(name):])
	if !ok || len(pairs) == 0 || len(pairs) > EnoughOf {
		return Frame{}, x.wrong(ErrDamaged, "records of a frame")
	}
	x.Frames++
	x.Records += uint64(len(pairs))
	return Frame{name, pairs}, nil
}

// parse splits the pairs of a frame, which share its memory.
func parse(b []byte) (pairs []Pair, ok bool) {
	for len(b) > 0 {
		if len(b) < pairHead {
			return nil, false
		}
		k, v := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint32(b[2:]))
		b = b[pairHead:]
		if k == 0 || k > mostKey || v > mostValue || len(b) < k+v {
			return nil, false
		}
		pairs = append(pairs, Pair{b[:k:k], b[k : k+v : k+v]})
		b = b[k+v:]
	}
	return pairs, true
}
