package snibops

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/snibdb/snib"
)

const stranger = 12345 // a uid that is not ours, and not root's

func TestTheSocketIsItsOwnersAlone(t *testing.T) {
	path := dbPath(t)
	s := must(Listen(open(t, path, snib.Options{}), path, nil))(t)
	if info := must(os.Lstat(s.Socket()))(t); info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if names := glob(t, path); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
	if _, err := Dial(t.Context(), path, nil); !errors.Is(err, ErrNotServed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestAStaleSocketIsReplaced: a program that was killed does not keep the next
// one from serving.
func TestAStaleSocketIsReplaced(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	dead := must(net.ListenUnix("unix", &net.UnixAddr{Name: SocketPath(path), Net: "unix"}))(t)
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), path, nil); !errors.Is(err, ErrNotServed) {
		t.Errorf("a dead one: %v", err)
	}
	live(t, db, path, nil)
}

// TestALiveSocketIsNotStolen: of many that begin at once, one serves, and goes on.
func TestALiveSocketIsNotStolen(t *testing.T) {
	db := open(t, dbPath(t), snib.Options{})
	for range 30 {
		path := dbPath(t)
		dead := must(net.ListenUnix("unix", &net.UnixAddr{Name: SocketPath(path), Net: "unix"}))(t)
		dead.SetUnlinkOnClose(false)
		_ = dead.Close()
		var all sync.WaitGroup
		servers := make([]*Server, 6)
		for i := range servers {
			all.Go(func() {
				s, err := Listen(db, path, nil)
				if servers[i] = s; err != nil && !errors.Is(err, ErrServed) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		n := 0
		for _, s := range servers {
			if s != nil {
				n++
				defer s.Close()
			}
		}
		if n != 1 {
			t.Fatalf("%d serve", n)
		}
		must(Dial(t.Context(), path, nil))(t).Close() // 5 looks of the others, and this one, are at most 8
	}
}

// TestCloseLeavesTheSocketOfAnother: it removes what it has made.
func TestCloseLeavesTheSocketOfAnother(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	first := must(Listen(db, path, nil))(t)
	if err := os.Remove(first.Socket()); err != nil {
		t.Fatal(err)
	}
	c := live(t, db, path, nil) // takes the place
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	must(VerbPing.Do(t.Context(), c, None{}, nil))(t)
	must(Dial(t.Context(), path, nil))(t).Close()
}

func TestPlacesThatOthersCanWriteAreRefused(t *testing.T) {
	top := folder(t)
	deep := filepath.Join(top, "middle", "inner")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(deep, "a.db")
	db := open(t, path, snib.Options{})
	try := func(name, want string) {
		t.Helper()
		s, err := Listen(db, path, nil)
		if s != nil {
			_ = s.Close()
		}
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	mode := func(name string, m fs.FileMode) {
		if err := os.Chmod(name, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []fs.FileMode{0o770, 0o702, 0o777 | fs.ModeSticky} {
		mode(deep, m)
		try("the folder", "can be written by others")
	}
	mode(deep, 0o755)
	mode(filepath.Dir(deep), 0o777)
	try("the folder above", "lies in it")
	mode(filepath.Dir(deep), 0o777|fs.ModeSticky) // as /tmp: a folder of ours stays ours
	must(Listen(db, path, nil))(t).Close()
	mode(filepath.Dir(deep), 0o700)

	if err := os.WriteFile(SocketPath(path), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	try("a file in its place", "is no socket")
	if text := must(os.ReadFile(SocketPath(path)))(t); string(text) != "mine" {
		t.Errorf("the file was changed: %q", text)
	}
	if _, err := Dial(t.Context(), path, nil); !errors.Is(err, ErrRefused) {
		t.Errorf("dial a file: %v", err)
	}
}

func TestALongPathIsToldBeforeItIsTried(t *testing.T) {
	path := filepath.Join(folder(t), strings.Repeat("d", 120), "a.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	db := open(t, path, snib.Options{})
	_, err := Listen(db, path, nil)
	if e, ok := errors.AsType[*snib.InputError](err); !ok || e.Field != "Options.Socket" || e.Max != maxPath {
		t.Errorf("listen: %v", err)
	}
	if _, err := Dial(t.Context(), path, nil); !errors.Is(err, snib.ErrInvalidInput) {
		t.Errorf("dial: %v", err)
	}
	short := &Options{Socket: filepath.Join(folder(t), "s")}
	must(VerbPing.Do(t.Context(), live(t, db, path, short), None{}, nil))(t)
}

// TestAPeerOfAnotherUserGetsNothing: not a byte, and none of its own is looked at.
func TestAPeerOfAnotherUserGetsNothing(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	for _, peer := range []func(*net.UnixConn) (int, error){
		func(*net.UnixConn) (int, error) { return stranger, nil },
		func(*net.UnixConn) (int, error) { return 0, errors.New("cannot tell") },
	} {
		sys := thisSystem()
		sys.peer = peer
		s := must(listen(db, path, nil, sys))(t)
		conn := must(net.Dial("unix", s.Socket()))(t)
		_ = writeJSON(conn, kindHello, hello{Protocol: Protocol})
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("a stranger read %d bytes, %v", n, err)
		}
		_ = conn.Close()
		if _, err := Dial(t.Context(), path, nil); !errors.Is(err, ErrCut) {
			t.Errorf("a stranger's client: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	sys := thisSystem() // root may do anything with the file anyway
	sys.peer = func(*net.UnixConn) (int, error) { return 0, nil }
	s := must(listen(db, path, nil, sys))(t)
	defer s.Close()
	must(Dial(t.Context(), path, nil))(t).Close()
}

// TestAPlantedSocketGetsNothing: of another owner, in a folder of another, or with
// a program of another behind it.
func TestAPlantedSocketGetsNothing(t *testing.T) {
	path := dbPath(t)
	open(t, path, snib.Options{})
	trap := must(net.ListenUnix("unix", &net.UnixAddr{Name: SocketPath(path), Net: "unix"}))(t)
	defer trap.Close()
	var caught syncBuffer
	go func() {
		for {
			conn, err := trap.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(&caught, conn)
		}
	}()
	owned := func(part string) system {
		sys := thisSystem()
		sys.owner = func(info fs.FileInfo) (int, bool) {
			if strings.HasSuffix(info.Name(), part) {
				return stranger, true
			}
			return ownerOf(info)
		}
		return sys
	}
	behind := thisSystem()
	behind.peer = func(*net.UnixConn) (int, error) { return stranger, nil }
	for name, sys := range map[string]system{
		"socket": owned(".sock"), "folder": owned(filepath.Base(filepath.Dir(path))), "program": behind,
	} {
		if _, err := dial(t.Context(), path, nil, sys); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := listen(nil, path, nil, sys); name != "program" && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: listen: %v", name, err)
		}
	}
	_ = trap.Close()
	if caught.String() != "" {
		t.Errorf("a planted socket got %q", caught.String())
	}
}

// TestTheOwnerOfTheFileIsTrusted: root looks after the file of a service, which
// runs as another user.
func TestTheOwnerOfTheFileIsTrusted(t *testing.T) {
	path := dbPath(t)
	live(t, open(t, path, snib.Options{}), path, nil)
	sys := thisSystem()
	sys.owner = func(info fs.FileInfo) (int, bool) {
		if strings.HasPrefix(info.Name(), "a.db") || info.Name() == filepath.Base(filepath.Dir(path)) {
			return stranger, true
		}
		return ownerOf(info)
	}
	sys.peer = func(*net.UnixConn) (int, error) { return stranger, nil }
	must(dial(t.Context(), path, nil, sys))(t).Close()
}
