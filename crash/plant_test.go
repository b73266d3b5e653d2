package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A plant is a mistake in the library: text that follows an anchor in one of
// its files, in a build of its own.
type plant struct {
	name, file, anchor, text string
	run                      job
}

// helper is a file of the planted library: it commits the end of a user's
// records of one kind.
const helper = `package snib

import (
	"context"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

func (db *DB) plantedOwned(ctx context.Context, kind int, id UserID) error {
	return db.update(ctx, func(tx *Tx) error {
		from, to := tx.rec.Owner(string(id)).AppendRange(nil)
		_, err := tx.rec.W.DeleteRange(records.Kinds[kind].Space, from, to)
		return err
	})
}

func (db *DB) plantedTree(ctx context.Context, kind int) error {
	return db.store.Exclusive(ctx, func(w kv.Tx) error {
		_, err := w.DeleteRange(records.Kinds[kind].Space, nil, nil)
		return err
	})
}
`

// Kinds by their place in records.Kinds.
const (
	sessions = iota
	families
	oneTime
)

// first commits part of a cascade before the rest: the records of one kind, in
// a method that returns a user and an error, or an error alone.
func first(kind int, values int) string {
	return planted(fmt.Sprintf("db.plantedOwned(ctx, %d, id)", kind), strings.Repeat("User{}, ", values))
}

// planted runs a call that returns an error before the rest of a method.
func planted(call, zero string) string {
	return "\n\tif err := " + call + "; err != nil {\n\t\treturn " + zero + "err\n\t}"
}

func only(name string) job { return job{Kind: "cascades", Ops: 2, Only: name} }

// plants are cascades in two transactions, one for each method that has one.
var plants = []plant{
	{"DeleteUser, sessions first", "users.go", "func (db *DB) DeleteUser(ctx context.Context, id UserID) error {", first(sessions, 0), only("DeleteUser")},
	{"DeleteUser, refresh tokens first", "users.go", "func (db *DB) DeleteUser(ctx context.Context, id UserID) error {", first(families, 0), only("DeleteUser")},
	{"DeleteUser, one-time tokens first", "users.go", "func (db *DB) DeleteUser(ctx context.Context, id UserID) error {", first(oneTime, 0), only("DeleteUser")},
	{"DisableUser", "users.go", "func (db *DB) DisableUser(ctx context.Context, id UserID, reason string) (User, error) {", first(oneTime, 1), only("DisableUser")},
	{"UpdateUserPassword", "passwords.go", "\nfunc (db *DB) UpdateUserPassword(ctx context.Context, id UserID, password string, keep ...SessionID) (User, error) {", first(families, 1), only("UpdateUserPassword")},
	{"RemoveUserPassword", "passwords.go", "\nfunc (db *DB) RemoveUserPassword(ctx context.Context, id UserID, keep ...SessionID) (User, error) {", first(sessions, 1), only("RemoveUserPassword")},
	{"RevokeUserSessions", "user_sessions.go", "func (db *DB) RevokeUserSessions(ctx context.Context, id UserID, except ...SessionID) error {", first(families, 0), only("RevokeUserSessions")},
	{"RevokeUserRefreshTokens", "refresh.go", "func (db *DB) RevokeUserRefreshTokens(ctx context.Context, id UserID) error {", first(families, 0), only("RevokeUserRefreshTokens")},
	{"UnlinkIdentity", "identities.go", "func (db *DB) UnlinkIdentity(ctx context.Context, id UserID, provider, identifier string) (User, error) {", first(oneTime, 1), only("UnlinkIdentity")},
	{"UpdateUserProviderID", "identities.go", "func (db *DB) UpdateUserProviderID(ctx context.Context, id UserID, provider, identifier string) (User, error) {", first(oneTime, 1), only("UpdateUserProviderID")},
	{"EndEverything", "meta.go", "func (db *DB) EndEverything(ctx context.Context) error {",
		planted("db.newEpoch(ctx, func(tx *Tx) int64 { return tx.rec.Now })", ""), only("EndEverything")},
	{"Repair, refresh tokens first", "repair.go", "func (db *DB) Repair(ctx context.Context) (RepairReport, error) {",
		planted(fmt.Sprintf("db.plantedTree(ctx, %d)", families), "RepairReport{}, "),
		job{Kind: "repairs", Ops: 2, Only: "Repair"}},
	{"upgrade, format 1's sessions first", "upgrade.go", "func (db *DB) upgrade(ctx context.Context) error {",
		planted("db.store.Exclusive(ctx, func(w kv.Tx) error { return dropTrees(w, formatOneTrees...) })", ""),
		job{Kind: "upgrade", Golden: "accounts.snib"}},
}

// build makes a child with the mistake in its library, and leaves the library
// as it is.
func (p plant) build(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("..", p.file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), p.anchor); n != 1 {
		t.Fatalf("%s has %d times %q", p.file, n, p.anchor)
	}
	dir := t.TempDir()
	help := filepath.Join(filepath.Dir(file), "planted.go")
	planted, helped, overlay, child := filepath.Join(dir, "planted.go"), filepath.Join(dir, "helper.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "child")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {file: planted, help: helped}})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]string{planted: strings.Replace(string(source), p.anchor, p.anchor+p.text, 1), helped: helper, overlay: string(text)} {
		if err := os.WriteFile(name, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-overlay", overlay, "-o", child, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return child
}

// TestCrashStatesFindPlants: a cascade of the library that is not one
// transaction is found, whichever it is.
func TestCrashStatesFindPlants(t *testing.T) {
	if raceDetector {
		t.Skip("the traced child has no race detector; scripts/crash.sh runs it without")
	}
	traceable(t)
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			r := crashRun{job: p.run, sector: 512, full: 2, samples: 1}
			r.Seed = *seed
			r.program = p.build(t)
			x, err := crashStates(r)
			switch {
			case err == nil:
				t.Fatalf("not found in %d states", x.states)
			case x == nil || !strings.Contains(err.Error(), "HALF") || !strings.Contains(err.Error(), r.Only):
				t.Fatalf("found something else: %v", err)
			}
			t.Logf("found after %d states", x.states)
		})
	}
}

// TestPlantsAreTheDifference: without a mistake the same runs find nothing.
func TestPlantsAreTheDifference(t *testing.T) {
	traceable(t)
	for _, p := range plants[2:] { // the first three are of one method
		r := crashRun{job: p.run, sector: 512, full: 1, samples: 1}
		r.Seed = *seed
		if _, err := crashStates(r); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}
