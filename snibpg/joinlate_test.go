package snibpg_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibpg"
)

// code is that of an authenticator (RFC 6238) now.
func code(t *testing.T, e snib.TOTPEnrolment) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret.Reveal())
	must(t, err)
	h := hmac.New(sha1.New, key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30)))
	sum := h.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}

// TestJoinTellsNothingEarly: the count of wrong codes is in memory. It does not begin
// anew for a reset that the program rolls back.
func TestJoinTellsNothingEarly(t *testing.T) {
	db, err := openWith(engine(t, snibpg.Options{}), 0)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	u := newUser(t, db)
	e, err := db.Factors().BeginTOTP(ctx, u, "Notes", "phone")
	must(t, err)
	_, err = db.Factors().ConfirmTOTP(ctx, u, e.ID, code(t, e))
	must(t, err)
	guess := func() error {
		u, err := db.GetUser(ctx, u.ID)
		must(t, err)
		_, err = db.CreateSession(ctx, u, snib.SessionOptions{})
		waits, ok := errors.AsType[*snib.SecondFactorError](err)
		if !ok {
			t.Fatal(err)
		}
		wrong := "000000"
		if code(t, e) == wrong {
			wrong = "111111"
		}
		_, _, err = db.Factors().FinishLogIn(ctx, waits.Pending.Reveal(), wrong)
		return err
	}
	var last time.Time
	for n := 0; ; n++ {
		if err = guess(); errors.Is(err, snib.ErrThrottled) {
			break
		}
		if last = time.Now(); n == 20 || !errors.Is(err, snib.ErrInvalidCredentials) {
			t.Fatal(err)
		}
	}
	tx, err := ownPool(t).BeginTx(ctx, serializable)
	must(t, err)
	must(t, join(db, tx, func(in *snib.Tx) error { _, err := in.Factors().Reset(ctx, u.ID); return err }))
	must(t, tx.Rollback(ctx))
	err = guess()
	if time.Since(last) < 20*time.Second && !errors.Is(err, snib.ErrThrottled) {
		t.Errorf("after a reset that was rolled back: %v", err)
	}
}

// TestJoinAfterAnEndInRetry: what Retry has found of a transaction that its function
// then ended says nothing of the next one on the connection, which may be of accounts
// that are elsewhere.
func TestJoinAfterAnEndInRetry(t *testing.T) {
	db, _ := orders(t)
	pool := ownPool(t)
	var database string
	must(t, pool.QueryRow(ctx, "select 'other_' || (random() * 1e15)::bigint").Scan(&database))
	_, err := pool.Exec(ctx, "create database "+database)
	must(t, err)
	defer pool.Exec(ctx, "drop database "+database+" with (force)")
	e, err := snibpg.Open(ctx, with(t, "dbname="+database), nil)
	must(t, err)
	there, err := snib.OpenStore(ctx, e, &snib.Options{SweepEvery: -1})
	must(t, err)
	defer there.Close()
	conn, err := pgx.Connect(ctx, with(t, "dbname="+database))
	must(t, err)
	defer conn.Close(ctx)
	for what, end := range map[string]func(pgx.Tx) error{
		"commit":   func(tx pgx.Tx) error { return tx.Commit(ctx) },
		"rollback": func(tx pgx.Tx) error { return errors.Join(tx.Rollback(ctx), snib.ErrUserNotFound) },
	} {
		if err := snibpg.Retry(ctx, there, conn, end); err == nil {
			t.Errorf("%s: nil", what)
		}
		tx, err := conn.BeginTx(ctx, serializable)
		must(t, err)
		err = join(db, tx, func(*snib.Tx) error { t.Errorf("%s: the closure ran", what); return nil })
		if err == nil || !strings.Contains(err.Error(), "another database") {
			t.Errorf("%s: %v", what, err)
		}
		must(t, tx.Rollback(ctx))
	}
}
