package proof_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// Whole files of earlier versions stay readable. Those of format 2 are made
// by goldenFiles, anew only with -golden, which is for a version
// that has not been released: the files of a released one do not change.
var makeGolden = flag.Bool("golden", false, "make the database files of testdata/golden/v2 anew")

const goldenDir = "testdata/golden/v2"

// goldenSecrets lie beside a file: what its users hold.
type goldenSecrets struct {
	Sessions, Refresh, Links []string // accepted
	Ended                    []string // not any more
	Passwords                map[string]string
}

// goldenFiles are small databases, each with something of its own.
var goldenFiles = map[string]struct {
	options *snib.Options
	fill    func(t *testing.T, db *snib.DB, clock *snibtest.Clock, s *goldenSecrets)
}{
	"empty": {nil, func(*testing.T, *snib.DB, *snibtest.Clock, *goldenSecrets) {}},
	"accounts": {&snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}}},
		fillGoldenAccounts},
	"declared": {&snib.Options{
		Providers: map[string]snib.IdentifierRule{"mail": snib.Email, "login": snib.Username},
		Indexes:   []snib.Index{{Name: "number"}, {Name: "at", Unique: true}},
	}, fillGoldenDeclared},
}

func fillGoldenAccounts(t *testing.T, db *snib.DB, clock *snibtest.Clock, s *goldenSecrets) {
	s.Passwords = map[string]string{"ada@example.com": password, "imported@example.com": "U*U"}
	ada := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "Ada@Example.com", Password: password,
		Attributes: snib.Attributes{"nick": "Countess", "team": 1, "born": time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC), "none": nil}}))(t)
	must(db.LinkIdentity(ctx, ada.ID, "github", "42"))(t)
	bob := must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "Bob", Attributes: snib.Attributes{"nick": "Builder", "team": 1.0}}))(t)
	must(db.ImportUser(ctx, snib.UserImport{ID: "legacy:7", Provider: "email", Identifier: "imported@example.com", PasswordHash: foreignHash}))(t)
	off := must(db.CreateUser(ctx, snib.NewUser{Provider: "github", Identifier: "off"}))(t)
	must(db.DisableUser(ctx, off.ID, "left"))(t)
	clock.Advance(time.Minute)
	for range 3 {
		made := must(db.CreateSession(ctx, ada, snib.SessionOptions{Attributes: snib.Attributes{"device": "tablet"}}))(t)
		s.Sessions = append(s.Sessions, made.Token.Reveal())
	}
	ended := must(db.CreateSession(ctx, bob, snib.SessionOptions{}))(t)
	s.Ended = append(s.Ended, ended.Token.Reveal())
	if err := db.RevokeSessionByID(ctx, ended.ID); err != nil {
		t.Fatal(err)
	}
	_, family, err := db.CreateRefreshToken(ctx, bob, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Hour)
	_, next, err := db.Refresh(ctx, family.Token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	s.Refresh = append(s.Refresh, next.Token.Reveal())
	s.Links = append(s.Links, must(db.Tokens().Create(ctx, ada.ID, "reset", 24*time.Hour, []byte{0, 1}))(t).Token.Reveal())
	used := must(db.Tokens().Create(ctx, bob.ID, "reset", 24*time.Hour, nil))(t).Token.Reveal()
	must(db.Tokens().Use(ctx, "reset", used))(t)
	s.Ended = append(s.Ended, used)
}

func fillGoldenDeclared(t *testing.T, db *snib.DB, _ *snibtest.Clock, s *goldenSecrets) {
	for i := range 40 { // more than a page
		u := must(db.CreateUser(ctx, snib.NewUser{Provider: "mail", Identifier: fmt.Sprintf("User-%d@example.com", i),
			Attributes: snib.Attributes{"number": i % 3, "at": time.Unix(int64(i), 0), "text": strings.Repeat("x", i*10)}}))(t)
		s.Ended = append(s.Ended, session(t, db, u.ID).Token.Reveal())
	}
	if err := db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	u := must(db.GetUserByProviderID(ctx, "mail", "user-7@EXAMPLE.com"))(t)
	s.Sessions = append(s.Sessions, session(t, db, u.ID).Token.Reveal())
}

// goldenOptions are those of fill's process, or of one that comes later.
func goldenOptions(o *snib.Options, now func() time.Time) *snib.Options {
	o = snibtest.Fast(o)
	o.Now, o.Rand = now, rand.NewChaCha8([32]byte{1})
	return o
}

