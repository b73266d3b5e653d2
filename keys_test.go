package snib_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// testKey is the key of an id whose secret is one byte over and over.
func testKey(id string, fill byte) snib.Key {
	k, err := snib.NewKey(id, bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		panic(err)
	}
	return k
}

// sealing are Options that seal password hashes, with these keys.
func sealing(keys ...snib.Key) *snib.Options {
	return &snib.Options{Keys: keys, Passwords: snib.PasswordPolicy{Seal: len(keys) > 0}}
}

// storedHashOf returns the password hash of a user as it lies in the file.
func storedHashOf(tb testing.TB, db *snib.DB, id snib.UserID) codec.User {
	tb.Helper()
	return must(codec.DecodeUser([]byte(id), rawGet(tb, handle(tb, db), "users", string(id))))(tb)
}

func wantSealed(tb testing.TB, db *snib.DB, id snib.UserID, key string) {
	tb.Helper()
	if hash := storedHashOf(tb, db, id).PasswordHash; !strings.HasPrefix(hash, "$sealed$"+key+"$") {
		tb.Fatalf("%.20s… is not sealed under %s", hash, key)
	}
}

func bcryptOf(tb testing.TB, p string) string {
	tb.Helper()
	return string(must(bcrypt.GenerateFromPassword([]byte(p), bcrypt.MinCost))(tb))
}

// editHash changes a user's record in the file.
func editHash(tb testing.TB, db *snib.DB, id snib.UserID, hash string) {
	tb.Helper()
	u := storedHashOf(tb, db, id)
	u.PasswordHash = hash
	rawPut(tb, handle(tb, db), "users", string(id), u.Append(nil))
}

func TestLogInOpensASealedHash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	ada := email(t, db, "ada@example.com")
	wantSealed(t, db, ada.ID, "k1")
	logIn(t, db, "ada@example.com")
	_, _, err := db.LogIn(ctx, "email", "ada@example.com", "another passphrase", snib.SessionOptions{})
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(changePassword(t, db, ada.ID, password, "another passphrase"))(t)
	_, err = changePassword(t, db, ada.ID, password, "yet another one")
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(db.UpdateUserPassword(ctx, ada.ID, password))(t)
	wantSealed(t, db, ada.ID, "k1")
	must(db.AuthenticateUser(ctx, "email", "ada@example.com", password))(t)
	if report := must(db.Check(ctx))(t); report.SealedHashes != 1 || report.Passwords != 1 {
		t.Errorf("%+v", report)
	}
	must(db.RemoveUserPassword(ctx, ada.ID))(t)
	if u := storedHashOf(t, db, ada.ID); u.PasswordHash != "" || u.HashClass != 0 {
		t.Errorf("%+v", u)
	}
	closeDB(t, db)
	if bytes.Contains(must(os.ReadFile(path))(t), []byte("argon2")) {
		t.Error("a hash was in the file that was not sealed")
	}
}

func TestNewKeyRefuses(t *testing.T) {
	for id, secret := range map[string][]byte{"": make([]byte, 32), "A": bytes.Repeat([]byte{1}, 32), "a": bytes.Repeat([]byte{1}, 31), "b": make([]byte, 32)} {
		_, err := snib.NewKey(id, secret)
		wantField(t, err, "Key")
	}
}

func TestNothingShowsAKey(t *testing.T) {
	k := testKey("k1", 0xab)
	text := fmt.Sprintf("%v %+v %#v %s %x %q %d", k, k, k, k, k, k, k)
	in := struct{ Exported, unexported snib.Key }{k, k}
	text += fmt.Sprintf("%v %+v %#v", in, in, &in) + fmt.Sprintf("%+v", sealing(k))
	text += string(must(json.Marshal(struct{ Exported snib.Key }{k}))(t))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "k", k, "o", sealing(k))
	text += log.String()
	if !strings.Contains(text, "REDACTED") || strings.Contains(strings.ToLower(text), "abab") || strings.Contains(text, "171 171") {
		t.Error(text)
	}
}

