// Teams shows how a program keeps rows of its own beside the accounts, so that they
// leave with their user: teams, memberships and invitations.
//
//	go run ./examples/teams
//
// It works in a temporary file and removes it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snibdb/snib"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "teams:", err)
		os.Exit(1)
	}
}

// run plays the life of a team.
func run(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "snib-teams-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := snib.Open(filepath.Join(dir, "accounts.db"), &snib.Options{Owned: owned})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ada, err1 := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "ada"})
	bob, err2 := db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "bob"})
	if err := errors.Join(err1, err2); err != nil {
		return err
	}

	t := Teams{db}
	team, err := t.Create(ctx, ada.ID, "engine")
	if err != nil {
		return err
	}
	code, err := t.Invite(ctx, ada.ID, team)
	if err != nil {
		return err
	}
	if _, err := t.Accept(ctx, bob.ID, code); err != nil {
		return err
	}
	show := func(when string) error {
		list, err := t.Members(ctx, team)
		fmt.Fprintf(out, "%s: %d members\n", when, len(list))
		return err
	}
	return errors.Join(show("bob has joined"),
		db.DeleteUser(ctx, bob.ID), show("bob is deleted"),
		db.DeleteUser(ctx, ada.ID), show("ada, the owner, is deleted"))
}
