// Package mover is the program movein: it moves the users of another system in.
// Main is the program on a file; Run moves them into any store.
package mover

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
	"path/filepath"

	"github.com/snibdb/snib"
)

//go:embed lucia_users.jsonl
var builtin []byte

// Main is the program with its arguments. It returns the exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return runWith(ctx, snib.Options{}, args, stdout, stderr)
}

// runWith is Main with the options of a test.
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
	target := *path
	if target == "" {
		dir, err := os.MkdirTemp("", "snib-movein-")
		if err != nil {
			fmt.Fprintln(stderr, "movein:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		*path, target = filepath.Join(dir, "accounts.db"), "a temporary file"
	}
	return Run(ctx, Target{target, fileAt(*path, opts)}, flags.Arg(0), stdout, stderr)
}

// A Target is where the users go.
type Target struct {
	Name string // for people

	// Open opens it. A new one declares the indexes.
	Open func(ctx context.Context, indexes []snib.Index) (*snib.DB, error)
}

// fileAt opens a file. In one that was there, indexes would replace the
// declarations.
func fileAt(path string, opts snib.Options) func(context.Context, []snib.Index) (*snib.DB, error) {
	return func(ctx context.Context, indexes []snib.Index) (*snib.DB, error) {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			opts.Indexes = indexes
		}
		return snib.OpenContext(ctx, path, &opts)
	}
}

// Run moves the users of an export in, by its path, or those of the export that
// comes with this package for "". It returns the exit code: 0, 1 if anything was
// reported, 130 after an interrupt.
func Run(ctx context.Context, to Target, export string, stdout, stderr io.Writer) int {
	m := &mover{ctx: ctx, out: stdout, errs: stderr, pending: map[int]pending{}, lines: map[snib.UserID]int{}}
	err := m.run(to, export)
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

// run opens both ends and runs the two stages.
func (m *mover) run(to Target, export string) (err error) {
	source, name := io.ReadSeeker(bytes.NewReader(builtin)), "the export that comes with this program"
	if export != "" {
		f, err := os.Open(export)
		if err != nil {
			return err
		}
		defer f.Close()
		source, name = f, export
	}
	if m.db, err = to.Open(m.ctx, []snib.Index{{Name: "username", Unique: true, Fold: true}}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.db.Close()) }()

	fmt.Fprintf(m.out, "From %s\nto   %s\n\n", name, to.Name)
	if err := m.moveIn(source); err != nil {
		return err
	}
	if err := m.logIn(); err != nil {
		return err
	}
	return m.summary(to.Name)
}
