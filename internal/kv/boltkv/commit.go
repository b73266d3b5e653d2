package boltkv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Where bbolt's Commit fails, in its order, and its error:
//
//	no page, no map     ErrMaxSizeReached, or text       before any write
//	file cannot grow    "file resize error: …", text     before any write
//	sync after growing  "file sync error: …", text       before any write
//	pages not written   *fs.PathError of a write         the old meta stands
//	sync of the pages   bare errno; elsewhere than on Linux and OpenBSD
//	                    *fs.PathError of a sync          the old meta stands
//	meta not written    *fs.PathError of a write         it may be there
//	sync of the meta    as above                         readers see it
//
// A failed sync is never repeated: the kernel may have dropped the pages that
// it could not write and report success next time. So any failed sync is
// ErrUnknown and the end of the service, even one that came before the meta
// page.
//
// Which write failed is not in the error. The place of the meta page tells: if
// an older, whole meta is still there, the new one was not written.

// fate is the outcome of a failed commit.
type fate int

const (
	notDone fate = iota // nothing was written
	full                // nothing was written, for want of space
	unknown             // it may have happened
)

// classify decides by the error and by whether the old meta page stands.
func classify(err error, stands bool) fate {
	switch {
	case isSync(err) || !stands:
		return unknown
	case isFull(err):
		return full
	}
	return notDone
}

func isSync(err error) bool {
	if _, bare := err.(syscall.Errno); bare {
		return true
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Op == "sync"
	}
	return strings.HasPrefix(err.Error(), "file sync error: ")
}

func isFull(err error) bool {
	if errors.Is(err, berrors.ErrMaxSizeReached) {
		return true
	}
	for _, errno := range noSpace {
		if errors.Is(err, errno) {
			return true
		}
		// bbolt keeps only the text of this one.
		if strings.HasPrefix(err.Error(), "file resize error: ") && strings.HasSuffix(err.Error(), ": "+errno.Error()) {
			return true
		}
	}
	return false
}

// judge turns the error of transaction id's commit into the store's answer.
func (s *Store) judge(err error, id uint64) error {
	switch classify(err, s.metaStands(id)) {
	case unknown:
		return fmt.Errorf("%w: %w", kv.ErrUnknown, err)
	case full:
		return fmt.Errorf("%w: %w", kv.ErrFull, err)
	}
	return fmt.Errorf("commit: %w", err)
}

// metaStands reports whether the meta page that transaction id would have
// written still holds a whole one of an earlier transaction. A page that cannot
// be read does not stand.
//
// Under Attach there is no file to read, and the handle's path may lead
// elsewhere by now: the process may have changed its directory. There the map
// tells, which shows a write at once; see keepable for where it does not.
func (s *Store) metaStands(id uint64) (stands bool) {
	look := func(r io.ReaderAt) {
		m, _, err := readMeta(r, int64(id%2)*int64(s.pageSize))
		stands = err == nil && m.txid < id
	}
	if file := s.db.at().file; file != nil {
		look(file)
		return stands
	}
	if runtime.GOOS != "windows" && runtime.GOOS != "openbsd" {
		err := guarded(func() error {
			return s.db.View(func(btx *bolt.Tx) error {
				look(bytes.NewReader(mappedMetas(btx)))
				return nil
			})
		})
		return err == nil && stands
	}
	if f, err := os.Open(s.db.Path()); err == nil {
		look(f)
		f.Close()
	}
	return stands
}

// strays looks at the file as a transaction has mapped it, all of whose pages stay in
// place meanwhile. It reports false where two commits came between the beginning of
// the transaction and the look at the meta pages.
func (s *Store) strays(ctx context.Context, btx *bolt.Tx) (looked bool, err error) {
	r := bytes.NewReader(mappedBytes(btx))
	for i := range int64(2) {
		m, _, err := readMeta(r, i*int64(s.pageSize))
		if err == nil && m.txid == uint64(btx.ID()) {
			m.pageSize = int64(s.pageSize)
			f := &file{r: r, size: btx.Size(), meta: m}
			return true, guarded(func() error {
				return f.strays(s.opt.Bucket, func() error { return errors.Join(ctx.Err(), s.gate.Reason()) })
			})
		}
	}
	return false, nil
}

// mappedBytes is mappedMetas for all pages.
func mappedBytes(btx *bolt.Tx) []byte {
	return unsafe.Slice((*byte)(mapBase(btx.DB().Info())), btx.Size())
}