// Neither the secret, nor what is derived from it for sealing, is in the file
// in any form.
func TestNoKeyIsInTheFile(t *testing.T) {
	secret := []byte("0123456789abcdefSECRETSECRET!#%&")
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(must(snib.NewKey("k1", secret))(t)))
	email(t, db, "ada@example.com")
	logIn(t, db, "ada@example.com")
	closeDB(t, db)
	file := must(os.ReadFile(path))(t)
	for _, half := range [][]byte{secret[:16], secret[16:]} {
		for _, form := range []string{string(half), fmt.Sprintf("%x", half), fmt.Sprintf("%X", half)} {
			if bytes.Contains(file, []byte(form)) {
				t.Errorf("%q is in the file", form)
			}
		}
	}
}

// A row, or only its hash, copied onto another user lets nobody in.
func TestASealedHashOpensForItsUserOnly(t *testing.T) {
	var log bytes.Buffer
	o := sealing(testKey("k1", 1))
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	db := openFile(t, filepath.Join(t.TempDir(), "a.db"), o)
	ada, bob := email(t, db, "ada@example.com"), email(t, db, "bob@example.com")
	must(db.UpdateUserPassword(ctx, bob.ID, "quite another one"))(t)
	logIn(t, db, "ada@example.com")
	editHash(t, db, bob.ID, storedHashOf(t, db, ada.ID).PasswordHash)
	for _, p := range []string{password, "quite another one"} {
		_, _, err := db.LogIn(ctx, "email", "bob@example.com", p, snib.SessionOptions{})
		wantErr(t, err, snib.ErrInvalidCredentials)
		_, err = changePassword(t, db, bob.ID, p, "a new passphrase")
		wantErr(t, err, snib.ErrInvalidCredentials)
	}
	if !strings.Contains(log.String(), "cannot be used") {
		t.Error("nobody was told")
	}
	report, err := db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if len(report.Problems) != 1 || report.Problems[0].Invariant != 16 || report.Problems[0].ID != string(bob.ID) {
		t.Errorf("%v", report.Problems)
	}
	repaired := must(db.Repair(ctx))(t)
	if repaired.Repaired != 1 || repaired.Repairs[0].Severity != snib.LosesData || repaired.Quarantined != 1 {
		t.Errorf("%+v", repaired)
	}
	if u := asNow(t, db, bob.ID); u.HasPassword || u.CredentialVersion == bob.CredentialVersion {
		t.Errorf("%+v", u)
	}
	logIn(t, db, "ada@example.com")
	must(db.Check(ctx))(t)
}

// Malformed, under a key that the file does not list, or altered: each is found
// by Check, with and without the key as far as it can be told.
func TestCheckINV16Sealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	ada := email(t, db, "ada@example.com")
	sound := storedHashOf(t, db, ada.ID).PasswordHash
	closeDB(t, db)
	flipped := []byte(sound)
	if at := len(flipped) - 10; flipped[at] == 'A' { // another letter of base64
		flipped[at] = 'B'
	} else {
		flipped[at] = 'A'
	}
	for name, c := range map[string]struct {
		hash        string
		withoutToo  bool // found without the key too
		repairFails bool // the key is asked for
	}{
		"cut":                {sound[:40], true, false},
		"not base64":         {sound[:len(sound)-4] + "****", true, false},
		"under no known key": {strings.Replace(sound, "$k1$", "$k9$", 1), true, true},
		"altered":            {string(flipped), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			db := openFile(t, path, nil)
			editHash(t, db, ada.ID, c.hash)
			before, _ := content(t, db)
			if _, err := db.Check(ctx); (err != nil) != c.withoutToo {
				t.Errorf("without the key: %v", err)
			}
			if !c.withoutToo { // nothing is destroyed that cannot be judged
				must(db.Repair(ctx))(t)
				if after, _ := content(t, db); !maps.Equal(before, after) {
					t.Error("Repair without the key changed the file")
				}
			}
			closeDB(t, db)
			db = openFile(t, path, sealing(testKey("k1", 1)))
			_, _, err := db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
			wantErr(t, err, snib.ErrInvalidCredentials)
			report, err := db.Check(ctx)
			wantErr(t, err, snib.ErrCorrupt)
			if report.Found != 1 || report.Problems[0].Invariant != 16 {
				t.Errorf("%v", report.Problems)
			}
			_, err = db.Repair(ctx)
			if c.repairFails {
				wantField(t, err, "Options.Keys")
			} else if err != nil {
				t.Error(err)
			}
			editHash(t, db, ada.ID, sound)
			u := storedHashOf(t, db, ada.ID)
			u.HashClass = 1
			rawPut(t, handle(t, db), "users", string(ada.ID), u.Append(nil))
			logIn(t, db, "ada@example.com")
			must(db.Check(ctx))(t)
			closeDB(t, db)
		})
	}
}

