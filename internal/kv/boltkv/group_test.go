package boltkv

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

// together makes the operations one group: they queue in order behind a lock
// of the application's. It returns their errors.
func together(t *testing.T, s *Store, ops ...func(kv.Tx) error) []error {
	t.Helper()
	return togetherOn(t, s, library, ops...)
}

func togetherOn(t *testing.T, s *Store, from side, ops ...func(kv.Tx) error) []error {
	t.Helper()
	writes := make([]func() error, len(ops))
	for i, op := range ops {
		writes[i] = func() error { return sides(s)[from](ctx, op) }
	}
	return queueUp(t, s, writes...)
}

func queueUp(t *testing.T, s *Store, writes ...func() error) []error {
	t.Helper()
	btx := hold(t, s)
	errs := make([]error, len(writes))
	var group sync.WaitGroup
	for i, write := range writes {
		group.Go(func() {
			errs[i] = errExited // unless it returns
			errs[i] = write()
		})
		queued(t, s, i+1)
	}
	must(t, btx.Rollback())
	group.Wait()
	return errs
}

// sides are the two kinds of write that share commits, each with its own.
func sides(s *Store) map[side]func(context.Context, func(kv.Tx) error) error {
	return map[side]func(context.Context, func(kv.Tx) error) error{library: s.Apply, closures: s.Update}
}

func TestOneCommitForASide(t *testing.T) {
	s := newStoreIn(t, options())
	s.turns.limit = time.Minute // on a busy machine 5 ms are over soon
	before := s.Stats()
	order := map[side][]int{}
	var writes []func() error
	for i := range 64 {
		from := side(i % 2)
		op := func(tx kv.Tx) error {
			order[from] = append(order[from], i) // one after the other
			return tx.Put(plain, fmt.Append(nil, i), nil)
		}
		writes = append(writes, func() error { return sides(s)[from](ctx, op) })
	}
	for _, err := range queueUp(t, s, writes...) {
		must(t, err)
	}
	st := s.Stats()
	same(t, "commits", st.Commits-before.Commits, 2)
	same(t, "members", st.Members-before.Members, 64)
	same(t, "largest", st.LargestGroup, 32)
	same(t, "replays", st.Replays, 0)
	for from, ran := range order {
		for i := range ran {
			if ran[i] != 2*i+int(from) {
				t.Fatalf("side %d ran in the order %v", from, ran)
			}
		}
	}
}

