package main

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
	"github.com/snibdb/snib/snibtest"
)

var ctx = context.Background()

// tuned makes options of a world in which everything is the same each time.
func tuned(o *snib.Options) {
	*o = *snibtest.Fast(o)
	o.Now = func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) }
	o.Rand = rand.NewChaCha8([32]byte{2})
	o.Passwords.MaxImportTime = -1 // of a busy machine
}

// Users of the file that tests begin with.
const (
	ada = "ada@example.com"
)

// template is that file, made once.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "snib")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "a.db")
	if err := fill(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func fill(path string) (err error) {
	o := snibtest.Fast(&snib.Options{
		Indexes: []snib.Index{{Name: "plan"}},
		Rand:    rand.NewChaCha8([32]byte{1}),
		Now:     func() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) },
	})
	db, err := snib.Open(path, o)
	if err != nil {
		return err
	}
	defer func() {
		if e := db.Close(); err == nil {
			err = e
		}
	}()
	for i, identifier := range []string{ada, "bob@example.com", "名前@example.com"} {
		n := snib.NewUser{Provider: "x", Identifier: identifier, Attributes: snib.Attributes{"plan": "pro", "n": int64(i)}}
		if i < 2 {
			n.Provider, n.Password = "email", "correct horse "+identifier
		}
		if _, err := db.CreateUser(ctx, n); err != nil {
			return err
		}
	}
	if _, err := db.CreateUser(ctx, snib.NewUser{Provider: "chat", Identifier: "say \"hi\", =1+1", Attributes: snib.Attributes{"name": "a\u009b31m\u202eb, plan=free"}}); err != nil {
		return err
	}
	s, u, err := db.LogIn(ctx, "email", ada, "correct horse "+ada, snib.SessionOptions{Attributes: snib.Attributes{"agent": "Firefox\x1b]0;x\a"}})
	if err != nil {
		return err
	}
	if _, _, err := db.CreateRefreshToken(ctx, s, snib.SessionOptions{}); err != nil {
		return err
	}
	if _, err := db.Roles().Grant(ctx, u.ID, "admin"); err != nil {
		return err
	}
	_, err = db.APIKeys().CreateFor(ctx, u.ID, snib.NewAPIKey{Name: "ci", Scopes: []string{"read"}, TTL: time.Hour * 1000})
	return err
}

// newDB returns the path of a copy of the template.
func newDB(tb testing.TB) string {
	tb.Helper()
	content, err := template()
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "a.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// serve opens the file as a program does that serves a control socket.
func serve(tb testing.TB, path string) (*snib.DB, func()) { return serveLogged(tb, path, nil) }

func serveLogged(tb testing.TB, path string, logger *slog.Logger) (*snib.DB, func()) {
	tb.Helper()
	feed := new(snibops.ProgressFeed)
	o := &snib.Options{SweepEvery: -1, Progress: feed.Report}
	tuned(o)
	db, err := snib.Open(path, o)
	if err != nil {
		tb.Fatal(err)
	}
	server, err := snibops.Listen(db, path, &snibops.Options{Progress: feed, Logger: logger})
	if err != nil {
		tb.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		if err := server.Close(); err != nil {
			tb.Error(err)
		}
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(stop)
	return db, stop
}

// An answer is what a run has printed, and its exit code.
type answer struct {
	out, err string
	code     int
}

// A setting is the world of a run, as far as it differs from a script's.
type setting struct {
	in       string
	terminal bool
	env      map[string]string
	width    int
	ctx      context.Context
}

// try runs the command.
func (s setting) try(args ...string) answer {
	var out, errs bytes.Buffer
	if s.ctx == nil {
		s.ctx = ctx
	}
	lines := strings.NewReader(s.in)
	w := world{
		in: lines, out: &out, err: &errs, plainEvery: time.Hour, tune: tuned,
		env:        func(name string) string { return s.env[name] },
		inTerminal: s.terminal, outTerminal: s.terminal, errTerminal: s.terminal,
		width: func() int { return s.width },
		hidden: func() (secrets, error) {
			ask := func(prompt string) (string, error) {
				errs.WriteString(prompt)
				var line []byte
				for {
					b, err := lines.ReadByte()
					if err != nil || b == '\n' {
						return string(line), err
					}
					line = append(line, b)
				}
			}
			return secrets{ask, func() {}}, nil
		},
	}
	code := run(s.ctx, w, args)
	return answer{out.String(), errs.String(), code}
}

func try(args ...string) answer { return setting{}.try(args...) }

// on puts the file in front of the words of a command.
func on(path string, words ...string) []string { return append([]string{"--file", path}, words...) }
