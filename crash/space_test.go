package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func command(t *testing.T, name string, args ...string) error {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Logf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return err
}

// mounted mounts a small file system, or skips: that needs root, and a kernel
// that lets it.
func mounted(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: mounting needs root")
	}
	if err := command(t, "mount", append(args, dir)...); err != nil {
		t.Skip("NOT TESTED: nothing can be mounted here")
	}
	t.Cleanup(func() {
		if command(t, "umount", dir) != nil {
			t.Errorf("%s stays mounted", dir)
		}
	})
	return dir
}

// TestFullMemory: a file system in memory is full, and then larger.
func TestFullMemory(t *testing.T) {
	dir := mounted(t, "-t", "tmpfs", "-o", "size=3m", "tmpfs")
	n, err := fillUp(dir, func() error { return command(t, "mount", "-o", "remount,size=64m", dir) })
	t.Logf("%d users", n)
	if err != nil {
		t.Error(err)
	}
}

// TestFullDisk: a disk is full, until another file goes.
func TestFullDisk(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	if err := command(t, "mkfs.ext4", "-q", "-F", image); err != nil {
		t.Skip("NOT TESTED: no ext4 can be made here")
	}
	dir := mounted(t, "-o", "loop", image)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := fillUp(dir, func() error { return os.Remove(ballast) })
	t.Logf("%d users", n)
	if err != nil {
		t.Error(err)
	}
}

// TestFileSizeLimit: the process may write files of 3 MiB, and then larger
// ones.
func TestFileSizeLimit(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = job{Kind: "limited", Path: t.TempDir()}.environ()
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
