package snib

import (
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

// Orphans are rows in a bucket or table of Options.Owned whose user does not exist, neither
// present nor leaving: one lost to damage, or a row that the program wrote without
// a user. DeleteUser with the id removes them.
type Orphans struct {
	Bucket string // or table, as in Options.Owned
	UserID UserID // "" for rows without a user id, such as keys that do not begin with one and a zero byte
	Rows   int    // how many there are
}
