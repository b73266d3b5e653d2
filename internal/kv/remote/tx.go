package remote

import (
	"context"
	"errors"

	"github.com/snibdb/snib/internal/kv"
)

// place is a kv.Ref that can be compared.
type place struct {
	space kv.Space
	key   string
}

func (p place) ref() kv.Ref { return kv.Ref{Space: p.space, Key: []byte(p.key)} }

// tx is a kv.Tx, and a kv.Reader if its mode is Read.
type tx struct {
	s     *Store
	ctx   context.Context // the caller's, which ends no trip
	in    Session
	mode  Mode
	ended bool
	over  bool  // the session is rolled back
	err   error // of the engine: it dooms the transaction

	pinned *patience // of a Snapshot
	asked  bool      // a read has succeeded
	have   map[place]Value
	wants  []place
	spans  []*span
	ranges []Range // that are wanted

	mark    Mark             // of the commit to come
	own     map[place]Change // held back
	bounded bool
	writes  int
	bytes   int
	flushed bool
	held    int // bytes held back
	lent    bool
}

var (
	_ kv.Tx         = (*tx)(nil)
	_ kv.Wanter     = (*tx)(nil)
	_ kv.ScanWanter = (*tx)(nil)
	_ kv.Claimer    = (*tx)(nil)
)

func (s *Store) tx(ctx context.Context, in Session, mode Mode) *tx {
	return &tx{
		s: s, ctx: context.WithoutCancel(ctx), in: in, mode: mode,
		have: map[place]Value{}, own: map[place]Change{},
	}
}

// end ends the transaction, also after its commit.
func (t *tx) end() {
	t.ended = true
	if t.mark != (Mark{}) { // it came to no commit
		t.s.marks.give(t.mark)
		t.mark = Mark{}
	}
	if !t.over {
		t.over = true
		t.in.Rollback()
	}
}

func (t *tx) usable() error {
	if t.ended {
		return kv.ErrTxClosed
	}
	return t.err
}

func (t *tx) fail(err error) error {
	if t.err == nil {
		t.err = err
	}
	return t.err
}

// trip returns the context of one trip.
func (t *tx) trip() (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.ctx, t.s.o.TripTimeout)
}

// ask makes a trip. A Snapshot that has not been read yet has nothing that could
// contradict another attempt: it begins anew here, instead of in the caller.
func (t *tx) ask(do func(context.Context) error) error {
	for {
		ctx, cancel := t.trip()
		err := do(ctx)
		cancel()
		if err == nil {
			t.asked = true
			return nil
		}
		if t.pinned == nil || t.asked || !errors.Is(err, kv.ErrAgain) {
			return t.fail(err)
		}
		if err := t.begin(err); err != nil {
			return t.fail(err)
		}
	}
}

// begin puts a new session in the place of one that failed with err.
func (t *tx) begin(err error) error {
	t.over = true
	t.in.Rollback()
	if err := t.pinned.again(err); err != nil {
		return err
	}
	in, err := t.s.snapshot(t.pinned)
	if err == nil {
		t.in, t.over = in, false
	}
	return err
}

// Want implements kv.Wanter.
func (t *tx) Want(refs []kv.Ref) {
	if t.ended {
		return
	}
	for _, r := range refs {
		if p := (place{r.Space, string(r.Key)}); readable(r.Key) && !t.known(p) {
			t.wants = append(t.wants, p)
		}
	}
}

// Claim implements kv.Claimer. A session that claims nothing reads the keys.
func (t *tx) Claim(refs []kv.Ref) {
	claimer, ok := t.in.(Claimer)
	if ok && t.mode == Write && !t.ended && !t.flushed {
		var fresh []kv.Ref
		for _, r := range refs {
			if readable(r.Key) && !t.known(place{r.Space, string(r.Key)}) {
				fresh = append(fresh, r)
			}
		}
		claimer.Claim(fresh)
	}
	t.Want(refs)
}

// readable reports whether there may be such a key.
func readable(key []byte) bool { return len(key) > 0 && len(key) <= kv.MaxKey }

func (t *tx) known(p place) bool {
	if _, ok := t.own[p]; ok {
		return true
	}
	if _, ok := t.have[p]; ok {
		return true
	}
	return t.spanOf(p.space, []byte(p.key)) != nil
}