// What is there is sealed when its user logs in, and keeps its class.
func TestLogInSealsAStoredHash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, nil)
	ada, bob := email(t, db, "ada@example.com"), email(t, db, "bob@example.com")
	eve := must(db.ImportUser(ctx, snib.UserImport{Provider: "email", Identifier: "eve@example.com", PasswordHash: bcryptOf(t, password)}))(t)
	closeDB(t, db)

	db = openFile(t, path, sealing(testKey("k1", 1)))
	version := storedHashOf(t, db, ada.ID).CredentialVersion
	logIn(t, db, "ada@example.com")
	must(db.AuthenticateUser(ctx, "email", "bob@example.com", password))(t)
	logIn(t, db, "eve@example.com")
	for _, id := range []snib.UserID{ada.ID, bob.ID, eve.ID} {
		wantSealed(t, db, id, "k1")
		if u := storedHashOf(t, db, id); u.HashClass != 1 {
			t.Errorf("%s: class %d", id, u.HashClass)
		}
	}
	if u := storedHashOf(t, db, ada.ID); u.CredentialVersion != version {
		t.Error("sealing a hash is no change of the password")
	}
	again := storedHashOf(t, db, ada.ID).PasswordHash
	logIn(t, db, "ada@example.com")
	if storedHashOf(t, db, ada.ID).PasswordHash != again {
		t.Error("each log-in seals anew")
	}
	closeDB(t, db)

	db = openFile(t, path, sealing(testKey("k2", 2), testKey("k1", 1)))
	wantSealed(t, db, ada.ID, "k1")
	logIn(t, db, "ada@example.com")
	wantSealed(t, db, ada.ID, "k2")
	must(db.Check(ctx))(t)
}

// An imported hash is sealed as any other, stays foreign until the first
// log-in, and nobody can import what looks sealed.
func TestImportUserSealsTheHash(t *testing.T) {
	db := openFile(t, filepath.Join(t.TempDir(), "a.db"), sealing(testKey("k1", 1)))
	eve := must(db.ImportUser(ctx, snib.UserImport{Provider: "email", Identifier: "eve@example.com", PasswordHash: bcryptOf(t, password)}))(t)
	wantSealed(t, db, eve.ID, "k1")
	if foreignHashes(t, db) != 1 {
		t.Error("not counted as foreign")
	}
	_, err := db.ImportUser(ctx, snib.UserImport{Provider: "email", Identifier: "x@example.com", PasswordHash: storedHashOf(t, db, eve.ID).PasswordHash})
	wantField(t, err, "PasswordHash")
	logIn(t, db, "eve@example.com")
	wantSealed(t, db, eve.ID, "k1")
	if foreignHashes(t, db) != 0 {
		t.Error("was not replaced")
	}
}

// Without the key Open goes on, and no call tells a known user from an unknown
// one, or counts an attempt.
func TestWithoutTheKeyEveryPasswordCallIsErrNoKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	ada := email(t, db, "ada@example.com")
	s := logIn(t, db, "ada@example.com")
	closeDB(t, db)
	for name, keys := range map[string][]snib.Key{"none": nil, "another": {testKey("k2", 2)}} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "copy.db")
			if err := os.WriteFile(copied, must(os.ReadFile(path))(t), 0o600); err != nil {
				t.Fatal(err)
			}
			o := sealing(keys...)
			o.Throttle.BeforeAuth = func(context.Context, snib.Attempt) error { t.Error("an attempt was counted"); return nil }
			db := openFile(t, copied, o)
			withoutKey(t, db, ada.ID)
			if keys == nil { // setting one would store it in clear
				settingWithoutKey(t, db, ada.ID)
			} else {
				must(db.UpdateUserPassword(ctx, ada.ID, password))(t)
				wantSealed(t, db, ada.ID, "k2")
			}
			if keys == nil {
				valid(t, db, s)
				must(db.Check(ctx))(t)
				must(db.Repair(ctx))(t)
			}
			must(db.RemoveUserPassword(ctx, ada.ID))(t)
			must(db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "without a password"}))(t)
		})
	}
}

