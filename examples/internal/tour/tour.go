// Package tour is the program quickstart: the life of an account, in printed steps.
// Main is the program on a file; Run plays it on any store. Each step is a method
// with the calls that a program would make.
package tour

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/snibdb/snib"
)

// Main is the program with its arguments: a file, or a temporary one without it. It
// returns the exit code: 0, 1 for an error that was not part of the show, 2 for
// wrong arguments.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return runWith(ctx, snib.Options{}, args, stdout, stderr)
}

// runWith is Main with the options of a test.
func runWith(ctx context.Context, opts snib.Options, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, "usage: quickstart [file]") }
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 1:
		flags.Usage()
		return 2
	}
	path := flags.Arg(0)
	if path == "" {
		dir, err := os.MkdirTemp("", "snib-quickstart-")
		if err != nil {
			fmt.Fprintln(stderr, "quickstart:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, "accounts.db")
	}
	if err := Run(ctx, fileAt(path, opts), stdout); err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	}
	return 0
}

// A Store is where the accounts of a tour are.
type Store struct {
	Name  string // as it was given
	State string // for people: "a new file", say

	// Open opens it. A new one declares the indexes; nil leaves the declarations.
	Open func(ctx context.Context, indexes []snib.Index) (*snib.DB, error)
}

// fileAt is the store in a file.
func fileAt(path string, opts snib.Options) Store {
	s := Store{Name: path, State: "a file that was there"}
	_, err := os.Lstat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	if isNew {
		s.State = "a new file, mode 0600"
	}
	s.Open = func(ctx context.Context, indexes []snib.Index) (*snib.DB, error) {
		opts := opts
		if isNew { // in a file that was there, this would replace the declarations
			opts.Indexes = indexes
		}
		return snib.OpenContext(ctx, path, &opts)
	}
	return s
}

// Run plays the tour on a store. It leaves nothing there but an empty store.
func Run(ctx context.Context, store Store, out io.Writer) error {
	return (&tour{ctx: ctx, store: store, out: out}).play()
}

// A tour is one run through all steps, and the values that they hand on.
type tour struct {
	ctx   context.Context
	store Store
	out   io.Writer
	step  int

	db      *snib.DB
	ada     snib.User
	laptop  snib.Session // the one that lives until the user is deleted
	refresh snib.RefreshToken
	mailed  string // a one-time token that is still good when the user is deleted
}

const (
	address    = "ada@example.com"
	newAddress = "ada@lovelace.example"
	password   = "correct horse battery"
	changed    = "staple, not battery"
	reset      = "a passphrase after a reset"
)

// play runs the steps in their order.
func (t *tour) play() (err error) {
	if err := t.open(); err != nil {
		return err
	}
	defer func() {
		if err != nil && t.ada.ID != "" {
			// Leave no half a tour in a file that may be kept.
			err = errors.Join(err, t.db.DeleteUser(context.WithoutCancel(t.ctx), t.ada.ID))
		}
		err = errors.Join(err, t.db.Close())
	}()
	for _, step := range []func() error{
		t.createUser, t.logIn, t.validate,
		t.updateProviderID, t.updatePassword, t.updateAttributes, t.uniqueAttribute,
		t.refreshToken, t.reuse, t.oneTimeToken,
		t.delete, t.nothingIsLeft, t.reopen, t.check,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// title begins a step; say adds a line to it.
func (t *tour) title(name, format string, args ...any) {
	t.step++
	fmt.Fprintf(t.out, "%2d  %-20s %s\n", t.step, name, fmt.Sprintf(format, args...))
}

func (t *tour) say(format string, args ...any) {
	fmt.Fprintf(t.out, "%25s%s\n", "", fmt.Sprintf(format, args...))
}

// refused returns nil if err is the refusal that a step is about to show.
func refused(what string, err, want error) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("%s: got %v, want %w", what, err, want)
	}
	return nil
}

// prefix is as much of a token as may be shown.
func prefix(token string) string { return token[:min(12, len(token))] + "…" }

func (t *tour) open() error {
	db, err := t.store.Open(t.ctx, []snib.Index{{Name: "username", Unique: true, Fold: true}})
	if err != nil {
		return err
	}
	t.db = db
	if err := t.prepare(); err != nil {
		return errors.Join(err, db.Close())
	}
	t.title("open", "%s", t.store.Name)
	t.say("%s; it declares that usernames are unique", t.store.State)
	return nil
}

// madeHere is an attribute of the users of a tour.
const madeHere = "made_by_quickstart"

// prepare checks that the store is one of this program's, and removes the
// leftovers of a killed tour.
func (t *tour) prepare() error {
	_, err := t.db.GetUserByAttribute(t.ctx, "username", "Ada")
	if errors.Is(err, snib.ErrInvalidInput) {
		return fmt.Errorf("%s is not a store that quickstart has made: name a new one", t.store.Name)
	}
	for _, identifier := range []string{address, newAddress} {
		left, err := t.db.GetUserByProviderID(t.ctx, "email", identifier)
		if errors.Is(err, snib.ErrUserNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if mine, _ := snib.Attr[bool](left.Attributes(), madeHere); !mine {
			return fmt.Errorf("%s has a user %s who is not of quickstart: name a new store", t.store.Name, identifier)
		}
		if err := t.db.DeleteUser(t.ctx, left.ID); err != nil {
			return err
		}
	}
	return nil
}
