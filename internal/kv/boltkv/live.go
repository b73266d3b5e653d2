package boltkv

import (
	"os"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// A handle is bbolt's on one file, with the store's facts about that file.
type handle struct {
	*bolt.DB
	file   *os.File     // that bbolt reads and writes, if Open made it; else nil
	number uint64       // of the handles before it
	path   string       // bbolt forgets it at its Close
	linked bool         // the system counts the names of the file
	roomy  bool         // as much was mapped as mapSize wants
	high   atomic.Int64 // the file is at least this long, in bytes

	leaving  atomic.Bool  // Compact may have taken the file's place
	entering atomic.Int64 // calls that look at the file, or are about to begin
}

func newHandle(db *bolt.DB, file *os.File) *handle {
	h := &handle{DB: db, file: file, path: db.Path()}
	if file != nil {
		now, err := factsOf(file)
		h.linked = err == nil && now.links > 0
	}
	return h
}

// live is the handle in use. Compact puts another in its place: transactions
// that have begun on the old one end there, later ones begin on the new one.
type live struct{ p atomic.Pointer[handle] }

func (l *live) at() *handle { return l.p.Load() }

// enter returns the handle in use, of which nothing is closed before entering
// is counted down.
func (l *live) enter() *handle {
	for {
		h := l.at()
		h.entering.Add(1)
		if h == l.at() {
			return h
		}
		h.entering.Add(-1) // replaced, and maybe closed
	}
}

// begin is bbolt's Begin of a read transaction, on the handle that it returns.
func (l *live) begin() (*bolt.Tx, *handle, error) {
	h := l.enter()
	defer h.entering.Add(-1)
	btx, err := h.Begin(false)
	return btx, h, err
}

// stat is os.Stat for the file in use.
func (l *live) stat() (os.FileInfo, error) {
	h := l.enter()
	defer h.entering.Add(-1)
	if h.file == nil {
		return os.Stat(h.path)
	}
	return h.file.Stat()
}

// Update is bbolt's. Handles change only in the writer's turn, so the caller,
// which is the writer, has the one in use.
func (l *live) Update(fn func(*bolt.Tx) error) error { return l.at().Update(fn) }

// View is bbolt's, for callers on whom Compact waits.
func (l *live) View(fn func(*bolt.Tx) error) error { return l.at().View(fn) }

// Begin is the application's, for tests.
func (l *live) Begin(writable bool) (*bolt.Tx, error) { return l.at().Begin(writable) }

func (l *live) Path() string      { return l.at().path }
func (l *live) Info() *bolt.Info  { return l.at().Info() }
func (l *live) Stats() bolt.Stats { return l.at().Stats() }
func (l *live) Close() error      { return l.at().Close() }
