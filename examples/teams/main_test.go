package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

var ctx = context.Background()

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	const want = "bob has joined: 2 members\nbob is deleted: 1 members\nada, the owner, is deleted: 0 members\n"
	if out.String() != want {
		t.Errorf("it says %q", out.String())
	}
}

func user(t *testing.T, db *snib.DB, id snib.UserID) {
	t.Helper()
	if _, err := db.ImportUser(ctx, snib.UserImport{ID: id, Provider: "username", Identifier: string(id)}); err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestTeams: members invite, a code is good once, and rows go with their users.
func TestTeams(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Owned: owned})
	for _, id := range []snib.UserID{"ada", "ad", "bob", "eve"} {
		user(t, db, id)
	}
	teams := Teams{db}
	engine := must(teams.Create(ctx, "ada", "engine"))
	other := must(teams.Create(ctx, "ad", "a\u2400engine"))
	refused := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	_, err := teams.Create(ctx, "ada", "engine")
	refused("a second one", err, errTaken)
	_, err = teams.Create(ctx, "ada", "a\x00b")
	refused("a zero byte", err, errName)
	_, err = teams.Create(ctx, "nobody", "x")
	refused("no user", err, snib.ErrUserNotFound)
	_, err = teams.Invite(ctx, "eve", engine)
	refused("an invitation by a stranger", err, errRefused)

	code := must(teams.Invite(ctx, "ada", engine))
	for _, wrong := range []string{"", "ada", "ada.", code + "x", strings.Replace(code, "ada", "bob", 1)} {
		_, err = teams.Accept(ctx, "bob", wrong)
		refused("a wrong code", err, errRefused)
	}
	if got := must(teams.Accept(ctx, "bob", code)); got != engine {
		t.Errorf("joined %v", got)
	}
	_, err = teams.Accept(ctx, "eve", code)
	refused("a used code", err, errRefused)
	byBob := must(teams.Invite(ctx, "bob", engine))

	list := func(team Team, want ...string) {
		t.Helper()
		if got := must(teams.Members(ctx, team)); !slices.Equal(got, want) {
			t.Errorf("members %q, want %q", got, want)
		}
	}
	list(engine, "ada: owner", "bob: member")
	if err := db.DeleteUser(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	list(engine, "ada: owner")
	_, err = teams.Accept(ctx, "eve", byBob)
	refused("an invitation of one who has left", err, errRefused)
	user(t, db, "bob") // another one, who gets the id
	list(engine, "ada: owner")
	if err := db.DeleteUser(ctx, "ada"); err != nil {
		t.Fatal(err)
	}
	list(engine)
	list(other, "ad: owner")
	if r := must(db.Check(ctx)); fmt.Sprint(r.Rows, r.OrphanRows) != "2 0" { // of ad
		t.Errorf("%d rows, %d orphans", r.Rows, r.OrphanRows)
	}
}
