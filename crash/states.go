package main

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// An explorer rebuilds the files that a crash could leave, at every moment of
// a trace, and looks into each of them.
type explorer struct {
	disk   *disk
	path   string // of the database
	oracle *oracle
	rng    *rand.Rand

	sector  int // bytes that are written whole or not at all
	full    int // that many pending writes in all their subsets; of more, samples
	samples int // how many

	inspect func(worker int, image []byte) *facts

	file  *inode // which seen is about
	syncs int
	seen  []*state // that are possible since the last sync

	states int // rebuilt, in all
	judged int // compared with the acknowledged operations, in all

	// Equal images are inspected once: some torn-off sectors hold the same bytes as
	// before, and a commit begins where the one before it ended.
	mu        sync.Mutex
	hashes    maphash.Seed
	known     map[uint64]*facts
	inspected int

	prepared int // operations of the name fullVictim so far
}

// state is one that a crash could leave.
type state struct {
	about string // which writes it has
	facts *facts
}

// visit is for readTrace.
func (x *explorer) visit(e *event) error {
	if e.call == "write" && e.begin && strings.HasPrefix(e.args[0], "1<") {
		// A line counts once its write begins: the child can do nothing more
		// before the write returns.
		x.oracle.hear(e.args[1])
		if strings.HasPrefix(e.args[1], "begin all ") && strings.HasSuffix(strings.TrimSpace(e.args[1]), " "+fullVictim.name) {
			x.prepared++
		}
		if !x.oracle.news {
			return nil
		}
		return x.judge()
	}
	changed, err := x.disk.see(e)
	if err != nil || !changed {
		return err
	}
	return x.explore(e.begin && (e.call == "pwrite64" || e.call == "ftruncate"))
}

// explore looks at the states that are possible now and were not before. grown
// says that there is one more pending write and everything else is as it was.
func (x *explorer) explore(grown bool) error {
	files := x.disk.at(x.path)
	file := files[len(files)-1]
	if len(files) > 1 || file == nil {
		// The directory is changing. A file here that is not complete and synced
		// is a mistake to be found.
		x.seen, x.file = nil, nil
		for _, f := range files {
			if f == nil {
				x.seen = append(x.seen, &state{about: "no file", facts: &facts{absent: true}})
			} else {
				x.add(f, x.subsets(f.pending, false))
			}
		}
		return x.judge()
	}
	if !grown || x.file != file || x.syncs != file.syncs {
		x.seen, x.file, x.syncs, grown = nil, file, file.syncs, false
	}
	before := len(x.seen)
	x.add(file, x.subsets(file.pending, grown))
	return x.judgeFrom(before)
}

// pick is a selection of pending writes, some of them torn.
type pick struct {
	about  []string
	pieces []change
}

func (p pick) with(about string, pieces ...change) pick {
	return pick{append(slices.Clip(p.about), about), append(slices.Clip(p.pieces), pieces...)}
}

// subsets returns selections of pending; only those with the last one, if
// grown is set, as the others were returned before it was there.
func (x *explorer) subsets(pending []*change, grown bool) (picks []pick) {
	n := len(pending)
	if n == 0 {
		return []pick{{}}
	}
	if !grown {
		// All that would have come one by one.
		picks = append(picks, pick{})
		for i := range pending {
			picks = append(picks, x.subsets(pending[:i+1], true)...)
		}
		return picks
	}
	rest, last := pending[:n-1], pending[n-1]
	whole := func(i int, c *change) (string, []change) { return fmt.Sprintf("%d", i), []change{*c} }
	some := func(keep func(i int) bool) (p pick) {
		for i, c := range rest {
			if keep(i) {
				about, pieces := whole(i, c)
				p = p.with(about, pieces...)
			}
		}
		return p
	}
	all := some(func(int) bool { return true })
	var under []pick // selections of the other writes
	full, samples := x.full, x.samples
	if x.dull() {
		full, samples = 1, 1
	}
	if len(rest) <= full {
		for mask := range 1 << len(rest) {
			under = append(under, some(func(i int) bool { return mask>>i&1 == 1 }))
		}
	} else {
		under = append(under, pick{}, all)
		for range samples {
			under = append(under, some(func(int) bool { return x.rng.IntN(2) == 0 }))
		}
	}
	about, pieces := whole(n-1, last)
	for _, p := range under {
		picks = append(picks, p.with(about, pieces...))
	}
	if x.dull() {
		return picks
	}
	for _, t := range x.tears(last) {
		for _, p := range []pick{all, under[x.rng.IntN(len(under))]} {
			picks = append(picks, p.with(fmt.Sprintf("%d torn", n-1), t...))
		}
	}
	for range min(x.samples, len(rest)) {
		picks = append(picks, x.shreds(pending))
	}
	return picks
}

