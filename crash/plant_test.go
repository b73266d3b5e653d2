package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/snibdb/snib/internal/records"
)

// A plant is a mistake in the library: text that follows an anchor in one of
// its files, and is run when the environment names the plant.
type plant struct {
	name, file, anchor, text string
	run                      job
}

// says is the beginning of how it is found.
func (p *plant) says() string {
	if p.name == factorsFirst {
		return "INV-19" // the user's record has a flag, which Check compares
	}
	return "HALF"
}

const factorsFirst = "DeleteUser, each second factor first"

// helper is a file of the planted library: it knows which plant is named, and
// commits the end of a user's records of one kind.
const helper = `package snib

import (
	"context"
	"os"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

var planted = os.Getenv("` + plantVariable + `")

func (db *DB) plantedOwned(ctx context.Context, kind int, id UserID) error {
	return db.update(ctx, func(tx *Tx) error {
		k, c := records.Kinds[kind], records.Cascade{UserID: string(id)}
		if err := c.Add(&tx.rec, k, func(codec.OwnedKey, []byte) (bool, error) { return true, nil }); err != nil {
			return err
		}
		return c.Write(&tx.rec)
	})
}

func (db *DB) plantedTree(ctx context.Context, kind int) error {
	return db.store.Exclusive(ctx, func(w kv.Tx) error {
		_, err := w.DeleteRange(records.Kinds[kind].Space, nil, nil)
		return err
	})
}
`

// passesHelper is the same for a step of the sweep.
const passesHelper = `package passes

import (
	"context"
	"os"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

var planted = os.Getenv("` + plantVariable + `")

func (r *Runner) plantedOwned(ctx context.Context, kind int, ids []string) error {
	for _, id := range ids {
		err := r.Update(ctx, func(tx *records.Tx) error {
			k, c := records.Kinds[kind], records.Cascade{UserID: id}
			if err := c.Add(tx, k, func(codec.OwnedKey, []byte) (bool, error) { return true, nil }); err != nil {
				return err
			}
			return c.Write(tx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
`

