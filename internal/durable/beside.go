package durable

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// A Temp is a file that is being made beside the path it is for. Its maker
// holds the lock of the directory, shared with other makers, so that Sweep does
// not take it for one that a crash has left.
type Temp struct {
	*os.File // mode 0600
	dir      *os.File
}

// Beside makes an empty file named "<name>.<what>-<tag>" in the directory of
// path; what is its purpose. A long name is cut, so that the whole has at most
// 255 bytes. Close or Remove it.
func Beside(path, what string) (*Temp, error) {
	dir := shareDir(filepath.Dir(path))
	for tries := 0; ; tries++ {
		tag, err := newTag()
		if err != nil {
			return nil, errors.Join(err, closeDir(dir))
		}
		name := filepath.Join(filepath.Dir(path), fit(filepath.Base(path), "."+what+"-"+tag))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) && tries < 100 {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, closeDir(dir))
		}
		private(f)
		return &Temp{f, dir}, nil
	}
}

// private gives f the mode 0600, which a umask may have cut. A file system
// without modes cannot.
func private(f *os.File) {
	if info, err := f.Stat(); err == nil && info.Mode().Perm() != 0o600 {
		f.Chmod(0o600)
	}
}

// Close closes the file and gives the directory back.
func (t *Temp) Close() error { return errors.Join(t.File.Close(), t.release()) }

// Remove closes and removes the file. The directory is given back last.
func (t *Temp) Remove() {
	t.File.Close()
	os.Remove(t.Name())
	t.release()
}

// release gives the directory back, once.
func (t *Temp) release() error {
	dir := t.dir
	t.dir = nil
	return closeDir(dir)
}

func closeDir(dir *os.File) error {
	if dir == nil {
		return nil
	}
	return dir.Close()
}

// maxName is how many bytes file systems let a name have.
const maxName = 255

// fit returns name and suffix, with as much of the name as there is room for.
func fit(name, suffix string) string {
	n := min(len(name), maxName-len(suffix))
	for n < len(name) && n > 0 && !utf8.RuneStart(name[n]) {
		n--
	}
	return name[:n] + suffix
}

// A tag is six random bytes and four that follow from them: no file has one in
// its name by chance, so that Sweep never removes a file of another program.
const (
	tagRandom = 6
	tagLen    = 16 // digits
)

var digits = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

func newTag() (string, error) {
	random := make([]byte, tagRandom)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	return tagOf(random), nil
}

func tagOf(random []byte) string {
	sum := sha256.Sum256(append([]byte("snib file being made "), random...))
	return digits.EncodeToString(append(random[:tagRandom:tagRandom], sum[:tagLen*5/8-tagRandom]...))
}

// ours reports whether a file was named by Beside.
func ours(name string) bool {
	at := len(name) - tagLen
	if at < 1 || name[at-1] != '-' {
		return false
	}
	b, err := digits.DecodeString(name[at:])
	if err != nil || tagOf(b[:tagRandom]) != name[at:] {
		return false
	}
	what := name[strings.LastIndexByte(name[:at], '.')+1 : at-1]
	return what == "creating" || what == "partial" || what == "spool" || what == "sorting"
}

// Sweep removes from the directory of path the files of Beside that a crash
// has left, and returns their names. It removes nothing while a file is being
// made in that directory, by anybody, nor where directories have no locks.
func Sweep(path string) (removed []string, err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if !lockDir(dir, false) {
		return nil, nil
	}
	for {
		entries, err := dir.ReadDir(1000)
		for _, e := range entries {
			if !e.Type().IsRegular() || !ours(e.Name()) {
				continue
			}
			if err := os.Remove(filepath.Join(dir.Name(), e.Name())); err != nil {
				return removed, err
			}
			removed = append(removed, e.Name())
		}
		switch {
		case err == io.EOF && len(removed) == 0:
			return nil, nil
		case err == io.EOF:
			return removed, dir.Sync()
		case err != nil:
			return removed, err
		}
	}
}

// shareDir opens a directory and takes its lock, shared. Where that is not to
// be had within a second, or at all, the file is made without: then there is
// no Sweep either, or one that makes the maker fail.
func shareDir(name string) *os.File {
	dir, err := os.Open(name)
	if err != nil {
		return nil
	}
	for range 100 {
		if lockDir(dir, true) {
			return dir
		}
		moment := time.NewTimer(10 * time.Millisecond)
		<-moment.C
	}
	return dir
}
