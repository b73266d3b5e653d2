package snibops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// A script runs verbs and writes down everything that comes back.
type script struct {
	t    *testing.T
	c    *Client
	out  []string
	done map[string]bool
}

func run[A, I, R any](s *script, v Verb[A, I, R], args A) (R, error) {
	s.t.Helper()
	var data bytes.Buffer
	var items []I
	r, err := v.With(s.t.Context(), s.c, args, func(i I) error { items = append(items, i); return nil }, Exchange{Data: &data})
	text := func(v any) string { return string(must(json.Marshal(v))(s.t)) }
	s.out = append(s.out, fmt.Sprintf("%s %s: %s %s %q %v", v, text(args), text(items), text(r), data.String(), err))
	s.done[string(v)] = true
	return r, err
}

func ran[A, I, R any](s *script, v Verb[A, I, R], args A) R {
	s.t.Helper()
	r, err := run(s, v, args)
	if err != nil {
		s.t.Errorf("%s: %v", v, err)
	}
	return r
}

const password = "correct horse battery"

// populate makes the accounts of the script, and returns every secret of theirs.
func populate(t *testing.T, db *snib.DB) (secrets []string) {
	ctx := t.Context()
	ada := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: password,
		Attributes: snib.Attributes{"name": "Ada \x1b[31m", "n": int64(1)<<60 + 1, "raw": []byte{1, 2}, "at": time.Unix(1, 5)}}))(t)
	session, _, err := db.LogIn(snib.AsOperator(ctx), "email", "ada@example.com", password, snib.SessionOptions{Attributes: snib.Attributes{"agent": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	other, family, err := db.CreateRefreshToken(ctx, ada, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key := must(db.APIKeys().CreateFor(ctx, ada.ID, snib.NewAPIKey{Name: "build", Scopes: []string{"read"}, TTL: snib.Never}))(t)
	link := must(db.Tokens().Create(ctx, ada.ID, "verify", time.Hour, []byte("private data")))(t)
	factor := must(db.Factors().BeginTOTP(ctx, session, "Test", "phone"))(t)
	secrets = []string{password, "argon2", "private data"}
	for _, token := range []snib.Token{session.Token, other.Token, family.Token, key.Token, link.Token, factor.Secret} {
		secrets = append(secrets, token.Reveal())
	}
	return secrets
}

// everyVerb is the script: each verb, well and badly.
func everyVerb(s *script) (links []string) {
	ada := UserArgs{User: "ada@example.com"}
	ran(s, VerbStats, None{})
	ran(s, VerbUserShow, ada)
	ran(s, VerbUserExport, ada)
	ran(s, VerbSessions, ada)
	id := ran(s, VerbUserCreate, CreateArgs{Provider: "username", Identifier: "grace", Password: "another good one",
		Roles: []string{"admin"}, Attributes: map[string]any{"big": int64(1)<<60 + 1, "f": 1.5, "deep": []any{map[string]any{"n": 3}}}}).ID
	_, _ = run(s, VerbUserCreate, CreateArgs{Provider: "username", Identifier: "GRACE"})
	_, _ = run(s, VerbUserCreate, CreateArgs{Provider: "username", Identifier: "weak", Password: "short"})
	ran(s, VerbUsers, UsersArgs{})
	ran(s, VerbUsers, UsersArgs{Prefix: "ada"})
	ran(s, VerbUsers, UsersArgs{Contains: "[31M"})
	_, _ = run(s, VerbUsers, UsersArgs{Limit: -1})
	_, _ = run(s, VerbUserDisable, DisableArgs{id, "left"})
	ran(s, VerbRoleAdd, RoleArgs{ada.User, "admin"})
	ran(s, VerbUserDisable, DisableArgs{id, "left"})
	ran(s, VerbUserEnable, UserArgs{id})
	ran(s, VerbRoleRemove, RoleArgs{ada.User, "admin"})
	ran(s, VerbUserLink, LinkArgs{User: id, Provider: "email", Identifier: "grace@example.com"})
	ran(s, VerbUserLink, LinkArgs{User: id, Provider: "email", Identifier: "g@example.com", Verified: true})
	_, _ = run(s, VerbUserLink, LinkArgs{User: id, Provider: "email", Identifier: "ada@example.com"})
	ran(s, VerbUserUnlink, LinkArgs{User: id, Provider: "email", Identifier: "g@example.com"})
	link := ran(s, VerbUserResetLink, ResetLinkArgs{User: id, URL: "https://example.com/#"})
	_, _ = run(s, VerbUserResetLink, ResetLinkArgs{User: id})
	ran(s, VerbRoleAdd, RoleArgs{id, "staff"})
	ran(s, VerbRoleRemove, RoleArgs{id, "staff"})
	_, _ = run(s, VerbRoleRemove, RoleArgs{id, "admin"})
	ran(s, VerbRoleHolders, HoldersArgs{Role: "admin"})
	ran(s, VerbKeys, ada)
	ran(s, VerbKeyRevoke, KeyRevokeArgs{ID: "key_00000000000000000000000000000000"})
	_, _ = run(s, VerbKeyRevoke, KeyRevokeArgs{ID: "snkey_x"})
	ran(s, VerbUnlock, ada)
	ran(s, VerbEvents, EventsArgs{User: id})
	ran(s, VerbUserEndSessions, EndSessionsArgs{User: ada.User})
	ran(s, VerbFactorsReset, ada)
	ran(s, VerbUserDelete, ada)
	_, _ = run(s, VerbUserDelete, ada)
	_, _ = run(s, VerbUserShow, UserArgs{})
	ran(s, VerbReseal, ResealArgs{})
	ran(s, VerbCheck, None{})
	return []string{link.Token}
}

// TestEveryVerbBothWays: a program that runs answers as its file does, and gives
// no secret away but the link that was asked for.
func TestEveryVerbBothWays(t *testing.T) {
	var outs [2][]string
	done := map[string]bool{}
	for i := range outs {
		path := dbPath(t)
		key := must(snib.NewKey("k1", []byte("an example of 32 random bytes...")))(t)
		db := open(t, path, snib.Options{Keys: []snib.Key{key}, Roles: snib.RolePolicy{Protected: []string{"admin"}}})
		s := &script{t: t, done: done}
		if s.c = local(t, db, nil); i == 1 {
			s.c = live(t, db, path, nil)
		}
		secrets := populate(t, db)
		links := everyVerb(s)
		for _, line := range s.out {
			for _, secret := range append(secrets, links...) {
				if strings.Contains(line, secret) && !strings.HasPrefix(line, "user reset-link") && !strings.HasPrefix(line, `user create {"provider":"username"`) &&
					!(secret == "argon2" && strings.HasPrefix(line, "user export")) { // it names the algorithm
					t.Errorf("a secret in %s", line)
				}
			}
		}
		outs[i] = s.out
	}
	for i, want := range outs[0] {
		if got := outs[1][i]; got != want && !strings.HasPrefix(want, "stats ") {
			t.Errorf("on a file:     %s\nin a program: %s", want, got)
		}
	}
	elsewhere := []string{"ping", "repair", "backup", "compact", "import", "records"} // tests of their own
	for _, verb := range Verbs() {
		if !done[verb] && !slices.Contains(elsewhere, verb) {
			t.Errorf("%s is in no test", verb)
		}
	}
}

func TestPingTellsTheServer(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	c := live(t, db, path, &Options{Name: "ada"})
	for c, live := range map[*Client]bool{local(t, db, &Options{Name: "ada", File: path}): false, c: true} {
		info := must(VerbPing.Do(t.Context(), c, None{}, nil))(t)
		want := Info{Protocol: Protocol, Library: info.Library, Program: info.Program, PID: os.Getpid(), File: path, Live: live,
			Actor: fmt.Sprintf("cli:%d/ada", os.Getuid())}
		if info != want || info.Library == "" || c.Info() != info {
			t.Errorf("ping: %+v, want %+v", info, want)
		}
	}
}

// TestRepairIsForAFile: a live program is told so, and a file is repaired.
func TestRepairIsForAFile(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	if _, err := VerbRepair.Do(t.Context(), live(t, db, path, nil), None{}, nil); !errors.Is(err, ErrFileOnly) {
		t.Errorf("on a live program: %v", err)
	}
	if r, err := VerbRepair.Do(t.Context(), local(t, db, nil), None{}, nil); err != nil || r.Repaired != 0 {
		t.Errorf("on a file: %+v %v", r, err)
	}
}

func TestBackupAndCompactBothWays(t *testing.T) {
	for _, served := range []bool{false, true} {
		path := dbPath(t)
		db := open(t, path, snib.Options{})
		fill(t, db, 60)
		c := local(t, db, &Options{File: path})
		if served {
			c = live(t, db, path, nil)
		}
		to := filepath.Join(filepath.Dir(path), "copy.db")
		var seen int64
		r := must(c.BackupFile(t.Context(), to, false, func(p Progress) { seen = p.Done }))(t)
		if info := must(os.Stat(to))(t); info.Size() != r.Bytes || seen != r.Bytes || info.Mode().Perm() != 0o600 {
			t.Errorf("served %v: the copy is %d bytes of mode %v, said %d, told %d", served, info.Size(), info.Mode(), r.Bytes, seen)
		}
		copied := snibtest.OpenDB(t, to, nil) // checked at the end
		if n := must(copied.Check(t.Context()))(t).Users; n != 60 {
			t.Errorf("served %v: %d users in the copy", served, n)
		}
		if _, err := c.BackupFile(t.Context(), to, false, nil); !errors.Is(err, os.ErrExist) {
			t.Errorf("served %v: over a file: %v", served, err)
		}
		if _, err := c.BackupFile(t.Context(), path, true, nil); !errors.Is(err, os.ErrExist) {
			t.Errorf("served %v: over the database itself: %v", served, err)
		}
		for range 55 {
			u := ""
			must(VerbUsers.Do(t.Context(), c, UsersArgs{Limit: 1}, func(x User) error { u = x.ID; return nil }))(t)
			must(VerbUserDelete.Do(t.Context(), c, UserArgs{u}, nil))(t)
		}
		if r := must(VerbCompact.Do(t.Context(), c, None{}, nil))(t); r.After >= r.Before {
			t.Errorf("served %v: compact: %+v", served, r)
		}
		if left := glob(t, path); len(left) > 3 {
			t.Errorf("served %v: left behind: %q", served, left)
		}
	}
}

func glob(t *testing.T, path string) (names []string) {
	for _, e := range must(os.ReadDir(filepath.Dir(path)))(t) {
		names = append(names, e.Name())
	}
	return names
}

// TestActsAreOfAnOperator: the events of a change tell it, and the log has the
// actor and no identifier.
func TestActsAreOfAnOperator(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	var log syncBuffer
	c := live(t, db, path, &Options{Name: "ada", Logger: log.logger()})
	u := must(VerbUserCreate.Do(t.Context(), c, CreateArgs{Provider: "email", Identifier: "grace@example.com"}, nil))(t)
	must(VerbUserDisable.Do(t.Context(), c, DisableArgs{u.ID, "why"}, nil))(t)
	n := 0
	must(VerbEvents.Do(t.Context(), c, EventsArgs{User: u.ID}, func(e Event) error {
		if n++; e.Actor != "operator" {
			t.Errorf("%s by %s", e.Kind, e.Actor)
		}
		return nil
	}))(t)
	if n != 2 {
		t.Errorf("%d events", n)
	}
	text := log.String()
	if want := fmt.Sprintf(`verb="user disable" actor=cli:%d/ada user=%s outcome=done`, os.Getuid(), u.ID); !strings.Contains(text, want) {
		t.Errorf("the log has no %s:\n%s", want, text)
	}
	if strings.Contains(text, "grace") || strings.Contains(text, "why") {
		t.Errorf("the log has an identifier or a reason:\n%s", text)
	}
}

// TestEventsFollow: new events come by themselves, until ctx ends.
func TestEventsFollow(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	u := must(db.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: "grace"}))(t)
	var log syncBuffer
	c := live(t, db, path, &Options{Logger: log.logger()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var kinds []string
	_, err := VerbEvents.Do(ctx, c, EventsArgs{User: "grace", Follow: true}, func(e Event) error {
		kinds = append(kinds, e.Kind)
		switch len(kinds) {
		case 1:
			must(db.DisableUser(t.Context(), u.ID, ""))(t)
		case 2:
			must(db.EnableUser(t.Context(), u.ID))(t)
		case 3:
			cancel()
		}
		return nil
	})
	want := []string{"user-created", "user-disabled", "user-enabled"}
	if !errors.Is(err, context.Canceled) || !slices.Equal(kinds, want) {
		t.Errorf("events %q, %v", kinds, err)
	}
	settles(t, "the verb ends on the server's side", func() bool {
		return strings.Contains(log.String(), "verb=events") && strings.Contains(log.String(), "outcome=canceled")
	})
	if _, err := VerbPing.Do(t.Context(), c, None{}, nil); err != nil {
		t.Errorf("the next verb: %v", err) // on a new connection
	}
}

// TestProgressReachesTheClient: a reseal of many tells how far it is.
func TestProgressReachesTheClient(t *testing.T) {
	var feed ProgressFeed
	path := dbPath(t)
	db := open(t, path, snib.Options{Progress: feed.Report})
	s := newServer(db, (&Options{Progress: &feed}).clean(), true)
	t.Cleanup(s.close)
	c := &conversation{server: s}
	var out syncBuffer
	c.w, c.ctx = out.writer(), t.Context()
	a := &act{conversation: c, verb: "reseal"}
	err := a.during("reseal", func() error {
		feed.Report(snib.Progress{Op: "reseal", Done: 200, Total: 1000})
		settles(t, "the client is told", func() bool { return strings.Contains(out.String(), `{"op":"reseal","done":200,"total":1000}`) })
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
