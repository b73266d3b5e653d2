package records_test

import (
	"context"
	"testing"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/testrecords"
)

// TestNewestIsThatOfTheKeyAtLeast: a Life that names no time leaves the file as new
// as the key of the record. Repair brings the clock to it.
func TestNewestIsThatOfTheKeyAtLeast(t *testing.T) {
	at := testrecords.Now.UnixMilli() + 5000
	err := testrecords.Open(t)(func(tx *records.Tx) error {
		key := codec.MakeOwnedKey(tx.Owner("u"), codec.NewOwnID(at, [4]byte{1}))
		token := codec.OneTimeToken{Key: key, UserID: "u", Epoch: 1, Purpose: "p", ExpiresAt: at + 1000}
		if l, err := records.OneTimeTokens.Life(key[:], token.Append(nil)); err != nil || l.Newest != 0 {
			t.Fatalf("the life names %d, %v: the test shows nothing", l.Newest, err)
		}
		if err := tx.PutOwned(records.OneTimeTokens, key, token.Append(nil)); err != nil {
			return err
		}
		report, err := records.Check(context.Background(), tx.File, tx.R, nil)
		if report.Newest != at {
			t.Errorf("the newest time is %d, want %d", report.Newest, at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
