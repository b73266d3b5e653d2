package boltkv

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snibdb/snib/internal/kv"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// alone checks that nothing lies beside path.
func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func initialised() Options {
	o := options()
	o.Init = func(tx kv.Tx) error {
		if btx, ok := Bolt(tx); !ok || !btx.Writable() {
			return errors.New("no transaction of bbolt's")
		}
		return putting("init", "done")(tx)
	}
	o.LockTimeout = 20 * time.Second // disks can be slow
	return o
}

func TestCreate(t *testing.T) {
	empty := func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o640)) }
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		link    error // what os.Link returns
	}{
		{"missing", func(*testing.T, string) {}, nil},
		{"empty", empty, nil},
		{"missing, without links", func(*testing.T, string) {}, syscall.EPERM},
		{"empty, without links", empty, syscall.EPERM},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.link != nil {
				link = func(string, string) error { return test.link }
				t.Cleanup(func() { link = os.Link })
			}
			path := filepath.Join(t.TempDir(), "db")
			test.prepare(t, path)
			s := openAt(t, path, initialised())
			same(t, "Init", read(s, "init"), "done")
			put(t, s, "k", "v")
			must(t, s.Close())
			info, err := os.Stat(path)
			must(t, err)
			if runtime.GOOS != "windows" && info.Mode() != 0o600 {
				t.Errorf("mode %v, want 0600", info.Mode())
			}
			alone(t, path)
			o := initialised()
			o.Init = func(kv.Tx) error { t.Error("Init ran again"); return nil }
			s = openAt(t, path, o)
			same(t, "kept", read(s, "init")+read(s, "k"), "donev")
		})
	}
}

// TestCreationNeverReplaces: while one creates, another is faster.
func TestCreationNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	o := options()
	o.Init = func(tx kv.Tx) error {
		faster, err := Open(path, initialised())
		if err != nil {
			return err
		}
		put(t, faster, "k", "faster")
		return errors.Join(faster.Close(), tx.Put(plain, []byte("k"), []byte("slower")))
	}
	s := openAt(t, path, o)
	same(t, "content", read(s, "k"), "faster")
	must(t, s.Close())
	alone(t, path)
}

// TestCreateInPlace: a file that cannot be replaced, such as a mount, is
// filled where it is.
func TestCreateInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	must(t, os.WriteFile(path, nil, 0o600))
	o, err := initialised().withDefaults()
	must(t, err)
	left := newPatience(time.Second)
	defer left.stop()
	h := &hook{left: left}
	db, err := h.open(path, bolt.Options{Timeout: time.Second, NoFreelistSync: true})
	must(t, err)
	s := checked(t, newStore(db, h.file, o), path)
	must(t, s.settleIn(h.empty))
	same(t, "Init", read(s, "init"), "done")
}

func TestCreateFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	o := initialised()
	own := errors.New("init")
	o.Init = func(kv.Tx) error { return own }
	_, err := Open(path, o)
	want(t, "Init failed", err, own)
	o.Init = func(tx kv.Tx) error { tx.Put(kv.Space(99), []byte("k"), nil); return nil }
	if _, err = Open(path, o); err == nil {
		t.Error("Init was in error and ignored it")
	}
	o.Init = func(kv.Tx) error { panic("init") }
	func() {
		defer func() { same(t, "recovered", recover(), "init") }()
		_, err := Open(path, o)
		t.Errorf("Init panicked, Open returned %v", err)
	}()
	done := make(chan bool)
	o.Init = func(kv.Tx) error { runtime.Goexit(); return nil }
	go func() { defer close(done); Open(path, o) }()
	<-done
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a failed Init left a file: %v", err)
	}
	alone(t, path)

	missing := filepath.Join(t.TempDir(), "no", "db")
	_, err = Open(missing, initialised())
	want(t, "missing directory", err, fs.ErrNotExist)
	if _, err := Open(t.TempDir(), initialised()); err == nil {
		t.Error("opened a directory")
	}
	must(t, os.Symlink(filepath.Join(t.TempDir(), "nowhere"), path))
	if _, err := Open(path, initialised()); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("a link to nowhere: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no bucket":  func(o *Options) { o.Bucket = "" },
		"no name":    func(o *Options) { o.Spaces = []kv.SpaceSpec{{}} },
		"name twice": func(o *Options) { o.Spaces = []kv.SpaceSpec{{Name: "a"}, {Name: "a"}} },
	} {
		o := options()
		change(&o)
		path := filepath.Join(t.TempDir(), "db")
		if _, err := Open(path, o); err == nil {
			t.Errorf("%s: opened", name)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was made", name)
		}
		if _, err := Attach(openBolt(t), o); err == nil {
			t.Errorf("%s: attached", name)
		}
	}
}

