// Package keyfile keeps a key in a file, apart from the database.
package keyfile

import (
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/snibdb/snib/internal/durable"
	"github.com/snibdb/snib/internal/seal"
)

// maxSize is more than a key file has, in bytes.
const maxSize = 256

// A RefusedError says why a file must not be a key file.
type RefusedError struct{ Path, Reason string }

// Error names the file.
func (e *RefusedError) Error() string { return "key file " + e.Path + " " + e.Reason }

func refused(path, reason string) error { return &RefusedError{path, reason} }

// Read reads a key file, of the database at a path; "" is no database.
func Read(path, database string) (seal.Key, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	if err := apart(real, database); err != nil {
		return nil, err
	}
	if err := durable.Plain(real); err != nil { // before a pipe is waited for
		return nil, err
	}
	f, err := os.Open(real)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case runtime.GOOS != "windows" && info.Mode().Perm()&^0o600 != 0:
		return nil, refused(path, fmt.Sprintf("has mode %#o, must have 0600 or less", info.Mode().Perm()))
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	k, err := seal.ParseLine(content)
	if err != nil || len(content) > maxSize {
		return nil, refused(path, "is not a key file")
	}
	return k, nil
}

// Create makes a key file with a random key, unless there is something at path:
// fs.ErrExist.
func Create(path, database string) error {
	if err := apart(path, database); err != nil {
		return err
	}
	var random [4 + seal.Size]byte
	rand.Read(random[:]) // never fails
	k, err := seal.New(fmt.Sprintf("k%x", random[:4]), random[4:])
	if err != nil {
		return err
	}
	f, err := durable.Create(path, false)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(k.Line()); err != nil {
		return err
	}
	return f.Commit(false)
}

// apart refuses a key file in the directory of the database or below it.
func apart(path, database string) error {
	if database == "" {
		return nil
	}
	if real, err := filepath.EvalSymlinks(database); err == nil {
		database = real
	}
	home, err := os.Stat(filepath.Dir(database))
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	for err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(dir); err == nil && os.SameFile(info, home) {
			return refused(path, "must not be in the directory of the database")
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return err
}
