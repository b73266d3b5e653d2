package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

func key(tb testing.TB, id string, fill byte) Key {
	tb.Helper()
	k, err := New(id, bytes.Repeat([]byte{fill}, Size))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

var here = Place{Space: "users", Key: "usr_1", Field: "PasswordHash", User: "usr_1"}

const plain = "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$a2V5"

func TestNewRefuses(t *testing.T) {
	good := bytes.Repeat([]byte{1}, Size)
	for _, c := range []struct {
		id     string
		secret []byte
		want   string
	}{
		{"", good, "id"}, {"A", good, "id"}, {"a$b", good, "id"}, {"a b", good, "id"}, {strings.Repeat("a", 33), good, "id"}, {"é", good, "id"},
		{"a", nil, "32 bytes"}, {"a", good[:31], "32 bytes"}, {"a", append(good, 1), "32 bytes"}, {"a", make([]byte, Size), "zero"},
	} {
		if k, err := New(c.id, c.secret); k != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %d bytes: %v, %v", c.id, len(c.secret), k, err)
		}
	}
	if _, err := New(strings.Repeat("z", 32), good); err != nil {
		t.Error(err)
	}
}

// A reader written from docs/FORMAT.md alone opens what Seal has made.
func TestSealIsWhatTheFormatSays(t *testing.T) {
	k := key(t, "2026-11", 7)
	digits, ok := strings.CutPrefix(k.Seal(here, plain), "$sealed$2026-11$")
	raw, err := base64.RawURLEncoding.DecodeString(digits)
	if !ok || err != nil || len(raw) != 24+len(plain)+16 {
		t.Fatalf("%s: %d bytes, %v", digits, len(raw), err)
	}
	subkey, err := hkdf.Key(sha256.New, bytes.Repeat([]byte{7}, 32), nil, "snib/v1/seal", 32)
	if err != nil {
		t.Fatal(err)
	}
	box, err := chacha20poly1305.NewX(subkey)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("snib/v1/sealed")
	for _, part := range []string{"2026-11", "users", "usr_1", "PasswordHash", "usr_1"} {
		data = append(binary.BigEndian.AppendUint32(data, uint32(len(part))), part...)
	}
	if got, err := box.Open(nil, raw[:24], raw[24:], data); err != nil || string(got) != plain {
		t.Errorf("%q, %v", got, err)
	}
	canary, err := hkdf.Key(sha256.New, bytes.Repeat([]byte{7}, 32), nil, "snib/v1/canary\x002026-11", 32)
	if own := k.Canary(); err != nil || !bytes.Equal(own[:], canary) {
		t.Errorf("canary %x, want %x, %v", own, canary, err)
	}
}

// A value opens in its place only, under its key only, and only whole.
func TestOpenRefusesEveryOtherPlace(t *testing.T) {
	k := key(t, "a", 1)
	sealed := k.Seal(here, plain)
	if got, err := k.Open(here, sealed); err != nil || got != plain {
		t.Fatalf("%q, %v", got, err)
	}
	for name, p := range map[string]Place{
		"space": {"sessions", "usr_1", "PasswordHash", "usr_1"}, "key": {"users", "usr_2", "PasswordHash", "usr_1"},
		"field": {"users", "usr_1", "Seed", "usr_1"}, "user": {"users", "usr_1", "PasswordHash", "usr_2"},
		"border": {"users", "usr_1PasswordHash", "", "usr_1"}, "none": {},
	} {
		if got, err := k.Open(p, sealed); got != "" || !errors.Is(err, ErrForged) {
			t.Errorf("another %s: %q, %v", name, got, err)
		}
	}
	for name, other := range map[string]Key{"secret": key(t, "a", 2), "id": key(t, "b", 1)} {
		for _, text := range []string{sealed, strings.Replace(sealed, "$a$", "$b$", 1)} {
			if got, err := other.Open(here, text); got != "" || !errors.Is(err, ErrForged) {
				t.Errorf("another %s: %q, %v", name, got, err)
			}
		}
	}
	for i := range sealed {
		for _, c := range []byte{'A', '$', '\n', 0} {
			altered := []byte(sealed)
			altered[i] = c
			if got, err := k.Open(here, string(altered)); string(altered) != sealed && (got != "" || err == nil) {
				t.Errorf("byte %d as %q: %q", i, c, got)
			}
		}
		if got, err := k.Open(here, sealed[:i]); got != "" || err == nil {
			t.Errorf("cut to %d: %q", i, got)
		}
	}
}

