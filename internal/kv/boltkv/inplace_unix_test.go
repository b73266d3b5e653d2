//go:build unix && !aix && !android && !solaris

package boltkv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

func TestCompactInPlaceGoesOn(t *testing.T) {
	for _, twice := range []bool{false, true} {
		o := options()
		o.Twice, o.LockTimeout = twice, 30*time.Millisecond
		path := filepath.Join(t.TempDir(), "db")
		s := openAt(t, path, o)
		must(t, os.Chmod(path, 0o640))
		worn(t, s)
		put(t, s, "k", "before")
		was, before := dump(t, s.db.at().DB), s.Stats().FileBytes
		old, err := os.Stat(path)
		must(t, err)
		queue := make(chan error, 1)
		once := sync.Once{}
		must(t, s.Compact(ctx, func(done, total int64) {
			once.Do(func() {
				go func() { queue <- s.Apply(ctx, putting("waited", "v")) }()
				queued(t, s, 1)
			})
		}))
		must(t, <-queue)
		same(t, "the writer that waited", read(s, "waited"), "v")
		must(t, s.Apply(ctx, func(tx kv.Tx) error { return tx.Delete(plain, []byte("waited")) }))
		if got := dump(t, s.db.at().DB); got != was {
			t.Errorf("the content is another: %d bytes of text, was %d", len(got), len(was))
		}
		if after := s.Stats().FileBytes; after >= before {
			t.Errorf("%d bytes, was %d", after, before)
		}
		now, err := os.Stat(path)
		must(t, err)
		same(t, "the same file", os.SameFile(old, now), false)
		same(t, "mode", now.Mode(), "-rw-r-----")
		alone(t, path)
		_, err = Open(path, o)
		want(t, "a second Open", err, ErrLocked)
		must(t, s.InPlace())
		must(t, s.Compact(ctx, nil)) // again
		put(t, s, "k", "after")
		must(t, s.Close())
		s = openAt(t, path, o)
		same(t, "reopened", read(s, "k"), "after")
	}
}

// Readers of the old file go on, and nobody waits for them; the number of a
// commit never comes twice; the old file goes when they have ended.
func TestReadersOfTheFileBeforeCompact(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "k", "before")
	versions := map[uint64]bool{}
	look := func(want string) {
		p, err := s.Pin(ctx)
		must(t, err)
		v, _, err := p.Get(plain, []byte("k"))
		same(t, "pinned", fmt.Sprint(string(v), err), want+"<nil>")
		versions[p.Version()] = true
		must(t, p.Release(nil))
	}
	const commits = 60 // more than the new file has at first
	for range commits {
		put(t, s, "k", "before")
		s.pool.retire()
		look("before")
	}
	held, err := s.Pin(ctx) // a transaction that was kept, in use
	must(t, err)
	old := s.db.at()
	inside, end := make(chan bool), make(chan bool)
	ended := make(chan string)
	go func() {
		text := ""
		err := s.View(ctx, func(r kv.Reader) error {
			close(inside)
			<-end
			v, _, err := r.Get(plain, []byte("k"))
			text = string(v)
			return err
		})
		ended <- fmt.Sprint(text, err)
	}()
	<-inside
	done := make(chan error)
	go func() { // Compact may not be called where a snapshot is held
		err := s.Compact(ctx, nil)
		for i := range 20 {
			err = errors.Join(err, s.Apply(ctx, putting("k", strconv.Itoa(i))))
		}
		done <- err
	}()
	must(t, <-done)
	v, _, err := held.Get(plain, []byte("k"))
	same(t, "held", fmt.Sprint(string(v), err), "before<nil>")
	must(t, held.Release(nil))
	for i := range 20 {
		put(t, s, "k", fmt.Sprint("again ", i))
		s.pool.retire()
		look(fmt.Sprint("again ", i))
	}
	same(t, "different versions", len(versions), commits+20)
	close(end)
	same(t, "the View that was open", <-ended, "before<nil>")
	for deadline := time.Now().Add(atMost); ; time.Sleep(time.Millisecond) {
		btx, err := old.DB.Begin(false)
		if errors.Is(err, berrors.ErrDatabaseNotOpen) {
			break
		}
		must(t, btx.Rollback())
		if time.Now().After(deadline) {
			t.Fatal("the old handle stays open")
		}
	}
}

// The application cannot commit to the file that was replaced.
func TestOldHandleCannotCommit(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "k", "v")
	var handle *bolt.DB
	must(t, s.View(ctx, func(r kv.Reader) error {
		btx, _ := Bolt(r)
		handle = btx.DB()
		return nil
	}))
	waits, result := make(chan bool), make(chan error)
	var once sync.Once
	must(t, s.Compact(ctx, func(done, total int64) {
		once.Do(func() {
			go func() {
				close(waits)
				result <- handle.Update(func(btx *bolt.Tx) error {
					_, err := btx.CreateBucket([]byte("lost"))
					return err
				})
			}()
			<-waits
			time.Sleep(10 * time.Millisecond)
		})
	}))
	if err := <-result; err == nil {
		t.Error("a commit to the old file was acknowledged")
	}
}

