package sorter

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// readAhead is how many bytes of a run are read or written at once.
const readAhead = 64 << 10

// Cursor reads all pairs of a sorter in order of their keys, then values.
type Cursor struct {
	sources []source // a heap: the least pair first
	last    source   // whose pair was handed out; nil at first
	err     error
}

// A source is a sorted run at one of its pairs.
type source interface {
	next() error // io.EOF behind the last
	pair() (key, value []byte)
}

// Cursor returns one before the first pair. Several may follow each other; Add
// ends them all.
func (s *Sorter) Cursor() *Cursor {
	s.sort()
	c := &Cursor{}
	for _, r := range s.runs {
		c.begin(&stored{r: bufio.NewReaderSize(io.NewSectionReader(s.file, r.from, r.to-r.from), readAhead)})
	}
	c.begin(&held{s: s, at: -1})
	heap.Init(c)
	return c
}

func (c *Cursor) begin(s source) {
	switch err := s.next(); {
	case err == nil:
		c.sources = append(c.sources, s)
	case err != io.EOF && c.err == nil:
		c.err = err
	}
}

// Next returns the next pair, valid until the call after it; io.EOF behind the
// last.
func (c *Cursor) Next() (key, value []byte, err error) {
	if c.last != nil && c.err == nil {
		c.advance()
	}
	switch {
	case c.err != nil:
		return nil, nil, c.err
	case len(c.sources) == 0:
		return nil, nil, io.EOF
	}
	c.last = c.sources[0]
	key, value = c.last.pair()
	return key, value, nil
}

// advance moves the source whose pair was handed out.
func (c *Cursor) advance() {
	switch err := c.last.next(); err {
	case nil:
		heap.Fix(c, 0)
	case io.EOF:
		heap.Pop(c)
	default:
		c.err = err
	}
	c.last = nil
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (c *Cursor) Len() int { return len(c.sources) }

func (c *Cursor) Less(i, j int) bool {
	k, v := c.sources[i].pair()
	l, w := c.sources[j].pair()
	if order := bytes.Compare(k, l); order != 0 {
		return order < 0
	}
	return bytes.Compare(v, w) < 0
}

func (c *Cursor) Swap(i, j int) { c.sources[i], c.sources[j] = c.sources[j], c.sources[i] }
func (c *Cursor) Push(s any)    { c.sources = append(c.sources, s.(source)) }
func (c *Cursor) Pop() any {
	last := len(c.sources) - 1
	s := c.sources[last]
	c.sources = slices.Delete(c.sources, last, last+1)
	return s
}

// held is the run in memory.
type held struct {
	s  *Sorter
	at int
}

func (h *held) next() error {
	if h.at++; h.at >= len(h.s.frames) {
		return io.EOF
	}
	return nil
}

func (h *held) pair() (key, value []byte) {
	f := h.s.frames[h.at]
	return h.s.buf[f.key:f.value], h.s.buf[f.value:f.end]
}

// stored is a run in the file.
type stored struct {
	r          *bufio.Reader
	buf        []byte
	key, value []byte
}

func (s *stored) next() error {
	var lengths [header]byte
	if _, err := io.ReadFull(s.r, lengths[:]); err == io.EOF {
		return err
	} else if err != nil {
		return readError(err)
	}
	k, v := int(binary.LittleEndian.Uint32(lengths[:])), int(binary.LittleEndian.Uint32(lengths[4:]))
	s.buf = slices.Grow(s.buf[:0], k+v)[:k+v]
	if _, err := io.ReadFull(s.r, s.buf); err != nil {
		return readError(err)
	}
	s.key, s.value = s.buf[:k], s.buf[k:]
	return nil
}

func readError(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the run ends within a pair
	}
	return fmt.Errorf("read the temporary file for sorting: %w", err)
}

func (s *stored) pair() (key, value []byte) { return s.key, s.value }
