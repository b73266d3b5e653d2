package boltkv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

func init() {
	jobs["count"] = countOnce
	jobs["locked"] = func(path string) error {
		o := options()
		o.LockTimeout = 100 * time.Millisecond
		_, err := Open(path, o)
		if !errors.Is(err, ErrLocked) {
			return fmt.Errorf("got %v, want ErrLocked", err)
		}
		return nil
	}
	jobs["own"] = func(path string) error {
		s, err := Open(path, options())
		if err != nil {
			return err
		}
		fmt.Println("open")
		wait()
		return s.Close()
	}
	jobs["create"] = func(path string) error {
		o := options()
		o.Init = func(tx kv.Tx) error {
			fmt.Println("creating")
			wait()
			return nil
		}
		_, err := Open(path, o)
		return err
	}
}

// wait waits for the end of the parent, or to be killed.
func wait() { io.ReadAll(os.Stdin) }

// countOnce opens, adds one and closes, twice. Init puts a number of this
// process, so that a file which was made twice shows.
func countOnce(path string) error {
	for range 2 {
		o := options()
		o.Init = func(tx kv.Tx) error {
			return tx.Put(ascending, fmt.Append(nil, "made by ", os.Getpid()), nil)
		}
		s, err := Open(path, o)
		if err != nil {
			return err
		}
		err = s.Apply(ctx, func(tx kv.Tx) error {
			v, _, err := tx.Get(plain, []byte("n"))
			n, _ := strconv.Atoi(string(v))
			return errors.Join(err, tx.Put(plain, []byte("n"), fmt.Append(nil, n+1)))
		})
		if err := errors.Join(err, s.Close()); err != nil {
			return err
		}
	}
	return nil
}

// TestCreationRace: many processes see no file, and all end up with one.
func TestCreationRace(t *testing.T) {
	for _, empty := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "db")
		if empty {
			must(t, os.WriteFile(path, nil, 0o600))
		}
		const n = 12
		var children []*exec.Cmd
		var out [n]strings.Builder
		for i := range n {
			cmd := command("count", path)
			cmd.Stdout, cmd.Stderr = &out[i], &out[i]
			must(t, cmd.Start())
			children = append(children, cmd)
		}
		for i, cmd := range children {
			if err := cmd.Wait(); err != nil {
				t.Errorf("child %d: %v\n%s", i, err, &out[i])
			}
		}
		alone(t, path)
		s := openAt(t, path, options())
		same(t, "acknowledged additions", read(s, "n"), 2*n)
		made := 0
		must(t, s.View(ctx, func(r kv.Reader) error {
			return r.Scan(ascending, nil, nil, 0, func(_, _ []byte) error { made++; return nil })
		}))
		same(t, "creations that count", made, 1)
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, options())
	succeed(t, "locked", path)
	put(t, s, "k", "v") // it did no harm
	must(t, s.Close())

	_, owner := start(t, "own", path)
	o := options()
	o.LockTimeout = 20 * time.Millisecond
	_, err := Open(path, o)
	want(t, "while another process owns it", err, ErrLocked)
	must(t, owner.Process.Kill())
	o.LockTimeout = 10 * time.Second
	s, err = Open(path, o) // the lock dies with its process
	must(t, err)
	same(t, "content", read(s, "k"), "v")
	must(t, s.Close())
}

// TestKilledWhileCreating: nothing half made is at the path.
func TestKilledWhileCreating(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	_, child := start(t, "create", path)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a half-made file is at the path: %v", err)
	}
	must(t, child.Process.Kill())
	child.Wait()
	left, err := filepath.Glob(path + ".creating-*")
	must(t, err)
	same(t, "files left behind", len(left), 1)
	s := openAt(t, path, initialised())
	same(t, "Init", read(s, "init"), "done")
	alone(t, path)
}
