package snibops

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxFrame is the largest frame in bytes, its kind and payload: 1 MiB.
const MaxFrame = 1 << 20

// maxHello bounds the first frame, before anything is known of the peer.
const maxHello = 4 << 10

// A kind says what a frame is. On the wire a frame is four bytes of length, big
// endian, of the rest; the kind, one byte; and the payload, JSON but for data.
type kind byte

const (
	kindHello    kind = 'H' // hello of the client, Info of the server
	kindRequest  kind = 'R' // request, of the client
	kindInput    kind = 'L' // one ImportRow, of the client
	kindEnd      kind = 'E' // no more input
	kindItem     kind = 'I' // one item of the stream
	kindData     kind = 'D' // bytes as they are, of a backup
	kindProgress kind = 'P' // Progress
	kindResult   kind = 'O' // the last frame of an answer
	kindError    kind = 'X' // fault, the last frame of an answer that failed
)

// errProtocol is for bytes that are no frame, or a frame out of turn.
var errProtocol = errors.New("not the protocol of snibops")

// A hello opens a connection.
type hello struct {
	Protocol int    `json:"protocol"`
	Name     string `json:"name,omitempty"` // Options.Name of the client
}

// A request is one verb.
type request struct {
	Verb string          `json:"verb"`
	Args json.RawMessage `json:"args,omitempty"`
}

// readFrame reads one frame of at most limit bytes. io.EOF is an end between two
// frames. Memory for a payload is taken as it arrives, so a length that is a lie
// costs its sender the bytes.
func readFrame(r io.Reader, limit int) (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: ends within a frame", errProtocol)
		}
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 1 || int64(n) > int64(limit) {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes, of at most %d", errProtocol, n, limit)
	}
	if _, err := io.ReadFull(r, head[4:]); err != nil {
		return 0, nil, cut(err)
	}
	payload, err := readAll(r, int(n)-1)
	return kind(head[4]), payload, err
}

// readAll reads n bytes in steps.
func readAll(r io.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	payload := make([]byte, 0, min(n, step))
	for len(payload) < n {
		part := min(n-len(payload), step)
		payload = append(payload, make([]byte, part)...)
		if _, err := io.ReadFull(r, payload[len(payload)-part:]); err != nil {
			return nil, cut(err)
		}
	}
	return payload, nil
}

// cut is the error of a frame without its end.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: ends within a frame", errProtocol)
	}
	return err
}

// writeFrame writes one frame.
func writeFrame(w io.Writer, k kind, payload []byte) error {
	if len(payload) > MaxFrame-1 {
		return fmt.Errorf("%w: a frame of %d bytes, of at most %d", errProtocol, len(payload)+1, MaxFrame)
	}
	head := binary.BigEndian.AppendUint32(make([]byte, 0, 5), uint32(len(payload)+1))
	if _, err := w.Write(append(head, byte(k))); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

// writeJSON writes a value as one frame.
func writeJSON(w io.Writer, k kind, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFrame(w, k, payload)
}
