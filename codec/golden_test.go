package codec

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// update rewrites the golden files, which is right only for a new record or
// value: what they hold is in files.
var update = flag.Bool("update", false, "write testdata/golden instead of comparing with it")

const goldenDir = "testdata/golden"

// goldens returns what every golden file must hold: name to lines.
func goldens() map[string]string {
	files := make(map[string]string)
	for _, s := range samples() {
		files[s.name] = fmt.Sprintf("key   %s\nvalue %s\n", hex.EncodeToString([]byte(s.key)), hex.EncodeToString(s.value))
	}
	files["attributes"] = "value " + hex.EncodeToString([]byte(mustAttributes(goldenAttributes))) + "\n"
	var lines strings.Builder
	for _, v := range goldenIndexValues {
		fmt.Fprintf(&lines, "%T %q: %s\n", v, fmt.Sprint(v), hex.EncodeToString([]byte(mustIndexValue(v))))
	}
	files["index_values"] = lines.String()
	return files
}

// One value of every type, at both sides of every change of form.
var goldenAttributes = map[string]any{
	"nil": nil, "false": false, "true": true,
	"ints": []int64{0, 127, 128, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1<<63 - 1,
		-1, -32, -33, -128, -129, -32768, -32769, -1 << 31, -1<<31 - 1, -1 << 63},
	"floats":  []any{0.0, 1.0, -1.5, 1e300, float32(0.5)},
	"texts":   []any{"", "é", strings.Repeat("a", 31), strings.Repeat("b", 32), strings.Repeat("c", 255), strings.Repeat("d", 256)},
	"bytes":   []any{[]byte{}, []byte{0, 0xff}, make([]byte, 256)},
	"times":   []any{time.Unix(0, 0), time.Unix(1<<32-1, 0), time.Unix(1<<32, 0), time.Unix(1, 1), time.Unix(1<<34-1, 999_999_999), time.Unix(1<<34, 0), time.Unix(-1, 5), time.Time{}},
	"lists":   []any{[]any{}, make([]bool, 15), make([]bool, 16)},
	"maps":    []any{map[string]any{}, map[string]string{"b": "2", "a": "1", "": "0"}},
	"ключ":    "non-ASCII name",
	"a space": true,
}

var goldenIndexValues = []any{
	false, true, int64(-1 << 63), int64(-1), int64(0), int64(5), int64(1<<63 - 1), -1e300, -1.5, 0.5, 5.0, 1e300,
	"", "a", "a\x00b", "é", []byte{}, []byte{0, 1, 0xff}, time.Unix(-1, 5).UTC(), time.Unix(0, 0).UTC(), time.Unix(1_760_000_000, 999_999_999).UTC(),
}

// unsampled are decoders that need no sample, and why.
var unsampled = map[string]string{
	"Attributes": "goldenAttributes", "Base32": "text, TestBase32", "State1": "a record of format 1, TestFormat1",
	"Passkey": "the content of one field of a factor, sampled with it", "Throttle": "a block of counters, TestThrottle",
}

// TestEveryRecordHasASample: a record without one has no golden file, no table in
// FORMAT.md that is held against the code, and none of the tests of all records.
// One that no fuzz target decodes meets no hostile bytes.
func TestEveryRecordHasASample(t *testing.T) {
	sampled := map[string]bool{}
	for _, s := range samples() {
		sampled[reflect.TypeOf(s.record).Name()] = true
	}
	fuzzed := string(must(os.ReadFile("fuzz_test.go"))) + string(must(os.ReadFile("fuzz_keys_test.go")))
	n := 0
	for _, file := range must(filepath.Glob("*.go")) {
		for _, m := range regexp.MustCompile(`(?m)^func Decode(\w+)\(`).FindAllStringSubmatch(string(must(os.ReadFile(file))), -1) {
			n++
			if needed := unsampled[m[1]] == ""; sampled[m[1]] != needed {
				t.Errorf("%s: %s has a sample in samples: %t", file, m[1], !needed)
			} else if needed && !strings.Contains(fuzzed, "(Decode"+m[1]+"(") {
				t.Errorf("%s: no fuzz target decodes %s", file, m[1])
			}
		}
	}
	if n < 25 {
		t.Errorf("%d decoders found", n)
	}
}

func TestGolden(t *testing.T) {
	want := goldens()
	if *update {
		writeGoldens(t, want)
	}
	paths, err := filepath.Glob(filepath.Join(goldenDir, "*.hex"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files in %s (%v); see -update", goldenDir, err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".hex")
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if w, ok := want[name]; !ok {
			t.Errorf("%s belongs to no test", path)
		} else if string(got) != w {
			t.Errorf("%s: bytes have changed, which files in use do not:\nfile %s\n now %s", path, got, w)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s has no golden file", name)
	}
}

func writeGoldens(t *testing.T, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(goldenDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(goldenDir, name+".hex"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// goldenValue reads a line of a golden file.
func goldenValue(t testing.TB, name, field string) []byte {
	t.Helper()
	return goldenIn(t, goldenDir, name, field)
}

func goldenIn(t testing.TB, dir, name, field string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 0 && f[0] == field {
			b, err := hex.DecodeString(strings.Join(f[1:], ""))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	t.Fatal(errors.New(name + " has no line " + field))
	return nil
}

// What golden files hold can be read, from the files and not from memory.
func TestGoldenRecordsDecode(t *testing.T) {
	for _, s := range samples() {
		got, err := s.decode(goldenValue(t, s.name, "key"), goldenValue(t, s.name, "value"))
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		same(t, s.name, got, s.record)
	}
}
