package snibops

import (
	"encoding/csv"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"ada@example.com": "ada@example.com", "Grace Hopper": "Grace Hopper", "Ænglisc 日本語 ñ é": "Ænglisc 日本語 ñ é", "it's": "it's",
		"😀": "😀", "e\u0301": "e\u0301",
		"":                  `""`,
		" a":                `" a"`,
		"a ":                `"a "`,
		"a  b":              `"a  b"`,
		`say "hi"`:          `"say \"hi\""`,
		`a\b`:               `"a\\b"`,
		"\x1b[31mred":       `"\x1b[31mred"`,
		"\u009b31m":         `"\u009b31m"`,
		"a\nb\r\tc\x00":     `"a\nb\r\tc\x00"`,
		"\x7f":              `"\x7f"`,
		"\u202eevil":        `"\u202eevil"`,
		"\u2066x\u2069":     `"\u2066x\u2069"`,
		"a\u200bb\ufeff":    `"a\u200bb\ufeff"`,
		"soft\u00adhyphen":  `"soft\u00adhyphen"`,
		"no\u00a0break":     `"no\u00a0break"`,
		"line\u2028end":     `"line\u2028end"`,
		"\xff\xfeé":         `"\xff\xfeé"`,
		"\ufffd":            `"\ufffd"`,
		"hangul\u3164blank": `"hangul\u3164blank"`,
		"\U000e0041tag":     `"\U000e0041tag"`,
		"vs\ufe0f":          `"vs\ufe0f"`,
		"\ue000":            `"\ue000"`,
		"\x01\x02":          `"\x01\x02"`,
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// FuzzQuote: a quoted text is one line of visible characters, no two texts are
// quoted alike, and the quotes of Go read it back.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "a", `"a"`, `\`, "\x1b]0;title\a", "\u202e", "\xf0\x9f", " ", "x\u0000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Quote(text)
		if got == "" || !utf8.ValidString(got) {
			t.Fatalf("%q: %q", text, got)
		}
		for _, r := range got {
			if r != ' ' && !visible(r) {
				t.Fatalf("%q: %q has %U", text, got, r)
			}
		}
		back := got
		if got[0] == '"' {
			var err error
			if back, err = strconv.Unquote(got); err != nil {
				t.Fatalf("%q: %s: %v", text, got, err)
			}
		}
		if back != text {
			t.Fatalf("%q: %s is %q", text, got, back)
		}
	})
}

func TestCSVField(t *testing.T) {
	for text, want := range map[string]string{
		"ada@example.com": "ada@example.com", "": "", "a=b": "a=b", "1-2": "1-2", "'x": "'x",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1",
		" =1": "' =1", "\u00a0=1": "'\u00a0=1", "\u200b=1": "'\u200b=1", "\ufeff=1": "'\ufeff=1", "＝1": "'＝1", "|calc": "'|calc", "%0": "'%0",
		"\x00=1": "'=1", "a\x00b": "ab",
	} {
		if got := CSVField(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzCSVField: no field begins, behind what does not show, with a character that
// makes a formula, in the file that encoding/csv writes and reads.
func FuzzCSVField(f *testing.F) {
	for _, seed := range []string{"", "=1", " =1", "\r\n@x", "\"=1\"", "a,b", "\x00-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		field := CSVField(text)
		begins := strings.TrimLeftFunc(field, func(r rune) bool { return r == ' ' || !visible(r) && r != '\t' && r != '\r' && r != '\n' })
		if begins != "" && strings.ContainsAny(begins[:1], "=+-@\t\r\n|%") {
			t.Fatalf("%q: %q", text, field)
		}
		if strings.TrimPrefix(field, "'") != strings.TrimPrefix(strings.ReplaceAll(text, "\x00", ""), "'") {
			t.Fatalf("%q: %q is another text", text, field)
		}
		var b strings.Builder
		w := csv.NewWriter(&b)
		if err := w.Write([]string{field, "x"}); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		row, err := csv.NewReader(strings.NewReader(b.String())).Read()
		if err != nil || row[0] != strings.ReplaceAll(field, "\r\n", "\n") {
			t.Fatalf("%q: %q %v", field, row, err)
		}
	})
}