func withoutKey(t *testing.T, db *snib.DB, id snib.UserID) {
	t.Helper()
	var texts []string
	for _, address := range []string{"ada@example.com", "nobody@example.com"} {
		for _, p := range []string{password, "a wrong password"} {
			_, _, err := db.LogIn(ctx, "email", address, p, snib.SessionOptions{})
			wantErr(t, err, snib.ErrNoKey)
			if errors.Is(err, snib.ErrInvalidCredentials) {
				t.Error("taken for a verdict")
			}
			texts = append(texts, err.Error())
			_, err = db.AuthenticateUser(ctx, "email", address, p)
			wantErr(t, err, snib.ErrNoKey)
		}
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("%q differs from %q", text, texts[0])
		}
	}
	_, err := db.ChangePassword(ctx, "no token", password, "another passphrase")
	wantErr(t, err, snib.ErrNoKey)
	_, err = db.Reauthenticate(ctx, "no token", password)
	wantErr(t, err, snib.ErrNoKey)
}

func settingWithoutKey(t *testing.T, db *snib.DB, id snib.UserID) {
	t.Helper()
	before, _ := content(t, db)
	for _, id := range []snib.UserID{id, "nobody"} {
		_, err := db.UpdateUserPassword(ctx, id, "another passphrase")
		wantErr(t, err, snib.ErrNoKey)
	}
	_, err := db.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "y", Password: password})
	wantErr(t, err, snib.ErrNoKey)
	_, err = db.ImportUser(ctx, snib.UserImport{Provider: "x", Identifier: "y", PasswordHash: foreignHash})
	wantErr(t, err, snib.ErrNoKey)
	_, err = db.File().Reseal(ctx)
	wantErr(t, err, snib.ErrNoKey)
	if after, _ := content(t, db); !maps.Equal(before, after) {
		t.Error("something was written")
	}
}

// A key under which no hash is sealed is not missed.
func TestAKeyThatSealedNothingIsNotNeeded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, &snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	email(t, db, "ada@example.com")
	closeDB(t, db)
	db = openFile(t, path, nil)
	logIn(t, db, "ada@example.com")
	must(db.Check(ctx))(t)
}

// Another secret under an id that the file knows fails Open, which changes
// nothing; a canary that was forged in the file too.
func TestOpenRefusesAWrongKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	email(t, db, "ada@example.com")
	closeDB(t, db)
	before := must(os.ReadFile(path))(t)
	for name, keys := range map[string][]snib.Key{
		"only": {testKey("k1", 2)}, "second": {testKey("k2", 2), testKey("k1", 2)},
	} {
		_, err := snib.Open(path, snibtest.Fast(sealing(keys...)))
		wantField(t, err, "Options.Keys[k1]")
		_, err = snib.RepairFile(ctx, path, snibtest.Fast(sealing(keys...)))
		wantField(t, err, "Options.Keys[k1]")
		if !bytes.Equal(before, must(os.ReadFile(path))(t)) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	db = openFile(t, path, nil)
	rawSealKeys(t, db, func(k *codec.SealKeys) { k.Keys[0].Canary[0] ^= 1 })
	closeDB(t, db)
	_, err := snib.Open(path, snibtest.Fast(sealing(testKey("k1", 1))))
	wantField(t, err, "Options.Keys[k1]")
	report := must(snib.RepairFile(ctx, path, snibtest.Fast(sealing(testKey("k1", 1)))))(t)
	if report.Repaired != 1 {
		t.Errorf("%+v", report)
	}
	db = openFile(t, path, sealing(testKey("k1", 1)))
	logIn(t, db, "ada@example.com")
	must(db.Check(ctx))(t)
}

