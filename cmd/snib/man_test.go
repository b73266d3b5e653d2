package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestManPages(t *testing.T) {
	if got := try("man"); got.code != exitDone || !strings.Contains(got.out, `.TH "SNIB" "1"`) {
		t.Errorf("%.200s %s", got.out, got.err)
	}
	dir := filepath.Join(t.TempDir(), "man1")
	if got := try("man", "--dir", dir); got.code != exitDone || got.out != "" {
		t.Fatalf("%+v", got)
	}
	for _, name := range []string{"snib.1", "snib-user-reset-link.1", "snib-backup.1", "snib-completion-bash.1"} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(page), "exit") && name == "snib.1" && !strings.Contains(string(page), "Exit codes") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
