package snibsqlite

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/testseed"
)

// TestMain makes the test binary a process that writes until it is killed: each
// write adds one to the sum of all processes and puts a key of its own, and is
// told on standard output when it was acknowledged.
func TestMain(m *testing.M) {
	path := os.Getenv("SNIBSQLITE_WRITER")
	if path == "" {
		os.Exit(m.Run())
	}
	e, err := Open(path, nil)
	if err != nil {
		panic(err)
	}
	s, err := e.Open(ctx, setup(one))
	if err != nil {
		panic(err)
	}
	most, _ := strconv.Atoi(os.Getenv("SNIBSQLITE_WRITES"))
	done := make(chan bool)
	for g := range 4 {
		go func() {
			for i := 0; most == 0 || i < most; i++ {
				key := fmt.Sprintf("%d-%d-%d", os.Getpid(), g, i)
				if err := s.Apply(ctx, func(w kv.Tx) error { return count(w, key) }); err != nil {
					panic(err)
				}
				fmt.Println(key)
			}
			done <- true
		}()
	}
	for range 4 {
		<-done
	}
	if err := s.Close(); err != nil {
		panic(err)
	}
}

func count(w kv.Tx, key string) error {
	v, _, err := w.Get(0, []byte("sum"))
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(v))
	if err := w.Put(0, []byte("sum"), []byte(strconv.Itoa(n+1))); err != nil {
		return err
	}
	return w.Put(0, []byte(key), nil)
}

// child starts a writer and returns its acknowledged keys when it has ended. One
// without an end has acknowledged the first when child returns.
func child(t *testing.T, path string, writes int) (cmd *exec.Cmd, acknowledged func() []string) {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd = exec.Command(exe)
	cmd.Env = append(os.Environ(), "SNIBSQLITE_WRITER="+path, "SNIBSQLITE_WRITES="+strconv.Itoa(writes))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines, first := make(chan []string, 1), make(chan bool)
	begun := sync.OnceFunc(func() { close(first) })
	go func() {
		defer begun()
		var keys []string
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if err != nil { // of one that was killed, the last may be cut
				lines <- keys
				return
			}
			keys = append(keys, strings.TrimSpace(line))
			begun()
		}
	}()
	if writes == 0 {
		<-first
	}
	return cmd, func() []string {
		keys := <-lines
		cmd.Wait()
		return keys
	}
}

// holds checks that all keys are there, and that the sum is that of all keys.
func holds(t *testing.T, s *Store, keys []string) (sum int) {
	t.Helper()
	must(t, s.View(ctx, func(r kv.Reader) error {
		for _, key := range keys {
			if _, ok, err := r.Get(0, []byte(key)); !ok || err != nil {
				t.Errorf("%s was acknowledged and is lost: %v", key, err)
			}
		}
		v, _, err := r.Get(0, []byte("sum"))
		if err != nil {
			return err
		}
		sum, _ = strconv.Atoi(string(v))
		n := 0
		err = r.Scan(0, nil, nil, 0, func(k, _ []byte) error { n++; return nil })
		if sum != 0 && sum != n-1 {
			t.Errorf("sum %d of %d keys", sum, n-1)
		}
		return err
	}))
	return sum
}

// TestKilledWriter kills processes in the middle of their writes, beside this one
// that goes on.
func TestKilledWriter(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	seed := testseed.Of(t)
	rnd := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "db")
	var keys []string
	for round := range rounds {
		var s *Store
		if round%2 == 0 {
			s = openAt(t, path, false, one)
		}
		cmd, acknowledged := child(t, path, 0)
		end := time.After(time.Duration(30+rnd.IntN(200)) * time.Millisecond)
		for i, over := 0, false; !over; i++ {
			select {
			case <-end:
				over = true
			default:
				if s == nil {
					time.Sleep(time.Millisecond)
					continue
				}
				key := fmt.Sprintf("mine-%d-%d", round, i)
				must(t, s.Apply(ctx, func(w kv.Tx) error { return count(w, key) }))
				keys = append(keys, key)
			}
		}
		must(t, cmd.Process.Kill())
		keys = append(keys, acknowledged()...)
		if s == nil {
			s = openAt(t, path, false, one)
		}
		holds(t, s, keys)
		must(t, s.Close())
		intact(t, path)
	}
	if len(keys) < rounds {
		t.Errorf("only %d writes", len(keys))
	}
	t.Logf("%d writes acknowledged", len(keys))
}

// TestTwoProcesses: nothing of either is lost, and a snapshot sees what the other
// has acknowledged.
func TestTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, false, one)
	_, a := child(t, path, 25)
	_, b := child(t, path, 25)
	keys := append(a(), b()...)
	if sum := holds(t, s, keys); sum != 200 || len(keys) != 200 {
		t.Errorf("sum %d, %d keys, want 200", sum, len(keys))
	}
}
