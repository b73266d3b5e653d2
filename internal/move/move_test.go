package move

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"testing"
)

// sample is an export of n records in two spaces.
func sample(tb testing.TB, n int) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, [IDBytes]byte{1}, []Pair{{[]byte("format"), []byte("2")}, {[]byte("state"), nil}})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		space := "users"
		if i >= n/2 {
			space = "sessions"
		}
		if err := w.Add(space, Pair{fmt.Appendf(nil, "%05d", i), make([]byte, i%700)}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	if int(w.Records) != n || w.Bytes != int64(b.Len()) {
		tb.Fatalf("%d records, %d bytes; want %d, %d", w.Records, w.Bytes, n, b.Len())
	}
	return b.Bytes()
}

// all reads an export to its end.
func all(b []byte) (meta, records []string, err error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, nil, err
	}
	for _, p := range r.Meta {
		meta = append(meta, fmt.Sprintf("%s=%s", p.Key, p.Value))
	}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return meta, records, nil
		}
		if err != nil {
			return meta, records, err
		}
		for _, p := range f.Pairs {
			records = append(records, fmt.Sprintf("%s %s=%d", f.Space, p.Key, len(p.Value)))
		}
	}
}

func TestReaderReturnsWhatWasWritten(t *testing.T) {
	for _, n := range []int{0, 1, 2, EnoughOf, 2*EnoughOf + 1, 5000} {
		meta, records, err := all(sample(t, n))
		if err != nil || fmt.Sprint(meta) != "[format=2 state=]" || len(records) != n {
			t.Fatalf("%d: %v, %d records, %v", n, meta, len(records), err)
		}
		for i, got := range records {
			space := "users"
			if i >= n/2 {
				space = "sessions"
			}
			if want := fmt.Sprintf("%s %05d=%d", space, i, i%700); got != want {
				t.Fatalf("record %d of %d is %s, want %s", i, n, got, want)
			}
		}
	}
}

// Each byte is covered, and so is the end: no cut and no change goes unnoticed.
func TestReaderFindsEveryChange(t *testing.T) {
	export := sample(t, 30)
	for at := range export {
		if _, _, err := all(export[:at]); !errors.Is(err, ErrCut) && !errors.Is(err, ErrForeign) {
			t.Fatalf("cut at %d: %v", at, err)
		}
		for bit := range 8 {
			changed := bytes.Clone(export)
			changed[at] ^= 1 << bit
			_, _, err := all(changed)
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("bit %d of byte %d: %v", bit, at, err)
			}
		}
	}
}

// frames splits an export.
func frames(b []byte) (list [][]byte) {
	for b = b[len(Magic):]; len(b) > 0; {
		n := frameHead + int(binary.BigEndian.Uint32(b[1:])) + 4
		list = append(list, b[:n])
		b = b[n:]
	}
	return list
}

// Frames are sound in themselves, and neither their order nor their number is to
// change.
func TestReaderFindsMissingFrames(t *testing.T) {
	export := sample(t, 3*EnoughOf)
	list := frames(export)
	if len(list) < 5 {
		t.Fatalf("only %d frames", len(list))
	}
	join := func(order ...int) []byte {
		out := []byte(Magic)
		for _, i := range order {
			out = append(out, list[i]...)
		}
		return out
	}
	last := len(list) - 1
	for name, export := range map[string][]byte{
		"left out": join(0, 1, 3, last), "swapped": join(0, 2, 1, 3, last), "twice": join(0, 1, 1, 2, 3, last), "the last left out": join(0, 1, 2, last), "two headers": join(0, 0, 1, 2, 3, last),
	} {
		if _, _, err := all(export); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReader: no input panics or is read as another than it was written as; what
// is read whole can be written again.
func FuzzReader(f *testing.F) {
	f.Add(sample(f, 0))
	f.Add(sample(f, 5))
	f.Add([]byte(Magic))
	f.Add(append([]byte(Magic), 'R', 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var out bytes.Buffer
		w, err := NewWriter(&out, r.ID, r.Meta)
		if err != nil {
			t.Fatal(err)
		}
		for {
			frame, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			for _, p := range frame.Pairs {
				if err := w.Add(frame.Space, p); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil || w.Records != r.Records {
			t.Fatalf("%d records of %d: %v", w.Records, r.Records, err)
		}
	})
}

// The digest of the end finds what checksums cannot: a frame that was made anew,
// with sound checksums from there on.
func TestReaderComparesTheDigest(t *testing.T) {
	list := frames(sample(t, 10))
	out, crc := []byte(Magic), crc32.Checksum([]byte(Magic), table)
	for i, frame := range list {
		frame = bytes.Clone(frame[:len(frame)-4])
		if i == 1 {
			frame[len(frame)-1] ^= 1
		}
		crc = crc32.Update(crc, table, frame)
		out = binary.BigEndian.AppendUint32(append(out, frame...), crc)
	}
	if _, _, err := all(out); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}