func TestSymlink(t *testing.T) {
	real := filepath.Join(t.TempDir(), "real")
	must(t, os.WriteFile(real, nil, 0o600)) // and empty, so that it is replaced
	path := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(real, path))
	s := openAt(t, path, initialised())
	put(t, s, "k", "v")
	info, err := os.Lstat(path)
	must(t, err)
	if info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced, not what it leads to")
	}
	alone(t, real)
}

// A process that changes its directory goes on with the file that it opened.
func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	s := openAt(t, "db", options())
	t.Chdir(t.TempDir())
	put(t, s, "k", "v")
	must(t, s.InPlace())
	must(t, s.Compact(ctx, nil))
	same(t, "after Compact", read(s, "k"), "v")
}

func TestLockTimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	openAt(t, path, options())
	o := options()
	o.LockTimeout = 30 * time.Millisecond
	_, err := Open(path, o)
	want(t, "second Open", err, ErrLocked)
}

// TestReplacedWhileWaiting: the owner puts a copy over its own file while
// another waits for the lock.
func TestReplacedWhileWaiting(t *testing.T) {
	if !lockedFirst {
		t.Skip("an open file cannot be replaced here")
	}
	path := filepath.Join(t.TempDir(), "db")
	first := openAt(t, path, options())
	put(t, first, "k", "original")
	copied := path + ".copy"
	must(t, first.db.View(func(btx *bolt.Tx) error { return btx.CopyFile(copied, 0o600) }))
	second := openAt(t, copied, options())
	put(t, second, "k", "copy")
	must(t, second.Close())

	opened := make(chan *Store)
	go func() {
		s, err := Open(path, options())
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	for !waitsForLock(path) {
		runtime.Gosched()
	}
	must(t, os.Rename(copied, path))
	want(t, "Close of what was replaced", first.Close(), ErrGone)
	s := checked(t, <-opened, path)
	same(t, "opened", read(s, "k"), "copy")
	put(t, s, "k", "kept")
	must(t, s.Close())
	s = openAt(t, path, options())
	same(t, "reopened", read(s, "k"), "kept")
}

// waitsForLock reports whether this process has path open twice.
func waitsForLock(path string) bool {
	n := 0
	file, err := os.Stat(path)
	if err != nil {
		return false
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds { // a folder of temporary files may be a link: names say little
		if target, err := os.Stat("/proc/self/fd/" + fd.Name()); err == nil && os.SameFile(target, file) {
			n++
		}
	}
	return n == 2 || len(fds) == 0
}

// picture is all that must not change about a refused file.
func picture(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	return fmt.Sprintf("%x %v %v %d", sha256.Sum256(b), info.ModTime(), info.Mode(), info.Size())
}

// refused opens a file that must be refused and left alone.
func refused(t *testing.T, name, path string, reason error) {
	t.Helper()
	before := picture(t, path)
	s, err := Open(path, initialised())
	if err == nil {
		s.Close()
	}
	want(t, name, err, reason)
	same(t, name+": the file", picture(t, path), before)
	alone(t, path)
}

// boltFile makes a bbolt file and returns its bytes.
func boltFile(t *testing.T, o bolt.Options, fill func(*bolt.Tx) error) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bolt.Open(path, 0o600, &o)
	must(t, err)
	must(t, db.Update(fill))
	must(t, db.Update(func(btx *bolt.Tx) error { // frees pages
		return btx.ForEach(func(_ []byte, b *bolt.Bucket) error { return b.Delete([]byte("0")) })
	}))
	must(t, db.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// bucketOf fills a bucket, with a nested one like our spaces.
func bucketOf(name string) func(*bolt.Tx) error {
	return func(btx *bolt.Tx) error {
		b, err := btx.CreateBucket([]byte(name))
		if err != nil {
			return err
		}
		space, err := b.CreateBucket([]byte("plain"))
		for i := range 300 {
			err = errors.Join(err, space.Put(fmt.Append(nil, i), make([]byte, 100)))
		}
		small, err2 := b.CreateBucket([]byte("ascending")) // inline
		return errors.Join(err, err2, small.Put([]byte("k"), []byte("v")))
	}
}

func TestForeignFiles(t *testing.T) {
	text := []byte(strings.Repeat("These are not the bytes you are looking for.\n", 1000))
	for name, content := range map[string][]byte{
		"a byte": {1}, "short text": text[:70], "text": text, "zeros": make([]byte, 1<<16),
		"bbolt":                 boltFile(t, bolt.Options{}, bucketOf("app")),
		"empty bbolt":           boltFile(t, bolt.Options{}, func(*bolt.Tx) error { return nil }),
		"bbolt without list":    boltFile(t, bolt.Options{NoFreelistSync: true}, bucketOf("app")),
		"bbolt of another page": boltFile(t, bolt.Options{PageSize: 16 << 10}, bucketOf("app")),
	} {
		path := filepath.Join(t.TempDir(), "db")
		must(t, os.WriteFile(path, content, 0o600))
		refused(t, name, path, ErrForeign)
	}
}

// TestOurs opens files that other settings of bbolt have written.
func TestOurs(t *testing.T) {
	for name, o := range map[string]bolt.Options{
		"default": {}, "without list": {NoFreelistSync: true}, "map list": {FreelistType: bolt.FreelistMapType},
		"small pages": {PageSize: 1 << 10}, "large pages": {PageSize: 64 << 10},
	} {
		path := filepath.Join(t.TempDir(), "db")
		content := boltFile(t, o, bucketOf("snib"))
		must(t, os.WriteFile(path, content, 0o600))
		s := openAt(t, path, options())
		same(t, name, len(read(s, "7")), 100)
		put(t, s, "k", "v")
		must(t, s.Close())
		check(t, path)
		if page, _, err := metaOf(t, path); err != nil || page.free == noFreeList {
			t.Errorf("%s: free list %d, %v", name, page.free, err)
		}

		// With the first meta page damaged the second one serves.
		clear(content[:minPage])
		must(t, os.WriteFile(path, content, 0o600))
		s = openAt(t, path, options())
		same(t, name+" by the second meta page", len(read(s, "7")), 100)
		put(t, s, "k", "v")
		must(t, s.Close())
	}
}
func TestFileErrors(t *testing.T) {
	for _, test := range []struct {
		from, to error
	}{
		{&fs.PathError{Op: "open", Err: syscall.EACCES}, kv.ErrReadOnly},
		{&fs.PathError{Op: "open", Err: syscall.EPERM}, kv.ErrReadOnly},
		{&fs.PathError{Op: "open", Err: readOnlyFS}, kv.ErrReadOnly},
		{&fs.PathError{Op: "open", Err: syscall.ENOENT}, fs.ErrNotExist},
		{&fs.PathError{Op: "write", Err: noSpace[0]}, kv.ErrFull},
		{berrors.ErrTimeout, ErrLocked},
		{berrors.ErrInvalid, kv.ErrCorrupt},
		{berrors.ErrChecksum, kv.ErrCorrupt},
		{berrors.ErrVersionMismatch, kv.ErrCorrupt},
	} {
		got := fileError(test.from)
		want(t, test.from.Error(), got, test.to)
		if test.to == kv.ErrReadOnly {
			want(t, "cause", got, test.from)
		}
	}
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		return // nothing is forbidden
	}
	path := filepath.Join(t.TempDir(), "db")
	must(t, openAt(t, path, options()).Close())
	must(t, os.Chmod(path, 0o400))
	defer os.Chmod(path, 0o600)
	_, err := Open(path, options())
	want(t, "mode 0400", err, kv.ErrReadOnly)
}

type failingReader struct{ after int64 }

func (r failingReader) ReadAt(b []byte, off int64) (int, error) {
	if off >= r.after {
		return 0, syscall.EIO
	}
	return len(b), nil
}

// TestUnreadable: an error of the medium is not taken for damage or for
// another program's file.
func TestUnreadable(t *testing.T) {
	for _, after := range []int64{0, 2 << 10} {
		err := checkFile(failingReader{after}, 1<<20, "snib")
		want(t, "check", err, syscall.EIO)
		if errors.Is(err, ErrForeign) || errors.Is(err, kv.ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	}
}

// A reader does not hold up the growth of a file that is small, on 32 bits
// either.
func TestReaderDoesNotHoldUpGrowth(t *testing.T) {
	if mapSize(0) == 0 {
		t.Skip("nothing is mapped ahead here")
	}
	o := options()
	o.InsecureNoSync = true
	s := newStoreIn(t, o)
	must(t, s.View(ctx, func(kv.Reader) error {
		done := make(chan error)
		go func() {
			var err error
			for i := range 40 {
				err = errors.Join(err, s.Apply(ctx, func(tx kv.Tx) error { return bulk(tx, fmt.Sprint("bulk ", i), 500<<10) }))
			}
			done <- err
		}()
		return <-done
	}))
}
