package kv_test

import (
	"strings"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

func TestParseTable(t *testing.T) {
	for name, want := range map[string]kv.Table{
		"notes":                     {"", "notes", "user_id"},
		"Notes(Author)":             {"", "Notes", "Author"},
		"app.notes":                 {"app", "notes", "user_id"},
		"app.notes(by_whom)":        {"app", "notes", "by_whom"},
		`"a.b"."c(d)"("e ""f""")`:   {"a.b", "c(d)", `e "f"`},
		`"x""; drop table users--"`: {"", `x"; drop table users--`, "user_id"},
		"größe$1":                   {"", "größe$1", "user_id"},
	} {
		if got, ok := kv.ParseTable(name); !ok || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, ok, want)
		}
	}
	for _, name := range []string{
		"", ".", "a.", ".a", "a.b.c", "a(", "a()", "a(b", "a(b)c", "a(b)(c)", "a b", "a;b", "a--", "a'", `"`, `""`, `"a`, `"a"b`, `a"b"`, "a.b(c.d)", "\"a\x00\"", " a", "a ",
	} {
		if got, ok := kv.ParseTable(name); ok {
			t.Errorf("%q: %+v, want none", name, got)
		}
	}
}

// FuzzParseTable: a name that is read can be written from its parts, and means the
// same.
func FuzzParseTable(f *testing.F) {
	f.Add("notes")
	f.Add(`"a""b".c("d.e")`)
	f.Fuzz(func(t *testing.T, name string) {
		at, ok := kv.ParseTable(name)
		if !ok {
			return
		}
		quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
		again := quote(at.Name) + "(" + quote(at.Column) + ")"
		if at.Schema != "" {
			again = quote(at.Schema) + "." + again
		}
		if got, ok := kv.ParseTable(again); !ok || got != at {
			t.Errorf("%q is %+v, and %q is %+v", name, at, again, got)
		}
	})
}
