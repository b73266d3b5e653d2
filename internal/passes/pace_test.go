package passes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// keys is a space of keys alone.
type keys struct {
	kv.Reader
	list []string
}

func (k *keys) Scan(_ kv.Space, from, _ []byte, limit int, visit func(key, value []byte) error) error {
	n := 0
	for _, key := range slices.Clone(k.list) {
		if key < string(from) {
			continue
		}
		if err := visit([]byte(key), nil); err != nil {
			return err
		}
		if n++; n == limit {
			break
		}
	}
	return nil
}

// remove removes a key; false if it is not there any more.
func (k *keys) remove(key string) bool {
	i := slices.Index(k.list, key)
	if i >= 0 {
		k.list = slices.Delete(k.list, i, i+1)
	}
	return i >= 0
}

// bench is a runner on keys under a clock that the test moves.
type bench struct {
	keys
	now    time.Duration
	rests  []time.Duration
	before func(rest int) error // of a rest
}

func (b *bench) runner() Runner {
	run := func(ctx context.Context, fn func(*records.Tx) error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(&records.Tx{R: &b.keys})
	}
	return Runner{View: run, Update: run, IfNeeded: run}
}

func (b *bench) paced() Runner {
	return b.runner().at(&pace{
		watch: func() func() time.Duration {
			began := b.now
			return func() time.Duration { return b.now - began }
		},
		pause: func(ctx context.Context, d time.Duration) error {
			b.rests = append(b.rests, d)
			if b.before != nil {
				return b.before(len(b.rests))
			}
			return ctx.Err()
		},
	})
}

func TestAPassRestsThreeTimesAsLongAsItsSteps(t *testing.T) {
	var b bench
	r := b.paced()
	failed := errors.New("failed")
	for _, took := range []time.Duration{2 * time.Millisecond, 0, 33 * time.Millisecond, time.Hour, time.Microsecond} {
		for _, run := range []step{r.View, r.Update, r.IfNeeded} {
			err := run(t.Context(), func(*records.Tx) error { b.now += took; return failed })
			if !errors.Is(err, failed) {
				t.Fatal(err)
			}
		}
	}
	const ms = time.Millisecond
	want := []time.Duration{
		6 * ms, 6 * ms, 6 * ms, // before the first step of 0
		99 * ms, 99 * ms, 99 * ms, 100 * ms, 100 * ms, 100 * ms, 3 * time.Microsecond, 3 * time.Microsecond,
	}
	if !slices.Equal(b.rests, want) {
		t.Errorf("rests: %v, want %v", b.rests, want)
	}
}

func TestAPassFarAwayDoesNotRest(t *testing.T) {
	var b bench
	for _, far := range []bool{false, true} {
		r := b.runner()
		r.Far = far
		if paced := r.Paced(); (paced.pace == nil) != far {
			t.Errorf("far: %v, has a pace: %v", far, paced.pace != nil)
		}
	}
}

func TestATurnIsBoundByTimeAndByNumber(t *testing.T) {
	for name, tc := range map[string]struct {
		alone bool
		each  time.Duration // what a record takes
		want  []int         // records in each transaction, of 1,100
	}{
		"no time":          {each: 0, want: []int{500, 500, 100}},
		"as it must":       {each: time.Millisecond / 500, want: []int{500, 500, 100}}, // the time is over with the last
		"slow":             {each: 5 * time.Microsecond, want: []int{208, 208, 208, 208, 168, 100}},
		"very slow":        {each: time.Second, want: slices.Concat(slices.Repeat([]int{16}, 62), []int{8}, slices.Repeat([]int{16}, 6), []int{4})},
		"very slow, alone": {each: time.Second, alone: true, want: []int{500, 500, 100}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bench
			for i := range 1100 {
				b.list = append(b.list, fmt.Sprintf("%04d", i))
			}
			all := slices.Clone(b.list)
			r := b.paced()
			if tc.alone {
				r = b.runner()
			}
			var got []int
			var seen []string
			err := r.each(t.Context(), 0, deleteAtOnce, func(*records.Tx, []byte, []byte) bool { return true }, func(keys [][]byte) (int, error) {
				done, err := r.some(t.Context(), len(keys), func(_ *records.Tx, i int) error {
					b.now += tc.each
					seen = append(seen, string(keys[i]))
					return nil
				})
				got = append(got, done)
				return done, err
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("records in each transaction: %v, want %v", got, tc.want)
			}
			if !slices.Equal(seen, all) {
				t.Errorf("%d records were seen to, want each of %d once, in order", len(seen), len(all))
			}
		})
	}
}

// A pass that is stopped in any of its rests has done what it says, and the next
// one does the others.
func TestAPassThatIsStoppedWhileItRests(t *testing.T) {
	const n = 100
	live := func(key string) bool { return key[len(key)-1] == '7' }
	stopped := 0
	for stop := 1; ; stop++ {
		b := bench{before: func(rest int) error {
			if rest == stop {
				return context.Canceled
			}
			return nil
		}}
		for i := range n {
			b.list = append(b.list, fmt.Sprintf("%04d", i))
		}
		r := b.paced()
		removed := 0
		run := func() error {
			pick := func(_ *records.Tx, key, _ []byte) bool { b.now += 10 * time.Microsecond; return !live(string(key)) }
			return r.each(t.Context(), 0, 40, pick, func(keys [][]byte) (int, error) {
				done, err := r.some(t.Context(), len(keys), func(_ *records.Tx, i int) error {
					b.now += 70 * time.Microsecond
					if !b.remove(string(keys[i])) {
						return fmt.Errorf("%s: removed twice", keys[i])
					}
					return nil
				})
				removed += done
				return done, err
			})
		}
		err := run()
		if len(b.list) != n-removed {
			t.Fatalf("stopped in rest %d: %d are left of %d after %d were removed", stop, len(b.list), n, removed)
		}
		if err == nil && removed == 90 {
			break // it rests less often
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped in rest %d: %v", stop, err)
		}
		stopped++
		if err := run(); err != nil || removed != 90 || len(b.list) != 10 || !live(b.list[0]) {
			t.Fatalf("stopped in rest %d: then %d were removed, %v; want 90", stop, removed, err)
		}
	}
	if stopped < 5 {
		t.Errorf("stopped in %d rests, want one between all steps", stopped)
	}
}

// A transaction may run again, and begins anew then.
func TestATurnThatRunsAgain(t *testing.T) {
	var b bench
	r := b.paced()
	once := r.Update
	r.Update = func(ctx context.Context, fn func(*records.Tx) error) error {
		return once(ctx, func(tx *records.Tx) error { return errors.Join(fn(tx), fn(tx)) })
	}
	var acts []int
	done, err := r.some(t.Context(), 40, func(_ *records.Tx, i int) error {
		acts = append(acts, i)
		if len(acts) <= 20 {
			b.now += 100 * time.Microsecond
		}
		return nil
	})
	if err != nil || done != 40 || len(acts) != 16+40 || acts[16] != 0 {
		t.Errorf("%d done in %d acts, %v; want 16 and again 40, of which the last run counts", done, len(acts), err)
	}
}
