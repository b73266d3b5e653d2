package importer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snibdb/snib"
)

// stateVersion is that of the file's form. Another one is not gone on from.
const stateVersion = 1

// A state is how far a run has come. It is gone on from only for the same source,
// mapping and options, and if the database has the users that it names; otherwise
// the run begins anew, which is as right and takes longer.
type state struct {
	Version int      `json:"version"`
	Input   string   `json:"input"` // fingerprint
	Last    int      `json:"last"`  // row
	Users   []string `json:"users"` // the first and some of the last that were committed
	Clashes []clash  `json:"clashes"`
	Report  *Report  `json:"report"`
}

// stateUsers is how many of the last users a state names.
const stateUsers = 8

// A stateFile is the file of one run.
type stateFile struct {
	path  string
	input string
	users []string
	err   error // of the last save: there is no further one
}

// saw notes a committed user.
func (f *stateFile) saw(id snib.UserID) {
	if len(f.users) > stateUsers {
		f.users = append(f.users[:1], f.users[2:]...)
	}
	f.users = append(f.users, string(id))
}

// maxState bounds the file, in bytes, when it is read.
const maxState = 64 << 20

// resume finds the state of an interrupted run.
func (r *run) resume() error {
	path := r.o.State
	if r.o.DryRun || path == "-" {
		return nil
	}
	if path == "" {
		path = r.source.Path + ".snib-state"
	}
	input, err := r.fingerprint()
	if err != nil {
		return err
	}
	r.file = &stateFile{path: path, input: input}
	was, err := readState(path)
	if err != nil {
		return fmt.Errorf("state file %s: %w", filepath.Base(path), err)
	}
	if was == nil || was.Input != input || !r.here(was.Users) {
		return r.save() // shows at once whether it can be saved
	}
	r.last, r.file.users, r.clashes, r.report = was.Last, was.Users, was.Clashes, was.Report
	r.report.ResumedAfter = was.Last
	return nil
}

// here reports whether the database has all of some users: it may be another one,
// or an older copy.
func (r *run) here(users []string) bool {
	for _, id := range users {
		if _, err := r.db.GetUser(r.ctx, snib.UserID(id)); err != nil {
			return false
		}
	}
	return true
}

// readState returns nil for none, and for a file that is no state of this version.
func readState(path string) (*state, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return nil, err
	}
	var s state
	if len(data) == 0 { // of a crash before the first content
		return nil, nil
	}
	if json.Unmarshal(data, &s) != nil || s.Version == 0 {
		return nil, errors.New("is no state of an import: name another, or remove it")
	}
	if s.Version != stateVersion || s.Report == nil {
		return nil, nil
	}
	return &s, nil
}

// save replaces the file by one that is complete on the disk.
func (r *run) save() error {
	r.saved = 0
	data, err := json.Marshal(state{
		Version: stateVersion, Input: r.file.input, Last: r.last,
		Users: r.file.users, Clashes: r.clashes, Report: r.report,
	})
	if err == nil {
		err = replaceFile(r.file.path, data)
	}
	if err != nil {
		return fmt.Errorf("save the state (Options.State names another file): %w", err)
	}
	return nil
}

// replaceFile writes a file beside path, syncs it and renames it.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(data))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename durable, where folders can be synced.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // not on all systems; a lost rename costs time only
	return d.Close()
}

func (f *stateFile) remove() error {
	err := os.Remove(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// fingerprint tells sources, mappings and options apart.
func (r *run) fingerprint() (string, error) {
	h := sha256.New()
	options, err := json.Marshal([]any{r.source.From, r.source.Params, r.source.Providers, r.o.Update})
	if err != nil {
		return "", err
	}
	h.Write(options)
	shipped, _ := ShippedMapping(r.source.From)
	h.Write(shipped)
	for _, path := range []string{r.source.File, r.source.Path, r.source.Path + "-wal"} {
		if err := hashFile(h, path); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashFile adds the length and content of a file; nothing of one that is not there.
func hashFile(h io.Writer, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) || path == "" {
		_, err = h.Write([]byte{0})
		return err
	}
	if err != nil {
		return err
	}
	defer f.Close()
	inner := sha256.New()
	if _, err := io.Copy(inner, f); err != nil {
		return err
	}
	_, err = h.Write(inner.Sum([]byte{1}))
	return err
}
