package peer

import (
	"slices"
	"testing"
)

// TestUserIDs: none comes twice, and they are in order of creation.
func TestUserIDs(t *testing.T) {
	var ids []string
	for _, series := range []string{"u", "x1x", "x12x"} {
		for _, u := range MoreUsers(series, 0, 300) {
			if len(u.ID) != IDLength {
				t.Fatalf("the id %q has %d bytes", u.ID, len(u.ID))
			}
			ids = append(ids, u.ID)
		}
	}
	if !slices.IsSorted(ids[:300]) {
		t.Error("ids are not in the order of creation")
	}
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != 900 {
		t.Errorf("%d of 900 ids differ", n)
	}
}
