package snibsqlite

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib/internal/kv"
)

// TestLogIsRemoved: writes that another program could not see are refused.
func TestLogIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := openAt(t, path, false, one)
	must(t, put(s, "k", "v"))
	must(t, os.Remove(path+"-wal"))
	if err := put(s, "k", "w"); !errors.Is(err, kv.ErrGone) {
		t.Errorf("got %v", err)
	}
}
