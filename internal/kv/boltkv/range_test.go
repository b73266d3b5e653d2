package boltkv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
)

// TestDeleteRangeEndsOnPagesOutOfOrder: a page begins before the key under
// which its parent has it, and its keys are in no order, so that bbolt comes
// to the first one by going on from the page before and does not find it to
// remove.
func TestDeleteRangeEndsOnPagesOutOfOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s, err := Open(path, options())
	must(t, err)
	defer s.Close()
	must(t, s.Apply(ctx, func(tx kv.Tx) error {
		for i := range 60 {
			if err := tx.Put(plain, fmt.Appendf(nil, "m%02da", i), make([]byte, 150)); err != nil {
				return err
			}
		}
		return nil
	}))
	disorder(t, path, s.pageSize)
	done := make(chan error, 1)
	go func() {
		done <- s.Exclusive(ctx, func(tx kv.Tx) error { _, err := tx.DeleteRange(plain, []byte("m"), []byte("n")); return err })
	}()
	select {
	case err := <-done:
		want(t, "DeleteRange", err, kv.ErrCorrupt)
	case <-time.After(20 * time.Second):
		t.Fatal("it has no end")
	}
}

// disorder damages a leaf of the file that is not the first of its tree: its
// first key becomes one between the page before and its own, and the others
// come before that.
func disorder(t *testing.T, path string, pageSize int) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	all, err := os.ReadFile(path)
	must(t, err)
	for at := 0; at+pageSize <= len(all); at += pageSize {
		p := all[at : at+pageSize]
		first := bytes.Index(p, []byte("m"))
		if native.Uint16(p[8:]) != leafPage || native.Uint16(p[10:]) < 5 || first < 0 || p[first+3] != 'a' || string(p[first:first+3]) == "m00" {
			continue
		}
		p[first+2]--
		p[first+3] = 'z'
		for i := first + 4; i < len(p)-4; i++ {
			if p[i] == 'm' && p[i+3] == 'a' {
				p[i] = 'b'
			}
		}
		_, err := f.WriteAt(p, int64(at))
		must(t, err)
		return
	}
	must(t, errors.New("no such page"))
}
