package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// freeSpace varies with the size of records.
var freeSpace = regexp.MustCompile(`"free_bytes":\d+|free in it \S+ \S+`)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden: the forms of lists and answers, as people and programs read them.
func TestGolden(t *testing.T) {
	for _, words := range [][]string{
		{"users"},
		{"users", "--limit", "1"},
		{"user", "show", ada},
		{"user", "show", `chat=say "hi", =1+1`},
		{"sessions", ada},
		{"keys", ada},
		{"events", ada},
		{"check"},
		{"stats"},
		{"import", "--list"},
		{"user", "disable", ada, "--reason", "left the company"},
		{"user", "show", "nobody@example.com"},
	} {
		for _, form := range []string{"--json", "--table"} {
			got := setting{}.try(on(newDB(t), append(words, form)...)...)
			name := strings.Map(func(r rune) rune {
				if strings.ContainsRune(` "=+,/`, r) {
					return '_'
				}
				return r
			}, strings.Join(words, "_")+form)
			file := filepath.Join("testdata", name+".txt")
			text := freeSpace.ReplaceAllString(got.out, "…")
			if got.err != "" {
				text += "-- standard error --\n" + got.err
			}
			if *update {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(file)
			if err != nil || string(want) != text {
				t.Errorf("%s: %v\ngot:\n%s\nwant:\n%s", file, err, text, want)
			}
		}
	}
}
