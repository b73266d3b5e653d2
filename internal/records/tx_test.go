package records

import (
	"testing"

	"github.com/snibdb/snib/codec"
)

// TestOwnerIsThatOfTheUser: the last one is kept, and is no other user's.
func TestOwnerIsThatOfTheUser(t *testing.T) {
	key := [32]byte{1}
	tx := Tx{File: &File{owners: codec.NewOwners(key)}}
	for _, id := range []string{"", "ada", "ada", "bob", "ada", "", "bob"} {
		if got, want := tx.Owner(id), tx.File.Owner(id); got != want || want == (codec.Owner{}) {
			t.Errorf("owner of %q: %x, want %x", id, got, want)
		}
	}
}
