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
// so many clients, each of which calls again as soon as it is answered. What a
// bystander waits for is counted in hashes of the attackers, which says the same
// on any machine; on one, it is that time.

const secret = "correct horse battery"

var background = context.Background()

// realCost opens a database with default options, but for the gate alone between
// it and the attackers, and for the time that a call may wait.
func realCost(t *testing.T) *snib.DB {
	t.Helper()
	if testing.Short() || underRace() {
		t.Skip("hashes at their real cost")
	}
	db, err := snib.Open(filepath.Join(t.TempDir(), "a.db"), &snib.Options{
		Throttle:  snib.ThrottlePolicy{InsecureOff: true},
		Passwords: snib.PasswordPolicy{QueueTime: 5 * time.Minute}, // of a busy machine
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
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
// ends them and says how many calls there were; hashed counts those that cost a
// hash. A client whose call was answered without one comes again after a round trip.
func flood(clients int, call func(ctx context.Context, client, i int) error) (hashed *atomic.Int64, stop func() int64) {
	ctx, cancel := context.WithCancel(background)
	var wg sync.WaitGroup
	var calls atomic.Int64
	hashed = new(atomic.Int64)
	for c := range clients {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				calls.Add(1)
				err := call(ctx, c, i)
				if !errors.Is(err, snib.ErrBusy) && !errors.Is(err, snib.ErrThrottled) {
					hashed.Add(1)
					continue
				}
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
	return hashed, func() int64 {
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
	amongThem := snib.WithClient(background, netip.MustParseAddr("203.0.113.9")) // and the attackers
	elsewhere := snib.WithClient(background, netip.MustParseAddr("198.51.100.77"))
	return map[string]func() error{
		"a log-in from another network": func() error {
			_, _, err := db.LogIn(elsewhere, "email", "owner@example.com", secret, snib.SessionOptions{})
			return err
		},
		"a log-in on a known device": func() error {
			device, err := db.Devices().Remember(amongThem, session)
			if err != nil {
				return err
			}
			if token := device.Token.Reveal(); token != "" { // a change of the password has ended the last
				amongThem = snib.WithDevice(amongThem, token)
			}
			_, _, err = db.LogIn(amongThem, "email", "owner@example.com", secret, snib.SessionOptions{})
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

// through calls the bystanders in turn, once the attackers are many, and fails the
// test for one that waits for more of their hashes than a few on each processor:
// twice as many, where it hashes twice.
func through(t *testing.T, list map[string]func() error, strangers bool, hashed *atomic.Int64) {
	t.Helper()
	waits := map[string][]int64{}
	for range 4 {
		for name, call := range list {
			if name == "a log-in from another network" && !strangers {
				continue
			}
			before := hashed.Load()
			if err := call(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			waits[name] = append(waits[name], hashed.Load()-before)
		}
	}
	for name, all := range waits {
		slices.Sort(all)
		t.Logf("%-34s %3d calls, p50 %d hashes of attackers, worst %d", name, len(all), all[len(all)/2], all[len(all)-1])
		bound := fewHashes * int64(runtime.GOMAXPROCS(0))
		if name == "a change of password by the owner" {
			bound *= 2
		}
		if worst := all[len(all)-1]; worst > bound {
			t.Errorf("%s: waits for %d hashes, %d at most", name, worst, bound)
		}
	}
}

// fewHashes on each processor take less than a second.
const fewHashes = 6

// TestAttackByAHeavyHash: 40 connections that name an account whose imported
// hash takes 64 MiB.
func TestAttackByAHeavyHash(t *testing.T) {
	db := realCost(t)
	owner := member(t, db, "owner@example.com")
	if _, err := db.ImportUser(background, snib.UserImport{
		Provider: "email", Identifier: "old@example.com",
		PasswordHash: "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	}); err != nil {
		t.Fatal(err)
	}
	hashed, stop := flood(40, func(ctx context.Context, c, i int) error {
		_, err := db.AuthenticateUser(snib.WithClient(ctx, netip.MustParseAddr("203.0.113.9")), "email", "old@example.com", "\ufb01x")
		return err
	})
	through(t, bystanders(t, db, owner), true, hashed)
	t.Logf("%d calls of the attacker", stop())
}

// TestAttackByInventedNames: 300 connections from one network, then from 300.
func TestAttackByInventedNames(t *testing.T) {
	for _, nets := range []int{1, 300} {
		t.Run(fmt.Sprint(nets, " networks"), func(t *testing.T) {
			db := realCost(t)
			owner := member(t, db, "owner@example.com")
			hashed, stop := flood(300, func(ctx context.Context, c, i int) error {
				addr := netip.AddrFrom4([4]byte{81, byte(c % nets), byte(c % nets >> 8), byte(c)})
				_, err := db.AuthenticateUser(snib.WithClient(ctx, addr), "email", fmt.Sprintf("j%d.%d@example.com", c, i), "x")
				return err
			})
			// From 300 networks at once a stranger's turn is one of 301.
			through(t, bystanders(t, db, owner), nets == 1, hashed)
			t.Logf("%d calls of the attackers", stop())
		})
	}
}

// TestAttackOnTheTable: 10,000 names from one /24 make no room for guesses at
// the first, and take no memory.
func TestAttackOnTheTable(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
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
		if i%400 == 0 {
			clock.Advance(time.Second)
		}
		err := guess(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), fmt.Sprintf("n%d@example.com", i))
		if errors.Is(err, snib.ErrInvalidCredentials) {
			made++
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if made < 160 || made > 168 { // 160 at once and 16 a minute, for 25 seconds
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
