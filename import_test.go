package snib_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/accounttest"
	"github.com/snibdb/snib/internal/testopen"
	"github.com/snibdb/snib/snibtest"
)

// storedHash returns the password hash in a user's record.
func storedHash(tb testing.TB, db *snib.DB, id snib.UserID) (hash string) {
	tb.Helper()
	if testopen.Engine != "" && !snib.InFile(db) {
		return must(codec.DecodeUser([]byte(id), []byte(must(snib.Records(db))(tb)["users"][string(id)])))(tb).PasswordHash
	}
	return accounttest.StoredHash(tb, db, id)
}

func thirdError[A, B any](_ A, _ B, err error) error { return err }

// A trace is what any write would change.
type trace struct {
	commits int64
	txid    int
	file    [32]byte
}

// traceOf takes the trace of a database at a path.
func traceOf(tb testing.TB, db *snib.DB, path string) trace {
	tb.Helper()
	var out trace
	if err := db.View(ctx, func(tx *snib.Tx) error { out.txid = inFile(tb, tx).ID(); return nil }); err != nil {
		tb.Fatal(err)
	}
	out.commits = must(db.Stats(ctx))(tb).Commits
	out.file = sha256.Sum256(must(os.ReadFile(path))(tb))
	return out
}

// A luciaUser is one line of testdata/lucia_users.jsonl: a user as one of
// three versions of Lucia has stored it, and the password for this test.
type luciaUser struct {
	System string
	User   struct {
		ID             string `json:"id"`
		ProviderID     string `json:"provider_id"`
		HashedPassword string `json:"hashed_password"`
		Username       string `json:"username"`
	}
	Password string
}

// source is what Lucia calls itself, and what this package calls that.
var luciaSources = map[string]string{"lucia-auth@0.1.1": "lucia-0.1", "lucia-auth@1.8.0": "lucia-1", "lucia@3.2.2": "lucia-3"}

func (l luciaUser) identity() (provider, identifier string) {
	provider, identifier, _ = strings.Cut(l.User.ProviderID, ":")
	return provider, identifier
}

func (l luciaUser) asImport() snib.UserImport {
	provider, identifier := l.identity()
	return snib.UserImport{
		ID: snib.UserID(l.User.ID), Provider: provider, Identifier: identifier,
		PasswordHash: l.User.HashedPassword, PasswordSource: luciaSources[l.System],
		Attributes: snib.Attributes{"username": l.User.Username},
	}
}

func readLucia(tb testing.TB) []luciaUser {
	tb.Helper()
	f := must(os.Open("testdata/lucia_users.jsonl"))(tb)
	defer f.Close()
	var all []luciaUser
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l luciaUser
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil || luciaSources[l.System] == "" {
			tb.Fatalf("line %d: %v", len(all)+1, err)
		}
		all = append(all, l)
	}
	if len(all) != 180 {
		tb.Fatalf("%d users, want 180", len(all))
	}
	return all
}

// inParallel calls f for each user, two at a time.
func inParallel(all []luciaUser, f func(l luciaUser)) {
	var wg sync.WaitGroup
	work := make(chan luciaUser)
	for range 2 {
		wg.Go(func() {
			for l := range work {
				f(l)
			}
		})
	}
	for _, l := range all {
		work <- l
	}
	close(work)
	wg.Wait()
}

// few reports whether one user in eight must do: with -short, under the race
// detector, which makes scrypt ten times as slow, and on 32 bits, where it has no
// assembly.
func few() bool { return testing.Short() || raceDetector || bits.UintSize == 32 }