// dull reports whether the commit is one of many that make a full user: the first
// ones are enough to be torn.
func (x *explorer) dull() bool {
	l := x.oracle.lanes["all"]
	return x.prepared > 2 && l != nil && l.names[l.begun] == fullVictim.name
}

// shreds is a selection in which any write may be torn.
func (x *explorer) shreds(pending []*change) (p pick) {
	for i, c := range pending {
		switch tears := x.tears(c); {
		case x.rng.IntN(3) == 0:
		case len(tears) > 0 && x.rng.IntN(2) == 0:
			p = p.with(fmt.Sprintf("%d torn", i), tears[x.rng.IntN(len(tears))]...)
		default:
			p = p.with(fmt.Sprint(i), *c)
		}
	}
	return p
}

// tears returns the parts of a write that may be all there is of it: it ends
// or begins at some sector, or has sectors here and there.
func (x *explorer) tears(c *change) (out [][]change) {
	n := (len(c.data) + x.sector - 1) / x.sector
	if n < 2 {
		return nil
	}
	part := func(from, to int) change {
		from, to = from*x.sector, min(to*x.sector, len(c.data))
		return change{off: c.off + int64(from), data: c.data[from:to]}
	}
	cuts := []int{1, n / 2, n - 1, 1 + x.rng.IntN(n-1)}
	if n <= 8 {
		cuts = nil
		for i := 1; i < n; i++ {
			cuts = append(cuts, i)
		}
	}
	for _, cut := range cuts {
		out = append(out, []change{part(0, cut)})
	}
	out = append(out, []change{part(n-1, n)}, []change{part(n/2, n)})
	var scattered []change
	for i := range n {
		if x.rng.IntN(2) == 0 {
			scattered = append(scattered, part(i, i+1))
		}
	}
	return append(out, scattered)
}

// add rebuilds and inspects the states that f may be in.
func (x *explorer) add(f *inode, picks []pick) {
	base := f.durable
	states := make([]*state, len(picks))
	work := make(chan int, len(picks))
	var group sync.WaitGroup
	for worker := range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			var image []byte
			for i := range work {
				image = append(image[:0], base...)
				for _, c := range picks[i].pieces {
					image = c.apply(image)
				}
				states[i] = &state{about: strings.Join(picks[i].about, ", "), facts: x.look(worker, image)}
			}
		})
	}
	for i := range picks {
		work <- i
	}
	close(work)
	group.Wait()
	x.states += len(states)
	x.seen = append(x.seen, states...)
}

// look inspects an image that was not inspected before.
func (x *explorer) look(worker int, image []byte) *facts {
	hash := maphash.Bytes(x.hashes, image)
	x.mu.Lock()
	f := x.known[hash]
	x.mu.Unlock()
	if f != nil {
		return f
	}
	f = x.inspect(worker, image)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.inspected++
	x.known[hash] = f
	return f
}

func (x *explorer) judge() error { return x.judgeFrom(0) }

// judgeFrom compares states with the operations acknowledged so far.
func (x *explorer) judgeFrom(i int) error {
	for _, s := range x.seen[i:] {
		x.judged++
		if err := x.oracle.judge(s.facts); err != nil {
			return fmt.Errorf("after a crash with pending writes [%s] of %v on the disk: %w", s.about, x.pending(), err)
		}
	}
	return nil
}

func (x *explorer) pending() []*change {
	if x.file == nil {
		return nil
	}
	return x.file.pending
}
