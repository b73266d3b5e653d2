package boltkv

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

func TestLongNames(t *testing.T) {
	for _, name := range []string{
		strings.Repeat("a", 229), strings.Repeat("a", 230), strings.Repeat("a", 236), strings.Repeat("a", 254),
		strings.Repeat("a", 255), strings.Repeat("a", 228) + strings.Repeat("ß", 13), "a*b*", "a\nb",
	} {
		path := filepath.Join(t.TempDir(), name)
		s := openAt(t, path, options())
		put(t, s, "k", "v")
		must(t, s.BackupFile(ctx, filepath.Join(t.TempDir(), name), false, nil))
		must(t, s.CompactTo(ctx, filepath.Join(t.TempDir(), name), false, nil))
		s.db.at().roomy = false // so that a backup is spooled
		must(t, s.Backup(ctx, writerFunc(func(p []byte) (int, error) { return len(p), nil }), nil))
		alone(t, path)
		must(t, s.Close())
	}
}

func init() {
	jobs["create under umask 0777"] = func(path string) error {
		syscall.Umask(0o777)
		s, err := Open(path, options())
		if err != nil {
			return err
		}
		return firstError(s.BackupFile(ctx, path+".copy", false, nil), s.CompactTo(ctx, path+".compact", false, nil), s.Close())
	}
	jobs["open"] = func(path string) error {
		s, err := Open(path, Options{Bucket: "snib", LockTimeout: time.Millisecond})
		if err != nil {
			return err
		}
		return s.Close()
	}
}

// as runs a job as another user, if this one is root.
func as(t *testing.T, uid uint32, job, path string) (out string) {
	t.Helper()
	cmd := command(job, path)
	if os.Geteuid() == 0 {
		program := filepath.Join(filepath.Dir(path), "program") // the test's own may be out of their reach
		content, err := os.ReadFile(os.Args[0])
		must(t, err)
		must(t, os.WriteFile(program, content, 0o755))
		must(t, os.Chmod(program, 0o755)) // whatever the umask
		defer os.Remove(program)
		cmd.Path, cmd.SysProcAttr = program, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	text, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) {
		t.Skip("this root cannot be another user, or that one cannot enter the directory: ", err)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(text)
}

// reachable is a directory that every user can enter and write.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "boltkv")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	return dir
}

func TestUmaskThatTakesAll(t *testing.T) {
	path := filepath.Join(reachable(t), "db")
	same(t, "printed", as(t, 4711, "create under umask 0777", path), "")
	for _, name := range []string{path, path + ".copy", path + ".compact"} {
		info, err := os.Stat(name)
		must(t, err)
		same(t, name, info.Mode(), "-rw-------")
	}
}

func TestEmptyFileThatIsMounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	must(t, os.WriteFile(path, nil, 0o644))
	must(t, os.WriteFile(path+".host", nil, 0o644))
	if err := syscall.Mount(path+".host", path, "", syscall.MS_BIND, ""); err != nil {
		t.Skip("cannot mount: ", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(path, 0)) })
	s := openAt(t, path, initialised())
	same(t, "Init", read(s, "init"), "done")
	put(t, s, "k", "v")
	info, err := os.Stat(path)
	must(t, err)
	same(t, "mode", info.Mode(), "-rw-------")
}

func TestErrorsSayWhatIsThere(t *testing.T) {
	dir := reachable(t)
	says := func(what, got string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q does not say %q", what, got, w)
			}
		}
	}
	_, err := Open(dir, options())
	says("a directory", errorText(err), "directory", "not a file")
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	_, err = Open(filepath.Join(dir, "pipe"), options())
	says("a pipe", errorText(err), "pipe")
	path := filepath.Join(dir, "db")
	s := openAt(t, path, options())

	o := options()
	o.LockTimeout = time.Millisecond
	_, err = Open(path, o)
	want(t, "here", err, ErrLocked)
	says("open here", errorText(err), "this process")
	if strings.Contains(errorText(err), "another process") {
		t.Errorf("open here: %v", err)
	}
	out, _ := command("open", path).CombinedOutput()
	says("open in another process", string(out), "another process")
	if os.Geteuid() == 0 {
		says("another's file", as(t, 4711, "open", path), kv.ErrReadOnly.Error(), "-rw-------", "uid 0;", "uid 4711")
		must(t, os.Chmod(dir, 0o755))
		says("another's directory", as(t, 4711, "open", path+".new"), kv.ErrReadOnly.Error(), "drwxr-xr-x", "uid 0;")
	}
	must(t, s.Close())
	flock = func(int, int) error { return syscall.ENOSYS }
	t.Cleanup(func() { flock = syscall.Flock })
	_, err = Open(path, options())
	says("no locks", errorText(err), "has no locks", path)
	flock = syscall.Flock
}

func init() {
	jobs["copy and wait"] = func(path string) error {
		s, err := Open(path, options())
		if err != nil {
			return err
		}
		return s.CompactTo(ctx, path+".copy", false, func(_, _ int64) {
			println("copying")
			select {}
		})
	}
}

// TestOpenRemovesWhatACrashLeft: a copy that was being made when its process
// was killed is gone after the next Open.
func TestOpenRemovesWhatACrashLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s, err := Open(path, options())
	must(t, err)
	put(t, s, "k", "v")
	must(t, s.Close())
	cmd := command("copy and wait", path)
	out, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = out.Read(make([]byte, 1))
	must(t, err)
	must(t, cmd.Process.Kill())
	cmd.Wait()
	left, err := filepath.Glob(path + ".copy.partial-*")
	must(t, err)
	same(t, "left by the crash", len(left), 1)
	s = openAt(t, path, options())
	alone(t, path)
	same(t, "content", read(s, "k"), "v")
}
