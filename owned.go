package snib

import (
	"fmt"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
)

// OwnedKey returns the key of a row that belongs to a user, for a bucket of
// Options.Owned: the id, a zero byte, which no id contains, and rest, any bytes.
// With an empty rest it is the common beginning of the keys of all rows of the
// user there. A key without the zero byte would lie among the rows of a user whose id
// begins with this one, as ids of imported users may.
func OwnedKey(id UserID, rest string) []byte {
	return append(records.RowKey(string(id)), rest...)
}

// Orphans are rows in a bucket of Options.Owned whose user does not exist, neither
// present nor leaving: one lost to damage, or a row that the program wrote without
// a user. DeleteUser with the id removes them.
type Orphans struct {
	Bucket string // of Options.Owned
	UserID UserID // "" for keys that do not begin with a user id and a zero byte
	Rows   int    // how many there are
}

func (s *settings) checkOwned() error {
	if len(s.Owned) > maxDeclared {
		return &InputError{Field: "Options.Owned", Code: CodeTooMany, Reason: "must be at most 64", Max: maxDeclared}
	}
	for i, name := range s.Owned {
		field := fmt.Sprintf("Options.Owned[%d]", i)
		if fault := fold.PlainText(name, codec.MaxBucketName); fault.Found() {
			return faulty(field, fault)
		}
		switch {
		case name == records.Bucket:
			return &InputError{Field: field, Code: CodeNotAllowed, Reason: "is the bucket of the accounts"}
		case slices.Contains(s.Owned[:i], name):
			return &InputError{Field: "Options.Owned", Code: CodeTaken, Reason: "must name each bucket once"}
		}
	}
	return nil
}
