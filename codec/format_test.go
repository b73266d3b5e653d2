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
		SpaceMeta, SpaceUsers, SpaceIdentities, SpaceAttributes, SpaceSessions,
		SpaceFamilies, SpaceOneTime, SpaceQuarantine, SpaceEvents, SpaceOutbox, SpaceCursors, SpaceDevices, SpaceAPIKeys, SpaceRoles, SpaceFactors, SpaceInvitations, SpacePasskeys, "meta` | `" + KeyFormat,
		"meta` | `" + KeyState, "meta` | `" + KeyDeclarations, "meta` | `" + KeyOwners, "meta` | `" + KeyOwnedSpaces, "meta` | `" + KeySealKeys, "meta` | `" + KeySweepLease, "meta` | `" + KeyBuildLease, "meta` | `" + KeyMoving,
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

// Every field of every record has its row, with its mark and, where it has
// one, its offset.
func TestFormatTables(t *testing.T) {
	page := readFormat(t)
	tested, samplesOf := 0, map[string]int{}
	for _, s := range samples() {
		typ := reflect.TypeOf(s.record)
		section := sectionOf(t, page, typ.Name())
		if want := strconv.Itoa(s.count()) + " elements"; !strings.Contains(section, want) {
			t.Errorf("%s: does not say %s", typ.Name(), want)
		}
		rows := formatRow.FindAllStringSubmatch(section, -1)
		fields := map[string]bool{}
		for _, row := range rows {
			checkRow(t, s, row[1], row[2], row[3])
			fields[row[3]] = true
			tested++
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			isKey := f.Name == "ID" || f.Name == "Key" && f.Type == reflect.TypeFor[OwnedKey]() || f.Name == "Position" && typ == reflect.TypeFor[OutboxEntry]()
			if fields[f.Name] == isKey {
				t.Errorf("%s.%s: has a row: %v", typ.Name(), f.Name, !isKey)
			}
		}
		samplesOf[typ.Name()]++
	}
	if tested < 120 || len(samplesOf) != 22 {
		t.Errorf("only %d rows of %v found", tested, samplesOf)
	}
}

// formatRow is a row of a table of fields: offset, form, field.
var formatRow = regexp.MustCompile("(?m)^\\| (\\d*) ?\\| ([^|]+) \\| `(\\w+)` \\|")

// sectionOf returns the text below the heading of a record.
func sectionOf(t *testing.T, page, title string) string {
	t.Helper()
	at := regexp.MustCompile("(?m)^###?#? " + title + "$").FindStringIndex(page)
	if at == nil {
		t.Errorf("no section %s", title)
		return ""
	}
	section, _, _ := strings.Cut(page[at[1]:], "\n#")
	return section
}

// checkRow sets one field to a value of which every byte is known, and looks
// whether these bytes, and no others, stand where the row says.
func checkRow(t *testing.T, s sample, offset, form, field string) {
	t.Helper()
	changed := reflect.New(reflect.TypeOf(s.record)).Elem()
	name := changed.Type().Name() + "." + field
	changed.Set(reflect.ValueOf(s.record))
	f := changed.FieldByName(field)
	if !f.IsValid() {
		t.Errorf("%s is no field", name)
		return
	}
	if offset == "" {
		return
	}
	off := must(strconv.Atoi(offset))
	mark, size := markOf(form)
	if !bytes.HasPrefix(s.value[off:], mark) && !strings.Contains(form, "or text") {
		t.Errorf("%s: % x at %d, want %s", name, s.value[off:off+4], off, form)
	}
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(i + 1)
	}
	if !setBytes(f, form, want, s.key) {
		return // of variable length: its mark is where it begins
	}
	expected := bytes.Clone(s.value)
	copy(expected[off+len(mark):], want)
	reseal(s.space, s.key, expected)
	if got := s.encode(changed.Interface(), s.key); !bytes.Equal(got, expected) {
		t.Errorf("%s: encoded\n% x, want\n% x", name, got, expected)
	}
}

// markOf returns the mark that a form begins with, and how many bytes follow.
func markOf(form string) (mark []byte, size int) {
	sizes := map[string]int{"uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8, "5 after": 5, "5 before": 5, "32 bytes": 32, "10 bytes": 10, "20 bytes": 20}
	if size, ok := sizes[form]; ok {
		return nil, size
	}
	if form == "list" {
		return []byte{0xdc}, 0
	}
	parts := regexp.MustCompile("^`([0-9a-f ]+)`(?: \\+ (\\d+))?").FindStringSubmatch(form)
	if parts == nil {
		return nil, 0
	}
	size, _ = strconv.Atoi(parts[2])
	return must(hex.DecodeString(strings.ReplaceAll(parts[1], " ", ""))), size
}

// setBytes gives a field of fixed width the value that these bytes are. Times
// of owned records count from the time in the key.
func setBytes(f reflect.Value, form string, b []byte, key string) bool {
	var n uint64
	for _, c := range b[:min(len(b), 8)] {
		n = n<<8 | uint64(c)
	}
	switch {
	case form == "5 after":
		f.SetInt(timeIn(key) + int64(n))
	case form == "5 before":
		f.SetInt(timeIn(key) - int64(n))
	case f.CanInt():
		f.SetInt(int64(n))
	case f.CanUint():
		f.SetUint(n)
	case f.Kind() == reflect.Array:
		reflect.Copy(f, reflect.ValueOf(b))
	default:
		return false
	}
	return true
}

// timeIn returns bytes 10–15 of a key.
func timeIn(key string) (ms int64) {
	for _, c := range []byte(key[10:16]) {
		ms = ms<<8 | int64(c)
	}
	return ms
}