// Kinds by their place in records.Kinds.
var (
	sessions = slices.Index(records.Kinds, records.Sessions)
	families = slices.Index(records.Kinds, records.Families)
	oneTime  = slices.Index(records.Kinds, records.OneTimeTokens)
	keysOf   = slices.Index(records.Kinds, records.APIKeys)
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

func only(name string) job { return job{Kind: "cascades", Ops: 1, Only: name} }

// deletions are a plant for each kind, which DeleteUser ends before the rest.
func deletions() (out []plant) {
	for i, k := range records.Kinds {
		out = append(out, plant{"DeleteUser, each " + k.Title + " first", "users.go", "func (db *DB) DeleteUser(ctx context.Context, id UserID) error {", first(i, 0), only("DeleteUser")})
	}
	return out
}

// plants are changes in two transactions, one for each method that has a cascade,
// and others for events and for records that are used up.
var plants = append(deletions(), []plant{
	{"DeleteUser, rows last", "users.go", "func (db *DB) DeleteUser(ctx context.Context, id UserID) error {", "\n\treturn db.plantedDelete(ctx, id)", only("DeleteUser")},
	{"Roles.Grant, event last", "roles.go", "func (r Roles) Grant(ctx context.Context, user UserID, role string) (User, error) {", "\n\treturn r.plantedGrant(ctx, user, role)", only("Roles.Grant")},
	{"APIKeys.CreateFor, event last", "apikeys.go", "func (a APIKeys) CreateFor(ctx context.Context, user UserID, k NewAPIKey) (APIKey, error) {",
		"\n\treturn a.plantedCreate(ctx, user, k)", only("APIKeys.CreateFor")},
	{"Factors.Remove, factor last", "factors.go", "func (f Factors) Remove(ctx context.Context, proof Proof, id FactorID) error {", "\n\treturn f.plantedRemove(ctx, proof, id)", only("Factors.Remove")},
	{"Factors.Reset, sessions first", "factors.go", "func (f Factors) Reset(ctx context.Context, user UserID) (User, error) {",
		planted(fmt.Sprintf("f.at.db.plantedOwned(ctx, %d, user)", sessions), "User{}, "), only("Factors.Reset")},
	{"Factors.FinishLogIn, code first", "finish.go", "func (f Factors) FinishLogIn(ctx context.Context, pending, code string) (Session, User, error) {",
		"\n\treturn f.plantedFinish(ctx, pending, code)", only("Factors.FinishLogIn")},
	{"Sweep of a guest, API keys first", "internal/passes/guests.go",
		"func (r *Runner) EndGuests(ctx context.Context, ids, protected []string) (removed int, err error) {",
		planted(fmt.Sprintf("r.plantedOwned(ctx, %d, ids)", keysOf), "0, "), only("Sweep of a guest")},
	{"AcceptInvitation, invitation last", "invitations.go", "func (x Identities) AcceptInvitation(ctx context.Context, token string, n NewUser) (User, error) {",
		"\n\treturn x.plantedAccept(ctx, token, n)", only("Identities.AcceptInvitation")},
	{"APIKeys.RevokeAll, one first", "apikeys.go", "func (a APIKeys) RevokeAll(ctx context.Context, user UserID) error {",
		planted("a.plantedRevoke(ctx, user)", ""), only("APIKeys.RevokeAll")},
	{"Devices.RevokeAll, one first", "devices.go", "func (o Devices) RevokeAll(ctx context.Context, user UserID) error {",
		planted("o.plantedRevoke(ctx, user)", ""), only("Devices.RevokeAll")},
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
		job{Kind: "repairs", Ops: 1, Only: "Repair"}},
	{"upgrade, format 1's sessions first", "meta.go", "	if err == nil && format.Version < codec.FormatVersion {",
		planted(`db.store.Exclusive(ctx, func(w kv.Tx) error { return dropTrees(w, "sessions", "user_sessions", "refresh_families", "user_refresh_families", "one_time_tokens", "user_one_time_tokens", "quarantine") })`, ""),
		job{Kind: "upgrade", Golden: "accounts.snib"}},
}...)

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
	files := map[string]string{"planted.go": helper, "planted_owned.go": ownedHelper, "planted_history.go": historyHelper,
		"internal/passes/planted.go": passesHelper}
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
		to := filepath.Join(dir, name)
		replace[filepath.Join(root, name)] = to
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
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

// wholePage tears no page: what was committed between shows a plant.
const wholePage = 4096

// TestCrashStatesFindPlants: a cascade of the library that is not one
// transaction is found, whichever it is.
func TestCrashStatesFindPlants(t *testing.T) {
	if raceDetector {
		t.Skip("the traced child has no race detector; scripts/crash.sh runs it without")
	}
	traceable(t)
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			r := crashRun{job: p.run, sector: wholePage, full: 2, samples: 1}
			r.Seed, r.Mutant, r.program = *seed, p.name, plantedChild(t)
			x, err := crashStates(r)
			switch {
			case err == nil:
				t.Fatalf("not found in %d states", x.states)
			case x == nil || !strings.Contains(err.Error(), p.says()) || p.says() == "HALF" && !strings.Contains(err.Error(), r.Only):
				t.Fatalf("found something else: %v", err)
			}
			t.Logf("found after %d states", x.states)
		})
	}
}

// TestPlantsAreTheDifference: without a mistake the same runs find nothing.
func TestPlantsAreTheDifference(t *testing.T) {
	traceable(t)
	done := map[string]bool{}
	for _, p := range plants {
		if done[p.run.Only] {
			continue // another plant in the same method
		}
		done[p.run.Only] = true
		r := crashRun{job: p.run, sector: wholePage, full: 1, samples: 1}
		r.Seed = *seed
		if _, err := crashStates(r); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}
