package snib

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/snibdb/snib/internal/durable"
	"github.com/snibdb/snib/internal/seal"
)

// KeyFile returns the key in a file, for a program that has no better place for
// secrets. Open reads it, from a regular file of mode 0600 or less that is not in
// the directory of the database or below it: a backup of that directory would
// take both.
//
// If there is no file, and the database has never been used with a key, Open
// makes one with a random key, mode 0600, synced before the database depends on
// it; only for the first of Options.Keys, and in a directory that exists. If the
// database has a key, a missing file is an error that is fs.ErrNotExist: put the
// file back. Losing it loses all that is sealed. Keep a copy apart from the
// backups of the database.
//
// Errors of Open for a KeyFile are ErrInvalidInput (Options.Keys) and those of
// the file system.
func KeyFile(path string) Key {
	return newKey("", func(p keyPlace) (seal.Key, error) {
		k, err := readKeyFile(path, p.database)
		if !errors.Is(err, fs.ErrNotExist) {
			return k, err
		}
		if !p.create {
			return nil, fmt.Errorf("a key file is made only for a database that was never used with a key: %w", err)
		}
		if err := createKeyFile(path, p.database); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		return readKeyFile(path, p.database) // as the next Open does
	})
}

// CreateKeyFile writes a new random key to a file of mode 0600, synced with its
// directory, for a change of keys: put KeyFile of it before the others in
// Options.Keys, and call [File.Reseal]. It never replaces a file: fs.ErrExist.
// ErrInvalidInput (path) if path is empty; other errors of the file system.
func CreateKeyFile(path string) error { return during("create key file", createKeyFile(path, "")) }

// maxKeyFile is more than a key file has, in bytes.
const maxKeyFile = 256

func keyFileError(path, reason string) error {
	return &InputError{Field: "Options.Keys", Code: CodeNotAllowed, Reason: "KeyFile " + path + ": " + reason}
}

// readKeyFile reads a key file, of the database at a path.
func readKeyFile(path, database string) (seal.Key, error) {
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
		return nil, keyFileError(path, fmt.Sprintf("has mode %#o, must have 0600 or less", info.Mode().Perm()))
	}
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	k, err := seal.ParseLine(content)
	if err != nil || len(content) > maxKeyFile {
		return nil, keyFileError(path, "is not a key file")
	}
	return k, nil
}

// createKeyFile makes a key file, unless there is something at path.
func createKeyFile(path, database string) error {
	if err := given("path", path); err != nil {
		return err
	}
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

// apart refuses a key file in the directory of the database or below it. ""
// is no database.
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
			return keyFileError(path, "must not be in the directory of the database")
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return err
}
