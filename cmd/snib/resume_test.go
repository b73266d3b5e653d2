package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/cmd/importer"
	"github.com/snibdb/snib/snibops"
)

// manyUsers is a source of n rows in snib's own form, two of which collide.
func manyUsers(tb testing.TB, n int) string {
	tb.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":"m%06d","provider":"email","identifier":"m%06d@example.com","attributes":{"f":1.0,"n":7}}`+"\n", i, i)
	}
	fmt.Fprintf(&b, `{"id":"other","provider":"email","identifier":"M000000@example.com"}`+"\n")
	path := filepath.Join(tb.TempDir(), "many.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// TestAnInterruptedImportGoesOn on a file and through a program: Ctrl-C at the first
// progress leaves whole batches and a state of mode 0600, and the same command
// completes it with the report of one run.
func TestAnInterruptedImportGoesOn(t *testing.T) {
	const n = 25_000
	for _, live := range []bool{false, true} {
		path, input := freshDB(t), manyUsers(t, n)
		if live {
			serve(t, path)
		}
		stop, cancel := context.WithCancel(ctx)
		var out, errs strings.Builder
		w := world{out: &out, env: os.Getenv, plainEvery: -1, tune: tuned, err: writerFunc(func(p []byte) (int, error) {
			cancel() // at the first line
			return errs.Write(p)
		})}
		words := on(path, "import", input)
		if code := run(stop, w, words); code != exitFailed || !strings.Contains(errs.String(), "snib: interrupted; ") || !strings.Contains(errs.String(), "to go on") {
			t.Errorf("live %v: code %d, %s", live, code, errs.String())
		}
		cancel()
		if !strings.Contains(out.String(), `"finished":false`) {
			t.Errorf("live %v: the report of the part: %s", live, out.String())
		}
		state := input + ".snib-state"
		if info, err := os.Stat(state); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("live %v: %v, %v", live, info, err)
		}
		r := report(t, try(words...))
		if r.ResumedAfter == 0 || r.Rows != n+1 || r.Imported+r.Unchanged != n || r.Collisions != 1 {
			t.Errorf("live %v: %+v", live, r)
		}
		if c := r.CollisionList[0]; c.HolderRow != 1 && c.Holder == "" || c.HolderValue != "m000000@example.com" || !c.ByCase {
			t.Errorf("live %v: the other side: %+v", live, c)
		}
		if _, err := os.Stat(state); err == nil {
			t.Errorf("live %v: the state stays", live)
		}
	}
}

// TestTheStateIsWhereItWasTold, and "-" is none.
func TestTheStateIsWhereItWasTold(t *testing.T) {
	path, input := freshDB(t), manyUsers(t, 10)
	state := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(state, []byte("a letter"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := try(on(path, "import", input, "--state", state)...); got.code != exitFailed || !strings.Contains(got.err, "state") {
		t.Errorf("another file as state: %+v", got)
	}
	if r := report(t, try(on(path, "import", input, "--state", "-")...)); r.Imported != 10 {
		t.Errorf("%+v", r)
	}
}

// TestAProgramThatEndsLeavesAState, from which the file goes on.
func TestAProgramThatEndsLeavesAState(t *testing.T) {
	const n = 25_000
	path, input := freshDB(t), manyUsers(t, n)
	_, stop := serve(t, path)
	w := world{out: writerFunc(func(p []byte) (int, error) { return len(p), nil }), env: os.Getenv, plainEvery: -1, tune: tuned,
		err: writerFunc(func(p []byte) (int, error) { stop(); return len(p), nil })}
	if code := run(ctx, w, on(path, "import", input)); code != exitFailed {
		t.Errorf("code %d", code)
	}
	if r := report(t, try(on(path, "import", input)...)); r.ResumedAfter == 0 || r.Imported+r.Unchanged != n {
		t.Errorf("%+v", r)
	}
	sound(t, path)
}

// liveOf is the database of a program, as an import through its socket sees it.
func liveOf(tb testing.TB) (*snib.DB, liveDB) {
	tb.Helper()
	path := freshDB(tb)
	db, _ := serve(tb, path)
	c, err := snibops.Dial(ctx, path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return db, liveDB{c}
}

// TestRowsWithoutAFormAreRefused: text that JSON would change, and rows beyond a
// frame, are refused in their place, and the others come in as they are.
func TestRowsWithoutAFormAreRefused(t *testing.T) {
	db, to := liveOf(t)
	rows := []snib.UserImport{
		{Row: 1, ID: "a", Provider: "email", Identifier: "a@example.com", Attributes: snib.Attributes{"f": 1.0, "n": int64(1)<<60 + 1}},
		{Row: 2, ID: "b", Provider: "x", Identifier: "b\xff"},
		{Row: 3, ID: "c", Provider: "x", Identifier: "c", Attributes: snib.Attributes{"deep": []any{map[string]any{"t": "\xc0"}}}},
		{Row: 4, ID: "d", Provider: "x", Identifier: "d", Attributes: snib.Attributes{"t": strings.Repeat("x", 1<<20)}},
		{Row: 5, ID: "e", Provider: "x", Identifier: "e", DisabledReason: "not disabled"},
		{Row: 6, ID: "f", Provider: "x", Identifier: "f"},
	}
	fault := errors.New("the source ends here")
	var got []snib.ImportedRow
	_, err := to.ImportUsers(ctx, func(yield func(snib.UserImport, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
		yield(snib.UserImport{}, fault)
	}, snib.ImportOptions{Each: func(r snib.ImportedRow) { got = append(got, r) }})
	if !errors.Is(err, fault) || len(got) != len(rows) {
		t.Fatalf("%v, %+v", err, got)
	}
	for i, field := range []string{"", "Row", "Row", "Row", "DisabledReason", ""} {
		wrong, _ := errors.AsType[*snib.InputError](got[i].Err)
		if got[i].Row != i+1 || (field == "") != (got[i].Err == nil) || field != "" && (wrong == nil || wrong.Field != field || got[i].Outcome != snib.RowRefused) {
			t.Errorf("%+v, want a refusal of %q", got[i], field)
		}
	}
	u, err := db.GetUser(ctx, "a")
	if err != nil || u.Attributes()["f"] != 1.0 || u.Attributes()["n"] != int64(1)<<60+1 {
		t.Errorf("%#v, %v", u.Attributes(), err)
	}
	if _, err := db.GetUser(ctx, "f"); err != nil {
		t.Errorf("the row before the fault: %v", err)
	}
}

// TestNothingIsReadAfterTheEnd: an import that has returned leaves the rows alone.
func TestNothingIsReadAfterTheEnd(t *testing.T) {
	_, to := liveOf(t)
	stop, cancel := context.WithCancel(ctx)
	reading := false
	_, err := to.ImportUsers(stop, func(yield func(snib.UserImport, error) bool) {
		reading = true
		defer func() { reading = false }()
		for i := 1; ; i++ {
			if !yield(snib.UserImport{Row: i, Provider: "x", Identifier: fmt.Sprint(i)}, nil) {
				return
			}
		}
	}, snib.ImportOptions{Each: func(snib.ImportedRow) { cancel() }})
	if !errors.Is(err, context.Canceled) || reading {
		t.Errorf("%v, reading %v", err, reading)
	}
}

var _ importer.Accounts = liveDB{}
