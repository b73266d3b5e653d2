package snib_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

func TestRestoreTakesRecoveryCodesAndUsedSteps(t *testing.T) {
	for _, keep := range []bool{false, true} {
		h := newHolder(t, snib.Options{})
		backup := filepath.Join(t.TempDir(), "backup.db")
		if err := h.db.File().BackupFile(ctx, backup, nil); err != nil {
			t.Fatal(err)
		}
		pending := h.pend(t)
		h.logIn(t)
		used := h.phone.last
		must(h.finish(h.pend(t), h.codes[0]))(t)
		o := &snib.Options{Now: h.clock.Now, Keys: []snib.Key{testKey("k1", 1)}}
		path := filepath.Join(t.TempDir(), "again.db")
		report := must(snib.Restore(ctx, backup, path, &snib.RestoreOptions{KeepSessions: keep, Options: snibtest.Fast(o)}))(t)
		if want := map[bool]int{false: 2, true: 1}[keep]; report.Ended != want || report.Records["factors"] != 2 {
			t.Errorf("%+v, want %d ended", report, want)
		}
		h.db = snibtest.OpenDB(t, path, o)
		for _, code := range []string{h.phone.at(used), h.phone.at(used + 1), h.phone.at(used + 2), h.codes[0], h.codes[1]} {
			_, err := h.finish(h.pend(t), code)
			wantErr(t, err, snib.ErrInvalidCredentials)
		}
		if _, err := h.finish(pending, h.codes[2]); keep {
			wantErr(t, err, snib.ErrInvalidCredentials)
		} else {
			wantErr(t, err, snib.ErrInvalidPending)
		}
		h.clock.Advance(90 * time.Second)
		h.logIn(t)
	}
}

// TestASeedOpensInItsPlaceOnly: a row that is copied to another user, or under
// another key, lets nobody in; Repair makes it one that is lost, and opens no
// account.
func TestASeedOpensInItsPlaceOnly(t *testing.T) {
	h := newHolder(t, snib.Options{})
	eve := email(t, h.db, "eve@example.com")
	eves := enrol(t, h.db, asNow(t, h.db, eve.ID))
	b := handle(t, h.db)
	mine := must(codec.DecodeFactor(rawKey(string(eves.id)), rawGet(t, b, "factors", string(eves.id))))(t)
	theirs := must(codec.DecodeFactor(rawKey(string(h.phone.id)), rawGet(t, b, "factors", string(h.phone.id))))(t)
	theirs.Secret = mine.Secret // whose codes eve can make
	rawPut(t, b, "factors", string(h.phone.id), theirs.Append(nil))
	_, err := h.finish(h.pend(t), eves.code(h.db))
	wantErr(t, err, snib.ErrInvalidCredentials)
	report, err := h.db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if p := report.Problems[0]; p.Invariant != 16 || p.Space != "factors" || p.ID != string(h.phone.id) {
		t.Errorf("%v", p)
	}
	must(h.db.Repair(ctx))(t)
	if f := must(h.db.Factors().List(ctx, h.user.ID))(t); f[0].Kind != snib.FactorLost || f[1].Left != 10 {
		t.Errorf("%+v", f)
	}
	_, err = h.finish(h.pend(t), h.phone.code(h.db))
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(h.finish(h.pend(t), h.codes[0]))(t)
}

// TestADamagedFactorOpensNoAccount: not before Repair and not after it.
func TestADamagedFactorOpensNoAccount(t *testing.T) {
	h := newHolder(t, snib.Options{})
	b := handle(t, h.db)
	value := rawGet(t, b, "factors", string(h.phone.id))
	value[len(value)-1] ^= 1
	rawPut(t, b, "factors", string(h.phone.id), value)
	_, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
	wantErr(t, err, snib.ErrCorrupt)
	must(h.db.Repair(ctx))(t)
	h.finishWrong(t)
	must(h.finish(h.pend(t), h.codes[0]))(t)
	must(h.db.Factors().Reset(ctx, h.user.ID))(t)
	logIn(t, h.db, "ada@example.com")
}

