package snibops

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// BackupFile makes a backup at path, in this process: mode 0600, compared with
// the server's length and SHA-256, synced, then put there in one step. After an
// error there is nothing new at or beside path. progress, which may be nil, gets
// the bytes so far. Without replace a file at path is fs.ErrExist; the database
// itself, as Dial or Options.File names it, is never replaced, nor what is no
// plain file: fs.ErrInvalid.
//
// The server holds a snapshot meanwhile, and ends the backup if no 64 KiB can be
// written for 10 s, or if the whole is slower than 1 MiB a second by more than
// 30 s: ErrCut.
func (c *Client) BackupFile(ctx context.Context, path string, replace bool, progress func(Progress)) (DataResult, error) {
	return VerbBackup.save(ctx, c, None{}, path, replace, progress)
}

// ExportUserFile writes all that the file knows of a user to path, as BackupFile
// does.
func (c *Client) ExportUserFile(ctx context.Context, user, path string, replace bool) (DataResult, error) {
	return VerbUserExport.save(ctx, c, UserArgs{User: user}, path, replace, nil)
}

// save puts the data of a verb at path.
func (v Verb[A, I, R]) save(ctx context.Context, c *Client, args A, path string, replace bool, progress func(Progress)) (DataResult, error) {
	info, err := c.greeted(ctx) // which knows the file
	if err != nil {
		return DataResult{}, err
	}
	there, err := os.Stat(path)
	switch {
	case err == nil && !replace:
		return DataResult{}, fmt.Errorf("snibops: %s: %w", Quote(path), fs.ErrExist)
	case err == nil && !there.Mode().IsRegular():
		return DataResult{}, fmt.Errorf("snibops: %s: %w: is no plain file", Quote(path), fs.ErrInvalid)
	case err == nil:
		for _, file := range []string{info.File, c.file} {
			if own, err := os.Stat(file); err == nil && os.SameFile(own, there) {
				return DataResult{}, fmt.Errorf("snibops: %s: %w: is the database itself", Quote(path), fs.ErrExist)
			}
		}
	case !errors.Is(err, fs.ErrNotExist):
		return DataResult{}, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".snib-*") // mode 0600
	if err != nil {
		return DataResult{}, err
	}
	defer func() { _ = os.Remove(f.Name()) }() // once it is in its place, there is none
	w := &summed{w: f, sum: sha256.New(), op: string(v), progress: progress}
	var got DataResult
	err = c.exchange(ctx, string(v), args, &got, nil, Exchange{Data: w})
	if sum := hex.EncodeToString(w.sum.Sum(nil)); err == nil && (got.Bytes != w.n || got.SHA256 != sum) {
		err = fmt.Errorf("snibops: %s: %w: the data is not what the server sent", v, ErrCut)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return DataResult{}, err
	}
	return got, place(f.Name(), path, replace)
}

// place gives a finished file its name, durably.
func place(temp, path string, replace bool) error {
	if replace {
		if err := os.Rename(temp, path); err != nil {
			return err
		}
	} else if err := os.Link(temp, path); err != nil { // unlike Rename it replaces nothing
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// summed is a writer that counts.
type summed struct {
	w        io.Writer
	sum      hash.Hash
	n        int64
	op       string
	progress func(Progress)
}

func (s *summed) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.sum.Write(b[:n])
	s.n += int64(n)
	if s.progress != nil {
		s.progress(Progress{Op: s.op, Done: s.n})
	}
	return n, err
}

// Import imports lines of JSON, an [ImportRow] each; empty lines are skipped. each
// gets the refused rows, or all with ImportArgs.All; each and progress may be
// nil. A line that is no row is refused, and the others go on.
//
// Rows take effect in batches, each one commit. After an error, of lines too,
// those of earlier batches stay, each a whole user; run it again to go on. lines
// may be read once more after an error.
func (c *Client) Import(ctx context.Context, args ImportArgs, lines io.Reader, each func(ImportedRow) error, progress func(Progress)) (ImportCount, error) {
	return VerbImport.With(ctx, c, args, each, Exchange{Input: Lines(lines), Progress: progress})
}

// Lines is the Exchange.Input of a reader of lines. A line of more than 1 MiB is
// an error.
func Lines(r io.Reader) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		scanner := bufio.NewScanner(r)
		scanner.Buffer(make([]byte, 0, bufferSize), MaxFrame-1)
		n := 0
		for scanner.Scan() {
			line := scanner.Bytes()
			if n++; n == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			if !yield(line, nil) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(nil, fmt.Errorf("snibops: line %d: %w", n+1, err))
		}
	}
}
