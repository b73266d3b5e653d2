//go:build cgo && !race && !light

package peers

import (
	"database/sql"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// SQLite itself, in C. The driver has no parameter for the map.
func init() {
	sql.Register("sqlite3_mapped", &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		_, err := c.Exec(fmt.Sprintf("PRAGMA mmap_size=%d", sqliteMap), nil)
		return err
	}})
	mattn = sqlitePeers("sqlite3_mapped", "sqlite", "github.com/mattn/go-sqlite3", func(path, sync string) string {
		return fmt.Sprintf("file:%s?_journal_mode=WAL&_synchronous=%s&_foreign_keys=1&_busy_timeout=%d&_cache_size=%d&_txlock=immediate",
			path, sync, sqliteBusy, sqliteCache)
	})
}
