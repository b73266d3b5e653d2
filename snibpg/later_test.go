package snibpg_test

import (
	"errors"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// TestSpacesOfALaterProgram: an earlier program finds their rows where the later one
// has them, and writes none where there is no table.
func TestSpacesOfALaterProgram(t *testing.T) {
	name := schema(t)
	one, later, last := kv.SpaceSpec{Name: "one"}, kv.SpaceSpec{Name: "later"}, kv.SpaceSpec{Name: "last"}
	put(t, store(t, name, false, []kv.SpaceSpec{one, later}), 1, "k", "later")
	s := store(t, name, false, []kv.SpaceSpec{one})
	s.(kv.Extender).Extend([]kv.SpaceSpec{one, later, last})
	if got := get(t, s, 1, "k"); got != "later" {
		t.Errorf("reads %q", got)
	}
	put(t, s, 1, "k", "changed")
	if err := s.Apply(ctx, func(w kv.Tx) error { return w.Put(2, []byte("k"), nil) }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a space without a table: %v", err)
	}
	if got := get(t, s, 0, "k") + get(t, s, 2, "k"); got != "absentabsent" {
		t.Errorf("in other spaces: %q", got)
	}
}
