package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/peers"
)

// TestOpenLoopCountsTheWait: one call that hangs makes those behind it late.
// A closed loop would see one slow call in many and report a fine p90.
func TestOpenLoopCountsTheWait(t *testing.T) {
	const hang = 300 * time.Millisecond
	calls := 0
	op := operation{do: func(int, *rand.Rand, string) error {
		if calls++; calls == 10 {
			timer := time.NewTimer(hang)
			<-timer.C
		}
		return nil
	}}
	s, err := openLoop(Plan{For: 600 * time.Millisecond, Workers: 1, Rate: 1000}, op)
	if err != nil {
		t.Fatal(err)
	}
	if s.Ops != 600 || calls != 600 {
		t.Errorf("%d operations, %d calls, want 600: none may be left out for the wait", s.Ops, calls)
	}
	// About 300 calls fell due while one hung: half of all waited, evenly up
	// to its whole time.
	if p90 := time.Duration(s.Response.ValueAtQuantile(90)); p90 < hang/2 {
		t.Errorf("p90 of the response is %v, want at least %v", p90, hang/2)
	}
	if p90 := time.Duration(s.Service.ValueAtQuantile(90)); p90 > hang/2 {
		t.Errorf("p90 of the service is %v: one call in 600 was slow", p90)
	}
}

