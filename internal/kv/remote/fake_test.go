package remote_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

type place struct {
	space kv.Space
	key   string
}

// server is a database in memory: serialisable by looking, at each commit, if
// another commit has changed what was read since.
type server struct {
	mu     sync.Mutex
	data   map[place]string // never modified, replaced by each commit
	keys   []place          // of data, in order
	log    []map[place]bool // keys that each commit has changed
	marks  map[string]mark
	late   []func() // commits on their way
	forgot []remote.Mark

	alone sync.RWMutex // held in writing by a session alone, in reading by a commit
}

func compare(a, b place) int {
	return cmp.Or(cmp.Compare(a.space, b.space), cmp.Compare(a.key, b.key))
}

func sorted(data map[place]string) []place { return slices.SortedFunc(maps.Keys(data), compare) }

type mark struct {
	n      int64
	fenced bool
	at     int // length of the log when it was stored
}

func newServer() *server { return &server{data: map[place]string{}, marks: map[string]mark{}} }

// fake is a Backend on a server, with faults.
type fake struct {
	*server
	trips atomic.Int64

	// fault is asked before each step, and may return an error to fail it:
	// "begin", "get", "scan", "flush", "commit", "resolve". For a commit,
	// errAfter, errLate and errNever say when it happens though the answer is lost.
	fault func(step string, mode remote.Mode) error
}

var (
	errAfter = errors.New("cut after the commit")
	errLate  = errors.New("cut before it, which happens later")
	errNever = errors.New("cut before it")
)

func (f *fake) fail(step string, mode remote.Mode) error {
	f.trips.Add(1)
	if f.fault == nil {
		return nil
	}
	return f.fault(step, mode)
}

// hostile fails one of these steps in n.
func hostile(seed uint64, n int, steps ...string) func(string, remote.Mode) error {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 0))
	return func(step string, _ remote.Mode) error {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(steps, step) || rnd.IntN(n) > 0 {
			return nil
		}
		switch step {
		case "commit":
			return []error{errAfter, errLate, errNever, remote.ErrConflict}[rnd.IntN(4)]
		case "resolve":
			return errors.New("not reached")
		}
		return []error{remote.ErrUnreachable, remote.ErrConflict}[rnd.IntN(2)]
	}
}

func (f *fake) Trips() int64 { return f.trips.Load() }

func (f *fake) Close(marks []remote.Mark) error { f.forgot = append(f.forgot, marks...); return nil }

func (f *fake) Begin(ctx context.Context, mode remote.Mode) (remote.Session, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if f.fault != nil {
		if err := f.fault("begin", mode); err != nil {
			return nil, err
		}
	}
	return &session{f: f, mode: mode}, nil
}

func (f *fake) Resolve(_ context.Context, m remote.Mark) (bool, error) {
	if err := f.fail("resolve", remote.Write); err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if have := f.marks[m.ID]; have.n >= m.N {
		return !have.fenced, nil
	}
	f.marks[m.ID] = mark{m.N, true, len(f.log)}
	return false, nil
}

// deliver lets commits happen that were on their way.
func (s *server) deliver() {
	s.mu.Lock()
	late := s.late
	s.late = nil
	s.mu.Unlock()
	for _, commit := range late {
		commit()
	}
}

// session is a transaction: its snapshot, what it has read, and what it has
// flushed.
type session struct {
	f     *fake
	mode  remote.Mode
	begun bool
	alone bool
	base  map[place]string
	keys  []place
	since int // length of the log at the snapshot
	read  []func(place) bool
	own   map[place]*string
}

func (t *session) begin() {
	if t.begun {
		return
	}
	if t.mode == remote.Alone {
		t.f.alone.Lock()
		t.alone = true
	}
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	if len(t.f.keys) != len(t.f.data) { // put there by a test
		t.f.keys = sorted(t.f.data)
	}
	t.keys = t.f.keys
	t.begun, t.base, t.since, t.own = true, t.f.data, len(t.f.log), map[place]*string{}
}

func (t *session) value(p place) (string, bool) {
	if v, ok := t.own[p]; ok {
		if v == nil {
			return "", false
		}
		return *v, true
	}
	v, ok := t.base[p]
	return v, ok
}

func (t *session) Get(_ context.Context, refs []kv.Ref) ([]remote.Value, error) {
	if err := t.f.fail("get", t.mode); err != nil {
		return nil, err
	}
	return t.get(refs), nil
}

