package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snibdb/snib/bench/internal/report"
)

// TestMain lets the test's binary stand for the harness where the harness
// calls itself.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && (os.Args[1] == "-probe" || os.Args[1] == "-import") || len(os.Args) == 2 && os.Args[1] == "-serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestRunFromEndToEnd takes the way of a user, with little to do.
func TestRunFromEndToEnd(t *testing.T) {
	dir := t.TempDir()
	json, html := filepath.Join(dir, "r.json"), filepath.Join(dir, "html")
	var out strings.Builder
	args := []string{"-suite", "read,write,size,check,pages,import", "-peers", "snib,scs-bbolt", "-n", "100", "-writers", "1,4", "-rounds", "1",
		"-sample", "2ms", "-dir", filepath.Join(dir, "stores"), "-json", json, "-html", html}
	if err := run(args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"validate+user", "scs-bbolt", "delete user with 1000 made over time", "heap after open", "pages of refresh", "validate newest 1 %", "list of 10 sessions", "check of all"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, out.String())
		}
	}
	r, err := report.Read(json)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Peers) != 4 || r.Find("validate", 100, 1, "snib").Ratio <= 0 || r.Versions["go.etcd.io/bbolt"] == "" || r.Machine.CPU == "" {
		t.Errorf("the result lacks something: %+v", r)
	}
	if _, err := os.Stat(filepath.Join(html, "index.html")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "stores")); err != nil || len(left) > 0 {
		t.Errorf("stores are left behind: %v, %v", left, err)
	}
}

// TestBeforeIsMeasuredBeside builds the harness on the commit that is checked
// out and compares the two.
func TestBeforeIsMeasuredBeside(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the harness")
	}
	if _, err := git("", "rev-parse", "--verify", "HEAD"); err != nil {
		t.Skip("not in a repository:", err)
	}
	dir := t.TempDir()
	var out strings.Builder
	args := []string{"-before", "HEAD", "-suite", "read,check", "-peers", "snib", "-n", "100", "-rounds", "2", "-sample", "2ms",
		"-dir", filepath.Join(dir, "stores"), "-json", filepath.Join(dir, "r.json")}
	if err := run(args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	r, err := report.Read(filepath.Join(dir, "r.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, work := range []string{"validate", "list of 10 sessions"} {
		if row := r.Find(work, 100, 1, "snib"); row == nil || row.Before <= 0 || len(r.Find(work, 100, 1, report.Before).Rounds) != 2 {
			t.Errorf("%s is not compared: %+v", work, row)
		}
	}
	if r.Find("check of all", 100, 0, "snib").Before <= 0 || r.Settings.Before == "" {
		t.Error("the check of all is not compared")
	}
	if left, err := os.ReadDir(filepath.Join(dir, "stores")); err != nil || len(left) > 0 {
		t.Errorf("files are left behind: %v, %v", left, err)
	}
	if list, err := git("", "worktree", "list"); err != nil || strings.Contains(list, dir) {
		t.Errorf("a work tree is left behind: %s, %v", list, err)
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-suite", "x"}, {"-peers", "x"}, {"-n", "0"}, {"-n", "ten"}, {"-writers", "-1"}, {"-rounds", "0"}, {"-rate", "0"}, {"-before", "no-such-commit"}, {"more"}, {"-x"},
	} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
	if err := run([]string{"-help"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-help: %v", err)
	}
}
