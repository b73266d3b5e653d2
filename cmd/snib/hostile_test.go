package main

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/snibdb/snib/snibops"
)

// TestATerminalObeysNothingOfAProgram: root looks after the file of a service,
// whose program may be a stranger's by now, and may answer with anything.
func TestATerminalObeysNothingOfAProgram(t *testing.T) {
	dir, err := os.MkdirTemp("", "snib")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const evil = "\x1b]0;x\a\u009b31m\u202e\r"
	user := snibops.User{ID: evil, Identities: []snibops.Identity{{Provider: evil, Identifier: evil}}, Roles: []string{evil}, DisabledReason: evil, Disabled: true}
	for _, c := range []struct {
		words        []string
		item, result any
	}{
		{[]string{"users"}, user, snibops.UsersResult{Shown: 1}},
		{[]string{"users", "--limit", "1"}, user, snibops.UsersResult{Shown: 1, Next: evil}},
		{[]string{"user", "show", "x"}, nil, snibops.UserDetail{User: user, Factors: []snibops.Factor{{Kind: evil, Name: evil}}, Links: []snibops.OneTimeToken{{Purpose: evil}}}},
		{[]string{"user", "enable", "x"}, nil, user},
		{[]string{"user", "disable", "x"}, nil, user},
		{[]string{"sessions", "x"}, snibops.SessionItem{Session: &snibops.Session{ID: evil, State: evil, Methods: evil}}, nil},
		{[]string{"sessions", "x"}, snibops.SessionItem{Family: &snibops.Family{ID: evil, Methods: evil}}, nil},
		{[]string{"keys", "x"}, snibops.APIKey{ID: evil, Name: evil, Scopes: []string{evil}}, nil},
		{[]string{"events", "x"}, snibops.Event{Kind: evil, Actor: evil, Client: evil, Detail: evil, Subject: evil}, nil},
		{[]string{"events", "x", "--follow"}, snibops.Event{Kind: evil, Actor: evil, Client: evil, Detail: evil, Subject: evil}, nil},
		{[]string{"user", "reset-link", "x"}, nil, snibops.ResetLink{UserID: evil, Token: evil, Link: evil}},
		{[]string{"reseal"}, nil, snibops.ResealResult{Retired: []string{evil}, Left: map[string]int{evil: 1}}},
		{[]string{"check"}, snibops.CheckItem{Orphans: &snibops.Orphans{Bucket: evil, UserID: evil}}, nil},
		{[]string{"role", "list", "x"}, user, snibops.UsersResult{Shown: 1}},
	} {
		path := filepath.Join(dir, "a.db")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", snibops.SocketPath(path))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			putFrame(conn, 'H', snibops.Info{Protocol: snibops.Protocol, Program: evil, Live: true})
			if c.item != nil {
				putFrame(conn, 'I', c.item)
			}
			putFrame(conn, 'O', c.result)
			_, _ = io.Copy(io.Discard, conn)
		}()
		got := setting{terminal: true, env: map[string]string{"NO_COLOR": "1"}}.try(on(path, c.words...)...)
		for name, text := range map[string]string{"out": got.out, "err": got.err} {
			if at := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); at >= 0 {
				t.Errorf("%q: %s: %q", c.words, name, text)
			}
		}
		if got.code != exitDone {
			t.Errorf("%q: %+v", c.words, got)
		}
		_ = l.Close()
	}
}

func putFrame(w io.Writer, kind byte, v any) {
	payload, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(append(append(binary.BigEndian.AppendUint32(nil, uint32(len(payload)+1)), kind), payload...))
}