func (t *session) get(refs []kv.Ref) []remote.Value {
	t.begin()
	out := make([]remote.Value, len(refs))
	for i, r := range refs {
		p := place{r.Space, string(r.Key)}
		t.read = append(t.read, func(q place) bool { return p == q })
		if v, ok := t.value(p); ok {
			out[i] = remote.Value{Bytes: []byte(v), OK: true}
		}
	}
	return out
}

func (t *session) Batch(_ context.Context, refs []kv.Ref, ranges []remote.Range) ([]remote.Value, [][]remote.Pair, error) {
	if err := t.f.fail("scan", t.mode); err != nil {
		return nil, nil, err
	}
	pairs := make([][]remote.Pair, len(ranges))
	for i, r := range ranges {
		var err error
		if pairs[i], err = t.scan(r); err != nil {
			return nil, nil, err
		}
	}
	return t.get(refs), pairs, nil
}

func (t *session) Scan(_ context.Context, r remote.Range) ([]remote.Pair, error) {
	if err := t.f.fail("scan", t.mode); err != nil {
		return nil, err
	}
	return t.scan(r)
}

func (t *session) scan(r remote.Range) ([]remote.Pair, error) {
	if r.Limit < 1 {
		return nil, fmt.Errorf("limit of %d", r.Limit)
	}
	t.begin()
	in := func(p place) bool {
		return p.space == r.Space && p.key >= string(r.From) && (r.To == nil || p.key < string(r.To))
	}
	t.read = append(t.read, in)
	all, keys := t.base, t.keys
	if len(t.own) > 0 {
		all = maps.Clone(t.base)
		for p := range t.own {
			if v, ok := t.value(p); ok {
				all[p] = v
			} else {
				delete(all, p)
			}
		}
		keys = sorted(all)
	}
	first, _ := slices.BinarySearchFunc(keys, place{r.Space, string(r.From)}, compare)
	var out []remote.Pair
	for _, p := range keys[first:] {
		if !in(p) {
			break
		}
		if len(out) == r.Limit {
			break
		}
		pair := remote.Pair{Key: []byte(p.key)}
		if !r.KeysOnly {
			pair.Value = []byte(all[p])
		}
		out = append(out, pair)
	}
	return out, nil
}

func (t *session) Flush(_ context.Context, changes []remote.Change) error {
	if err := t.f.fail("flush", t.mode); err != nil {
		return err
	}
	t.begin()
	t.keep(changes)
	return nil
}

func (t *session) keep(changes []remote.Change) {
	for _, c := range changes {
		var v *string
		if text := string(c.Value); !c.Delete {
			v = &text
		}
		t.own[place{c.Space, string(c.Key)}] = v
	}
}

func (t *session) Commit(_ context.Context, changes []remote.Change, m remote.Mark) error {
	err := t.f.fail("commit", t.mode)
	if err != nil && errors.Is(err, kv.ErrAgain) {
		return err
	}
	t.begin()
	t.keep(changes)
	apply := func() error { return t.f.apply(t, m) }
	if !t.alone {
		t.f.alone.RLock()
		defer t.f.alone.RUnlock()
	}
	switch err {
	case nil:
		return apply()
	case errAfter:
		if refused := apply(); refused != nil {
			return refused
		}
	case errLate:
		t.f.mu.Lock()
		t.f.late = append(t.f.late, func() { apply() })
		t.f.mu.Unlock()
	}
	return &remote.LostError{Cause: err}
}

// apply commits, unless what was read has changed or the mark is fenced off.
func (s *server) apply(t *session, m remote.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, changed := range s.log[t.since:] {
		for p := range changed {
			if _, own := t.own[p]; own || slices.ContainsFunc(t.read, func(read func(place) bool) bool { return read(p) }) {
				return remote.ErrConflict
			}
		}
	}
	if have := s.marks[m.ID]; have.n >= m.N || have.at > t.since { // its row is newer than the snapshot
		return remote.ErrConflict
	}
	s.marks[m.ID] = mark{n: m.N, at: len(s.log) + 1}
	data, changed := maps.Clone(s.data), map[place]bool{}
	for p, v := range t.own {
		changed[p] = true
		if delete(data, p); v != nil {
			data[p] = *v
		}
	}
	s.data, s.keys, s.log = data, sorted(data), append(s.log, changed)
	return nil
}

func (t *session) Rollback() {
	if t.alone {
		t.alone = false
		t.f.alone.Unlock()
	}
}
