package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
)

func TestActorIsInTheLogOfTheProgram(t *testing.T) {
	path := newDB(t)
	var log bytes.Buffer
	_, stop := serveLogged(t, path, slog.New(slog.NewTextHandler(&log, nil)))
	got := try(on(path, "user", "disable", ada, "--actor", "night-shift")...)
	stop()
	if got.code != exitDone || !strings.Contains(log.String(), "night-shift") || strings.Contains(log.String(), ada) {
		t.Errorf("%+v\n%s", got, log.String())
	}
}

// TestActsOfTheCommandAreTheOperators: on a file and through a program.
func TestActsOfTheCommandAreTheOperators(t *testing.T) {
	for _, where := range []string{"file", "program"} {
		path := newDB(t)
		if where == "program" {
			serve(t, path)
		}
		if got := try(on(path, "user", "disable", ada)...); got.code != exitDone {
			t.Fatalf("%+v", got)
		}
		var e snibops.Event
		got := try(on(path, "events", ada, "--kind", "user-disabled")...)
		if err := json.Unmarshal([]byte(got.out), &e); err != nil || e.Actor != string(snib.ActorOperator) {
			t.Errorf("%s: %+v", where, got)
		}
	}
}

// TestAFileInUseWithoutASocket: the error says how to go on.
func TestAFileInUseWithoutASocket(t *testing.T) {
	path := newDB(t)
	o := &snib.Options{}
	tuned(o)
	db, err := snib.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := try(on(path, "users", "--wait", "0s")...)
	if got.code != exitFailed || !strings.Contains(got.err, "snibops.Listen") || strings.Count(got.err, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

// TestAStaleSocketIsNoProgram: a crash leaves one, and the file is opened.
func TestAStaleSocketIsNoProgram(t *testing.T) {
	path := newDB(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + ".sock", Net: "unix"})
	if err != nil {
		t.Skip(err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(l.Close(), os.Chmod(path+".sock", 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := try(on(path, "user", "show", ada)...); got.code != exitDone {
		t.Errorf("%+v", got)
	}
}

// TestAProgramThatSpeaksAnotherLanguage is an error, not a reason to open a file
// that is in use.
func TestAProgramThatSpeaksAnotherLanguage(t *testing.T) {
	path := newDB(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + ".sock", Net: "unix"})
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	if err := os.Chmod(path+".sock", 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = c.Close()
		}
	}()
	if got := try(on(path, "users")...); got.code != exitFailed || got.out != "" || strings.Count(got.err, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}