// Real hashes at their real cost.
func TestImportUserTakesAllUsersOfLucia(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{
		Indexes:  []snib.Index{{Name: "username", Unique: true}},
		Throttle: snib.ThrottlePolicy{InsecureOff: true},
	})
	all := readLucia(t)
	if few() {
		for i := range len(all) / 8 {
			all[i] = all[i*8]
		}
		all = all[:len(all)/8]
	}
	var with, without []luciaUser
	for _, l := range all {
		u := must(db.ImportUser(ctx, l.asImport()))(t)
		if string(u.ID) != l.User.ID || u.HasPassword != (l.User.HashedPassword != "") || u.Attributes()["username"] != l.User.Username {
			t.Fatalf("imported as %+v", u)
		}
		if u.HasPassword {
			with = append(with, l)
		} else {
			without = append(without, l)
		}
	}
	if !few() && (len(with) != 160 || len(without) != 20) {
		t.Fatalf("%d with and %d without a password, want 160 and 20", len(with), len(without))
	}
	if got := foreignHashes(t, db); got != len(with) {
		t.Errorf("%d foreign hashes, want %d", got, len(with))
	}
	present := func(l luciaUser, password string) error {
		provider, identifier := l.identity()
		_, u, err := db.LogIn(ctx, provider, identifier, password, snib.SessionOptions{})
		if err == nil && string(u.ID) != l.User.ID {
			err = fmt.Errorf("logged in as %s", u.ID)
		}
		return err
	}
	inParallel(without, func(l luciaUser) {
		for _, p := range []string{"x", "null", "undefined", password, l.User.Username, l.User.ID} {
			if err := present(l, p); !errors.Is(err, snib.ErrInvalidCredentials) {
				t.Errorf("%s without password: %v", l.User.ID, err)
			}
		}
	})
	for _, l := range []luciaUser{with[0], with[len(with)/2], with[len(with)-1]} {
		if err := present(l, l.Password+"x"); !errors.Is(err, snib.ErrInvalidCredentials) {
			t.Errorf("%s with a wrong password: %v", l.User.ID, err)
		}
	}
	inParallel(with, func(l luciaUser) {
		if err := present(l, l.Password); err != nil {
			t.Errorf("%s of %s: %v", l.User.ID, l.System, err)
		}
	})
	if got := foreignHashes(t, db); got != 0 {
		t.Errorf("%d foreign hashes after everybody has logged in", got)
	}
	passes := observe(t, db)
	for _, l := range with { // with hashes made here, which cost nothing
		if err := present(l, l.Password); err != nil {
			t.Errorf("%s again: %v", l.User.ID, err)
		}
		for _, wrong := range []string{l.Password + "x", "x" + l.Password, "x"} {
			if err := present(l, wrong); !errors.Is(err, snib.ErrInvalidCredentials) {
				t.Errorf("%s with a wrong password: %v", l.User.ID, err)
			}
		}
		if h := storedHash(t, db, snib.UserID(l.User.ID)); !strings.HasPrefix(h, "$argon2id$v=19$m=8,t=1,p=1$") {
			t.Errorf("%s still has another hash", l.User.ID)
		}
	}
	if got := slices.Compact(passes.all); len(got) != 1 || got[0] != "argon2id m=8 t=1 p=1" {
		t.Errorf("the second log-ins took %q", got)
	}
}

