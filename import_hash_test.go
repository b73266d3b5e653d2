package snib_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

const oldPassword = "correct horse 7"

// importHash imports the user named with what i says of the password.
func importHash(db *snib.DB, name string, i snib.UserImport) error {
	i.Provider, i.Identifier = "github", name
	_, err := db.ImportUser(ctx, i)
	return err
}

// logsIn requires that the right password of the user named comes in, twice,
// and that others do not.
func logsIn(t *testing.T, db *snib.DB, name string) {
	t.Helper()
	for _, wrong := range []string{oldPassword + "x", oldPassword[1:], strings.ToUpper(oldPassword)} {
		if _, _, err := db.LogIn(ctx, "github", name, wrong, snib.SessionOptions{}); !errors.Is(err, snib.ErrInvalidCredentials) {
			t.Errorf("%s with %q: %v", name, wrong, err)
		}
	}
	for range 2 {
		if _, _, err := db.LogIn(ctx, "github", name, oldPassword, snib.SessionOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestImportUserTakesWeakDigestsInHashed(t *testing.T) {
	var text bytes.Buffer
	db := snibtest.NewDB(t, nil)
	plain := md5.Sum([]byte(oldPassword))
	salted := sha1.Sum([]byte(oldPassword + "salt"))
	ssha := "{SSHA}" + base64.StdEncoding.EncodeToString(append(salted[:], "salt"...))
	for name, i := range map[string]snib.UserImport{
		"md5":  {PasswordHash: hex.EncodeToString(plain[:]), PasswordSource: "md5"},
		"ssha": {PasswordHash: ssha},
	} {
		if err := importHash(db, name, i); err != nil {
			t.Fatal(err)
		}
		i.Provider, i.Identifier = "github", name+" again"
		err := db.Update(ctx, func(tx *snib.Tx) error {
			_, err := tx.ImportUser(i)
			return err
		})
		wantField(t, err, "PasswordHash")
	}
	if n := foreignHashes(t, db); n != 2 {
		t.Errorf("%d foreign hashes, want 2", n)
	}
	if err := db.File().Backup(ctx, &text); err != nil {
		t.Fatal(err)
	}
	for _, weak := range [][]byte{plain[:], salted[:], []byte(hex.EncodeToString(plain[:])), []byte(ssha[6:])} {
		if bytes.Contains(text.Bytes(), weak) {
			t.Errorf("the file has %q", weak)
		}
	}
	logsIn(t, db, "md5")
	logsIn(t, db, "ssha")
	if n := foreignHashes(t, db); n != 0 {
		t.Errorf("%d foreign hashes after everybody has logged in", n)
	}
}

// peppered is a bcrypt hash of oldPassword and a pepper.
func peppered(t *testing.T, pepper string) string {
	t.Helper()
	return string(must(bcrypt.GenerateFromPassword([]byte(oldPassword+pepper), bcrypt.MinCost))(t))
}

func TestImportUserWithPepper(t *testing.T) {
	const pepper = "a pepper of the old system"
	path, opts := t.TempDir()+"/accounts.db", &snib.Options{}
	opts.Passwords.ForeignPeppers = map[string]string{"old": pepper, "older": "another"}
	db := snibtest.OpenDB(t, path, opts)
	opts.Passwords.ForeignPeppers["old"] = "changed after Open"
	for _, name := range []string{"ada", "bob"} {
		if err := importHash(db, name, snib.UserImport{PasswordHash: peppered(t, pepper), PasswordPepper: "old"}); err != nil {
			t.Fatal(err)
		}
	}
	wantField(t, importHash(db, "cy", snib.UserImport{PasswordHash: peppered(t, pepper), PasswordPepper: "x"}), "PasswordHash")
	logsIn(t, db, "ada")
	snibtest.CheckAndClose(t, db)

	// Without its pepper, a hash refuses every password, and the log says why.
	var log bytes.Buffer
	db = snibtest.OpenDB(t, path, &snib.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	logsInReplaced := func(name string) error {
		_, _, err := db.LogIn(ctx, "github", name, oldPassword, snib.SessionOptions{})
		return err
	}
	if err := logsInReplaced("ada"); err != nil {
		t.Errorf("a replaced hash: %v", err)
	}
	if err := logsInReplaced("bob"); !errors.Is(err, snib.ErrInvalidCredentials) {
		t.Errorf("without the pepper: %v", err)
	}
	if !strings.Contains(log.String(), "the pepper old") || strings.Contains(log.String(), oldPassword) {
		t.Errorf("the log says %q", log.String())
	}
}

func TestImportUserWithForeignVerifier(t *testing.T) {
	calls := 0
	var log bytes.Buffer
	opts := &snib.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	opts.Passwords.ForeignVerifier = func(_ context.Context, source, hash, password string) (bool, error) {
		calls++
		switch hash {
		case "fails":
			return true, errors.New("the old system is away")
		case "panics":
			panic(password)
		}
		return source == "x-old-site" && hash == "reversed:7 esroh tcerroc\n" && password == oldPassword, nil
	}
	db := snibtest.NewDB(t, opts)
	for name, text := range map[string]string{"ada": "reversed:7 esroh tcerroc\n", "bob": "fails", "cy": "panics"} {
		if err := importHash(db, name, snib.UserImport{PasswordHash: text, PasswordSource: "x-old-site"}); err != nil {
			t.Fatal(err)
		}
	}
	logsIn(t, db, "ada")
	if calls != 4 {
		t.Errorf("%d calls, want 4: three wrong passwords and one that was right", calls)
	}
	for _, name := range []string{"bob", "cy"} {
		if _, _, err := db.LogIn(ctx, "github", name, oldPassword, snib.SessionOptions{}); !errors.Is(err, snib.ErrInvalidCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := log.String(); !strings.Contains(s, "the old system is away") || !strings.Contains(s, "panicked") || strings.Contains(s, oldPassword) {
		t.Errorf("the log says %q", s)
	}
	if n := foreignHashes(t, db); n != 2 {
		t.Errorf("%d foreign hashes, want 2", n)
	}
	without := snibtest.NewDB(t, nil)
	wantField(t, importHash(without, "ada", snib.UserImport{PasswordHash: "x", PasswordSource: "x-old-site"}), "PasswordHash")
}

func TestImportUserWithPasswordKey(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	key := must(hex.DecodeString("5a10d0bcbd51dbea1b13f4cc4ae0c24b3e6a4ac57cf7e8ff5fa5b9f2b0e3b1a5"))(t)
	good := snib.PasswordKey{Scheme: "pbkdf2-sha256", Iterations: 1000, Salt: []byte("salt"), Key: key}
	if err := importHash(db, "ada", snib.UserImport{PasswordKey: &good}); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]snib.UserImport{
		"scheme":     {PasswordKey: &snib.PasswordKey{Scheme: "md5", Salt: []byte("salt"), Key: key}},
		"no key":     {PasswordKey: &snib.PasswordKey{Scheme: "pbkdf2-sha256", Iterations: 1000, Salt: []byte("salt")}},
		"iterations": {PasswordKey: &snib.PasswordKey{Scheme: "pbkdf2-sha256", Iterations: 1 << 40, Salt: []byte("salt"), Key: key}},
		"both":       {PasswordKey: &good, PasswordHash: peppered(t, "")},
	} {
		t.Run(name, func(t *testing.T) { wantField(t, importHash(db, "bob", bad), "PasswordKey") })
	}
}

// TestImportUserRefusesWhatTakesTooLong is skipped under the race detector,
// where hashing takes no time that would mean anything.
func TestImportUserRefusesWhatTakesTooLong(t *testing.T) {
	if raceDetector {
		t.Skip("needs the time of hashing")
	}
	slow := func() *snib.Options { return &snib.Options{} }
	o := slow()
	o.Passwords.MaxImportTime = 1
	db := snibtest.NewDB(t, o)
	err := importHash(db, "ada", snib.UserImport{PasswordHash: peppered(t, "")})
	wantField(t, err, "PasswordHash")
	if !strings.Contains(err.Error(), "Options.Passwords.MaxImportTime") {
		t.Errorf("the refusal does not name the option: %v", err)
	}
	const cost16 = "$2b$16$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu"
	byDefault := must(snib.Open(filepath.Join(t.TempDir(), "accounts.db"), nil))(t)
	defer snibtest.CheckAndClose(t, byDefault)
	if err := importHash(byDefault, "ada", snib.UserImport{PasswordHash: cost16}); !errors.Is(err, snib.ErrInvalidInput) {
		t.Errorf("bcrypt of cost 16 by default: %v", err)
	}
	o = slow()
	o.Passwords.MaxImportTime = -1
	if err := importHash(snibtest.NewDB(t, o), "ada", snib.UserImport{PasswordHash: cost16}); err != nil {
		t.Errorf("bcrypt of cost 16 when asked: %v", err)
	}
}

// TestImportUserNamesTheKind: a refusal says what it saw, what would help, and
// nothing of the hash.
func TestImportUserNamesTheKind(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	const secret = "9f86d081884c7d65"
	for hash, want := range map[string]string{
		"$y$j9T$" + secret + "$" + secret:                        "yescrypt",
		"$apr1$salt$" + secret:                                   "Apache's MD5-crypt",
		"$argon2d$v=19$m=8,t=1,p=1$" + secret + "$" + secret:     "Argon2d",
		"$argon2id$m=8,t=1,p=1$" + secret + "$" + secret:         "Argon2 version 16",
		"$2x$06$" + secret:                                       "bcrypt $2x$",
		"$newhash$" + secret:                                     "$newhash$",
		"{SCHEME-9}" + secret:                                    "{SCHEME-9}",
		"{noop}" + secret:                                        "a password in clear",
		secret + secret:                                          "an MD5?",
		"md5$" + secret + "$" + secret + secret:                  "PasswordSource must name it",
		secret + secret + ":" + secret:                           "joomla, vbulletin or oscommerce: PasswordSource must name it",
		"$argon2id$v=19$m=1048576,t=1,p=1$" + secret + "$AAAAAA": "malformed",
		"\"$2b$06$" + secret + "\"":                              "quotation marks",
		"$" + secret + secret + "$" + secret:                     "unknown syntax",
	} {
		err := importHash(db, "x", snib.UserImport{PasswordHash: hash})
		wantField(t, err, "PasswordHash")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("%.12s…: %v, want %q", hash, err, want)
		}
	}
	big := fmt.Sprintf("$argon2id$v=19$m=%d,t=1,p=1$%s$%s", 1<<20, "AAECAwQFBgcICQoLDA0ODw", "EBESExQVFhcYGRobHB0eHw")
	if err := importHash(db, "x", snib.UserImport{PasswordHash: big}); err == nil || !strings.Contains(err.Error(), "1024 MiB, more than Options.Passwords.MaxHashMemory") {
		t.Errorf("a hash of 1 GiB: %v", err)
	}
}

// TestImportUserSourceNarrowsNothing: tables of one system hold what it has
// written over the years.
func TestImportUserSourceNarrowsNothing(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	const argon = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4" // of "password"
	for _, source := range snib.PasswordSources() {
		hash := peppered(t, "")
		if source == "meteor" {
			continue // its bcrypt is over a digest of the password
		}
		if err := importHash(db, source, snib.UserImport{PasswordHash: hash, PasswordSource: source}); err != nil {
			t.Errorf("bcrypt under %s: %v", source, err)
		}
		logsIn(t, db, source)
		if err := importHash(db, source+" argon2", snib.UserImport{PasswordHash: argon, PasswordSource: source}); err != nil {
			t.Errorf("argon2id under %s: %v", source, err)
		}
		if _, _, err := db.LogIn(ctx, "github", source+" argon2", "password", snib.SessionOptions{}); err != nil {
			t.Errorf("argon2id under %s: %v", source, err)
		}
	}
}
