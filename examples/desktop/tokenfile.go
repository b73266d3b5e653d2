package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/snibdb/snib"
)

// A tokenFile keeps the session token of the signed-in user, readable by its
// owner only. The token is a secret: its bearer is signed in.
type tokenFile string

// read returns the token, or "" while signed out: a token that no session has.
func (f tokenFile) read() (string, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, 1<<10)) // a token is shorter
	return string(b), err
}

// write replaces the token. The new file has its mode before it has its
// contents, and takes the old one's place whole.
func (f tokenFile) write(token snib.Token) error {
	tmp, err := os.CreateTemp(filepath.Dir(string(f)), ".session-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keeping the session: %w", err)
	}
	_, err = tmp.WriteString(token.Reveal())
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), string(f))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keeping the session: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}

func (f tokenFile) remove() error {
	if err := os.Remove(string(f)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