func TestCompactThatCannotReplaceChangesNothing(t *testing.T) {
	both(t, func(t *testing.T, s *Store) {
		worn(t, s)
		if s.db.at().file == nil {
			want(t, "the application's handle", s.Compact(ctx, nil), errors.ErrUnsupported)
			want(t, "by its path", s.CompactTo(ctx, s.db.Path(), true, nil), ErrOwnFile)
			return
		}
		ended, cancel := context.WithCancel(ctx)
		err := s.Compact(ended, func(_, _ int64) { cancel() })
		want(t, "ctx ends", err, context.Canceled)
		cancel()
		put(t, s, "k", "later")
		beside(t, s)
	})
}

func TestCompactWaitsForCopies(t *testing.T) {
	s := newStoreIn(t, options())
	worn(t, s)
	began, goOn := make(chan bool), make(chan bool)
	result := make(chan error)
	var once sync.Once
	go func() {
		result <- s.Backup(ctx, writerFunc(func(p []byte) (int, error) {
			once.Do(func() { close(began); <-goOn })
			return len(p), nil
		}), nil)
	}()
	<-began
	ended, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	want(t, "Compact during a Backup", s.Compact(ended, nil), context.DeadlineExceeded)
	go func() { close(goOn) }()
	must(t, s.Compact(ctx, nil))
	must(t, <-result)
	must(t, s.Backup(ctx, io.Discard, nil))
}

// TestCompactUnderLoad: whoever was told that a write is done finds it, before,
// during and after compactions, and in the file.
func TestCompactUnderLoad(t *testing.T) {
	o := options()
	o.InsecureNoSync = true
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, o)
	must(t, filled(s))
	const writers, compactions = 4, 10
	var told [writers]atomic.Int64
	var stop atomic.Bool
	var group sync.WaitGroup
	for w := range writers {
		key := []byte(fmt.Sprint("writer ", w))
		group.Go(func() {
			for n := int64(1); !stop.Load(); n++ {
				write := s.Apply
				if n%5 == 0 {
					write = s.Update
				}
				if err := write(ctx, putting(string(key), strconv.FormatInt(n, 10))); err != nil {
					t.Error(err)
					return
				}
				told[w].Store(n)
			}
		})
		group.Go(func() {
			for n := 0; !stop.Load(); n++ {
				least := told[w].Load()
				var got int64
				look := func(r kv.Reader) error {
					v, ok, err := r.Get(plain, key)
					if ok {
						got, err = strconv.ParseInt(string(v), 10, 64)
					}
					return err
				}
				var err error
				if n%5 == 0 {
					err = s.View(ctx, look)
				} else {
					err = onSnapshot(s, look)
				}
				if err != nil || got < least {
					t.Errorf("got %d, %v after %d was acknowledged", got, err, least)
					return
				}
			}
		})
	}
	for range compactions {
		must(t, s.Compact(ctx, nil))
	}
	stop.Store(true)
	group.Wait()
	must(t, s.Close())
	s = openAt(t, path, o)
	for w := range writers {
		same(t, "in the file", read(s, fmt.Sprint("writer ", w)), told[w].Load())
	}
	alone(t, path)
}

func init() {
	jobs["write and compact"] = func(path string) error {
		s, err := Open(path, options())
		if err != nil {
			return err
		}
		go func() {
			for err == nil {
				err = s.Compact(ctx, nil)
			}
			fmt.Println("compact:", err)
			os.Exit(1)
		}()
		n, _ := strconv.Atoi(read(s, "n"))
		for {
			n++
			if err := s.Apply(ctx, putting("n", strconv.Itoa(n))); err != nil {
				return err
			}
			fmt.Println(n)
		}
	}
}

// TestKilledWhileCompacting: whatever the moment, one whole file is there, with
// all that was acknowledged, and nothing beside it after the next Open.
func TestKilledWhileCompacting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, options())
	must(t, filled(s))
	put(t, s, "n", "0")
	must(t, s.Close())
	for round := range 12 {
		cmd := command("write and compact", path)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		time.AfterFunc(time.Duration(40+17*round)*time.Millisecond, func() { cmd.Process.Kill() })
		told, lines := 0, bufio.NewScanner(out)
		for lines.Scan() {
			if told, err = strconv.Atoi(lines.Text()); err != nil {
				t.Error(lines.Text())
			}
		}
		cmd.Wait()
		s := openAt(t, path, options())
		n, err := strconv.Atoi(read(s, "n"))
		if err != nil || n < told || told > 0 && n > told+1 {
			t.Errorf("round %d: %d was told, %d is there, %v", round, told, n, err)
		}
		alone(t, path)
		must(t, s.Close())
		check(t, path)
	}
}
