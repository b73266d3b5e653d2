package proof_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// These are programs of attackers, with hashes of their real cost. A flood has
// so many clients, each of which calls again as soon as it is answered.

const secret = "correct horse battery"

var background = context.Background()

// realCost opens a database with default options, but for those of o.
func realCost(t *testing.T, o *snib.Options) (*snib.DB, string) {
	t.Helper()
	if testing.Short() || underRace() {
		t.Skip("hashes at their real cost")
	}
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := snib.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, path
}

// underRace reports whether the race detector, under which times say nothing,
// is on.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func member(t *testing.T, db *snib.DB, address string) snib.User {
	t.Helper()
	u, err := db.CreateUser(snib.AsOperator(background), snib.NewUser{Provider: "email", Identifier: address, Password: secret})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// flood starts the clients, each with a number, and returns the function that
// ends them and says how many calls there were. call returns whether it was
// answered without work, and its client comes again after a round trip.
func flood(clients int, call func(ctx context.Context, client, i int) error) (stop func() int64) {
	ctx, cancel := context.WithCancel(background)
	var wg sync.WaitGroup
	var calls atomic.Int64
	for c := range clients {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				calls.Add(1)
				err := call(ctx, c, i)
				if errors.Is(err, snib.ErrBusy) || errors.Is(err, snib.ErrThrottled) {
					select {
					case <-ctx.Done():
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
		})
	}
	return func() int64 {
		cancel()
		wg.Wait()
		return calls.Load()
	}
}

