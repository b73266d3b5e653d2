package dbtest_test

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv/dbtest"
)

// TestOwnedPromises runs the promises about rows of the program's, as the engines
// with tables do.
func TestOwnedPromises(t *testing.T) {
	dbtest.RunOwned(t, func(tb testing.TB) dbtest.Rows {
		return dbtest.Rows{
			Path: filepath.Join(tb.TempDir(), "accounts.db"), Names: [2]string{"notes", "more"},
			Put: func(tx *snib.Tx, set string, id snib.UserID, n int) error {
				b, err := tx.Bolt().CreateBucketIfNotExists([]byte(set))
				for i := range n {
					if err == nil {
						err = b.Put(snib.OwnedKey(id, string(binary.BigEndian.AppendUint32(nil, uint32(i)))), []byte("of "+id))
					}
				}
				return err
			},
			Count: func(tx *snib.Tx, set string) (map[snib.UserID]int, error) {
				of := map[snib.UserID]int{}
				if b := tx.Bolt().Bucket([]byte(set)); b != nil {
					b.ForEach(func(key, _ []byte) error {
						id, _, _ := bytes.Cut(key, []byte{0})
						of[snib.UserID(id)]++
						return nil
					})
				}
				return of, nil
			},
		}
	})
}
