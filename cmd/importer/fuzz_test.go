package importer_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib/cmd/importer"
)

// FuzzFiles reads any bytes as each format: no panic, rows in order, an end, and no
// row that is both refused and a user.
func FuzzFiles(f *testing.F) {
	for _, c := range samples {
		if data, err := os.ReadFile(filepath.Join("testdata", c.file)); err == nil && !strings.HasSuffix(c.file, "sqlite") {
			for i, format := range []string{"csv", "json", "jsonl"} {
				if strings.HasSuffix(c.file, format) {
					for k := range uint8(10) {
						f.Add(uint8(i)+3*k, string(data))
					}
				}
			}
		}
	}
	f.Add(uint8(1), `{"a":[1,{"b":"]"}],"users":[{"email":"a"},{}]}`)
	f.Add(uint8(0), "\xef\xbb\xbfid,email\r\n\"a\r\nb\",c\r\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, format uint8, text string) {
		name := []string{"csv", "json", "jsonl"}[format%3]
		path := filepath.Join(dir, "users")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sources := []importer.Source{{From: "lucia", Path: path, Params: map[string]string{"version": "3"}}, {From: "snib", Path: path}}
		for _, info := range importer.Sources() {
			if info.Tried == "documentation" || info.Name == "django" {
				params := map[string]string{}
				for _, p := range info.Params {
					params[p.Name] = "8"
				}
				sources = append(sources, importer.Source{From: info.Name, Path: path, Params: params})
			}
		}
		own := mapped(t, name, "")
		own.Path = path
		sources = append(sources, own)
		for _, s := range sources[int(format/3)%len(sources):][:1] {
			rows, err := ends(t, s)
			if _, ok := errors.AsType[*importer.SyntaxError](err); err != nil && !ok {
				t.Errorf("%s: %v", s.From, err)
			}
			if !slices.IsSortedFunc(rows, func(a, b importer.Row) int { return a.User.Row - b.User.Row }) {
				t.Errorf("%s: rows out of order", s.From)
			}
			for _, row := range rows {
				if row.User.Row < 1 || (row.Refused == nil) == (row.User.Identifier == "") {
					t.Errorf("%s: %+v", s.From, row)
				}
			}
		}
	})
}

// FuzzMapping parses any mapping and applies it: an error or rows, no panic.
func FuzzMapping(f *testing.F) {
	for _, info := range importer.Sources() {
		if data, ok := importer.ShippedMapping(info.Name); ok {
			f.Add(string(data), `{"id":"1","email":"a@b.c","users":[{"id":"x"}]}`)
		}
	}
	f.Add(mapping, "id,email\n1,a@b.c\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, file, text string) {
		m, err := importer.ParseMapping([]byte(file))
		if err != nil {
			return
		}
		path, at := filepath.Join(dir, "users"), filepath.Join(dir, "mapping")
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.WriteFile(at, []byte(file), 0o600)); err != nil {
			t.Fatal(err)
		}
		_, _ = ends(t, importer.Source{From: m.Format, Path: path, File: at})
	})
}