// TestOpenLoopGivesUp: who cannot keep up is stopped, and what was not called
// counts as late.
func TestOpenLoopGivesUp(t *testing.T) {
	s, err := openLoop(Plan{For: 20 * time.Millisecond, Workers: 1, Rate: 10_000}, operation{do: func(int, *rand.Rand, string) error {
		<-time.NewTimer(10 * time.Millisecond).C
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Response.TotalCount(); n != 200 {
		t.Errorf("%d response times, want 200", n)
	}
	if n := s.Service.TotalCount(); n > 100 {
		t.Errorf("%d were called", n)
	}
}

// TestOpenLoopEndsOnABusyMachine: who is late does not give the processor away,
// each time for as long as all others run.
func TestOpenLoopEndsOnABusyMachine(t *testing.T) {
	var stop atomic.Bool
	var hogs sync.WaitGroup
	for range 32 {
		hogs.Go(func() {
			for !stop.Load() {
			}
		})
	}
	defer hogs.Wait()
	defer stop.Store(true)
	start := time.Now()
	_, err := openLoop(Plan{For: 50 * time.Millisecond, Workers: 1, Rate: 10_000}, operation{do: func(int, *rand.Rand, string) error { return nil }})
	if took := time.Since(start); err != nil || took > time.Minute {
		t.Errorf("it took %v, %v", took, err)
	}
}

func TestLoopsCountAndStop(t *testing.T) {
	for name, loop := range map[string]func(Plan, operation) (Sample, error){"hot": hotLoop, "timed": timedLoop} {
		var calls atomic.Int64
		start := time.Now()
		s, err := loop(Plan{For: 20 * time.Millisecond, Workers: 3}, operation{do: func(int, *rand.Rand, string) error { calls.Add(1); return nil }})
		if err != nil || int64(s.Ops) != calls.Load() || s.Ops == 0 || s.Elapsed <= 0 || time.Since(start) < 20*time.Millisecond {
			t.Errorf("%s: %d operations in %v, %d calls, %v", name, s.Ops, s.Elapsed, calls.Load(), err)
		}
		trouble := errors.New("trouble")
		if _, err := loop(Plan{For: time.Hour, Workers: 2}, operation{do: func(int, *rand.Rand, string) error { return trouble }}); !errors.Is(err, trouble) {
			t.Errorf("%s: got %v, want the error of the operation", name, err)
		}
	}
}

func TestHotLoopCountsAllocations(t *testing.T) {
	var kept *[64]byte
	var fault string
	for range 20 { // on a busy machine there may be few operations, and what is around them counts
		s, err := hotLoop(Plan{For: 20 * time.Millisecond, Workers: 1}, operation{do: func(int, *rand.Rand, string) error { kept = new([64]byte); return nil }})
		fault = ""
		if err != nil || s.Allocs < 0.99 || s.Allocs > 1.5 || s.Heap < 60 || s.Heap > 100 {
			fault = fmt.Sprintf("%.2f allocations, %.1f bytes, %v; want 1 of 64", s.Allocs, s.Heap, err)
			continue
		}
		break
	}
	if fault != "" {
		t.Error(fault)
	}
	_ = kept
}

// fake is a contender that only says whose turn it was.
type fake struct {
	peer.Store
	name string
}

// TestRoundsInterleave: each contender has its turn in each round, not all of
// its rounds at once, and nobody is always the first.
func TestRoundsInterleave(t *testing.T) {
	var turns []string
	var subjects []*Subject
	for _, name := range []string{"a", "b", "c"} {
		subjects = append(subjects, &Subject{Peer: peer.Peer{Name: name, WritesOnly: name == "c"}, Store: fake{name: name}})
	}
	run := func(s *Subject, p Plan) (Sample, error) {
		turns = append(turns, fmt.Sprint(s.Peer.Name, p.Seed))
		return Sample{Ops: 2, Elapsed: 3 * time.Microsecond}, nil
	}
	r := Runner{Rounds: 3, Seed: 7}
	rows, err := r.Run(Case{Work: "w", Workers: 1, Run: run}, subjects)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a7", "b7", "c7", "b8", "c8", "a8", "c9", "a9", "b9"}; !reflect.DeepEqual(turns, want) {
		t.Errorf("turns %v, want %v", turns, want)
	}
	if len(rows) != 3 || !reflect.DeepEqual(rows[1].Rounds, []float64{1500, 1500, 1500}) || rows[1].Peer != "b" {
		t.Errorf("rows %+v", rows)
	}
	turns = nil
	if _, err := r.Run(Case{Work: "w", Workers: 1, Reads: true, Can: func(s peer.Store) bool { return s.(fake).name != "a" }, Run: run}, subjects); err != nil {
		t.Fatal(err)
	}
	if want := []string{"b7", "b8", "b9"}; !reflect.DeepEqual(turns, want) {
		t.Errorf("turns %v, want %v", turns, want)
	}
}

func TestTokensAreKeptInOrder(t *testing.T) {
	var tokens Tokens
	want := []string{"a", "", "long one", "b"}
	for _, token := range want {
		tokens.Add(token)
	}
	if tokens.Len() != len(want) {
		t.Fatalf("%d tokens", tokens.Len())
	}
	for i, token := range want {
		if got := tokens.At(i); got != token {
			t.Errorf("token %d is %q, want %q", i, got, token)
		}
	}
}

// TestEveryWorkRuns does all works of the harness on snib and the floor, in
// stores so small that it takes a moment.
func TestEveryWorkRuns(t *testing.T) {
	var subjects []*Subject
	all := peers.All()
	for _, p := range []peer.Peer{all[0], peers.Snib()} {
		s, err := NewSubject(p, filepath.Join(t.TempDir(), p.Name), 200)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if s.Tokens.Len() != 200 || len(s.Users) != 20 || s.FileSize == 0 {
			t.Errorf("%s was filled with %d sessions of %d users in %d bytes", p.Name, s.Tokens.Len(), len(s.Users), s.FileSize)
		}
		subjects = append(subjects, s)
	}
	r := Runner{Rounds: 1, For: 2 * time.Millisecond, Rate: 500, Seed: 1}
	for _, suite := range []string{"read", "write", "mixed", "contention", "closures", "login"} {
		list := Cases(suite, []int{1, 8})
		if len(list) == 0 {
			t.Errorf("no cases of %s", suite)
		}
		for _, c := range list {
			rows, err := r.Run(c, subjects)
			if err != nil {
				t.Errorf("%s: %v", c.Work, err)
			}
			for _, row := range rows {
				if row.Rounds[0] <= 0 || c.Quantile == 0 && (row.CPUs[0] <= 0 || row.Means[0] <= 0) {
					t.Errorf("%s of %s took no time: %+v", c.Work, row.Peer, row)
				}
			}
		}
	}
	for name, want := range map[string]int{"file and open": 4, "check": 1, "sweep": 7, "pages": 10} {
		i := slices.IndexFunc(Figures(), func(f Figure) bool { return f.Name == name })
		rows, err := r.Figures(Figures()[i], subjects)
		if err != nil || len(rows) != want {
			t.Errorf("%s: %d rows, %v; want %d", name, len(rows), err, want)
		}
		for _, row := range rows {
			if row.Rounds[0] <= 0 {
				t.Errorf("%s is nothing: %+v", row.Work, row)
			}
		}
	}
}

// TestMedianOfBatches: one batch that lost the processor is not the figure.
func TestMedianOfBatches(t *testing.T) {
	var fault string
	for range 20 { // a busy machine makes pauses of its own
		calls := 0
		s, err := hotLoop(Plan{For: 50 * time.Millisecond, Workers: 1}, operation{do: func(int, *rand.Rand, string) error {
			if calls++; calls == 10 {
				<-time.After(40 * time.Millisecond)
			}
			return nil
		}})
		switch {
		case err != nil:
			t.Fatal(err)
		case s.NsPerOp()*5 > s.Mean():
			fault = fmt.Sprintf("median %.0f ns, mean %.0f ns: a pause of 40 ms is in the median", s.NsPerOp(), s.Mean())
		case s.CPU <= 0 || s.CPU > 35*time.Millisecond:
			fault = fmt.Sprintf("%v of processors: the pause used none", s.CPU)
		default:
			return
		}
	}
	t.Error(fault)
}

// TestOverTime: sessions of one user lie apart, between those of others, and
// everybody gets as many as the rounds are.
func TestOverTime(t *testing.T) {
	users, others := []string{"a", "b"}, make([]string, 300)
	for i := range others {
		others[i] = fmt.Sprint("other", i)
	}
	order := overTime(users, 50, others, 64)
	if len(order) != 50*64 {
		t.Fatalf("%d sessions, want %d", len(order), 50*64)
	}
	count, together := map[string]int{}, 0
	for i, id := range order {
		count[id]++
		if i > 0 && order[i-1] == id {
			together++
		}
	}
	if count["a"] != 50 || count["b"] != 50 || count["other0"] < 10 || together > 2 {
		t.Errorf("%d and %d sessions of the users, %d of another, %d beside one of the same user", count["a"], count["b"], count["other0"], together)
	}
}

// TestNewestAreTheLast: the newest hundredth is at the end, as tokens come in
// the order of creation.
func TestNewestAreTheLast(t *testing.T) {
	var tokens Tokens
	for i := range 1000 {
		tokens.Add(fmt.Sprint(i))
	}
	var list [picks]string
	tokens.pickNewest(rand.New(rand.NewPCG(1, 1)), list[:])
	for _, token := range list {
		if len(token) != 3 || token < "990" {
			t.Errorf("token %s of 1,000 is not among the newest ten", token)
		}
	}
}

// TestBatchesOfSeveralWorkers: a batch is eight operations of each, and few
// batches are no figure.
func TestBatchesOfSeveralWorkers(t *testing.T) {
	now := time.Now()
	for workers, want := range map[int]int{1: 100, 2: 5, 8: 0} {
		l := newLaps(workers)
		for range 100 {
			l.done(now, now.Add(time.Microsecond))
		}
		if got := len(l.batches()); got != want {
			t.Errorf("%d workers: %d batches of 100 operations, want %d", workers, got, want)
		}
	}
}

func TestChainVisitsEverything(t *testing.T) {
	chain := newChain(64 << 10)
	seen, at := map[uint32]bool{}, uint32(0)
	for !seen[at] {
		seen[at] = true
		at = chain[at]
	}
	if len(seen) != 1024 || at != 0 {
		t.Errorf("the cycle has %d places and ends at %d, want 1024 and 0", len(seen), at)
	}
}
