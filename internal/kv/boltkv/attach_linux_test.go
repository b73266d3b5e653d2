package boltkv

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
)

func init() { jobs["attach, change the directory, fill"] = fillElsewhere }

// fillElsewhere fills a file that was opened by a relative path, from another
// directory.
func fillElsewhere(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	db, err := bolt.Open("db", 0o600, nil)
	if err != nil {
		return err
	}
	s, err := Attach(db, options())
	if err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: 2 << 20, Max: 2 << 20}
	if err := firstError(os.Chdir("/"), syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)); err != nil {
		return err
	}
	var e expect
	for i := 0; err == nil; i++ {
		err = s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, fmt.Sprint("bulk ", i), 500<<10) })
	}
	e.is("full", err, kv.ErrFull)
	e.is("read", s.View(ctx, func(r kv.Reader) error { return second(r.Get(plain, []byte("bulk 0 0"))) }), nil)
	e.is("remove", s.Exclusive(ctx, func(tx kv.Tx) error { return tx.Delete(plain, []byte("bulk 0 0")) }), nil)
	return e.alive()
}

// TestFullAfterTheDirectoryChanged: nothing was written, and that is known,
// though the path of the handle leads nowhere.
func TestFullAfterTheDirectoryChanged(t *testing.T) {
	succeed(t, "attach, change the directory, fill", t.TempDir())
}
