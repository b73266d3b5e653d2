package records

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/token"
)

// TestEverySpaceHasItsKind: a space that no kind and no row of shared names is
// forgotten by the cascade, the sweep, Check, Repair and Restore.
func TestEverySpaceHasItsKind(t *testing.T) {
	of := map[kv.Space]int{}
	for _, k := range Kinds {
		of[k.Space]++
	}
	for space := range Shared {
		of[space]++
	}
	all := slices.DeleteFunc(slices.Clone(Spaces), func(s kv.SpaceSpec) bool { return s.Shadow })
	for i, s := range all {
		if n := of[kv.Space(i)]; n != 1 {
			t.Errorf("space %s is of %d kinds, want 1: give its records a row, and the row its place in Kinds (kinds.go), or name it in Shared if it belongs to no user", s.Name, n)
		}
	}
	if len(of) != len(all) {
		t.Errorf("Kinds and Shared name %d spaces, the file has %d", len(of), len(all))
	}
}

// TestEveryKindSaysEverything: a row with an empty field is a rule that nobody
// has decided.
func TestEveryKindSaysEverything(t *testing.T) {
	optional := map[string]bool{"UsedOnce": true, "Lasts": true, "Bound": true, "Refuses": true, "MostRevoked": true, "History": true}
	for _, k := range Kinds {
		v := reflect.ValueOf(k).Elem()
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !optional[name] && !(k.History && name == "Ends") {
				t.Errorf("kind %q does not say its %s", k.Title, name)
			}
		}
		if !IsMissing(k.Missing) {
			t.Errorf("the error Missing of kind %q must be a missing: a record that is gone would pass for trouble", k.Title)
		}
		if k.History {
			if k.Ends != 0 || k.UsedOnce || k.Refuses || k.Bound != nil {
				t.Errorf("kind %q is history: nothing ends it", k.Title)
			}
			continue
		}
		if k.Refuses == (k.Bound != nil) {
			t.Errorf("kind %q must either have a Bound, above which it evicts, or say Refuses", k.Title)
		}
		if k.Ends&EpochRaised == 0 && !k.Lasts {
			t.Errorf("kind %q outlives EndEverything: its life must name an epoch", k.Title)
		}
	}
}

// TestIdsOfKindsDiffer: a prefix of two kinds would let the id or token of one
// name a record of another, a label of two kinds let a hash of one be of use as
// the other's. A token given where the id of a user belongs is no id. FORMAT.md
// names them all.
func TestIdsOfKindsDiffer(t *testing.T) {
	page, err := os.ReadFile("../../docs/FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]string{"usr_": "user"}
	take := func(what, title string) {
		if other, taken := of[what]; taken {
			t.Errorf("%q is of the %s and of the %s", what, other, title)
		}
		of[what] = title
		if name := "`" + strings.TrimSuffix(what, "\x00") + "`"; !strings.Contains(string(page), name) {
			t.Errorf("FORMAT.md does not have %s of the %s", name, title)
		}
	}
	check := func(title string, k token.Kind) {
		take(k.Prefix, title)
		if k.Secret == 0 {
			return // ids only
		}
		take(k.Label, title)
		if text := k.Format(codec.OwnedKey{}, make([]byte, k.Secret)); token.ValidUserID(text) {
			t.Errorf("the token of a %s could be the id of a user: name its kind in the list all", title)
		}
	}
	for _, k := range Kinds {
		check(k.Title, k.Token)
	}
	check("invitation", token.Invitation)
}