func TestGroupBounds(t *testing.T) {
	o := options()
	o.InsecureNoSync = true
	s := newStoreIn(t, o)
	ops := make([]func(kv.Tx) error, maxMembers+10)
	for i := range ops {
		ops[i] = func(tx kv.Tx) error { return tx.Put(plain, fmt.Append(nil, i), nil) }
	}
	for _, err := range together(t, s, ops...) {
		must(t, err)
	}
	same(t, "largest by number", s.Stats().LargestGroup, maxMembers)
	same(t, "commits", s.Stats().Commits, 2)

	value := make([]byte, 100<<10)
	ops = ops[:10]
	for i := range ops {
		ops[i] = func(tx kv.Tx) error {
			for j := range 10 {
				if err := tx.Put(plain, fmt.Appendf(nil, "big %d %d", i, j), value); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for _, err := range together(t, s, ops...) {
		must(t, err)
	}
	// A member puts 1,024,060 bytes; the fifth goes beyond 4 MiB.
	same(t, "commits of 10 MB", s.Stats().Commits, 4)
}

func TestExclusiveIsAlone(t *testing.T) {
	s := newStoreIn(t, options())
	s.turns.limit = time.Minute
	update := func() error { return s.Update(ctx, putting("a", "")) }
	exclusive := func() error { return s.Exclusive(ctx, putting("b", "")) }
	for _, err := range queueUp(t, s, update, update, exclusive, update, exclusive, exclusive) {
		must(t, err)
	}
	same(t, "commits", s.Stats().Commits, 5)
	same(t, "largest", s.Stats().LargestGroup, 2)
}

// rested waits until the writer, which has answered, has ended too.
func rested(s *Store) {
	for writing := true; writing; runtime.Gosched() {
		s.mu.Lock()
		writing = s.writing
		s.mu.Unlock()
	}
}

func TestWhereClosuresRun(t *testing.T) {
	s := newStoreIn(t, options())
	goroutine := s.nest.ID
	here, there := goroutine(), uint64(0)
	note := func(kv.Tx) error { there = goroutine(); return nil }
	must(t, s.Update(ctx, note))
	same(t, "Update", there, here)
	must(t, s.Exclusive(ctx, note))
	same(t, "Exclusive", there, here)
	must(t, s.View(ctx, func(kv.Reader) error { return note(nil) }))
	same(t, "View", there, here)
	rested(s)
	must(t, s.Apply(ctx, note))
	same(t, "Apply, alone", there, here)
	s.last.Store(2)
	must(t, s.Apply(ctx, putting("k", "v")))
	rested(s)
	must(t, s.Apply(ctx, note))
	same(t, "Apply, alone again", there, here)
	s.last.Store(2)
	if must(t, s.Apply(ctx, note)); there == here {
		t.Error("Apply ran on the caller's goroutine, where others may be about to come")
	}
	for _, err := range queueUp(t, s, func() error { return s.Apply(ctx, note) }) {
		must(t, err)
	}
	if there == here {
		t.Error("Apply ran on the caller's goroutine, and had waited there")
	}
	if s.waiting() != 0 || !s.nest.Empty() {
		t.Error("something is left over")
	}
}

// TestWriterYieldsOnce: waiting until no more come would take for ever where
// one comes each time, as it does where the processors are busy.
func TestWriterYieldsOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	came := 0
	for range 20 { // more come when the system takes the processor from the writer
		if came = cameBefore(t); came <= 10 {
			return
		}
	}
	t.Errorf("%d operations came before the first one ran", came)
}

// cameBefore counts the operations that come before the first one runs.
func cameBefore(t *testing.T) (came int) {
	s := newStoreIn(t, insecure())
	s.last.Store(2) // so that nobody leads
	var began atomic.Bool
	var group sync.WaitGroup
	for ; !began.Load() && came < maxMembers; came++ {
		group.Go(func() {
			must(t, s.Apply(ctx, func(tx kv.Tx) error {
				began.Store(true)
				return tx.Put(plain, []byte("k"), nil)
			}))
		})
		runtime.Gosched()
	}
	group.Wait()
	return came
}

// TestVerdicts counts runs: who fails clean runs once, who fails after writing
// makes the others run again.
func TestVerdicts(t *testing.T) {
	for _, from := range []side{library, closures} {
		verdicts(t, from)
	}
}

func verdicts(t *testing.T, from side) {
	s := newStoreIn(t, options())
	s.turns.limit = time.Minute
	own := errors.New("verdict")
	runs := make([]int, 6)
	op := func(i int, write bool, err error) func(kv.Tx) error {
		return func(tx kv.Tx) error {
			runs[i]++
			if write {
				if err := tx.Put(plain, fmt.Append(nil, i), nil); err != nil {
					return err
				}
			}
			return err
		}
	}
	errs := togetherOn(t, s, from,
		op(0, true, own),  // final: nobody wrote before it
		op(1, false, own), // clean
		op(2, true, nil),
		op(3, false, own), // clean, but late: stays until the commit
		op(4, true, own),  // late: again, alone
		op(5, true, nil))
	same(t, "errors", errs, []error{own, own, nil, own, own, nil})
	same(t, "runs", runs, []int{1, 2, 2, 2, 2, 1})
	same(t, "commits", s.Stats().Commits, 1)
	same(t, "replays", s.Stats().Replays, 1)
	same(t, "stored", read(s, "0")+read(s, "2")+read(s, "4")+read(s, "5"), "absentabsent")
}

// TestVerdictOnWhatWasNeverCommitted: the second sees what the first wrote, but
// the first is too large for the file.
func TestVerdictOnWhatWasNeverCommitted(t *testing.T) {
	for _, from := range []side{library, closures} {
		verdictOnWhatWasNeverCommitted(t, from)
	}
}

func verdictOnWhatWasNeverCommitted(t *testing.T, from side) {
	o := options()
	o.MaxSize = 4 << 20
	s := newStoreIn(t, o)
	s.turns.limit = time.Minute
	fillUp(t, s)
	errTaken := errors.New("taken")
	errs := togetherOn(t, s, from, func(tx kv.Tx) error {
		return errors.Join(tx.Put(plain, []byte("name"), nil), bulk(tx, "too much", 1000<<10))
	}, func(tx kv.Tx) error {
		if _, ok, _ := tx.Get(plain, []byte("name")); ok {
			return errTaken
		}
		return tx.Delete(plain, []byte("filler 0"))
	})
	want(t, "first", errs[0], kv.ErrFull)
	want(t, "second", errs[1], nil)
	same(t, "name", read(s, "name"), "absent")
	same(t, "filler", read(s, "filler 0"), "absent")
}

func TestManyFailures(t *testing.T) {
	o := options()
	o.InsecureNoSync = true
	s := newStoreIn(t, o)
	own := errors.New("verdict")
	runs := 0
	ops := make([]func(kv.Tx) error, 120)
	for i := range ops {
		ops[i] = func(tx kv.Tx) error {
			runs++
			if err := tx.Put(plain, fmt.Append(nil, i), nil); err != nil || i%2 == 0 {
				return err
			}
			return own
		}
	}
	for i, err := range together(t, s, ops...) {
		if i%2 == 0 && err != nil || i%2 == 1 && err != own {
			t.Errorf("%d: %v", i, err)
		}
	}
	// A group gives up after 16 replays, and 16 verdicts; restarting for each
	// of the 60 without end would be 3,600 runs.
	if st := s.Stats(); st.Replays > 60 || runs > 1000 {
		t.Errorf("%d replays, %d runs", st.Replays, runs)
	}
	same(t, "stored", read(s, "118")+read(s, "119"), "absent")
}

func TestNothingWrittenNothingCommitted(t *testing.T) {
	s := newStoreIn(t, options())
	put(t, s, "k", "v")
	before := s.Stats().Commits
	own := errors.New("verdict")
	for name, op := range map[string]func(kv.Tx) error{
		"verdict":     func(kv.Tx) error { return own },
		"nothing":     func(kv.Tx) error { return nil },
		"get":         func(tx kv.Tx) error { _, _, err := tx.Get(plain, []byte("k")); return err },
		"absent key":  func(tx kv.Tx) error { return tx.Delete(plain, []byte("absent")) },
		"empty range": func(tx kv.Tx) error { _, err := tx.DeleteRange(plain, []byte("x"), nil); return err },
		"undone":      func(tx kv.Tx) error { return errors.Join(tx.Put(plain, []byte("x"), nil), own) },
		"too large":   func(tx kv.Tx) error { return tx.Put(plain, nil, nil) },
	} {
		if err := s.Apply(ctx, op); err != nil && !errors.Is(err, own) && !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	same(t, "commits", s.Stats().Commits, before)
}

func TestBusy(t *testing.T) {
	o := options()
	o.BusyTimeout = 5 * time.Millisecond
	s := newStoreIn(t, o)
	btx := hold(t, s)
	for name, write := range map[string]func(context.Context, func(kv.Tx) error) error{"Update": s.Update, "Apply": s.Apply, "Exclusive": s.Exclusive} {
		want(t, name, write(ctx, func(kv.Tx) error { t.Errorf("%s ran", name); return nil }), kv.ErrBusy)
	}
	same(t, "busy timeouts", s.Stats().BusyTimeouts, 3)
	same(t, "in the queue", s.waiting(), 0)
	must(t, btx.Rollback())
	must(t, admitted(func() error { return s.Apply(ctx, putting("k", "v")) }))
	same(t, "stored", read(s, "k"), "v")

	o.BusyTimeout = -1
	s = newStoreIn(t, o)
	btx = hold(t, s)
	limited, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	want(t, "by ctx alone", s.Apply(limited, putting("k", "v")), context.DeadlineExceeded)
	must(t, btx.Rollback())
	same(t, "stored", read(s, "k"), "absent")
}

// admitted repeats a write with a short BusyTimeout until it has come to its turn.
func admitted(write func() error) error {
	for {
		if err := write(); !errors.Is(err, kv.ErrBusy) {
			return err
		}
	}
}

func TestTakenIsNotAbandoned(t *testing.T) {
	o := options()
	o.BusyTimeout = time.Millisecond
	s := newStoreIn(t, o)
	for name, write := range map[string]func(context.Context, func(kv.Tx) error) error{"Update": s.Update, "Apply": s.Apply, "Exclusive": s.Exclusive} {
		ending, cancel := context.WithCancel(ctx)
		began := false
		must(t, admitted(func() error {
			err := write(ending, func(tx kv.Tx) error {
				began = true
				cancel()
				over := time.NewTimer(5 * time.Millisecond) // longer than BusyTimeout
				<-over.C
				return tx.Put(plain, []byte(name), []byte("stored"))
			})
			if began && err != nil {
				t.Errorf("%s: abandoned: %v", name, err)
			}
			return err
		}))
		same(t, name, read(s, name), "stored")
	}
}

// TestCloseDismisses: the queue gets ErrClosed though the writer waits for the
// application's lock.
func TestCloseDismisses(t *testing.T) {
	db := openBolt(t)
	s, err := Attach(db, options())
	must(t, err)
	btx := hold(t, s)
	var group sync.WaitGroup
	for i := range 5 {
		group.Go(func() { want(t, "queued", s.Apply(ctx, putting("k", "v")), kv.ErrClosed) })
		queued(t, s, i+1)
	}
	must(t, s.Close())
	group.Wait()
	// Who was let in before and comes to the queue now must not stay there:
	// the application may hold its lock until Close returns.
	_, err = s.enqueue(newMember(apply, putting("k", "v")))
	want(t, "late", err, kv.ErrClosed)
	must(t, btx.Rollback())
}

// TestCloseWaitsForReaders, also where the handle stays open.
func TestCloseWaitsForReaders(t *testing.T) {
	s, err := Attach(openBolt(t), options())
	must(t, err)
	p, err := s.Pin(ctx)
	must(t, err)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	for s.gate.Reason() == nil {
		runtime.Gosched()
	}
	for range 1000 { // ample for a Close that does not wait
		runtime.Gosched()
	}
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	p.Release(nil)
	must(t, <-closed)
}

func whatPanics() { panic("own panic") }

func TestPanicKeepsItsStack(t *testing.T) {
	s := newStoreIn(t, options())
	for name, call := range map[string]func() error{
		"View":      func() error { return s.View(ctx, func(kv.Reader) error { whatPanics(); return nil }) },
		"Update":    func() error { return s.Update(ctx, func(kv.Tx) error { whatPanics(); return nil }) },
		"Exclusive": func() error { return s.Exclusive(ctx, func(kv.Tx) error { whatPanics(); return nil }) },
		"Apply":     func() error { return s.Apply(ctx, func(kv.Tx) error { whatPanics(); return nil }) },
	} {
		func() {
			defer func() {
				p := recover()
				stack := string(debug.Stack())
				if name == "Apply" {
					stack = fmt.Sprint(p)
				} else if p != "own panic" {
					t.Errorf("%s: recovered %v", name, p)
				}
				if !strings.Contains(stack, "whatPanics") {
					t.Errorf("%s: the stack has lost the place:\n%s", name, stack)
				}
			}()
			err := call()
			t.Errorf("%s returned %v", name, err)
		}()
	}
	put(t, s, "still", "served")
}

func TestCommitHooks(t *testing.T) {
	s := newStoreIn(t, options())
	hooked := func(hook func()) func() error {
		return func() error {
			return s.Update(ctx, func(tx kv.Tx) error {
				btx, ok := Bolt(tx)
				if !ok {
					t.Error("no bolt transaction")
				}
				btx.OnCommit(hook)
				return nil
			})
		}
	}
	var inHook error
	must(t, hooked(func() { inHook = s.Apply(ctx, putting("k", "v")) })())
	want(t, "the store called in a hook", inHook, kv.ErrNested)

	// Whatever a hook does, the commit has happened and all are answered.
	for name, hook := range map[string]func(){"panic": func() { panic("hook") }, "exit": runtime.Goexit} {
		recovered := make([]any, 2)
		guard := func(i int, call func() error) func() error {
			return func() error {
				defer func() { recovered[i] = recover() }()
				return call()
			}
		}
		errs := queueUp(t, s, guard(0, hooked(hook)), guard(1, func() error { return s.Apply(ctx, putting(name, "stored")) }))
		want(t, name+": neighbour", errs[1], nil)
		same(t, name+": recovered", recovered[1], nil)
		if name == "panic" {
			same(t, name+": recovered", recovered[0], "hook")
		}
		same(t, name, read(s, name), "stored")
	}
	if !s.nest.Empty() {
		t.Error("a hook's goroutine counts as inside")
	}

	// Who fails takes the hooks along.
	own := errors.New("verdict")
	err := s.Update(ctx, func(tx kv.Tx) error {
		btx, _ := Bolt(tx)
		btx.OnCommit(func() { t.Error("hook of a failed closure ran") })
		return own
	})
	want(t, "failed", err, own)
	put(t, s, "k", "v")
}
