package snib_test

import (
	"math/bits"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
	"github.com/snibdb/snib/snibtest"
)

// TestValidateSessionAllocations: what a validation allocates is the text that
// it returns, and for the user the list of identities too.
func TestValidateSessionAllocations(t *testing.T) {
	if bits.UintSize < 64 {
		t.Skip("on 32 bits a read begins its own transaction")
	}
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "team"}}})
	u := email(t, db, "a@example.com")
	must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"team": "red", "theme": "dark"}))(t)
	must(db.LinkIdentity(ctx, u.ID, "username", "ada"))(t)
	device := snib.Attributes{"address": "192.0.2.7", "agent": "Mozilla/5.0 (X11; Linux x86_64)"}
	token := must(db.CreateSession(ctx, u, snib.SessionOptions{Attributes: device}))(t).Token.Reveal()
	for _, tt := range []struct {
		name string
		most float64
		call func() error
	}{
		{"ValidateSession", 1, func() error { _, err := db.ValidateSession(ctx, token); return err }},
		{"ValidateSessionUser", 3, func() error { _, _, err := db.ValidateSessionUser(ctx, token); return err }},
		{"GetUser", 2, func() error { _, err := db.GetUser(ctx, u.ID); return err }},
	} {
		if err := tt.call(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		// Over so many calls, a transaction begun anew because the last was
		// kept long enough is below one allocation a call.
		got := leastAllocs(5000, tt.most, func() { tt.call() })
		t.Logf("%s: %v allocations", tt.name, got)
		if got > tt.most && !raceDetector {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, got, tt.most)
		}
	}
}

// TestValidateSessionUserReadsAgain: an engine may ask for a read to be run
// anew at any of its steps, and the answer is that of the last run.
func TestValidateSessionUserReadsAgain(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	for n := int64(0); ; n++ {
		var faulty *faultkv.Store
		restore := db.WrapStore(func(inner kv.Store) kv.Store {
			faulty = faultkv.Wrap(inner, faultkv.Faults{Fail: n, Again: true})
			return faulty
		})
		got, who, err := db.ValidateSessionUser(ctx, s.Token.Reveal())
		restore()
		if err != nil || got.ID != s.ID || who.ID != u.ID {
			t.Fatalf("again at operation %d: %v, %v, %v", n, got.ID, who.ID, err)
		}
		if !faulty.Failed() {
			if n < 2 {
				t.Errorf("only %d operations", n)
			}
			return
		}
	}
}
