package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// A record is one row of a file before it is a user.
type record struct {
	row    int
	fields map[string]any
	err    *RowError // there are no fields
}

// counted counts the bytes that were read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// A textFile is an open export of text.
type textFile struct {
	*os.File
	counted counted
	size    int64
}

func openText(path string) (*textFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	stat, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &textFile{File: f, counted: counted{r: f}, size: stat.Size()}, nil
}

// reader makes a Reader of records of the file.
func (f *textFile) reader(unit string, rows iter.Seq2[Row, error]) *Reader {
	return &Reader{
		Unit: unit, rows: rows, total: f.size, bytes: true,
		done: func() int64 { return f.counted.n }, close: f.Close,
	}
}

// bom is the mark that some systems put before UTF-8.
var bom = []byte("\xef\xbb\xbf")

// lines reads JSON Lines. A line that is too long or malformed is a record with an
// error; blank lines are passed over.
func lines(in io.Reader) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		r := bufio.NewReaderSize(in, maxRow+2) // with the end of the line
		for n := 1; ; n++ {
			line, err := nextLine(r)
			if errors.Is(err, io.EOF) {
				return
			}
			rec := record{row: n}
			switch {
			case errors.Is(err, errTooLong):
				rec.err = &RowError{Kind: err.Error(), Place: place{n, 0}.String()}
			case err != nil:
				yield(record{}, fmt.Errorf("line %d: %w", n, err))
				return
			default:
				if n == 1 {
					line = bytes.TrimPrefix(line, bom)
				}
				if len(bytes.TrimSpace(line)) == 0 {
					continue
				}
				rec = parseRecord(line, place{n, 1}, n)
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func parseRecord(data []byte, at place, row int) record {
	object, fault := parseObject(data, at)
	if fault != nil {
		return record{row: row, err: &RowError{Kind: fault.Reason, Place: place{fault.Line, fault.Column}.String()}}
	}
	return record{row: row, fields: object}
}

var errTooLong = fmt.Errorf("longer than %d bytes", maxRow)

// nextLine returns the next line without its end, valid until the next call;
// io.EOF behind the last. A line that is too long is passed over.
func nextLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = errTooLong
		}
		return nil, err
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if err == nil && len(line) > maxRow {
		err = errTooLong
	}
	return line, err
}
