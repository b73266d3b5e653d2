//go:build !race && !light

package peers

import (
	"fmt"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// modernc is SQLite translated into Go, for builds without a C compiler.
var modernc = sqlitePeers("sqlite", "sqlite-go", "modernc.org/sqlite", func(path, sync string) string {
	return fmt.Sprintf("file:%s?_pragma=journal_mode(WAL)&_pragma=synchronous(%s)&_pragma=foreign_keys(1)&_pragma=busy_timeout(%d)"+
		"&_pragma=cache_size(%d)&_pragma=mmap_size(%d)&_txlock=immediate", path, sync, sqliteBusy, sqliteCache, sqliteMap)
})[:3] // random ids are compared in C
