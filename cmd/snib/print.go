package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/snibdb/snib/snibops"
)

// quote is text of strangers for people: in quotes, and nothing in it that a
// terminal obeys.
func quote(s string) string { return snibops.Quote(s) }

// printJSON prints v in one line.
func (a *app) printJSON(v any) error {
	line, err := oneJSON(v)
	if err != nil {
		return err
	}
	_, err = a.out.Write(append(line, '\n'))
	return err
}

// oneJSON encodes v. Unprintable runes are escaped, so that a terminal does
// not obey the identifier of a stranger.
func oneJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escaped(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// escaped escapes unprintable runes in the strings of compact JSON.
func escaped(text []byte) []byte {
	var out []byte
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case unicode.IsPrint(r) && (r != utf8.RuneError || n > 1):
			out = append(out, text[:n]...)
		case r > 0xFFFF:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[n:]
	}
	return out
}

// print prints v as JSON, or lets people read it by show.
func (a *app) print(v any, show func(io.Writer) error) error {
	if a.json {
		return a.printJSON(v)
	}
	return show(a.out)
}

// say prints v as JSON, or a sentence.
func (a *app) say(v any, format string, args ...any) error {
	return a.print(v, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, oneLine(fmt.Sprintf(format, args...)))
		return err
	})
}

// list runs do, which gets a function for each item: as JSON an item is printed
// at once, for people a table at the end.
func list[T any](a *app, t *table, row func(T) []string, do func(each func(T) error) error) error {
	err := do(func(item T) error {
		if a.json {
			return a.printJSON(item)
		}
		t.row(row(item)...)
		return nil
	})
	if err != nil || a.json {
		return err
	}
	return a.printTable(t)
}

func (a *app) printTable(t *table) error {
	width := 0
	if a.outTerminal && a.width != nil {
		width = a.width()
	}
	return t.print(a.out, width, a.bold)
}

// bold is for the heads of tables, the one use of colour.
func (a *app) bold(s string) string {
	if !a.outTerminal || a.env("NO_COLOR") != "" || a.env("TERM") == "dumb" {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// identities are a user's in one cell.
func identities(ids []snibops.Identity) string {
	if len(ids) == 0 {
		return "(none)"
	}
	text := identity(ids[0])
	if len(ids) > 1 {
		text += fmt.Sprintf(" +%d", len(ids)-1)
	}
	return text
}

func identity(i snibops.Identity) string { return i.Provider + "=" + quote(i.Identifier) }

// name is a user for questions and answers: id and first identity.
func name(u snibops.User) string {
	if len(u.Identities) == 0 {
		return u.ID
	}
	return u.ID + " (" + identity(u.Identities[0]) + ")"
}

// attributes are in the order of their names.
func attributes(m map[string]any) string {
	var parts []string
	for n, v := range m {
		text, err := oneJSON(v)
		if err != nil {
			text = []byte("?")
		}
		if s, ok := v.(string); ok {
			text = []byte(field(s))
		}
		parts = append(parts, label(n)+"="+string(text))
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

// field is a text in a list, which must not pass for more than one.
func field(s string) string {
	q := quote(s)
	if q == s && strings.ContainsAny(s, ",=") {
		return `"` + s + `"`
	}
	return q
}

// label is the name of an attribute: quoted if it is not plain.
func label(s string) string {
	plain := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '-' || r == '.')
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	if q := quote(s); q != s {
		return q
	}
	return `"` + s + `"`
}

// state is a user's in one word.
func state(u snibops.User) string {
	if u.Disabled {
		return "disabled"
	}
	return "enabled"
}