// bystanders are calls that must get through a flood.
func bystanders(t *testing.T, db *snib.DB, u snib.User) map[string]func() error {
	t.Helper()
	session, err := db.CreateSession(background, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	link, err := db.Tokens().Create(background, member(t, db, "forgetful@example.com").ID, "reset", time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := member(t, db, "other@example.com")
	elsewhere := snib.WithClient(background, netip.MustParseAddr("198.51.100.77"))
	return map[string]func() error{
		"a log-in from another network": func() error {
			_, _, err := db.LogIn(elsewhere, "email", "owner@example.com", secret, snib.SessionOptions{})
			return err
		},
		"a change of password by the owner": func() error {
			next, err := db.ChangePassword(background, session.Token.Reveal(), secret, secret)
			if err == nil {
				session = next
			}
			return err
		},
		"an operator's reset": func() error {
			_, err := db.UpdateUserPassword(snib.AsOperator(background), other.ID, secret)
			return err
		},
		"a one-time link": func() error {
			_, err := db.HashPassword(snib.WithProof(background, link.Token.Reveal()), secret)
			return err
		},
	}
}

// through calls the bystanders in turn for some seconds, and fails the test for
// one that does not get through in two; in four, where it hashes twice.
func through(t *testing.T, list map[string]func() error, strangers bool) {
	t.Helper()
	times := map[string][]time.Duration{}
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); {
		for name, call := range list {
			if name == "a log-in from another network" && !strangers {
				continue
			}
			start := time.Now()
			if err := call(); err != nil {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
			times[name] = append(times[name], time.Since(start))
		}
	}
	for name, all := range times {
		slices.Sort(all)
		t.Logf("%-34s %3d calls, p50 %4d ms, worst %4d ms", name, len(all), all[len(all)/2].Milliseconds(), all[len(all)-1].Milliseconds())
		bound := 2 * time.Second
		if name == "a change of password by the owner" {
			bound *= 2
		}
		if worst := all[len(all)-1]; worst > bound {
			t.Errorf("%s: %v", name, worst)
		}
	}
}

// TestAttackByAHeavyHash: 40 connections that name an account whose imported
// hash takes 64 MiB.
func TestAttackByAHeavyHash(t *testing.T) {
	db, _ := realCost(t, &snib.Options{Throttle: snib.ThrottlePolicy{InsecureOff: true}}) // the gate alone
	owner := member(t, db, "owner@example.com")
	if _, err := db.ImportUser(background, snib.UserImport{
		Provider: "email", Identifier: "old@example.com",
		PasswordHash: "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	}); err != nil {
		t.Fatal(err)
	}
	stop := flood(40, func(ctx context.Context, c, i int) error {
		_, err := db.AuthenticateUser(snib.WithClient(ctx, netip.MustParseAddr("203.0.113.9")), "email", "old@example.com", "\ufb01x")
		return err
	})
	through(t, bystanders(t, db, owner), true)
	t.Logf("%d calls of the attacker", stop())
}

// TestAttackByInventedNames: 300 connections from one network, then from 300.
func TestAttackByInventedNames(t *testing.T) {
	for _, nets := range []int{1, 300} {
		t.Run(fmt.Sprint(nets, " networks"), func(t *testing.T) {
			db, _ := realCost(t, &snib.Options{Throttle: snib.ThrottlePolicy{InsecureOff: true}}) // the gate alone
			owner := member(t, db, "owner@example.com")
			stop := flood(300, func(ctx context.Context, c, i int) error {
				addr := netip.AddrFrom4([4]byte{81, byte(c % nets), byte(c % nets >> 8), byte(c)})
				_, err := db.AuthenticateUser(snib.WithClient(ctx, addr), "email", fmt.Sprintf("j%d.%d@example.com", c, i), "x")
				return err
			})
			// From 300 networks at once a stranger's turn is one of 301.
			through(t, bystanders(t, db, owner), nets == 1)
			t.Logf("%d calls of the attackers", stop())
		})
	}
}

// TestAttackOnTheTable: 10,000 names from one /24 make no room for guesses at
// the first, and take no memory.
func TestAttackOnTheTable(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	if _, err := db.CreateUser(background, snib.NewUser{Provider: "email", Identifier: "owner@example.com", Password: secret}); err != nil {
		t.Fatal(err)
	}
	guess := func(addr netip.Addr, name string) error {
		_, err := db.AuthenticateUser(snib.WithClient(background, addr), "email", name, "a guess")
		return err
	}
	for range 5 {
		guess(netip.MustParseAddr("198.51.100.1"), "owner@example.com")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	made := 0
	for i := range 10_000 {
		err := guess(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), fmt.Sprintf("n%d@example.com", i))
		if errors.Is(err, snib.ErrInvalidCredentials) {
			made++
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if made < 160 || made > 200 { // 160 at once and 16 a minute
		t.Errorf("%d of 10,000 from one /24 were tried", made)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("memory has grown by %d bytes", grown)
	}
	if err := guess(netip.MustParseAddr("192.0.2.1"), "owner@example.com"); !errors.Is(err, snib.ErrThrottled) {
		t.Errorf("the account is free again: %v", err)
	}
}

// TestAttackOnOneAccount: guesses through both identities, many networks, many
// at once, and a restart now and then.
func TestAttackOnOneAccount(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	options := &snib.Options{Now: clock.Now}
	db := snibtest.OpenDB(t, path, options)
	u, err := db.CreateUser(background, snib.NewUser{Provider: "email", Identifier: "owner@example.com", Password: secret})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		if _, err := db.LinkIdentity(background, u.ID, "email", fmt.Sprintf("other%d@example.com", i)); err != nil {
			t.Fatal(err)
		}
	}
	var guesses atomic.Int64
	for second := 0; second < 15*60; second += 5 {
		var wg sync.WaitGroup
		for c := range 10 {
			wg.Go(func() {
				addr := netip.AddrFrom4([4]byte{81, byte(second), byte(second >> 8), byte(c)})
				name := fmt.Sprintf("other%d@example.com", c)
				if c == 9 {
					name = "Owner@Example.com"
				}
				_, err := db.AuthenticateUser(snib.WithClient(background, addr), "email", name, "a guess")
				if errors.Is(err, snib.ErrInvalidCredentials) {
					guesses.Add(1)
				}
			})
		}
		wg.Wait()
		clock.Advance(5 * time.Second)
		if second%60 == 0 {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = snibtest.OpenDB(t, path, options)
		}
	}
	t.Logf("%d guesses in 15 minutes", guesses.Load())
	if n := guesses.Load(); n < 5 || n > 10 {
		t.Errorf("%d guesses in 15 minutes, at most 10", n)
	}
}

// TestAttackLearnsNothing: names with and without a user have the same answers,
// hashes and writes, and waits, at each step and across a restart.
func TestAttackLearnsNothing(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	options := &snib.Options{Now: clock.Now, Throttle: snib.ThrottlePolicy{Closes: func(snib.User) bool { return true }}}
	db := snibtest.OpenDB(t, path, options)
	if _, err := db.CreateUser(background, snib.NewUser{Provider: "email", Identifier: "known@example.com", Password: secret}); err != nil {
		t.Fatal(err)
	}
	writes, began := map[string]int64{}, time.Now()
	answer := func(name string) string {
		before, err := db.Stats(background)
		if err != nil {
			t.Fatal(err)
		}
		_, got := db.AuthenticateUser(background, "email", name, "a guess")
		after, err := db.Stats(background)
		if err != nil {
			t.Fatal(err)
		}
		writes[name] += after.Operations - before.Operations
		return fmt.Sprint(got)
	}
	waits := []time.Duration{0, 29 * time.Second, time.Second, time.Hour, 24 * time.Hour}
	for i := range 400 {
		clock.Advance(waits[i%len(waits)])
		known, unknown := answer("known@example.com"), answer("unknown@example.com")
		if known != unknown {
			t.Fatalf("attempt %d: %q for a name with a user, %q for one without", i, known, unknown)
		}
		if i%50 == 49 {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = snibtest.OpenDB(t, path, options)
		}
	}
	// What was written meanwhile was written by the background, once a second.
	for name, n := range writes {
		if n > int64(time.Since(began).Seconds())+1 {
			t.Errorf("%d writes in the answers to %s", n, name)
		}
	}
}
