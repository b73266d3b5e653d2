package proof_test

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// Attackers against an account whose owner has a known device, and with one
// that was stolen.

// A siege is an account with ten identities, in a database whose processes come
// and go.
type siege struct {
	*testing.T
	clock *snibtest.Clock
	path  string
	db    *snib.DB
	owner snib.User
}

func newSiege(t *testing.T) *siege {
	t.Helper()
	s := &siege{T: t, clock: snibtest.NewClock(), path: filepath.Join(t.TempDir(), "a.db")}
	s.restart()
	s.owner = email(t, s.db, "owner@example.com")
	for i := range 9 {
		must(s.db.LinkIdentity(ctx, s.owner.ID, "email", fmt.Sprintf("other%d@example.com", i)))(t)
	}
	return s
}

func (s *siege) restart() {
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			s.Fatal(err)
		}
	}
	s.db = snibtest.OpenDB(s.T, s.path, &snib.Options{Now: s.clock.Now})
}

// device is a new known device of the owner's.
func (s *siege) device() string {
	s.Helper()
	session := must(s.db.CreateSession(ctx, asNow(s, s.db, s.owner.ID), snib.SessionOptions{}))(s)
	return must(s.db.Devices().Remember(ctx, session))(s).Token.Reveal()
}

// guesses makes ten guesses at once, by each identity and from networks of their
// own, on devices, and returns how many were made.
func (s *siege) guesses(round int, devices ...string) (made int64) {
	var all sync.WaitGroup
	var n atomic.Int64
	for c := range 10 {
		all.Go(func() {
			addr := netip.AddrFrom4([4]byte{81, byte(round), byte(round >> 8), byte(c)})
			name := fmt.Sprintf("other%d@example.com", c)
			if c == 9 {
				name = "Owner@Example.com"
			}
			on := snib.WithDevice(snib.WithClient(ctx, addr), devices...)
			switch _, _, err := s.db.LogIn(on, "email", name, "a guess", snib.SessionOptions{}); {
			case err == nil:
				s.Error("a guess has made a session")
			case errors.Is(err, snib.ErrInvalidCredentials):
				n.Add(1)
			}
		})
	}
	all.Wait()
	return n.Load()
}

// TestAttackOnTheOwnerOfAKnownDevice: strangers guess for a day, and close the
// account to each other; its owner's browser gets in each time.
func TestAttackOnTheOwnerOfAKnownDevice(t *testing.T) {
	s := newSiege(t)
	device := s.device()
	refused := 0
	for minute := range 24 * 60 {
		s.guesses(minute)
		if _, err := s.db.AuthenticateUser(ctx, "email", "owner@example.com", password); errors.Is(err, snib.ErrThrottled) {
			refused++
		} else {
			t.Fatal("strangers are not throttled: this attack shows nothing")
		}
		if minute%60 == 0 {
			if _, _, err := s.db.LogIn(snib.WithDevice(ctx, device), "email", "owner@example.com", password, snib.SessionOptions{}); err != nil {
				t.Fatalf("minute %d: the owner's browser: %v", minute, err)
			}
			s.restart()
		}
		s.clock.Advance(time.Minute)
	}
}

// TestAttackWithAStolenDevice: it guesses ten times in 15 minutes, whatever names,
// networks, devices beside it and processes there are, and no more after ten in
// a row; a device that was not stolen goes on.
func TestAttackWithAStolenDevice(t *testing.T) {
	s := newSiege(t)
	stolen, kept := s.device(), s.device()
	eve := email(t, s.db, "eve@example.com")
	evil := must(s.db.Devices().Remember(ctx, must(s.db.CreateSession(ctx, eve, snib.SessionOptions{}))(t)))(t).Token.Reveal()
	for _, p := range presentations(s.db) {
		if err := p.call(stolen); !errors.Is(err, p.refused) {
			t.Errorf("%s accepts a device: %v", p.name, err)
		}
	}
	// What strangers have is used up by now, so that each guess is the device's.
	s.guesses(0)
	var times []time.Duration
	spent := 0
	for second := 0; second < 60*60; second += 10 {
		if second%120 == 0 {
			s.restart()
		}
		if second < 30 || second%30 == 0 { // strangers go on, so that they stay throttled
			s.guesses(second)
		}
		for range s.guesses(second+7, evil, stolen) {
			times = append(times, time.Duration(second)*time.Second)
		}
		if _, err := s.db.Devices().Current(snib.WithDevice(ctx, stolen), s.owner.ID); err != nil && spent == 0 {
			spent = len(times)
		}
		s.clock.Advance(10 * time.Second)
	}
	for i, first := range times {
		n := 0
		for _, later := range times[i:] {
			if later-first < 15*time.Minute {
				n++
			}
		}
		if n > 10 {
			t.Errorf("%d guesses in the 15 minutes from %v", n, first)
		}
	}
	t.Logf("%d guesses in an hour, at %v", len(times), times)
	if spent != 10 {
		t.Errorf("the device was spent after %d guesses, want 10", spent)
	}
	if _, _, err := s.db.LogIn(snib.WithDevice(ctx, kept), "email", "owner@example.com", password, snib.SessionOptions{}); err != nil {
		t.Errorf("the owner's other device: %v", err)
	}
}
