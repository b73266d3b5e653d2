package snibops

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote returns text of a stranger (an identifier, an attribute, the name of a
// device) for a line on a terminal: as it is if it has nothing but letters,
// marks, digits, punctuation, symbols and single blanks within, in valid UTF-8,
// and otherwise between double quotes, with escapes of Go for all else. So it
// cannot move the cursor, change colours or the title of the window, turn the
// direction of writing, hide, end its line, or pass for an empty field or a
// quoted one.
func Quote(text string) string {
	if plainText(text) {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for i, n := 0, 0; i < len(text); i += n {
		var r rune
		r, n = utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + hexDigits(uint64(text[i]), 2))
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == ' ' || visible(r):
			b.WriteRune(r)
		default:
			escaped := strconv.QuoteRuneToASCII(r)
			b.WriteString(escaped[1 : len(escaped)-1])
		}
	}
	b.WriteByte('"')
	return b.String()
}

func hexDigits(n uint64, width int) string {
	s := strconv.FormatUint(n, 16)
	return strings.Repeat("0", max(0, width-len(s))) + s
}

// plainText reports whether a text needs no quotes.
func plainText(text string) bool {
	if text == "" || text[0] == ' ' || text[len(text)-1] == ' ' || strings.Contains(text, "  ") ||
		strings.ContainsAny(text, `"\`) || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if r != ' ' && !visible(r) {
			return false
		}
	}
	return true
}

// visible reports whether a character takes its place on a terminal and does
// nothing else. Characters of format are none, controls of direction among them;
// nor are letters and marks that show as a blank.
func visible(r rune) bool {
	switch r {
	case utf8.RuneError, 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0:
		return false
	}
	return unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) && !unicode.Is(unicode.Variation_Selector, r)
}

// CSVField returns text of a stranger for a field of a CSV, before quotes of
// encoding/csv: a spreadsheet reads a text that begins with =, +, -, @, a tab or
// a line end, behind blanks too, as a formula, so such a text gets an apostrophe
// in front. NUL is left out, as it ends a text for some readers.
func CSVField(text string) string {
	text = strings.ReplaceAll(text, "\x00", "")
	for _, r := range text {
		switch {
		case strings.ContainsRune("=+-@\t\r\n＝＋－＠|%", r):
			return "'" + text
		case !unicode.IsSpace(r) && visible(r):
			return text
		}
	}
	return text
}
