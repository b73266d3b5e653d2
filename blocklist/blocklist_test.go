package blocklist

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// list names the file of which the filter is made.
var list = flag.String("from", "", "the list of passwords, to make common.gcs anew and compare")

const (
	listSHA256 = "eac6323842b3261da0ef4c180c8e23f4d056522ea97c2925b8687f453b40a2be"
	texts      = 100_000
)

// TestBuild makes the filter anew, writes it, and fails if it was another one.
func TestBuild(t *testing.T) {
	if *list == "" {
		t.Skip("no -from")
	}
	content, err := os.ReadFile(*list)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != listSHA256 {
		t.Fatalf("the file is another one: %x", sum)
	}
	taken := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan() && len(taken) < texts; {
		text := folded(lines.Text())
		if utf8.ValidString(text) && utf8.RuneCountInString(text) >= 8 {
			taken[text] = true
		}
	}
	built := build(taken)
	if !bytes.Equal(built, filter) {
		t.Errorf("common.gcs was another filter, of %d bytes", len(filter))
	}
	if err := os.WriteFile("common.gcs", built, 0o644); err != nil {
		t.Fatal(err)
	}
	n := 0
	for text := range taken {
		if n++; n%1000 == 0 && !contains(built, text) { // a millisecond each
			t.Fatalf("%q is missing", text)
		}
	}
}

// folded is what snib passes.
func folded(text string) string {
	return norm.NFKC.String(strings.ToLower(strings.ToUpper(norm.NFKC.String(text))))
}

// build makes a filter.
func build(all map[string]bool) []byte {
	var places []uint64
	for text := range all {
		places = append(places, position(text, uint32(len(all))))
	}
	slices.Sort(places)
	out := binary.BigEndian.AppendUint32(nil, uint32(len(all)))
	var w writer
	last := uint64(0)
	for _, p := range places {
		for range (p - last) >> remainder {
			w.bit(1)
		}
		w.bit(0)
		for i := remainder - 1; i >= 0; i-- {
			w.bit(byte((p-last)>>i) & 1)
		}
		last = p
	}
	return append(out, w.data...)
}

type writer struct {
	data []byte
	off  int
}

func (w *writer) bit(b byte) {
	if w.off%8 == 0 {
		w.data = append(w.data, 0)
	}
	w.data[w.off/8] |= b << (7 - w.off%8)
	w.off++
}

// TestCommon: common passwords are on the list, and phrases are not.
func TestCommon(t *testing.T) {
	for _, text := range []string{"password", "12345678", "qwertyuiop", "iloveyou", "baseball1", "sunshine", "1q2w3e4r", "princess", "football", "trustno1"} {
		if !(Common{}).Common(text) {
			t.Errorf("%s is not on the list", text)
		}
	}
	for _, text := range []string{"", "correct horse battery", "a passphrase of five words", "vjw0rqkm3nqz", "Password"} { // the last is not folded
		if (Common{}).Common(text) {
			t.Errorf("%q is on the list", text)
		}
	}
}

// TestSizeAndFalseHits: the filter is small, and refuses one text in a thousand
// that is not on the list.
func TestSizeAndFalseHits(t *testing.T) {
	if n := len(filter); n > 150_000 || binary.BigEndian.Uint32(filter) != texts {
		t.Errorf("%d bytes, %d texts", n, binary.BigEndian.Uint32(filter))
	}
	hits := 0
	for i := range 1000 {
		if (Common{}).Common(fmt.Sprintf("no such password %d", i)) {
			hits++
		}
	}
	if hits > 8 {
		t.Errorf("%d of 1,000 texts are taken for common ones", hits)
	}
}

// TestFilterOfAnySet holds each text, and few others.
func TestFilterOfAnySet(t *testing.T) {
	for _, n := range []int{1, 2, 1000} {
		all := map[string]bool{}
		for i := range n {
			all[fmt.Sprint("text ", i)] = true
		}
		made := build(all)
		for text := range all {
			if !contains(made, text) {
				t.Errorf("of %d: %q is missing", n, text)
			}
		}
		for cut := range min(len(made)-4, 50) {
			contains(made[:4+cut], "text 0") // neither hangs nor panics
		}
	}
}