func TestImportUserRefusesHostileHashesBeforeAnyWork(t *testing.T) {
	path := t.TempDir() + "/a.db"
	db := snibtest.OpenDB(t, path, &snib.Options{Passwords: snib.PasswordPolicy{MemoryKiB: 8, Time: 1, Parallelism: 1, MaxHashMemory: 64 << 20}})
	passes := observe(t, db)
	const salt, key = "c29tZXNhbHRzYWx0", "c29tZWtleXNvbWVrZXlzb21la2V5c29tZWtleXh4eHg"
	hexKey := strings.Repeat("ab", 64)
	before := traceOf(t, db, path)
	got := passes.during(func() {
		for source, hashes := range map[string][]string{
			"": {
				"$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=4294967296,t=1,p=1$" + salt + "$" + key,
				"$argon2id$v=19$m=8,t=4294967295,p=1$" + salt + "$" + key, "$argon2id$v=19$m=18446744073709551615,t=1,p=1$" + salt + "$" + key,
				"$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + key, "$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + key,
				"$argon2id$v=19$m=8,t=1,p=256$" + salt + "$" + key, "$argon2id$v=19$m=8,t=1,p=255$" + salt + "$" + key,
				"$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=-8,t=1,p=1$" + salt + "$" + key,
				"$argon2id$v=19$m=65537,t=1,p=1$" + salt + "$" + key, // above MaxHashMemory
				"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$", "$argon2id$v=19$m=8,t=1,p=1$$" + key, "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$eA",
				"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key + "\n", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key + "\x00",
				"$scrypt$ln=63,r=8,p=1$" + salt + "$" + key, "$scrypt$ln=14,r=1073741824,p=1$" + salt + "$" + key,
				"$scrypt$ln=14,r=8,p=4294967295$" + salt + "$" + key, "$scrypt$ln=0,r=8,p=1$" + salt + "$" + key,
				"$2b$31$" + strings.Repeat("a", 53), "$2b$99$" + strings.Repeat("a", 53), "$2b$03$" + strings.Repeat("a", 53), "$2x$04$" + strings.Repeat("a", 53),
				"$pbkdf2-sha256$4294967295$" + salt + "$" + key, "pbkdf2_sha256$99999999999999999999$salt$" + key, "pbkdf2:sha256:4294967295$salt$" + hexKey,
				"scrypt:1073741824:8:1$salt$" + hexKey, "$1$salt$key", "$6$salt$key", "{SSHA}x", "plain", ":", "$", "$$$$", strings.Repeat("$", 1025),
				"salt:" + hexKey, "a:b:c:d", strings.Repeat("x", 4<<20), "\xff", "s2:salt:" + strings.Repeat("a", 2048), "s2::" + hexKey, "s2:salt:zz",
			},
			"lucia-3":   {"salt", "salt:", ":" + hexKey, "salt:zz", "salt:" + hexKey + "a", "salt:" + hexKey[1:], "s3:salt:" + hexKey, "$2b$17$" + strings.Repeat("a", 53)},
			"lucia-0.1": {"s2:salt:" + hexKey[1:], "salt:", "salt:" + strings.Repeat("ab", 1024)},
			"bcrypt":    {"salt:" + hexKey, "$2b$17$" + strings.Repeat("a", 53), "$2b$4$" + strings.Repeat("a", 53)},
		} {
			for _, h := range hashes {
				_, err := db.ImportUser(ctx, snib.UserImport{Provider: "github", Identifier: "x", PasswordHash: h, PasswordSource: source})
				if e, ok := errors.AsType[*snib.InputError](err); !ok || e.Field != "PasswordHash" {
					t.Errorf("%q %.60q: %v, want an InputError of PasswordHash", source, h, err)
				} else if len(h) > 8 && strings.Contains(err.Error(), h) {
					t.Errorf("the error repeats the hash: %v", err)
				}
			}
		}
	})
	if len(got) != 0 {
		t.Errorf("passes of hashing: %q", got)
	}
	if got := traceOf(t, db, path); got != before {
		t.Errorf("something was written: %+v, was %+v", got, before)
	}
}

func TestImportUserNeedsASourceNamedOrEvident(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	two := "IM9VExfHOfomOGNY:" + strings.Repeat("ab", 64)
	imported := func(n int, source, hash string) error {
		_, err := db.ImportUser(ctx, snib.UserImport{Provider: "github", Identifier: fmt.Sprint(source, n), PasswordHash: hash, PasswordSource: source})
		return err
	}
	wantField(t, imported(0, "", two), "PasswordHash") // of which Lucia?
	for _, source := range []string{"lucia", "LUCIA-3", "lucia-3 ", "lucia-4", "\x00", strings.Repeat("x", 1<<20)} {
		err := imported(0, source, two)
		wantField(t, err, "PasswordSource")
		if len(err.Error()) > 300 {
			t.Errorf("the error repeats %d bytes", len(err.Error()))
		}
	}
	for _, source := range []string{"lucia-0.1", "lucia-1", "lucia-2", "lucia-3", "better-auth"} {
		if err := imported(1, source, two); err != nil || !slices.Contains(snib.PasswordSources(), source) {
			t.Errorf("%s: %v, known: %v", source, err, snib.PasswordSources())
		}
	}
	if err := imported(1, "", "s2:"+two); err != nil {
		t.Errorf("s2 says what it is: %v", err)
	}
}

