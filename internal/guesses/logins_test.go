package guesses

import (
	"fmt"
	"testing"

	"github.com/snibdb/snib/internal/records"
)

// TestLogInsAreBounded: strangers choose the accounts, so their memory is fixed; and
// nothing is kept for no account.
func TestLogInsAreBounded(t *testing.T) {
	var l LogIns
	l.Add("", [16]byte{}, 1)
	for i := range 2 * maxFailed {
		l.Add(fmt.Sprint(i), [16]byte{}, 1)
	}
	l.Add("0", [16]byte{}, 2) // one that is known still counts
	if l.Users() != maxFailed || l.of["0"].n != 2 {
		t.Errorf("%d users, %d failures of the first; want %d, 2", l.Users(), l.of["0"].n, maxFailed)
	}
}

// TestLogInsThatWereNotStored are added to those that came meanwhile: the sum, the
// last client, one event of a kind.
func TestLogInsThatWereNotStored(t *testing.T) {
	var l LogIns
	l.Add("ada", [16]byte{1}, 10)
	l.Note("ada", 11, Note{Kind: records.EventFactorsClosed})
	taken := l.take()
	if l.Users() != 0 {
		t.Fatal("what was taken is still there")
	}
	l.Add("ada", [16]byte{2}, 20)
	l.Note("ada", 15, Note{Kind: records.EventFactorsClosed})
	l.Note("ada", 16, Note{Kind: records.EventPasskeyCloned})
	l.back(taken)
	f := l.of["ada"]
	if f.n != 2 || f.last != 20 || f.from != [16]byte{2} || len(f.notes) != 2 {
		t.Errorf("%+v; want 2 failures, the last at 20 from client 2, 2 events", f)
	}
}
