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

// TestTheUseOfAnAPIKeyIsItsNewestTime, if it was used.
func TestTheUseOfAnAPIKeyIsItsNewestTime(t *testing.T) {
	key := codec.MakeOwnedKey(codec.Owner{1}, codec.NewOwnID(1_760_000_000_000, [4]byte{1}))
	for used, want := range map[int64]int64{codec.Never: 0, key.Time() + 5000: key.Time() + 5000} {
		k := codec.APIKey{Key: key, UserID: "u", ExpiresAt: codec.Never, LastUsedAt: used}
		if l, err := records.APIKeys.Life(key[:], k.Append(nil)); err != nil || l.Newest != want {
			t.Errorf("used at %d: newest %d, %v, want %d", used, l.Newest, err, want)
		}
	}
}
