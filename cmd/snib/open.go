package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
)

// An access is how much of the file a verb needs.
type access int

const (
	reads  access = iota // leaves the file as it is
	writes               // changes accounts
	seals                // changes accounts, and seals password hashes too
)

// with runs do with a client: of the program that has the file open, or of the
// file itself.
func (a *app) with(ctx context.Context, need access, do func(*snibops.Client) error) error {
	if err := a.needFile(); err != nil {
		return err
	}
	c, err := a.live(ctx)
	if err != nil {
		return err
	}
	if c != nil {
		return errors.Join(do(c), c.Close())
	}
	db, feed, err := a.open(ctx, need)
	if err != nil {
		return err
	}
	a.tell("file: " + quote(a.file))
	c = snibops.Local(db, &snibops.Options{Name: a.actor, File: a.file, Progress: feed})
	return errors.Join(do(c), c.Close(), db.Close())
}

// tell tells an operator, once, on what a verb works.
func (a *app) tell(where string) {
	if a.outTerminal && !a.told {
		fmt.Fprintln(a.err, where)
	}
	a.told = true
}

// needFile is an error unless a file was named.
func (a *app) needFile() error {
	if a.file == "" {
		return usagef("no database: give --file FILE, or set SNIB_FILE")
	}
	return nil
}

// live dials the program that has the file open; nil without a program behind the
// socket.
func (a *app) live(ctx context.Context) (*snibops.Client, error) {
	if _, err := os.Lstat(a.socket); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	c, err := snibops.Dial(ctx, a.file, &snibops.Options{Name: a.actor, Socket: a.socket})
	switch {
	case errors.Is(err, snibops.ErrNotServed):
		return nil, nil
	case err != nil:
		return nil, hint(err, "see %s: it must be the socket of your program", quote(a.socket))
	}
	i := c.Info()
	a.tell(fmt.Sprintf("live: %s, process %d", quote(filepath.Base(i.Program)), i.PID))
	return c, nil
}

// open opens the file. It never makes one.
func (a *app) open(ctx context.Context, need access) (*snib.DB, *snibops.ProgressFeed, error) {
	if info, err := os.Stat(a.file); err != nil {
		return nil, nil, err
	} else if info.Mode().IsRegular() && info.Size() == 0 {
		return nil, nil, fmt.Errorf("%s: %w: it is empty", quote(a.file), snib.ErrForeignFile)
	}
	o, err := a.options(need)
	if err != nil {
		return nil, nil, err
	}
	feed := new(snibops.ProgressFeed)
	o.Progress = feed.Report
	open := snib.OpenContext
	if need == reads {
		open = snib.OpenReadOnly
	}
	db, err := open(ctx, a.file, o)
	return db, feed, err
}

// options are for a file that no program has open. Declarations are the file's.
func (a *app) options(need access) (*snib.Options, error) {
	keys, err := a.keyring()
	if err != nil {
		return nil, err
	}
	wait := a.wait
	if wait <= 0 {
		wait = -1
	}
	o := &snib.Options{SweepEvery: -1, File: snib.FileOptions{LockTimeout: wait}, Keys: keys}
	o.Passwords.Seal = need == seals && len(keys) > 0
	if a.tune != nil {
		a.tune(o)
	}
	return o, nil
}

// keyring is the keys of --key-file, or those among the credentials that systemd
// has loaded. The command never makes a key: a new one would be of no use to the
// program.
func (a *app) keyring() ([]snib.Key, error) {
	paths := a.keyFiles
	if dir := a.env("CREDENTIALS_DIRECTORY"); len(paths) == 0 && dir != "" {
		found, err := filepath.Glob(filepath.Join(dir, "snib.key*"))
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(p string) bool {
			name := filepath.Base(p)
			return name != "snib.key" && !strings.HasPrefix(name, "snib.key.")
		})
		slices.Sort(found)
		paths = found
	}
	var keys []snib.Key
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			return nil, hint(err, "see --key-file: snib makes no keys")
		}
		keys = append(keys, snib.KeyFile(p))
	}
	return keys, nil
}
