package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/snibdb/snib"
)

// script is a session of two people. typed is the answer to the password
// prompt; refused, the error that the step must give.
var script = []struct {
	args    []string
	typed   string
	refused error
}{
	{args: []string{"sign-up", "ada"}, typed: "correct horse battery"},
	{args: []string{"add", "the engine weaves algebraical patterns"}},
	{args: []string{"list"}},
	{args: []string{"sign-up", "grace"}, typed: "a moth in relay 70"}, // ends ada's session
	{args: []string{"list"}}, // without ada's notes
	{args: []string{"sign-out"}},
	{args: []string{"list"}, refused: snib.ErrInvalidSession},
	{args: []string{"sign-up", "Ada"}, typed: "another password", refused: snib.ErrIdentityTaken},
	{args: []string{"sign-in", "ada"}, typed: "a wrong password", refused: snib.ErrInvalidCredentials},
	{args: []string{"sign-in", "ADA"}, typed: "correct horse battery"},
	{args: []string{"sign-up", "joan", strings.Repeat("too long ", 1000)}, typed: "a long note and its user", refused: errNoteTooLong},
	{args: []string{"sign-in", "joan"}, typed: "a long note and its user", refused: snib.ErrInvalidCredentials}, // there is no joan
	{args: []string{"delete-account"}, typed: "correct horse battery"},
	{args: []string{"sign-in", "ada"}, typed: "correct horse battery", refused: snib.ErrInvalidCredentials},
}

// demonstrate plays the script in a temporary folder.
func demonstrate(ctx context.Context, opts snib.Options, stdout io.Writer) error {
	dir, err := os.MkdirTemp("", "snib-desktop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(stdout, "Two people share a computer (a script; run it with -h for the verbs).")
	for _, line := range script {
		fmt.Fprintf(stdout, "\n$ desktop %.60s\n", strings.Join(line.args, " "))
		var out strings.Builder
		err := command(ctx, opts, dir, line.args, strings.NewReader(line.typed+"\n"), &out)
		// A terminal echoes the typed line too.
		fmt.Fprint(stdout, strings.ReplaceAll(out.String(), "type): ", "type): "+line.typed))
		if !errors.Is(err, line.refused) {
			return fmt.Errorf("%s: got %w, want %v", line.args[0], err, line.refused)
		}
		if err != nil {
			fmt.Fprintln(stdout, "desktop:", explain(err))
		}
	}
	return summary(ctx, opts, dir, stdout)
}

// summary shows that one user and her note are left.
func summary(ctx context.Context, opts snib.Options, dir string, stdout io.Writer) error {
	n, err := openNotes(ctx, opts, dir, strings.NewReader(""), stdout)
	if err != nil {
		return err
	}
	report, err := n.db.Check(ctx)
	rows := 0
	err = errors.Join(err, n.db.View(ctx, func(tx *snib.Tx) error {
		rows = tx.Bolt().Bucket(notesBucket).Stats().KeyN
		return nil
	}))
	if err := errors.Join(err, n.db.Close()); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nIn the file: %d user (grace), %d note, %d problems found by Check.\n", report.Users, rows, report.Found)
	return nil
}