// TestALostKeyOpensNoAccount, neither as it is nor when Reseal gives it up.
func TestALostKeyOpensNoAccount(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	open := func(keys ...snib.Key) *snib.DB { return openFile(t, path, &snib.Options{Now: clock.Now, Keys: keys}) }
	h := &holder{db: open(testKey("k1", 1)), clock: clock}
	h.user = email(t, h.db, "ada@example.com")
	s := logIn(t, h.db, "ada@example.com")
	h.phone = enrolIn(t, h.db, &s)
	h.codes = printCodes(t, h.db, &s)[:1]
	pending := h.pend(t)
	closeDB(t, h.db)
	for _, keys := range [][]snib.Key{nil, {testKey("k2", 2)}} {
		h.db = open(keys...)
		_, _, err := h.db.LogIn(ctx, "email", "ada@example.com", password, snib.SessionOptions{})
		wantErr(t, err, snib.ErrNoKey)
		wantErr(t, second(h.db.AuthenticateUser(ctx, "email", "nobody@example.com", password)), snib.ErrNoKey) // alike
		wantErr(t, second(h.finish(pending, h.phone.code(h.db))), snib.ErrInvalidPending)
		closeDB(t, h.db)
	}
	h.db = open(testKey("k2", 2))
	report := must(h.db.File().Reseal(ctx, "k1"))(t)
	if report.Removed != 1 || fmt.Sprint(report.Retired) != "[k1]" {
		t.Errorf("%+v", report)
	}
	h.finishWrong(t)
	must(h.finish(h.pend(t), h.codes[0]))(t)
	must(h.db.Check(ctx))(t)
	closeDB(t, h.db)
}

// TestResealTakesSeedsAlong to another key, under which the old codes go on.
func TestResealTakesSeedsAlong(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	h := &holder{db: openFile(t, path, &snib.Options{Now: clock.Now, Keys: []snib.Key{testKey("k1", 1)}}), clock: clock}
	email(t, h.db, "ada@example.com")
	h.phone = enrol(t, h.db, logIn(t, h.db, "ada@example.com"))
	closeDB(t, h.db)
	clock.Advance(time.Minute)
	h.db = openFile(t, path, &snib.Options{Now: clock.Now, Keys: []snib.Key{testKey("k2", 2), testKey("k1", 1)}})
	if report := must(h.db.File().Reseal(ctx))(t); report.Sealed != 1 || fmt.Sprint(report.Retired) != "[k1]" {
		t.Errorf("%+v", report)
	}
	closeDB(t, h.db)
	h.db = openFile(t, path, &snib.Options{Now: clock.Now, Keys: []snib.Key{testKey("k2", 2)}})
	h.logIn(t)
	must(h.db.Check(ctx))(t)
}

// TestBeginTOTPAndCreateRecoveryCodesLeaveNoSecretInTheFile.
func TestBeginTOTPAndCreateRecoveryCodesLeaveNoSecretInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openFile(t, path, &snib.Options{Keys: []snib.Key{testKey("k1", 1)}})
	email(t, db, "ada@example.com")
	s := logIn(t, db, "ada@example.com")
	e := must(db.Factors().BeginTOTP(ctx, s, "Notes", "phone"))(t)
	phone := authenticatorOf(e)
	must(db.Factors().ConfirmTOTP(ctx, s, e.ID, phone.code(db)))(t)
	secrets := [][]byte{phone.seed, []byte(e.Secret.Reveal())}
	for _, c := range must(db.Factors().CreateRecoveryCodes(ctx, snib.FactorNotNeeded(asNow(t, db, s.UserID))))(t) {
		raw := make([]byte, 15)
		if !codec.DecodeBase32(raw, strings.ReplaceAll(c.Reveal(), "-", "")) {
			t.Fatal(c.Reveal())
		}
		secrets = append(secrets, raw, []byte(c.Reveal()))
	}
	closeDB(t, db)
	file := must(os.ReadFile(path))(t)
	for i, secret := range secrets {
		if bytes.Contains(file, secret) || bytes.Contains(file, []byte(fmt.Sprintf("%x", secret))) {
			t.Errorf("secret %d is in the file", i)
		}
	}
	if !bytes.Contains(file, []byte("$sealed$k1$")) {
		t.Error("no seed is in the file")
	}
}

// TestTheClockOfTheFileDoesNotMoveCodes: an authenticator follows the wall.
func TestTheClockOfTheFileDoesNotMoveCodes(t *testing.T) {
	h := newHolder(t, snib.Options{})
	h.clock.Advance(5 * time.Hour)
	asNow(t, h.db, h.user.ID)
	h.clock.Advance(-4 * time.Hour)
	h.logIn(t)
}