// Django marks so who has no password.
func TestImportUserTakesAMarkOfNoPasswordForNone(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := must(db.ImportUser(ctx, snib.UserImport{Provider: "github", Identifier: "1", PasswordHash: "!R4nd0mText", PasswordSource: "django"}))(t)
	if u.HasPassword || !u.PasswordChangedAt.IsZero() {
		t.Errorf("has a password %t, changed %v", u.HasPassword, u.PasswordChangedAt)
	}
	if got := foreignHashes(t, db); got != 0 {
		t.Errorf("%d foreign hashes, want none", got)
	}
	if report, err := db.Check(ctx); err != nil || report.ForeignHashes != 0 {
		t.Errorf("check: %v, %d foreign hashes", err, report.ForeignHashes)
	}
	_, err := db.AuthenticateUser(ctx, "github", "1", "!R4nd0mText")
	wantErr(t, err, snib.ErrInvalidCredentials)
}

func TestImportUserRefusesWhatWouldMergeOrReplace(t *testing.T) {
	path := t.TempDir() + "/a.db"
	db := snibtest.OpenDB(t, path, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}}})
	first := must(db.ImportUser(ctx, snib.UserImport{ID: "u1", Provider: "email", Identifier: "Ada@example.com", Attributes: snib.Attributes{"nick": "Ada"}}))(t)
	before := traceOf(t, db, path)
	for name, c := range map[string]struct {
		i    snib.UserImport
		want error
	}{
		"the id again":        {snib.UserImport{ID: "u1", Provider: "email", Identifier: "b@example.com"}, snib.ErrInvalidInput},
		"everything again":    {snib.UserImport{ID: "u1", Provider: "email", Identifier: "Ada@example.com"}, snib.ErrInvalidInput},
		"the address in case": {snib.UserImport{ID: "u2", Provider: "email", Identifier: "ada@EXAMPLE.com"}, snib.ErrIdentityTaken},
		"the nick in case":    {snib.UserImport{ID: "u2", Provider: "email", Identifier: "b@example.com", Attributes: snib.Attributes{"nick": "ADA"}}, snib.ErrAttributeTaken},
		"no identity":         {snib.UserImport{ID: "u2"}, snib.ErrInvalidInput},
	} {
		_, err := db.ImportUser(ctx, c.i)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && strings.Contains(strings.ToLower(err.Error()), "ada") {
			t.Errorf("%s: the error names the user: %v", name, err)
		}
	}
	if got := traceOf(t, db, path); got != before {
		t.Errorf("something was written: %+v, was %+v", got, before)
	}
	for _, id := range []snib.UserID{"U1", "u", "u10", "u1.", "usr_" + snib.UserID(strings.Repeat("0", 26))} {
		u := must(db.ImportUser(ctx, snib.UserImport{ID: id, Provider: "github", Identifier: string(id)}))(t)
		if u.ID != id {
			t.Errorf("imported as %s, want %s", u.ID, id)
		}
	}
	if got := must(db.GetUser(ctx, "u1"))(t); providers(got) != providers(first) {
		t.Errorf("the first user changed: %s", providers(got))
	}
}

func TestImportUserDisabledStaysShut(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
	hash := string(must(bcrypt.GenerateFromPassword([]byte(password), 4))(t))
	created := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	u := must(db.ImportUser(ctx, snib.UserImport{
		Provider: "email", Identifier: "a@example.com", PasswordHash: hash, Disabled: true, DisabledReason: "spam", CreatedAt: created,
	}))(t)
	if !u.Disabled() || u.DisabledReason != "spam" || !u.CreatedAt.Equal(created) || u.CredentialVersion == 0 {
		t.Errorf("imported as %+v", u)
	}
	for _, l := range accounttest.Logins {
		wantErr(t, l.Call(db, "email", "a@example.com", password), snib.ErrInvalidCredentials)
	}
	wantErr(t, second(db.CreateSession(ctx, u, snib.SessionOptions{})), snib.ErrUserDisabled)
	wantErr(t, thirdError(db.CreateRefreshToken(ctx, u, snib.SessionOptions{})), snib.ErrUserDisabled)
	wantErr(t, second(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil)), snib.ErrUserDisabled)
	if got := foreignHashes(t, db); got != 1 {
		t.Errorf("%d foreign hashes, want 1", got)
	}
	must(db.EnableUser(ctx, u.ID))(t)
	logIn(t, db, "a@example.com")
	if got := foreignHashes(t, db); got != 0 {
		t.Errorf("%d foreign hashes, want none", got)
	}
}

