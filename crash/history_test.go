package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// histories repeats histories for a while, and on a slow machine until they are
// enough, and returns their outcomes.
func histories(t *testing.T, d time.Duration, run func(n int) func(job) (string, error), enough func(historyFigures) bool) *historyFigures {
	t.Helper()
	var f historyFigures
	for end := time.Now().Add(d); time.Now().Before(end) || f.histories < 3 || !enough(f) && f.histories < 300; {
		j := job{Seed: *seed + uint64(f.histories)}
		if err := f.history(j, run(f.histories)); err != nil {
			t.Fatalf("seed %d: %v", j.Seed, err)
		}
	}
	t.Logf("seed %d: %v", *seed, f)
	if f.overlapping < f.calls/10 || f.inconclusive > f.histories/10+1 {
		t.Errorf("the histories are too dull or too hard to show anything")
	}
	return &f
}

// TestHistories: whatever several clients do to one user at once, each call
// happens at one moment.
func TestHistories(t *testing.T) {
	never := func(f historyFigures) (list []string) {
		for _, name := range historyNames {
			if f.ended[name+" "+answerOK] == 0 {
				list = append(list, name)
			}
		}
		return list
	}
	f := histories(t, *historyFor/2, func(int) func(job) (string, error) { return calm },
		func(f historyFigures) bool { return len(never(f)) == 0 })
	for _, name := range never(*f) {
		t.Errorf("%s has never succeeded", name)
	}
	if f.unknown+f.failed > 0 {
		t.Errorf("nothing was made to fail, and there is %v", f.ended)
	}
	if testing.Verbose() {
		for _, k := range slices.Sorted(maps.Keys(f.ended)) {
			t.Logf("%6d %s", f.ended[k], k)
		}
	}
}

// TestHistoriesUnderFaults: the same while syncs and writes fail and clients
// open the file again. Clients who take ErrUnknown for a failure are found.
func TestHistoriesUnderFaults(t *testing.T) {
	if raceDetector {
		t.Skip("the child has the work to do; scripts/crash.sh runs it without the race detector")
	}
	traceable(t)
	f := histories(t, *historyFor/4, func(n int) func(job) (string, error) {
		return failing([]injection{{"fdatasync", "EIO", 9 + n%5, 25}, {"pwrite64", "ENOSPC", 20 + n%7, 23}}[n%2])
	}, func(f historyFigures) bool { return f.unknown > 0 && f.failed > 0 })
	if f.unknown == 0 || f.failed == 0 {
		t.Errorf("nothing failed: %v", f)
	}
	var m historyFigures
	for m.histories < 100 {
		err := m.history(job{Seed: *seed + uint64(m.histories), Mutant: "plain"}, failing(injection{"fdatasync", "EIO", 9, 25}))
		if err != nil && strings.Contains(err.Error(), "NOT LINEARIZABLE") {
			t.Logf("ErrUnknown taken for \"it did not happen\": found in history %d", m.histories)
			return
		}
	}
	t.Errorf("ErrUnknown taken for \"it did not happen\": not found in %v", m)
}

// TestHistoriesUnderKills: the same while the process is killed and started
// again.
func TestHistoriesUnderKills(t *testing.T) {
	f := histories(t, *historyFor/4, func(int) func(job) (string, error) { return killing },
		func(f historyFigures) bool { return f.unknown > 0 })
	if f.unknown == 0 {
		t.Errorf("no call was under way at a kill: %v", f)
	}
}

// historyHelper is a file of a library with the mistakes of historyPlants; the
// environment says which is made.
const historyHelper = `package snib

import (
	"context"
	"sync"
	"time"
)

var plantedSessions sync.Map

type plantedSession struct {
	s  Session
	at time.Time
}

func (db *DB) plantedValidate(ctx context.Context, token string) (Session, error) {
	if v, ok := plantedSessions.Load(token); ok && time.Since(v.(plantedSession).at) < 5*time.Millisecond {
		return v.(plantedSession).s, nil
	}
	var s Session
	err := db.View(ctx, func(tx *Tx) (err error) { s, err = tx.ValidateSession(token); return err })
	if err == nil {
		plantedSessions.Store(token, plantedSession{s, time.Now()})
	}
	return s, err
}

func (db *DB) plantedRevoke(token string) {
	time.Sleep(2 * time.Millisecond)
	db.Update(context.Background(), func(tx *Tx) error { return tx.RevokeToken(token) })
}

func (o OneTimeTokens) plantedUse(ctx context.Context, purpose, token string) (OneTimeToken, error) {
	t, err := o.Peek(ctx, purpose, token)
	if err == nil {
		err = o.Revoke(ctx, t.UserID, t.ID)
	}
	return t, err
}
`

// historyPlants are mistakes that no single caller could see.
var historyPlants = []plant{
	{name: "a validation is cached for 5 ms", file: "sessions.go", anchor: "func (db *DB) ValidateSession(ctx context.Context, token string) (Session, error) {",
		text: "\nreturn db.plantedValidate(ctx, token)"},
	{name: "a revocation happens 2 ms after it was acknowledged", file: "user_sessions.go", anchor: "func (db *DB) RevokeToken(ctx context.Context, token string) error {",
		text: "\ngo db.plantedRevoke(token)\nreturn nil"},
	{name: "a one-time token is read and removed in two transactions", file: "onetime.go", anchor: "func (o OneTimeTokens) Use(ctx context.Context, purpose, token string) (OneTimeToken, error) {",
		text: "\nreturn o.plantedUse(ctx, purpose, token)"},
}

// TestHistoriesFindPlants: histories are worth what they find, and the same
// library without a mistake passes.
func TestHistoriesFindPlants(t *testing.T) {
	if raceDetector {
		t.Skip("the child has no race detector; scripts/crash.sh runs it without")
	}
	program := plantedChild(t)
	for _, p := range append([]plant{{}}, historyPlants...) {
		t.Run(fmt.Sprintf("%q", p.name), func(t *testing.T) {
			var f historyFigures
			for f.histories < 200 {
				j := job{Seed: *seed + uint64(f.histories), Mutant: p.name, program: program}
				err := f.history(j, calm)
				switch {
				case err == nil && p.name == "" && f.histories == 5:
					return
				case err == nil:
					continue
				case p.name == "" || !strings.Contains(err.Error(), "NOT LINEARIZABLE"):
					t.Fatalf("seed %d: found something else: %v", j.Seed, err)
				}
				t.Logf("found in history %d; the end of it: %s", f.histories, lastLines(err.Error(), 3))
				return
			}
			t.Errorf("seed %d: not found in %v", *seed, f)
		})
	}
}

// lastLines returns the end of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