// Equal values are sealed unequally.
func TestSealDrawsANonce(t *testing.T) {
	k, seen := key(t, "a", 1), map[string]bool{}
	for range 1000 {
		seen[k.Seal(here, plain)[:len("$sealed$a$")+32]] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d nonces of 1000", len(seen))
	}
}

func TestSubkeysDiffer(t *testing.T) {
	seen := map[[Size]byte]string{}
	for name, k := range map[string]Key{"a1": key(t, "a", 1), "a2": key(t, "a", 2)} {
		for _, label := range []string{labelSeal, LabelRefresh, LabelTexts, "other"} {
			seen[k.Subkey(label)] = name + label
		}
		seen[k.Canary()] = name + "canary"
	}
	if len(seen) != 10 {
		t.Errorf("%d subkeys of 10", len(seen))
	}
	if k := key(t, "a", 1); !k.Made(k.Canary()) || k.Made(key(t, "a", 2).Canary()) || k.Made(key(t, "b", 1).Canary()) || k.Made([Size]byte{}) {
		t.Error("canaries are not those of their keys")
	}
}

func TestNoVerbShowsAKey(t *testing.T) {
	k := key(t, "a", 0xab)
	text := fmt.Sprintf("%v %+v %#v %s %x %d %q", k, k, k, k, k, k, k)
	if b, err := json.Marshal(k); err == nil {
		text += string(b)
	}
	if strings.Contains(strings.ToLower(text), "abab") || strings.Contains(text, "171") {
		t.Error(text)
	}
}

func TestParseLineRefuses(t *testing.T) {
	k := key(t, "a", 0xab)
	line := string(k.Line())
	got, err := ParseLine([]byte(line))
	if err != nil || got.Canary() != k.Canary() || line != "snib-key a "+strings.Repeat("ab", 32)+"\n" {
		t.Fatalf("%q: %v", line, err)
	}
	for _, text := range []string{"", "\n", "snib-key", "snib-key a", line[1:], line[:len(line)-2], strings.ToUpper(line), line + line, line + "\n",
		strings.Replace(line, " a ", "  ", 1), strings.Replace(line, " a ", " a  ", 1), "snib-key a " + strings.Repeat("0", 64) + "\n"} {
		if k, err := ParseLine([]byte(text)); k != nil || err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// Every sealed value has one text, and no text that is none is taken.
func FuzzParse(f *testing.F) {
	k, err := New("a", bytes.Repeat([]byte{1}, Size))
	if err != nil {
		f.Fatal(err)
	}
	sealed := k.Seal(here, plain)
	for _, text := range []string{"", "$sealed$", sealed, sealed + "\n", sealed + "=", "$sealed$a$" + strings.Repeat("A", 54), "$sealed$A$" + strings.Repeat("A", 80)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, box, err := parse(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || id != "" || box != nil {
				t.Fatalf("%q: %q, %x, %v", text, id, box, err)
			}
			return
		}
		if !Sealed(text) || !ValidID(id) || len(box) < 40 || format(id, box) != text {
			t.Fatalf("%q: %q, %x", text, id, box)
		}
		if got, err := k.Open(here, text); err == nil && got != plain {
			t.Fatalf("%q opens: %q", text, got)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	k, err := New("a", bytes.Repeat([]byte{1}, Size))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.Line())
	f.Add([]byte("snib-key a 00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := ParseLine(content)
		if err == nil && !bytes.Equal(append(bytes.TrimSuffix(content, []byte("\n")), '\n'), k.Line()) {
			t.Fatalf("%q is read as %q", content, k.Line())
		}
	})
}
