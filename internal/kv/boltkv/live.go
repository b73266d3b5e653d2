package boltkv

import (
	"errors"
	"os"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// A handle is bbolt's on one file, and what the store knows of that file.
type handle struct {
	*bolt.DB
	file   *os.File     // that bbolt reads and writes, if Open made it; else nil
	number uint64       // of the handles before it
	linked bool         // the system counts the names of the file
	high   atomic.Int64 // the file is at least this long, in bytes
}

func newHandle(db *bolt.DB, file *os.File) *handle {
	h := &handle{DB: db, file: file}
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

// View is bbolt's, on the handle that is in use when the transaction begins.
func (l *live) View(fn func(*bolt.Tx) error) error {
	for {
		h, ran := l.at(), false
		err := h.View(func(btx *bolt.Tx) error {
			ran = true
			return fn(btx)
		})
		if ran || !l.left(h, err) {
			return err
		}
	}
}

// Begin is View's, for a transaction that the caller ends.
func (l *live) Begin(writable bool) (*bolt.Tx, error) {
	for {
		h := l.at()
		btx, err := h.Begin(writable)
		if !l.left(h, err) {
			return btx, err
		}
	}
}

// left reports whether err comes of h having been closed by Compact.
func (l *live) left(h *handle, err error) bool {
	return errors.Is(err, berrors.ErrDatabaseNotOpen) && h != l.at()
}

// Update is bbolt's. Handles change only in the writer's turn, so the caller,
// who is the writer, has the one in use.
func (l *live) Update(fn func(*bolt.Tx) error) error { return l.at().Update(fn) }

func (l *live) Path() string      { return l.at().Path() }
func (l *live) Info() *bolt.Info  { return l.at().Info() }
func (l *live) Stats() bolt.Stats { return l.at().Stats() }
func (l *live) Close() error      { return l.at().Close() }