// rawSealKeys changes the list of keys in the file.
func rawSealKeys(tb testing.TB, db *snib.DB, change func(*codec.SealKeys)) {
	tb.Helper()
	b := handle(tb, db)
	keys := must(codec.DecodeSealKeys(rawGet(tb, b, "meta", codec.KeySealKeys)))(tb)
	change(&keys)
	rawPut(tb, b, "meta", codec.KeySealKeys, keys.Append(nil))
}

// A list of keys that is lost is made anew by a program that has the keys, and
// by no other: it could not tell sound values from others.
func TestRepairMakesTheListOfKeysAnew(t *testing.T) {
	for name, spoil := range map[string]func(testing.TB, *snib.DB){
		"missing": func(tb testing.TB, db *snib.DB) { rawDelete(tb, handle(tb, db), "meta", codec.KeySealKeys) },
		"damaged": func(tb testing.TB, db *snib.DB) {
			rawPut(tb, handle(tb, db), "meta", codec.KeySealKeys, flip(rawGet(tb, handle(tb, db), "meta", codec.KeySealKeys), 20))
		},
		"of another version": func(tb testing.TB, db *snib.DB) { rawSealKeys(tb, db, func(k *codec.SealKeys) { k.Version++ }) },
		"without a key":      func(tb testing.TB, db *snib.DB) { rawSealKeys(tb, db, func(k *codec.SealKeys) { k.Keys = k.Keys[:1] }) },
		"without its uses":   func(tb testing.TB, db *snib.DB) { rawSealKeys(tb, db, func(k *codec.SealKeys) { k.Keys[1].Uses = 0 }) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			db := openFile(t, path, sealing(testKey("k1", 1)))
			ada := email(t, db, "ada@example.com")
			closeDB(t, db)
			both := []snib.Key{testKey("k2", 2), testKey("k1", 1)}
			db = openFile(t, path, sealing(both...))
			b := handle(t, db)
			spoil(t, db)
			report, err := db.Check(ctx)
			wantErr(t, err, snib.ErrCorrupt)
			if p := report.Problems[0]; p.Invariant != 1 || p.Space != "meta" {
				t.Errorf("%v", report.Problems)
			}
			sealed := must(codec.DecodeUser([]byte(ada.ID), rawGet(t, b, "users", string(ada.ID))))(t).PasswordHash
			must(db.Repair(ctx))(t)
			must(db.Check(ctx))(t)
			if storedHashOf(t, db, ada.ID).PasswordHash != sealed {
				t.Error("Repair changed a sound hash")
			}
			logIn(t, db, "ada@example.com")
			wantSealed(t, db, ada.ID, "k2")
			closeDB(t, db)
			openFile(t, path, sealing(both...))
		})
	}
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, sealing(testKey("k1", 1)))
	ada := email(t, db, "ada@example.com")
	closeDB(t, db)
	db = openFile(t, path, nil)
	rawDelete(t, handle(t, db), "meta", codec.KeySealKeys)
	_, err := db.Repair(ctx)
	wantField(t, err, "Options.Keys")
	wantSealed(t, db, ada.ID, "k1")
}

// A list that is made anew where the state is lost too has a version that no
// handle has seen: a handle that keeps the keys of a version must read them again.
func TestRepairGivesKeysAVersionThatNobodyHasSeen(t *testing.T) {
	db := snibtest.OpenDB(t, filepath.Join(t.TempDir(), "a.db"), sealing(testKey("k1", 1)))
	email(t, db, "ada@example.com")
	logIn(t, db, "ada@example.com")
	b := handle(t, db)
	version := func() uint64 {
		return must(codec.DecodeSealKeys(rawGet(t, b, "meta", codec.KeySealKeys)))(t).Version
	}
	before := version()
	rawDelete(t, b, "meta", codec.KeySealKeys)
	rawPut(t, b, "meta", codec.KeyState, flip(rawGet(t, b, "meta", codec.KeyState), 12))
	must(db.Repair(ctx))(t)
	if after := version(); after <= before {
		t.Errorf("version %d after %d", after, before)
	}
	logIn(t, db, "ada@example.com")
}

