package boltkv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

func init() {
	jobs["limit"] = limitFile
	jobs["inject"] = injected
}

// swap puts the device at path under the store's file descriptor and returns
// the function that puts the file back. The map stays the file's.
func swap(t *testing.T, s *Store, device string) (restore func()) {
	t.Helper()
	fd := int(s.db.at().file.Fd())
	saved, err := syscall.Dup(fd)
	must(t, err)
	d, err := os.OpenFile(device, os.O_RDWR, 0)
	must(t, err)
	must(t, syscall.Dup3(int(d.Fd()), fd, 0))
	must(t, d.Close())
	return func() {
		must(t, syscall.Dup3(saved, fd, 0))
		must(t, syscall.Close(saved))
	}
}

// unwatched keeps the store from looking at the file's length, which a device
// does not have, and at its meta page.
func unwatched(s *Store) (watch func()) {
	h := s.db.at()
	f := h.file
	h.file = nil // metaStands looks at the map
	return func() { h.file = f }
}

// withRoom is a store with free pages, so that commits need not grow the file.
func withRoom(t *testing.T) *Store {
	t.Helper()
	s := newStoreIn(t, options())
	must(t, filled(s))
	must(t, s.Exclusive(ctx, func(tx kv.Tx) error { _, err := tx.DeleteRange(plain, nil, nil); return err }))
	put(t, s, "k", "old")
	return s
}

// TestDiskFull: pages cannot be written, nothing is lost, and with space the
// service goes on.
func TestDiskFull(t *testing.T) {
	s := withRoom(t)
	restore := swap(t, s, "/dev/full")
	watch := unwatched(s)
	errs := together(t, s, putting("k", "new"), putting("l", "new"))
	want(t, "first", errs[0], kv.ErrFull)
	want(t, "second", errs[1], kv.ErrFull)
	want(t, "cause", errs[0], syscall.ENOSPC)
	same(t, "read meanwhile", read(s, "k")+read(s, "l"), "oldabsent")
	restore()
	watch()
	put(t, s, "k", "newer")
	same(t, "read afterwards", read(s, "k"), "newer")
}

// TestSyncFails: on /dev/null writes succeed and syncs do not.
func TestSyncFails(t *testing.T) {
	s := withRoom(t)
	restore := swap(t, s, "/dev/null")
	watch := unwatched(s)
	own := errors.New("verdict")
	errs := together(t, s, putting("k", "new"), func(kv.Tx) error { return own })
	restore()
	watch()
	want(t, "wrote", errs[0], kv.ErrUnknown)
	if errors.Is(errs[1], kv.ErrUnknown) || errors.Is(errs[1], own) {
		t.Errorf("the one that wrote nothing got %v", errs[1])
	}
	want(t, "wrote nothing, on a snapshot that may be void", errs[1], kv.ErrClosed)
	for name, err := range map[string]error{
		"View":  s.View(ctx, func(kv.Reader) error { return nil }),
		"Apply": s.Apply(ctx, putting("k", "v")),
	} {
		want(t, name+" afterwards", err, kv.ErrClosed)
		want(t, name+" says why", err, syscall.EINVAL)
		if errors.Is(err, kv.ErrUnknown) || !strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s afterwards is certain, and tells why it failed: %v", name, err)
		}
	}
	must(t, s.Close())
}

// limitFile runs into the limit on the size of files, which no test process
// should do to itself.
func limitFile(path string) error {
	s, err := Open(path, options())
	if err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: 3 << 20, Max: 3 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	var e expect
	n := 0
	for err == nil {
		err = s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, fmt.Sprint("filler ", n), 300<<10) })
		n++
	}
	e.is("too large a file", err, kv.ErrFull)
	e.is("read", s.View(ctx, func(r kv.Reader) error { return second(r.Get(plain, []byte("filler 0 0"))) }), nil)
	e.is("delete", s.Apply(ctx, func(tx kv.Tx) error { _, err := tx.DeleteRange(plain, nil, nil); return err }), nil)
	e.is("write again", s.Apply(ctx, putting("k", "v")), nil)
	e.is("Close", s.Close(), nil)
	return e.alive()
}

func TestFileLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	succeed(t, "limit", path)
	check(t, path)
}

// injected commits until it fails and prints how. It tells of each commit that
// was acknowledged.
func injected(path string) error {
	o := options()
	s, err := Open(path, o)
	if err != nil {
		fmt.Println("open failed")
		return nil
	}
	for i := range 6 {
		err := s.Apply(ctx, func(tx kv.Tx) error { return tx.Put(plain, fmt.Append(nil, i), make([]byte, 3000)) })
		switch {
		case err == nil:
			fmt.Println("ack", i)
			continue
		case errors.Is(err, kv.ErrUnknown):
			fmt.Println("unknown", i)
			if err := s.View(ctx, func(kv.Reader) error { return nil }); !errors.Is(err, kv.ErrClosed) {
				fmt.Println("still reads:", err)
			}
		default:
			fmt.Println("refused", i)
		}
		break
	}
	return s.Close()
}

// TestInjectedErrors fails each sync and each write in turn, by strace. It does
// not make the call then, so that even a failed write of the meta page is
// known not to have happened.
func TestInjectedErrors(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	seen := map[string]int{}
	for _, fault := range []string{"fdatasync:error=EIO", "pwrite64:error=EIO", "pwrite64:error=ENOSPC", "ftruncate:error=ENOSPC"} {
		for n := 1; n <= 12; n++ {
			path := filepath.Join(t.TempDir(), "db")
			must(t, openAt(t, path, options()).Close())
			call, _, _ := strings.Cut(fault, ":")
			cmd := command("inject", path, strace, "-f", "--seccomp-bpf", "-qq", "-o", os.DevNull, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:when=%d", fault, n))
			cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Skipf("strace: %v\n%s", err, out)
			}
			outcome := judgeInjected(t, fmt.Sprintf("%s, number %d", fault, n), path, string(out))
			seen[call+" "+outcome]++
		}
	}
	t.Log(seen)
	for _, must := range []string{"fdatasync unknown, there", "fdatasync unknown, not there", "pwrite64 refused, not there"} {
		if seen[must] == 0 {
			t.Errorf("never seen: %s", must)
		}
	}
	for _, never := range []string{"fdatasync refused, not there", "pwrite64 refused, there"} {
		if seen[never] != 0 {
			t.Errorf("seen: %s", never)
		}
	}
}

// judgeInjected compares what a child said with what is in its file.
func judgeInjected(t *testing.T, name, path, out string) (outcome string) {
	t.Helper()
	s := openAt(t, path, options())
	outcome = "none"
	for line := range strings.Lines(out) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		there := read(s, rest) != "absent"
		switch word {
		case "ack":
			if !there {
				t.Errorf("%s: acknowledged and lost: %s", name, rest)
			}
		case "unknown", "refused":
			outcome = word + map[bool]string{true: ", there", false: ", not there"}[there]
		default:
			t.Errorf("%s: %s", name, line)
		}
	}
	must(t, s.Close())
	return outcome
}
