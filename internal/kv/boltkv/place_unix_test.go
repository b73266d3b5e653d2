//go:build unix

package boltkv

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/durable"
)

// TestPlaceKeepsTheOwner: what root puts in the place of the file of a service is
// the service's.
func TestPlaceKeepsTheOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "a.db")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, 12346); err != nil {
		t.Skip("this root cannot: ", err)
	}
	f, err := durable.Create(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	if err := Place(f, path, true, time.Second); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 12345 || stat.Gid != 12346 || info.Mode() != 0o600 {
		t.Errorf("owner %d:%d, mode %v", stat.Uid, stat.Gid, info.Mode())
	}
}
