package snibetcd

import (
	"context"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// TestSpacesOfALaterProgram: what is written to them is in no space of this one.
func TestSpacesOfALaterProgram(t *testing.T) {
	e, err := Open(connect(t), &Options{Prefix: "/later/"})
	if err != nil {
		t.Fatal(err)
	}
	one := kv.SpaceSpec{Name: "one"}
	s, err := e.Open(context.Background(), kv.Setup{Spaces: []kv.SpaceSpec{one}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.(kv.Extender).Extend([]kv.SpaceSpec{one, {Name: "later"}})
	err = s.Apply(context.Background(), func(w kv.Tx) error { return w.Put(1, []byte("k"), []byte("v")) })
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(context.Background(), func(r kv.Reader) error {
		for space, want := range []bool{false, true} {
			if _, got, err := r.Get(kv.Space(space), []byte("k")); got != want || err != nil {
				t.Errorf("in space %d: %v, %v", space, got, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
