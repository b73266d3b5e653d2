// Movein moves the users of another system in, with their passwords: the 180
// users of an export from three generations of Lucia that comes with it, or of
// a file in the same form.
//
//	go run ./examples/movein [-db file] [export.jsonl]
//
// Each line of the export is one user; snib moves them in in batches, and of each
// user all or nothing:
//
//	{"system":"lucia@3.2.2","user":{"id":"u1","provider_id":"email:a@example.com",
//	 "hashed_password":"…" or null,"username":"ada", …},"password":"…" or null}
//
// A line that cannot be moved in is reported with its number on the standard
// error and leaves nothing behind; the others are moved in. Afterwards everyone
// whose password the export tells (a test export: a real one has hashes only)
// logs in with it, which replaces the hash of the other system by our own.
//
// Without -db the accounts are made in a temporary file, which is removed at
// the end. The exit code is 0, 1 if anything was reported, 2 for wrong
// arguments and 130 after an interrupt; users moved in until then stay, and
// another run with the same file goes on.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/snibdb/snib"
)

//go:embed lucia_users.jsonl
var builtin []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return runWith(ctx, snib.Options{}, args, stdout, stderr)
}

// runWith is run with the options of a test.
func runWith(ctx context.Context, opts snib.Options, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("movein", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("db", "", "the `file` to move into; made if it is missing (default: a temporary one)")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: movein [-db file] [export.jsonl]")
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 1:
		flags.Usage()
		return 2
	}
	m := &mover{ctx: ctx, out: stdout, errs: stderr, pending: map[int]pending{}, lines: map[snib.UserID]int{}}
	err := m.run(opts, *path, flags.Arg(0))
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintf(stderr, "movein: stopped; %d users were moved in whole\n", m.count())
		return 130
	case err != nil:
		fmt.Fprintln(stderr, "movein:", err)
		return 1
	case m.broken > 0:
		return 1
	}
	return 0
}

// run opens the named files and runs the two stages.
func (m *mover) run(opts snib.Options, path, export string) (err error) {
	source, name := io.ReadSeeker(bytes.NewReader(builtin)), "the export that comes with this program"
	if export != "" {
		f, err := os.Open(export)
		if err != nil {
			return err
		}
		defer f.Close()
		source, name = f, export
	}
	target := path
	if path == "" {
		dir, err := os.MkdirTemp("", "snib-movein-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path, target = filepath.Join(dir, "accounts.db"), "a temporary file"
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		// Only for a new file: in an existing one, this would replace the
		// declarations.
		opts.Indexes = []snib.Index{{Name: "username", Unique: true, Fold: true}}
	}
	if m.db, err = snib.Open(path, &opts); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.db.Close()) }()

	fmt.Fprintf(m.out, "From %s\nto   %s\n\n", name, target)
	if err := m.moveIn(source); err != nil {
		return err
	}
	if err := m.logIn(); err != nil {
		return err
	}
	return m.summary(target)
}
