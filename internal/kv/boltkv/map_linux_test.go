//go:build !race

package boltkv

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

func init() { jobs["little address space"] = openInLittleSpace }

// openInLittleSpace opens the database at path with 600 MiB of address space
// left: too little for the map that Open would like to have.
func openInLittleSpace(path string) error {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	var pages uint64
	if _, err := fmt.Sscan(string(status), &pages); err != nil {
		return err
	}
	most := pages*uint64(os.Getpagesize()) + 600<<20
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		return err
	}
	var log bytes.Buffer
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s, err := Open(path, o)
	if err != nil {
		return err
	}
	const line = "little address space"
	if n := strings.Count(log.String(), line); n != 1 {
		return fmt.Errorf("logged %d times: %s", n, log.String())
	}
	var e expect
	e.is("a heap of 100 MiB", use(make([]byte, 100<<20)), nil)
	for i := range 40 { // 20 MiB: the file outgrows small maps
		e.is("write", s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, fmt.Sprint("bulk ", i), 500<<10) }), nil)
	}
	e.is("read", s.View(ctx, func(r kv.Reader) error { return second(r.Get(plain, []byte("bulk 0 0"))) }), nil)
	e.is("backup", s.Backup(ctx, io.Discard, nil), nil)
	e.is("Close", s.Close(), nil)
	return e.alive()
}

// use touches each page of b.
func use(b []byte) error {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return nil
}

func TestLittleAddressSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, options())
	if !s.db.at().roomy || mapSize(0) < 1<<30 {
		t.Skip("this process has little address space itself")
	}
	must(t, s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, "first", 500<<10) }))
	must(t, s.Close())
	cmd := command("little address space", path)
	cmd.Env = append(cmd.Env, "GOMAXPROCS=2") // each thread takes address space of its own
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	check(t, path)
}
