package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"github.com/snibdb/snib"
)

// TestTOTPAgreesWithAnotherLibrary: a key that it reads from the URI gives the codes
// that the database takes, at any time, and no others.
func TestTOTPAgreesWithAnotherLibrary(t *testing.T) {
	key, err := snib.NewKey("k1", bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	db, err := snib.Open(filepath.Join(t.TempDir(), "a.db"), &snib.Options{
		Keys: []snib.Key{key}, Now: func() time.Time { return now }, SweepEvery: -1, InsecureNoSync: true,
		Throttle: snib.ThrottlePolicy{InsecureOff: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	for _, name := range []string{"ada@example.com", "ünï & co?/=%:x@example.com"} {
		u, err := db.CreateUser(ctx, snib.NewUser{Provider: "name", Identifier: name})
		if err != nil {
			t.Fatal(err)
		}
		e, err := db.Factors().BeginTOTP(ctx, u, "My Notes & more", "phone")
		if err != nil {
			t.Fatal(err)
		}
		k, err := otp.NewKeyFromURL(e.URI.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if k.Type() != "totp" || k.Issuer() != "My Notes & more" || k.Secret() != e.Secret.Reveal() ||
			k.Period() != 30 || k.Digits() != otp.DigitsSix || k.Algorithm() != otp.AlgorithmSHA1 {
			t.Errorf("read as type %s, issuer %q, period %d, %d digits, %v", k.Type(), k.Issuer(), k.Period(), k.Digits(), k.Algorithm())
		}
		code := func(at time.Time) string {
			c, err := totp.GenerateCode(k.Secret(), at)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if _, err := db.Factors().ConfirmTOTP(ctx, u, e.ID, code(now)); err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			now = now.Add(2*time.Minute + time.Duration(i)*1777*time.Second) // to 2027
			u, err := db.GetUser(ctx, u.ID)
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.CreateSession(ctx, u, snib.SessionOptions{})
			first, ok := errors.AsType[*snib.SecondFactorError](err)
			if !ok {
				t.Fatal(err)
			}
			for skew, want := range map[time.Duration]bool{-2 * 30 * time.Second: false, 2 * 30 * time.Second: false, -30 * time.Second: true, 0: true, 30 * time.Second: true} {
				typed := code(now.Add(skew))
				if want != (skew == []time.Duration{-30 * time.Second, 0, 30 * time.Second}[i%3]) {
					continue // one right code a log-in; the wrong ones each time
				}
				if !want && (typed == code(now) || typed == code(now.Add(30*time.Second)) || typed == code(now.Add(-30*time.Second))) {
					continue // by chance
				}
				_, _, err := db.Factors().FinishLogIn(ctx, first.Pending.Reveal(), typed)
				if got := err == nil; got != want {
					t.Fatalf("at %v, code of %v: %v", now, skew, err)
				}
			}
		}
	}
}
