package codec

import (
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// docs/FORMAT.md is what others write readers by; these tests hold it against
// the code.

func readFormat(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func TestFormatNamesEverySpace(t *testing.T) {
	page := readFormat(t)
	for _, name := range []string{
		SpaceMeta, SpaceUsers, SpaceIdentities, SpaceAttributes, SpaceSessions, SpaceUserSessions,
		SpaceFamilies, SpaceUserFamilies, SpaceOneTime, SpaceUserOneTime, SpaceQuarantine, "meta` | `" + KeyFormat,
		"meta` | `" + KeyState, "meta` | `" + KeyDeclarations,
	} {
		if !strings.Contains(page, "\n| `"+name+"` | ") {
			t.Errorf("no row for %s", name)
		}
	}
}

// The annotated example is the golden session.
func TestFormatExample(t *testing.T) {
	_, rest, _ := strings.Cut(readFormat(t), "```\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no example")
	}
	var digits strings.Builder
	for line := range strings.Lines(example) {
		code, _, ok := strings.Cut(line, ";")
		if !ok {
			t.Errorf("no note in %q", line)
		}
		digits.WriteString(strings.Join(strings.Fields(code), ""))
	}
	got, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("%v in %s", err, digits.String())
	}
	if want := goldenValue(t, "session", "value"); !bytes.Equal(got, want) {
		t.Errorf("example is\n%x\nwant\n%x", got, want)
	}
}

// Every field of every record has its row, in the order in which fields are
// written, with its mark and, where it has one, its offset.
func TestFormatTables(t *testing.T) {
	page := readFormat(t)
	tested := 0
	for _, s := range samples() {
		title := reflect.TypeOf(s.record).Name()
		_, rest, ok := strings.Cut(page, "\n### "+title+"\n")
		if !ok {
			t.Errorf("no section %s", title)
			continue
		}
		section, _, _ := strings.Cut(rest, "\n#")
		if want := strconv.Itoa(s.count()) + " elements"; !strings.Contains(section, want) {
			t.Errorf("%s: does not say %s", title, want)
		}
		rows := regexp.MustCompile("(?m)^\\| (\\d*) ?\\| `?([0-9a-z ]+)`?[^|]* \\| `(\\w+)` \\|").FindAllStringSubmatch(section, -1)
		if len(rows) != s.count()-headFields {
			t.Errorf("%s: %d rows for %d fields", title, len(rows), s.count()-headFields)
		}
		for _, row := range rows {
			checkRow(t, s, title, row[1], row[2], row[3])
			tested++
		}
	}
	if tested < 60 {
		t.Errorf("only %d rows found", tested)
	}
}

// checkRow changes one field and looks where the value changes.
func checkRow(t *testing.T, s sample, title, offset, form, field string) {
	t.Helper()
	changed := reflect.New(reflect.TypeOf(s.record)).Elem()
	changed.Set(reflect.ValueOf(s.record))
	f := changed.FieldByName(field)
	if !f.IsValid() {
		t.Errorf("%s has no field %s", title, field)
		return
	}
	if offset == "" {
		return
	}
	off, err := strconv.Atoi(offset)
	if err != nil {
		t.Fatal(err)
	}
	mark, err := hex.DecodeString(strings.ReplaceAll(strings.Replace(form, "list", "dc", 1), " ", ""))
	if err != nil || !bytes.HasPrefix(s.value[off:], mark) {
		t.Errorf("%s.%s: % x at %d, want %s", title, field, s.value[off:off+4], off, form)
	}
	switch {
	case f.CanInt():
		f.SetInt(^f.Int())
	case f.CanUint():
		f.SetUint(^f.Uint())
	case f.Kind() == reflect.Array:
		for i := range f.Len() {
			f.Index(i).SetUint(^f.Index(i).Uint() & 0xff)
		}
	default:
		return // of variable length: its mark is where it begins
	}
	other := s.encode(changed.Interface(), s.key)
	var at []int
	for i := range other {
		if other[i] != s.value[i] && (i < offCRC || i >= offVersion) {
			at = append(at, i)
		}
	}
	size := int(f.Type().Size())
	if first := off + len(mark); len(at) != size || at[0] != first || at[size-1] != first+size-1 {
		t.Errorf("%s.%s: changes bytes %v, want %d from %d on", title, field, at, size, first)
	}
}
