package passes

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// nobody has no user, and takes its time to say so.
type nobody struct {
	kv.Reader
	get func()
}

func (r nobody) Get(kv.Space, []byte) ([]byte, bool, error) {
	r.get()
	return nil, false, nil
}

// TestATurnOfGuests ends with the guest during whom its time is over, and goes on
// one by one where they are too much for a transaction.
func TestATurnOfGuests(t *testing.T) {
	for name, tc := range map[string]struct {
		alone bool
		most  int // guests that a transaction has room for
		want  []int
	}{
		"paced":     {most: 7, want: []int{3, 3, 1}},
		"alone":     {alone: true, most: 7, want: []int{7}},
		"too large": {most: 2, want: []int{1, 1, 1, 1, 1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bench
			r := b.paced()
			if tc.alone {
				r = b.runner()
			}
			var got []int
			r.IfNeeded = func(_ context.Context, fn func(*records.Tx) error) error {
				for run := range 2 { // the second counts
					n := 0
					err := fn(&records.Tx{R: nobody{get: func() { n++; b.now += 400 * time.Microsecond }}})
					switch {
					case err != nil:
						return err
					case n > tc.most:
						return kv.ErrTooLarge
					case run == 1:
						got = append(got, n)
					}
				}
				return nil
			}
			removed, err := r.EndGuests(t.Context(), []string{"a", "b", "c", "d", "e", "f", "g"}, nil)
			if removed != 0 || err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("%d removed, %v, in transactions of %v; want %v", removed, err, got, tc.want)
			}
		})
	}
}