func makeGoldenFile(t *testing.T, name string) {
	clock := snibtest.NewClock()
	path := filepath.Join(goldenDir, name+".snib")
	os.Remove(path)
	b := must(bolt.Open(path, 0o644, &bolt.Options{NoSync: true}))(t)
	b.AllocSize = 4096 // small files
	file := goldenFiles[name]
	db := must(snib.New(b, goldenOptions(file.options, clock.Now)))(t)
	var s goldenSecrets
	file.fill(t, db, clock, &s)
	for _, err := range []error{
		os.WriteFile(path+".txt", []byte(dumpAccounts(t, db)), 0o644),
		os.WriteFile(path+".json", must(json.MarshalIndent(s, "", "\t"))(t), 0o644),
		db.Close(), b.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// dumpIdentities writes the time of a verification where there is one.
func dumpIdentities(u snib.User) (out []string) {
	for _, x := range u.Identities {
		text := fmt.Sprintf("{%s %s %v", x.Provider, x.Identifier, x.LinkedAt)
		if !x.VerifiedAt.IsZero() {
			text += fmt.Sprintf(" verified %v", x.VerifiedAt)
		}
		out = append(out, text+"}")
	}
	return out
}

// dumpAccounts writes what can be seen of all accounts.
func dumpAccounts(t *testing.T, db *snib.DB) string {
	var out strings.Builder
	for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "user %s %v\n  created %v updated %v version %d password %t %v disabled %v %q\n  %v\n", u.ID, dumpIdentities(u),
			u.CreatedAt.UTC(), u.UpdatedAt.UTC(), u.CredentialVersion, u.HasPassword, u.PasswordChangedAt.UTC(), u.DisabledAt.UTC(), u.DisabledReason, u.Attributes())
		for _, s := range must(db.ListUserSessions(ctx, u.ID))(t) {
			fmt.Fprintf(&out, "  session %s of %q %v created %v active %v idle %v absolute %v %v\n", s.ID, s.RefreshTokenID, s.State,
				s.CreatedAt.UTC(), s.ActiveUntil.UTC(), s.IdleUntil.UTC(), s.AbsoluteUntil.UTC(), s.Attributes())
		}
		for _, f := range must(db.RefreshTokens().List(ctx, u.ID))(t) {
			fmt.Fprintf(&out, "  family %s session %s rotations %d idle %v absolute %v\n", f.ID, f.SessionID, f.Rotations, f.IdleUntil.UTC(), f.AbsoluteUntil.UTC())
		}
	}
	return out.String()
}

// TestGoldenFiles: every file that a version has written opens, is sound, has
// in it what it had, lets in who was let in and nobody else, and can be
// written.
func TestGoldenFiles(t *testing.T) {
	if *makeGolden {
		for name := range goldenFiles {
			makeGoldenFile(t, name)
		}
	}
	paths := must(filepath.Glob("testdata/golden/*/*.snib"))(t)
	if len(paths) < len(goldenFiles) {
		t.Fatalf("%d files, want %d", len(paths), len(goldenFiles))
	}
	for _, golden := range paths {
		t.Run(filepath.Base(golden), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "accounts.db")
			if err := os.WriteFile(path, must(os.ReadFile(golden))(t), 0o600); err != nil {
				t.Fatal(err)
			}
			clock := snibtest.NewClock()
			clock.Advance(2 * time.Hour)
			db := snibtest.OpenDB(t, path, goldenOptions(nil, clock.Now))
			must(db.Check(ctx))(t)
			var s goldenSecrets
			if err := json.Unmarshal(must(os.ReadFile(golden+".json"))(t), &s); err != nil {
				t.Fatal(err)
			}
			want := string(must(os.ReadFile(golden + ".txt"))(t))
			if strings.Contains(golden, "/v1/") {
				// Format 1: users stay, sessions and tokens end.
				want = regexp.MustCompile(`(?m)^  (session|family) .*\n`).ReplaceAllString(want, "")
				s.Ended = slices.Concat(s.Ended, s.Sessions, s.Refresh, s.Links)
				s.Sessions, s.Refresh, s.Links = nil, nil, nil
			}
			if got := dumpAccounts(t, db); got != want {
				t.Errorf("has in it\n%s\nwant\n%s", got, want)
			}
			s.present(t, db)
			must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "new@example.com", Password: password}))(t)
		})
	}
}

// present presents everything.
func (s *goldenSecrets) present(t *testing.T, db *snib.DB) {
	t.Helper()
	for _, token := range s.Ended {
		wantErr(t, second(db.ValidateSession(ctx, token)), snib.ErrInvalidSession)
		wantErr(t, second(db.Tokens().Use(ctx, "reset", token)), snib.ErrInvalidOneTimeToken)
	}
	for _, token := range s.Sessions {
		must(db.ValidateSession(ctx, token))(t)
	}
	for _, token := range s.Refresh {
		if _, _, err := db.Refresh(ctx, token); err != nil {
			t.Errorf("refresh: %v", err)
		}
	}
	for _, token := range s.Links {
		must(db.Tokens().Use(ctx, "reset", token))(t)
	}
	for identifier, secret := range s.Passwords {
		must(db.AuthenticateUser(ctx, "email", identifier, secret))(t)
		wantErr(t, second(db.AuthenticateUser(ctx, "email", identifier, secret+"x")), snib.ErrInvalidCredentials)
	}
}
