package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A plant is a mistake in the library: text that follows an anchor in one of
// its files, and is run when the environment names the plant.
type plant struct {
	name, file, anchor, text string
	run                      job
}

// helper is a file of the planted library: it knows which plant is named, and
// commits the end of a user's records of one kind.
const helper = `package snib

import (
	"context"
	"os"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

var planted = os.Getenv("` + plantVariable + `")

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
	{"UpdateUserPassword", "passwords.go", "\nfunc (db *DB) UpdateUserPassword(ctx context.Context, id UserID, password string) (User, error) {", first(families, 1), only("UpdateUserPassword")},
	{"RemoveUserPassword", "passwords.go", "\nfunc (db *DB) RemoveUserPassword(ctx context.Context, id UserID) (User, error) {", first(sessions, 1), only("RemoveUserPassword")},
	{"ChangeCredentials", "change.go", "func (db *DB) ChangeCredentials(ctx context.Context, token string, change func(tx *Tx, s Session) error) (Session, error) {",
		planted("db.Update(ctx, func(tx *Tx) error { s, err := tx.ValidateSession(token); if err != nil { return err }; return change(tx, s) })", "Session{}, "), only("ChangeCredentials")},
	{"RevokeUserSessions", "user_sessions.go", "func (db *DB) RevokeUserSessions(ctx context.Context, id UserID, except ...SessionID) error {", first(families, 0), only("RevokeUserSessions")},
	{"RefreshTokens.RevokeAll", "families.go", "func (r RefreshTokens) RevokeAll(ctx context.Context, user UserID) error {",
		planted(fmt.Sprintf("r.at.db.plantedOwned(ctx, %d, user)", families), ""), only("RefreshTokens.RevokeAll")},
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

// plantedChild makes one child with all mistakes in its library, and leaves the
// library as it is. Job.Mutant says which of them the child makes.
func plantedChild(t *testing.T) string {
	t.Helper()
	buildOnce.Do(func() { builtChild, buildErr = buildPlanted(append(plants, historyPlants...)) })
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return builtChild
}

var (
	buildOnce  sync.Once
	builtChild string
	buildErr   error
)

func buildPlanted(plants []plant) (string, error) {
	dir, err := os.MkdirTemp("", "snib-planted-*") // TestMain removes it
	if err != nil {
		return "", err
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	files := map[string]string{"planted.go": helper, "planted_history.go": historyHelper}
	for _, p := range plants {
		if files[p.file] == "" {
			b, err := os.ReadFile(filepath.Join(root, p.file))
			if err != nil {
				return "", err
			}
			files[p.file] = string(b)
		}
		if n := strings.Count(files[p.file], p.anchor); n != 1 {
			return "", fmt.Errorf("%s has %d times %q", p.file, n, p.anchor)
		}
		files[p.file] = strings.Replace(files[p.file], p.anchor, fmt.Sprintf("%s\nif planted == %q {%s\n}", p.anchor, p.name, p.text), 1)
	}
	replace := map[string]string{}
	for name, text := range files {
		replace[filepath.Join(root, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay, child := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "child")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-overlay", overlay, "-o", child, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return child, nil
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
			r.Seed, r.Mutant, r.program = *seed, p.name, plantedChild(t)
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
