// Package sorter is an external merge sort: it puts more pairs of a key and a
// value in order than memory should hold. Sorted runs lie in one temporary file
// and are merged as they are read. Few pairs never touch a file.
package sorter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"sort"

	"github.com/snibdb/snib/internal/durable"
)

// A Sorter takes pairs in any order, then gives them by key and value. It is
// not safe for concurrent use. Close it.
type Sorter struct {
	path  string // beside which the file is made
	limit int    // bytes of pairs in memory

	buf    []byte // frames: two lengths of four bytes, key, value
	frames []frame
	sorted bool // frames are in order

	file *durable.Temp // nil until the first run is written
	end  int64
	runs []span
}

// frame is where a pair lies in buf.
type frame struct{ key, value, end uint32 }

// span is where a run lies in the file.
type span struct{ from, to int64 }

// New returns a sorter that holds limit bytes in memory, at most 1 GiB, and
// spills the rest to a file beside path (see durable.Beside).
func New(path string, limit int) *Sorter {
	return &Sorter{path: path, limit: min(limit, 1<<30)}
}

const header = 8

// Add takes a pair, and keeps neither slice. A pair longer than the limit is
// held all the same. The error is one of the file.
func (s *Sorter) Add(key, value []byte) error {
	size := header + len(key) + len(value)
	if len(s.buf) > 0 && len(s.buf)+size > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.sorted = false
	at := uint32(len(s.buf)) + header
	s.buf = binary.LittleEndian.AppendUint32(s.buf, uint32(len(key)))
	s.buf = binary.LittleEndian.AppendUint32(s.buf, uint32(len(value)))
	s.buf = append(append(s.buf, key...), value...)
	s.frames = append(s.frames, frame{at, at + uint32(len(key)), at + uint32(len(key)+len(value))})
	return nil
}

func (s *Sorter) sort() {
	if s.sorted {
		return
	}
	s.sorted = true
	sort.Sort((*byPair)(s)) // the sort that programs link anyway
}

// byPair orders the frames of a Sorter by key, then by value.
type byPair Sorter

func (s *byPair) Len() int      { return len(s.frames) }
func (s *byPair) Swap(i, j int) { s.frames[i], s.frames[j] = s.frames[j], s.frames[i] }
func (s *byPair) Less(i, j int) bool {
	a, b := s.frames[i], s.frames[j]
	if c := bytes.Compare(s.buf[a.key:a.value], s.buf[b.key:b.value]); c != 0 {
		return c < 0
	}
	return bytes.Compare(s.buf[a.value:a.end], s.buf[b.value:b.end]) < 0
}

// spill writes the pairs in memory to the file, as one sorted run.
func (s *Sorter) spill() error {
	if s.file == nil {
		f, err := unlinked(s.path)
		if err != nil {
			return fmt.Errorf("make a temporary file for sorting: %w", err)
		}
		s.file = f
	}
	s.sort()
	run := span{from: s.end, to: s.end}
	out := make([]byte, 0, readAhead)
	flush := func() error {
		n, err := s.file.WriteAt(out, run.to)
		run.to += int64(n)
		out = out[:0]
		if err != nil {
			return fmt.Errorf("write the temporary file for sorting: %w", err)
		}
		return nil
	}
	for _, f := range s.frames {
		if out = append(out, s.buf[f.key-header:f.end]...); len(out) >= readAhead {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	s.end, s.runs = run.to, append(s.runs, run)
	s.buf, s.frames = s.buf[:0], s.frames[:0]
	return nil
}

// unlinked makes the temporary file. On Unix its name goes at once, so that no
// other process can open it and a crash leaves nothing; elsewhere a crash leaves
// it to durable.Sweep.
func unlinked(path string) (*durable.Temp, error) {
	f, err := durable.Beside(path, "sorting")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name()) // fails on Windows, while it is open
	return f, nil
}

// Close gives back the memory and removes the file.
func (s *Sorter) Close() {
	if s.file != nil {
		s.file.Remove()
	}
	*s = Sorter{}
}