// Two handles on one file: the key that one makes the current one is the one
// under which both seal, or the other does not seal.
func TestAnotherHandleChangesTheKey(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "app.db"))
	open := func(keys ...snib.Key) *snib.DB {
		o := snibtest.Fast(sealing(keys...))
		o.InsecureNoSync = true
		return must(snib.New(b, o))(t)
	}
	old, both := open(testKey("k1", 1)), open(testKey("k1", 1), testKey("k2", 2))
	wrong := open(testKey("k1", 1), testKey("k2", 9)) // of an id that no handle has used yet
	ada := email(t, old, "ada@example.com")
	fresh := open(testKey("k2", 2), testKey("k1", 1))
	before, _ := content(t, fresh)
	_, err := old.UpdateUserPassword(ctx, ada.ID, "another passphrase")
	wantErr(t, err, snib.ErrNoKey)
	_, err = old.CreateUser(ctx, snib.NewUser{Provider: "x", Identifier: "y", Password: password})
	wantErr(t, err, snib.ErrNoKey)
	_, err = wrong.UpdateUserPassword(ctx, ada.ID, "another passphrase")
	wantErr(t, err, snib.ErrNoKey)
	if after, _ := content(t, fresh); !maps.Equal(before, after) {
		t.Error("something was written")
	}
	logIn(t, old, "ada@example.com") // k1 still opens it
	wantSealed(t, old, ada.ID, "k1")
	bob := email(t, both, "bob@example.com")
	wantSealed(t, both, bob.ID, "k2")
	wantErr(t, second(old.AuthenticateUser(ctx, "email", "ada@example.com", password)), snib.ErrNoKey) // k2 is in use
	if _, err := snib.New(b, snibtest.Fast(&snib.Options{Keys: []snib.Key{testKey("k2", 9)}, InsecureNoSync: true})); err == nil {
		t.Error("a wrong key was taken")
	}
	must(fresh.Check(ctx))(t)
}

// Copies have sealed values as they are, and a restored one is refused with
// the wrong key.
func TestRestoreVerifiesTheKeys(t *testing.T) {
	dir := t.TempDir()
	db := openFile(t, filepath.Join(dir, "a.db"), sealing(testKey("k1", 1)))
	ada := email(t, db, "ada@example.com")
	sealed := storedHashOf(t, db, ada.ID).PasswordHash
	backup, compact := filepath.Join(dir, "backup.db"), filepath.Join(dir, "compact.db")
	if err := errors.Join(db.File().BackupFile(ctx, backup, nil), db.File().CompactTo(ctx, compact, nil)); err != nil {
		t.Fatal(err)
	}
	for i, from := range []string{backup, compact} {
		to := filepath.Join(dir, fmt.Sprint("restored", i, ".db"))
		_, err := snib.Restore(ctx, from, to, &snib.RestoreOptions{Options: snibtest.Fast(sealing(testKey("k1", 2)))})
		wantField(t, err, "Options.Keys[k1]")
		if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file was restored: %v", err)
		}
		for _, keys := range [][]snib.Key{nil, {testKey("k1", 1)}, {testKey("k2", 2), testKey("k1", 1)}} {
			report := must(snib.Restore(ctx, from, to, &snib.RestoreOptions{Replace: true, Options: snibtest.Fast(sealing(keys...))}))(t)
			if report.SealedHashes != 1 {
				t.Errorf("%+v", report)
			}
			restored := openFile(t, to, nil)
			if storedHashOf(t, restored, ada.ID).PasswordHash != sealed {
				t.Error("the hash was changed")
			}
			keys := must(codec.DecodeSealKeys(rawGet(t, handle(t, restored), "meta", codec.KeySealKeys)))(t)
			if len(keys.Keys) != 1 || keys.Keys[0].ID != "k1" {
				t.Errorf("keys %v", keys.Keys)
			}
			closeDB(t, restored)
		}
		restored := openFile(t, to, sealing(testKey("k1", 1)))
		logIn(t, restored, "ada@example.com")
	}
}
