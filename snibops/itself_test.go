package snibops

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/snibdb/snib"
)

// TestTheDatabaseIsNeverReplacedByItsBackup: in the first call of a client, and
// where the server knows its file by a path from another folder.
func TestTheDatabaseIsNeverReplacedByItsBackup(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	c := local(t, db, &Options{File: path})
	if _, err := c.BackupFile(t.Context(), path, true, nil); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("first call: %v", err)
	}
	t.Chdir(filepath.Dir(path))
	s := must(Listen(db, filepath.Base(path), nil))(t)
	defer s.Close()
	t.Chdir(t.TempDir())
	far := must(Dial(t.Context(), path, nil))(t)
	defer far.Close()
	if _, err := far.BackupFile(t.Context(), path, true, nil); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("relative path: %v", err)
	}
	must(VerbStats.Do(t.Context(), far, None{}, nil))(t)
}

// TestABackupReplacesPlainFilesAlone: a pipe or a device is no place for one.
func TestABackupReplacesPlainFilesAlone(t *testing.T) {
	path := dbPath(t)
	c := live(t, open(t, path, snib.Options{}), path, nil)
	if _, err := c.BackupFile(t.Context(), SocketPath(path), true, nil); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("socket: %v", err)
	}
	if info := must(os.Lstat(SocketPath(path)))(t); !isSocket(info) {
		t.Errorf("it is now %v", info.Mode())
	}
}