// value returns the known value of a key.
func (t *tx) value(p place) ([]byte, bool) {
	if c, ok := t.own[p]; ok {
		if c.Delete {
			return nil, false
		}
		return c.Value, true
	}
	if v, ok := t.have[p]; ok {
		return v.Bytes, v.OK
	}
	if x := t.spanOf(p.space, []byte(p.key)); x != nil {
		if i, ok := x.find([]byte(p.key)); ok {
			return x.pairs[i].Value, true
		}
	}
	return nil, false
}

// fetch makes keys known, with those that were wanted, in one trip.
func (t *tx) fetch(places []place) error {
	if len(t.missing(places)) == 0 {
		return nil
	}
	_, err := t.bringWanted(places)
	return err
}

// Get implements kv.Reader.
func (t *tx) Get(space kv.Space, key []byte) ([]byte, bool, error) {
	if err := t.usable(); err != nil {
		return nil, false, err
	}
	p := place{space, string(key)}
	if err := t.fetch([]place{p}); err != nil {
		return nil, false, err
	}
	v, ok := t.value(p)
	return v, ok, nil
}

// GetMany implements kv.Reader.
func (t *tx) GetMany(refs []kv.Ref, visit func(i int, value []byte, ok bool) error) error {
	if err := t.usable(); err != nil {
		return err
	}
	places := make([]place, len(refs))
	for i, r := range refs {
		places[i] = place{r.Space, string(r.Key)}
	}
	if err := t.fetch(places); err != nil {
		return err
	}
	for i, p := range places {
		v, ok := t.value(p)
		if err := visit(i, v, ok); err != nil {
			return err
		}
	}
	return nil
}

// Unwrap gives the abilities of some servers to kv.As. It is nil for the others.
func (t *tx) Unwrap() kv.Reader {
	if _, ok := t.in.(Clock); ok {
		return timed{t, t}
	}
	return t.tables()
}

// timed is a tx of a server that tells the time.
type timed struct {
	kv.Reader
	t *tx
}

// Unwrap goes on to the tables of the application, if the server has them.
func (r timed) Unwrap() kv.Reader { return r.t.tables() }

// Time implements kv.Timer.
func (r timed) Time() (ms int64, err error) {
	if err := r.t.usable(); err != nil {
		return 0, err
	}
	err = r.t.ask(func(ctx context.Context) (err error) {
		ms, err = r.t.in.(Clock).Time(ctx)
		return err
	})
	return ms, err
}

// Underlying implements kv.Underlier. The writes so far are sent first, so
// that the application's statements see it.
func (t *tx) Underlying() any {
	lender, ok := t.in.(Lender)
	if !ok || t.usable() != nil || t.flush() != nil {
		return nil
	}
	t.lent = true
	var lent any
	if t.ask(func(ctx context.Context) (err error) { lent, err = lender.Lend(ctx); return err }) != nil {
		return nil
	}
	return lent
}

// verdict is the result of a closure's run: an error of the transaction, or that it
// must run again, outweighs the closure's own.
func (t *tx) verdict(returned error) error {
	if t.err != nil {
		return t.err
	}
	if broken := t.broken(); broken != nil && (returned == nil || errors.Is(broken, kv.ErrAgain)) {
		return broken
	}
	return returned
}

// broken returns why a transaction that was lent cannot commit.
func (t *tx) broken() error {
	if !t.lent {
		return nil
	}
	return t.in.(Lender).Broken()
}

// session returns the session of a reader of this package.
func (t *tx) session() Session {
	if t.usable() != nil {
		return nil
	}
	return t.in
}

// SessionOf returns the session under a reader, for an engine's work beside
// the contract in a kv.Tx. It flushes first, and counts as writing. It is nil
// when the transaction has ended or failed, or is not of this package.
func SessionOf(w kv.Tx) Session {
	owner, ok := kv.As[interface {
		session() Session
		flush() error
	}](w)
	if !ok || owner.session() == nil || owner.flush() != nil {
		return nil
	}
	if t, ok := owner.(*tx); ok {
		t.flushed = true
		t.forget()
	}
	return owner.session()
}
