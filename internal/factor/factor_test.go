package factor

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
)

// rfcSeed is the seed of RFC 6238, appendix B.
var rfcSeed = []byte("12345678901234567890")

// The values of RFC 6238, appendix B, for SHA-1, which have eight digits.
func TestVectorsOfRFC6238(t *testing.T) {
	for _, v := range []struct {
		seconds int64
		code    string
	}{
		{59, "94287082"}, {1111111109, "07081804"}, {1111111111, "14050471"},
		{1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"},
	} {
		step := Step(v.seconds * 1000)
		if got := fmt.Sprintf("%08d", hotp(rfcSeed, step)%1e8); got != v.code {
			t.Errorf("at %d: %s, want %s", v.seconds, got, v.code)
		}
		if got := CodeAt(rfcSeed, step); string(got[:]) != v.code[2:] {
			t.Errorf("at %d: %s, want %s", v.seconds, got, v.code[2:])
		}
	}
}

// The values of RFC 4226, appendix D.
func TestVectorsOfRFC4226(t *testing.T) {
	for i, want := range strings.Fields("755224 287082 359152 969429 338314 254676 287922 162583 399871 520489") {
		if got := CodeAt(rfcSeed, uint64(i)); string(got[:]) != want {
			t.Errorf("counter %d: %s, want %s", i, got, want)
		}
	}
}

func TestMatchTakesThreeStepsAndNoneTwice(t *testing.T) {
	const now = 1000
	for step := uint64(now - 3); step <= now+3; step++ {
		code := CodeAt(rfcSeed, step)
		for last := uint64(now - 4); last <= now+3; last++ {
			got, ok := Match(rfcSeed, code, now, last)
			want := step >= now-1 && step <= now+1 && step > last
			if ok != want || ok && got != step {
				t.Errorf("step %d after %d: %d, %t", step, last, got, ok)
			}
		}
	}
	if _, ok := Match(rfcSeed, CodeAt(rfcSeed, 1), 0, 0); !ok { // at the beginning of time
		t.Error("step 1 at step 0 is refused")
	}
}

func TestParseCode(t *testing.T) {
	for _, good := range []string{"123456", "123 456", " 1-2-3-4-5-6 ", "123456\r\n"} {
		if c, ok := ParseCode(good); !ok || string(c[:]) != "123456" {
			t.Errorf("%q: %s, %t", good, c, ok)
		}
	}
	for _, bad := range []string{"", "12345", "1234567", "12345a", "１２３４５６", "12345\x00", "+12345", strings.Repeat(" ", 60) + "123456"} {
		if _, ok := ParseCode(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestRecoveryCodesAreReadAsPeopleTypeThem(t *testing.T) {
	code := Recovery{0x08, 0x42, 0x10, 0x84, 0x21, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8}
	text := code.Text()
	if len(text) != 24+5 || strings.Count(text, "-") != 5 || !strings.HasPrefix(text, "1111-1111-") {
		t.Errorf("%s", text)
	}
	for _, typed := range []string{
		text, strings.ToUpper(text), strings.ReplaceAll(text, "-", ""), strings.ReplaceAll(text, "-", " "), "  " + text + "\n",
		strings.Replace(text, "1111", "iLIl", 1), strings.ReplaceAll(text, "0", "O"),
	} {
		if got, ok := ParseRecovery(typed); !ok || got != code {
			t.Errorf("%q: %x, %t", typed, got, ok)
		}
	}
	for _, bad := range []string{"", text[1:], text + "1", strings.Replace(text, "1", "u", 1), strings.Repeat("1", 1000), "İ" + text[1:], strings.Replace(text, "1", "\u212a", 1)} {
		if _, ok := ParseRecovery(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
	if other := (Recovery{1}); code.Hash() == other.Hash() {
		t.Error("two codes have one hash")
	}
}

func TestURIHasAllThatQRReadersAsk(t *testing.T) {
	got := URI("Ada & Söhne", "ada+x@example.com", rfcSeed)
	want := "otpauth://totp/Ada%20%26%20S%C3%B6hne:ada%2Bx%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Ada%20%26%20S%C3%B6hne&algorithm=SHA1&digits=6&period=30"
	if got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
}

// A typed text is one code or none, and each code reads its own text.
func FuzzTypedCodes(f *testing.F) {
	f.Add("123 456")
	f.Add("1111-1111-zzzz-0000-oooo-llll")
	f.Fuzz(func(t *testing.T, typed string) {
		c, isCode := ParseCode(typed)
		r, isRecovery := ParseRecovery(typed)
		if isCode && isRecovery || isCode && strings.Trim(string(c[:]), "0123456789") != "" {
			t.Fatalf("%q: %s, %x", typed, c, r)
		}
		if again, ok := ParseRecovery(r.Text()); isRecovery && (!ok || again != r) {
			t.Fatalf("%q: %x, then %x", typed, r, again)
		}
	})
}

func TestNewRecoveryDraws(t *testing.T) {
	a, err := NewRecovery(rand.Reader)
	b, _ := NewRecovery(rand.Reader)
	if a == b || err != nil {
		t.Errorf("%x, %x, %v", a, b, err)
	}
	if _, err := NewRecovery(bytes.NewReader(make([]byte, 14))); err == nil {
		t.Error("too few random bytes are taken")
	}
}