// Ids and provider names of other systems are kept.
func TestImportUserTakesIdsAndProvidersOfOtherSystems(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for _, id := range []snib.UserID{
		"auth0|5f7c8ec7c33c6c004bbafe82", "google-oauth2|1234567890", "3b241101-e2bb-4255-8caf-4136c566a962", "ada@example.com",
		"cn=ada,dc=x", "a/b+c==", "42", `"<'&%`, snib.UserID(strings.Repeat("~", 128)),
	} {
		u := must(db.ImportUser(ctx, snib.UserImport{ID: id, Provider: "exact", Identifier: string(id)}))(t)
		s := must(db.CreateSession(ctx, u, snib.SessionOptions{}))(t)
		if got := must(db.ValidateSession(ctx, s.Token.Reveal()))(t); u.ID != id || got.UserID != id {
			t.Errorf("%s was imported as %s, with a session of %s", id, u.ID, got.UserID)
		}
	}
	for i, p := range []string{"sso:3b241101-e2bb-4255-8caf-4136c566a962", "3b241101-e2bb-4255-8caf-4136c566a962", "apple.com", "Google", strings.Repeat("p", 64)} {
		u := must(db.ImportUser(ctx, snib.UserImport{Provider: p, Identifier: fmt.Sprint(i)}))(t)
		if got := must(db.GetUserByProviderID(ctx, p, fmt.Sprint(i)))(t); got.ID != u.ID {
			t.Errorf("%s finds %s, want %s", p, got.ID, u.ID)
		}
	}
	if _, err := db.GetUserByProviderID(ctx, "google", "3"); !errors.Is(err, snib.ErrUserNotFound) {
		t.Errorf("provider names are not compared bytewise: %v", err)
	}
}

// The other system's clock may be ahead.
func TestImportUserTakesTheNearFutureForNow(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	now := clock.Now().Truncate(time.Millisecond)
	for at, want := range map[time.Duration]time.Duration{-time.Second: -time.Second, 2 * time.Second: 0, 5 * time.Minute: 0} {
		u := must(db.ImportUser(ctx, snib.UserImport{Provider: "x", Identifier: at.String(), CreatedAt: now.Add(at)}))(t)
		if !u.CreatedAt.Equal(now.Add(want)) {
			t.Errorf("%v ahead: created at %v, want %v", at, u.CreatedAt, now.Add(want))
		}
	}
	_, err := db.ImportUser(ctx, snib.UserImport{Provider: "x", Identifier: "far", CreatedAt: now.Add(5*time.Minute + time.Second)})
	wantField(t, err, "CreatedAt")
	if e, _ := errors.AsType[*snib.InputError](err); e.Max != now.Add(5*time.Minute).Unix() {
		t.Errorf("Max is %d, want %d", e.Max, now.Add(5*time.Minute).Unix())
	}
}

// Damage has lost a user: an import under the same id inherits nothing.
func TestImportUserDoesNotInheritFromALostUser(t *testing.T) {
	c := newChecked(t)
	rawDelete(t, c.b, "users", string(c.ada.ID))
	u := must(c.db.ImportUser(ctx, snib.UserImport{ID: c.ada.ID, Provider: "email", Identifier: "new@example.com"}))(t)
	invalid(t, c.db, c.session)
	refused(t, c.db, c.family.Token.Reveal(), snib.ErrInvalidRefreshToken)
	unusable(t, c.db, c.link)
	if got := sessionIDs(t, c.db, u.ID); got != nil {
		t.Errorf("sessions %v", got)
	}
	// The index entries of the lost user lead to the new one, who does not have
	// them.
	for name, find := range map[string]func() error{
		"identity": func() error { return second(c.db.GetUserByProviderID(ctx, "email", "ada@example.com")) },
		"log-in":   func() error { return second(c.db.AuthenticateUser(ctx, "email", "ada@example.com", password)) },
		"unique":   func() error { return second(c.db.GetUserByAttribute(ctx, "nick", "countess")) },
		"list": func() (err error) {
			for _, e := range c.db.ListUsersByAttribute(ctx, "team", "engine", snib.ListOptions{}) {
				err = errors.Join(err, e)
			}
			return err
		},
	} {
		if err := find(); !errors.Is(err, snib.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
	must(c.db.Repair(ctx))(t)
	email(t, c.db, "ada@example.com") // is free
	must(c.db.Check(ctx))(t)
}
