package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
)

// TestListsGoOnUntilTheyHaveEnough: a page of a search may have few users, or
// none, and not be the last.
func TestListsGoOnUntilTheyHaveEnough(t *testing.T) {
	for _, x := range []struct {
		json  bool
		limit int
		want  int
		more  bool
	}{
		{true, 0, 250, false}, {true, 7, 7, true}, {true, 250, 250, false},
		{false, 0, 100, true}, {false, 1000, 250, false},
	} {
		var out, errs bytes.Buffer
		a := &app{world: world{out: &out, err: &errs, env: os.Getenv}, json: x.json}
		next := 0
		err := a.paged(x.limit, "", func(limit int, cursor string, each func(snibops.User) error) (r snibops.UsersResult, err error) {
			if want := map[bool]string{true: "", false: fmt.Sprint("c", next)}[next == 0]; cursor != want {
				t.Errorf("cursor %q, want %q", cursor, want)
			}
			n := min(limit, 250-next, next%4*10+3) - 3 // some pages are empty
			n = max(n, 0)
			if next == 0 || n == 0 {
				n = min(limit, 1)
			}
			for range n {
				next++
				if err := each(snibops.User{ID: fmt.Sprint("u", next)}); err != nil {
					return r, err
				}
			}
			if r.Shown = n; next < 250 {
				r.Next = fmt.Sprint("c", next)
			}
			return r, nil
		})
		if err != nil || next != x.want || strings.Contains(errs.String(), "--after c") != x.more {
			t.Errorf("%+v: %d users, %v, %q", x, next, err, errs.String())
		}
	}
}

// TestASleepingReaderKeepsNobodyFromTheFile: while a list is being printed, a program
// can open the file, and what it does is in the pages that follow.
func TestASleepingReaderKeepsNobodyFromTheFile(t *testing.T) {
	for _, words := range [][]string{{"users", "--json"}, {"role", "list", "crew", "--json"}} {
		t.Run(words[0], func(t *testing.T) {
			path := newDB(t)
			change := func(do func(*snib.DB) error) {
				t.Helper()
				o := &snib.Options{SweepEvery: -1, File: snib.FileOptions{LockTimeout: -1}}
				tuned(o)
				db, err := snib.Open(path, o)
				if err != nil {
					t.Fatalf("a program cannot open the file: %v", err)
				}
				if err := errors.Join(do(db), db.Close()); err != nil {
					t.Fatal(err)
				}
			}
			add := func(from, n int) func(*snib.DB) error {
				return func(db *snib.DB) error {
					_, err := db.ImportUsers(ctx, func(yield func(snib.UserImport, error) bool) {
						for i := from; i < from+n && yield(snib.UserImport{ID: snib.UserID(fmt.Sprintf("w%06d", i)), Provider: "x", Identifier: fmt.Sprint(i), Roles: []string{"crew"}}, nil); i++ {
						}
					}, snib.ImportOptions{})
					return err
				}
			}
			change(add(0, most+most/2))
			lines, opened := 0, 0
			out := writerFunc(func(p []byte) (int, error) {
				if lines == 10 || lines == most+most/4 {
					change(add(900_000+opened, 1))
					opened++
				}
				lines += bytes.Count(p, []byte("\n"))
				return len(p), nil
			})
			w := world{out: out, err: io.Discard, env: os.Getenv, plainEvery: -1, tune: tuned}
			if code := run(ctx, w, on(path, words...)); code != exitDone || opened != 2 || lines < most+most/2+1 {
				t.Errorf("code %d, %d lines, the file was opened %d times", code, lines, opened)
			}
		})
	}
}

func TestAttributesCannotPassForTwo(t *testing.T) {
	got := attributes(map[string]any{"a": "x, b=y", "c": "plain text", "d e": "", "n": 1.5, "l": []any{"<&>\u202e"}})
	if want := `"d e"="", a="x, b=y", c=plain text, l=["<&>\u202e"], n=1.5`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestImportNamesRowsByTheirLines(t *testing.T) {
	in := "{\"provider\":\"email\",\"identifier\":\"eve@example.com\"}\n\n{\"provider\":\"email\",\"identifier\":\"" + ada + "\"}\n"
	if got := (setting{in: in}).try(on(newDB(t), "import")...); !strings.Contains(got.out, `"row":3,`) || !strings.Contains(got.out, `"imported":1`) || got.code != exitDone {
		t.Errorf("%+v", got)
	}
	if got := (setting{in: in}).try(on(newDB(t), "import", "--table")...); !strings.Contains(got.out, "row 3: refused") {
		t.Errorf("%+v", got)
	}
	long := `{"provider":"email","identifier":"` + strings.Repeat("x", maxRow) + `"}`
	if got := (setting{in: long}).try(on(newDB(t), "import")...); got.code != exitFailed || !strings.Contains(got.err, "longer than") {
		t.Errorf("%+v", got)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 5 << 40: "5.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
	if got := plural(2, "API key") + plural(2, "identity") + plural(1, "identity"); got != "2 API keys2 identities1 identity" {
		t.Error(got)
	}
}
