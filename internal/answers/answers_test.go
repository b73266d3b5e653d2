package answers

import (
	"slices"
	"testing"

	"github.com/snibdb/snib/internal/records"
)

// TestEveryKindHasItsAnswer: the error for a missing record of a kind is one of package
// snib, and leaves a program with a code and a status that somebody has chosen.
func TestEveryKindHasItsAnswer(t *testing.T) {
	for _, k := range records.Kinds {
		if k.History { // nobody asks for one
			continue
		}
		i := slices.IndexFunc(All, func(a Answer) bool { return a.Err == k.Missing })
		if i < 0 || All[i].Status == Trouble {
			t.Errorf("%q of the kind %q has no answer: make it an error of errors.go, and give it a row in All", k.Missing, k.Title)
		}
	}
}
