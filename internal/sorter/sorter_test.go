package sorter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/snibdb/snib/internal/testseed"
)

// all reads what a sorter gives, one line each.
func all(tb testing.TB, s *Sorter) (out []string) {
	tb.Helper()
	c := s.Cursor()
	for {
		key, value, err := c.Next()
		if err == io.EOF {
			if _, _, again := c.Next(); again != io.EOF {
				tb.Errorf("behind the end: %v", again)
			}
			return out
		}
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%q=%q", key, value))
	}
}

func TestSorterGivesAllInOrder(t *testing.T) {
	seed := testseed.Of(t)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, limit := range []int{0, 1, 50, 500, 1 << 20} {
		for _, n := range []int{0, 1, 2, 300} {
			path := filepath.Join(t.TempDir(), "db")
			s := New(path, limit)
			type pair struct{ key, value []byte }
			var want []pair
			for i := range n {
				p := pair{bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(9)), bytes.Repeat([]byte{byte(r.IntN(3))}, r.IntN(40))}
				if i%60 == 30 { // five of 300: all of them stay below the largest limit
					p.value = make([]byte, readAhead+r.IntN(9))
				}
				want = append(want, pair{bytes.Clone(p.key), bytes.Clone(p.value)})
				if err := s.Add(p.key, p.value); err != nil {
					t.Fatal(err)
				}
				for i := range p.value { // it keeps nothing
					p.value[i] = 0xDB
				}
			}
			slices.SortFunc(want, func(a, b pair) int {
				if c := bytes.Compare(a.key, b.key); c != 0 {
					return c
				}
				return bytes.Compare(a.value, b.value)
			})
			var lines []string
			for _, p := range want {
				lines = append(lines, fmt.Sprintf("%q=%q", p.key, p.value))
			}
			for range 2 {
				if got := all(t, s); !slices.Equal(got, lines) {
					t.Fatalf("limit %d: %d pairs, want %d, or in another order", limit, len(got), len(lines))
				}
			}
			if spilt := s.file != nil; n != 2 && spilt != (limit < 1<<20 && n > 2) {
				t.Errorf("limit %d, %d pairs: in a file %t", limit, n, spilt)
			}
			s.Close()
			if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		}
	}
}

func TestSorterFailsWithItsFile(t *testing.T) {
	s := New(filepath.Join(t.TempDir(), "missing", "db"), 10)
	defer s.Close()
	var err error
	for i := 0; i < 5 && err == nil; i++ {
		err = s.Add([]byte{byte(i)}, make([]byte, 8))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}

	s = New(filepath.Join(t.TempDir(), "db"), 10)
	defer s.Close()
	for i := range 5 {
		if err := s.Add([]byte{byte(i)}, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.file.Truncate(s.end - 1); err != nil {
		t.Fatal(err)
	}
	c := s.Cursor()
	for err = nil; err == nil; {
		_, _, err = c.Next()
	}
	if err == io.EOF {
		t.Error("a run that was cut reads like a whole one")
	}
	if _, _, again := c.Next(); again != err {
		t.Errorf("after %v: %v", err, again)
	}
}
