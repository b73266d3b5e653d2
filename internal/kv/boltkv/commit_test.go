package boltkv

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	berrors "go.etcd.io/bbolt/errors"
)

// TestClassify lists what bbolt's Commit can return; see commit.go.
func TestClassify(t *testing.T) {
	write := func(errno syscall.Errno) error { return &fs.PathError{Op: "write", Path: "db", Err: errno} }
	for _, test := range []struct {
		name   string
		err    error
		stands bool // the old meta page
		want   fate
	}{
		{"no page", berrors.ErrMaxSizeReached, true, full},
		{"no page, wrapped", fmt.Errorf("mmap: %w", berrors.ErrMaxSizeReached), true, full},
		{"no map", errors.New("mmap allocate error: cannot allocate memory"), true, notDone},
		{"cannot grow", fmt.Errorf("file resize error: truncate db: %s", noSpace[0]), true, full},
		{"cannot grow for another reason", errors.New("file resize error: truncate db: input/output error"), true, notDone},
		{"no space, in other words", fmt.Errorf("odd: %s", noSpace[0]), true, notDone},
		{"sync after growing", errors.New("file sync error: input/output error"), true, unknown},
		{"no space for pages", write(noSpace[0]), true, full},
		{"file limit", write(noSpace[1]), true, full},
		{"quota", write(noSpace[2]), true, full},
		{"pages not written", write(syscall.EIO), true, notDone},
		{"sync", syscall.EIO, true, unknown},
		{"sync, no space", noSpace[0], true, unknown},
		{"sync elsewhere", &fs.PathError{Op: "sync", Path: "db", Err: syscall.EIO}, true, unknown},
		{"meta half written", write(syscall.EIO), false, unknown},
		{"meta page without space", write(noSpace[0]), false, unknown},
		{"sync of the meta", syscall.EIO, false, unknown},
	} {
		if got := classify(test.err, test.stands); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

// TestMetaStands asks about transactions before, at and after the last ones.
func TestMetaStands(t *testing.T) {
	for _, attached := range []bool{false, true} {
		s := newStoreIn(t, options())
		for range 3 {
			put(t, s, "k", "v")
		}
		var last uint64
		btx, err := s.db.Begin(false)
		must(t, err)
		last = uint64(btx.ID())
		must(t, btx.Rollback())
		h := s.db.at()
		file := h.file
		if attached {
			h.file = nil
		}
		same(t, "the next", s.metaStands(last+1), true)
		same(t, "the last", s.metaStands(last), false)
		same(t, "the one before", s.metaStands(last-1), false)
		h.file = file
	}
}
