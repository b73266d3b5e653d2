package snib

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/snibdb/snib/internal/keyfile"
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
		k, err := keyfile.Read(path, p.database)
		if errors.Is(err, fs.ErrNotExist) {
			if !p.create {
				return nil, fmt.Errorf("a key file is made only for a database that was never used with a key: %w", err)
			}
			if err := createKeyFile(path, p.database); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, err
			}
			k, err = keyfile.Read(path, p.database) // as the next Open does
		}
		return k, keyFileError(err)
	})
}

// CreateKeyFile writes a new random key to a file of mode 0600, synced with its
// directory, for a change of keys: put KeyFile of it before the others in
// Options.Keys, and call [File.Reseal]. It never replaces a file: fs.ErrExist.
// ErrInvalidInput (path) if path is empty; other errors of the file system.
func CreateKeyFile(path string) error { return during("create key file", createKeyFile(path, "")) }

func createKeyFile(path, database string) error {
	if err := given("path", path); err != nil {
		return err
	}
	return keyFileError(keyfile.Create(path, database))
}

// keyFileError names the option of a file that is refused.
func keyFileError(err error) error {
	if e, ok := errors.AsType[*keyfile.RefusedError](err); ok {
		return &InputError{Field: "Options.Keys", Code: CodeNotAllowed, Reason: "KeyFile " + e.Path + ": " + e.Reason}
	}
	return err
}
