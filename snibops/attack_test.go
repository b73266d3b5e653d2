package snibops

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snibdb/snib"
)

// TestAStalledReaderPinsNothing: neither a client that stops, nor one that takes
// a little before each deadline, keeps a snapshot of a backup for long. The time
// is that of a bubble.
func TestAStalledReaderPinsNothing(t *testing.T) {
	for name, step := range map[string]time.Duration{"stops": time.Hour, "trickles": 9 * time.Second} {
		path := dbPath(t)
		synctest.Test(t, func(t *testing.T) {
			db := must(snib.Open(path, &snib.Options{SweepEvery: -1, InsecureNoSync: true}))(t)
			fill(t, db, 100) // 6 MB
			s := newServer(db, (*Options)(nil).clean(), true)
			here, there := net.Pipe()
			s.start(there, "cli")
			handshake(t, here)
			ask(t, here, string(VerbBackup), None{})
			for began := time.Now(); ; {
				_, err := io.CopyN(io.Discard, here, 100<<10)
				if err != nil {
					break // the server has ended it
				}
				if time.Since(began) > 3*time.Minute {
					t.Errorf("%s: goes on after %v", name, time.Since(began))
					break
				}
				time.Sleep(step)
				synctest.Wait()
			}
			synctest.Wait()
			if n := must(db.Stats(t.Context()))(t).OpenReaders; n != 0 {
				t.Errorf("%s: %d snapshots are held", name, n)
			}
			_ = here.Close()
			s.close()
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAStalledListHoldsNoSnapshot: a client reads the first of many users, and
// stops; the database has no reader meanwhile.
func TestAStalledListHoldsNoSnapshot(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	fill(t, db, 300)
	live(t, db, path, nil)
	conn := raw(t, path)
	ask(t, conn, string(VerbUsers), UsersArgs{Limit: 300})
	if k, _, err := readFrame(conn, MaxFrame); err != nil || k != kindItem {
		t.Fatal(k, err)
	}
	idle(t, db)
	users := 1
	for k := kindItem; k == kindItem; users++ { // and it goes on where it was
		var err error
		if k, _, err = readFrame(conn, MaxFrame); err != nil {
			t.Fatal(err)
		}
	}
	if users != 301 {
		t.Errorf("%d frames", users)
	}
}

// TestGarbageEndsItsConnectionAlone: frames that are too large, of no kind, out of
// turn or cut, before the handshake and behind it.
func TestGarbageEndsItsConnectionAlone(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	good := live(t, db, path, nil)
	huge := binary.BigEndian.AppendUint32(nil, MaxFrame+1)
	for name, bytes := range map[string]string{
		"empty frame": "\x00\x00\x00\x00", "oversize": string(huge) + "R", "largest length": "\xff\xff\xff\xff", "text": "GET / HTTP/1.1\r\n\r\n",
		"result": "\x00\x00\x00\x03O{}", "input out of turn": "\x00\x00\x00\x03L{}", "no JSON": "\x00\x00\x00\x03R{{",
		"two values": "\x00\x00\x00\x05R{}{}", "unknown name": "\x00\x00\x00\x08R{\"a\":1}",
	} {
		for _, greeted := range []bool{false, true} {
			conn := must(net.Dial("unix", SocketPath(path)))(t)
			if greeted {
				handshake(t, conn)
			}
			if _, err := io.WriteString(conn, bytes); err != nil {
				t.Error(err)
			}
			if rest, err := io.ReadAll(conn); len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("%s, greeted %v: %q %v", name, greeted, rest, err)
			}
			_ = conn.Close()
		}
	}
	must(VerbPing.Do(t.Context(), good, None{}, nil))(t)
}

// TestAnotherVersionIsToldSo and so is a name that would break a line of the log.
func TestAnotherVersionIsToldSo(t *testing.T) {
	path := dbPath(t)
	live(t, open(t, path, snib.Options{}), path, nil)
	for _, c := range []struct {
		h    hello
		want error
	}{{hello{Protocol: Protocol + 1}, ErrVersion}, {hello{Protocol: Protocol, Name: "a\nb"}, snib.ErrInvalidInput}} {
		conn := must(net.Dial("unix", SocketPath(path)))(t)
		defer conn.Close()
		if err := writeJSON(conn, kindHello, c.h); err != nil {
			t.Fatal(err)
		}
		k, payload, err := readFrame(conn, MaxFrame)
		if err != nil || k != kindError || !errors.Is(failed(payload), c.want) {
			t.Errorf("%+v: %c %s %v", c.h, k, payload, err)
		}
	}
}

// TestTheNinthConnectionIsRefused with words, and there is room when one ends.
func TestTheNinthConnectionIsRefused(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	first := live(t, db, path, nil)
	for range maxClients - 1 {
		raw(t, path)
	}
	if _, err := Dial(t.Context(), path, nil); !errors.Is(err, ErrTooManyClients) {
		t.Errorf("the ninth: %v", err)
	}
	must(VerbPing.Do(t.Context(), first, None{}, nil))(t)
	_ = first.Close()
	settles(t, "there is room", func() bool {
		c, err := Dial(t.Context(), path, nil)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// TestAPanicIsOfItsRequestAlone: the program goes on, and so does the connection.
func TestAPanicIsOfItsRequestAlone(t *testing.T) {
	var log syncBuffer
	c := local(t, nil, &Options{Logger: log.logger()}) // no database: every look into it panics
	if _, err := VerbStats.Do(t.Context(), c, None{}, nil); !errors.Is(err, ErrServerFailed) {
		t.Errorf("stats: %v", err)
	}
	if _, err := VerbPing.Do(t.Context(), c, None{}, nil); err != nil {
		t.Errorf("the next: %v", err)
	}
	if !strings.Contains(log.String(), "panic") {
		t.Errorf("the log: %s", log.String())
	}
}

func TestAnUnknownVerbAndArgumentAreRefused(t *testing.T) {
	c := local(t, open(t, dbPath(t), snib.Options{}), nil)
	if err := c.Call(t.Context(), "user become", nil, nil); !errors.Is(err, ErrUnknownVerb) {
		t.Errorf("verb: %v", err)
	}
	err := c.Call(t.Context(), string(VerbUsers), map[string]any{"disabeld": true}, nil)
	if e, ok := errors.AsType[*snib.InputError](err); !ok || e.Field != "Args" {
		t.Errorf("argument: %v", err)
	}
	if err := c.Call(t.Context(), string(VerbPing), strings.Repeat("x", MaxFrame), nil); err == nil {
		t.Error("a request of more than a frame")
	}
	if err := c.Call(t.Context(), string(VerbPing), nil, nil); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// TestABackupThatEndsEarlyLeavesNothing, and the next one is whole.
func TestABackupThatEndsEarlyLeavesNothing(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	fill(t, db, 100)
	c := live(t, db, path, nil)
	to := filepath.Join(folder(t), "copy.db")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := c.BackupFile(ctx, to, false, func(p Progress) {
		if p.Done > 1<<20 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("backup: %v", err)
	}
	if names := glob(t, to); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
	idle(t, db)
	conn := raw(t, path) // and one that dies without a word
	ask(t, conn, string(VerbBackup), None{})
	if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	idle(t, db)
	must(c.BackupFile(t.Context(), to, false, nil))(t)
}

// TestABackupThatIsNotWhatWasSentLeavesNothing: the server's length and sum count.
func TestABackupThatIsNotWhatWasSentLeavesNothing(t *testing.T) {
	for name, last := range map[string]DataResult{"short": {Bytes: 4, SHA256: ""}, "other bytes": {Bytes: 3, SHA256: strings.Repeat("0", 64)}} {
		c := newClient(func(context.Context) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				_, _, _ = readFrame(there, MaxFrame)
				_ = writeJSON(there, kindHello, Info{Protocol: Protocol})
				_, _, _ = readFrame(there, MaxFrame)
				_ = writeFrame(there, kindData, []byte("abc"))
				_ = writeJSON(there, kindResult, last)
			}()
			return here, nil
		}, "", nil)
		to := filepath.Join(folder(t), "copy.db")
		if _, err := c.BackupFile(t.Context(), to, false, nil); !errors.Is(err, ErrCut) {
			t.Errorf("%s: %v", name, err)
		}
		if names := glob(t, to); len(names) != 0 {
			t.Errorf("%s: left behind: %q", name, names)
		}
		_ = c.Close()
	}
}

// TestCloseEndsVerbsThatRun: a client that follows does not keep a program from
// ending.
func TestCloseEndsVerbsThatRun(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	must(db.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: "grace"}))(t)
	s := must(Listen(db, path, nil))(t)
	c := must(Dial(t.Context(), path, nil))(t)
	_, err := VerbEvents.Do(t.Context(), c, EventsArgs{User: "grace", Follow: true}, func(Event) error { return s.Close() })
	if err == nil {
		t.Error("the stream has ended well")
	}
	if _, err := os.Lstat(s.Socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket: %v", err)
	}
}
