// Desktop is a small notes program for several people on one machine. It shows
// an application that keeps its own rows in the same file, and in the same
// transactions, as its users: sign-up makes the account and a first note or
// neither, and deleting an account deletes its notes with it.
//
//	go run ./examples/desktop                       a scripted session in a temporary folder
//	go run ./examples/desktop [-dir folder] verb …  for real
//
//	sign-up name [text …]  makes an account with a first note and signs in;
//	                       asks for a password
//	sign-in name           asks for the password
//	add text …             adds a note
//	list                   lists your notes
//	sign-out
//	delete-account         with all notes; asks for the password
//
// The folder is by default "snib-notes" among the user's configuration. It
// holds notes.db and, while a user is signed in, the file "session" with the
// token, readable by its owner only. A password is read as a line from the
// standard input, and is seen while it is typed: to hide it needs more than the
// standard library (golang.org/x/term).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/snibdb/snib"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code: 0, 1 for a refused request, 2
// for wrong arguments.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runWith(ctx, snib.Options{}, args, stdin, stdout, stderr)
}

// runWith is run with the options of a test.
func runWith(ctx context.Context, opts snib.Options, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("desktop", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", "", "the `folder` of the notes (default: among the user's configuration)")
	flags.Usage = func() {
		fmt.Fprintln(stderr, usage)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	var err error
	if flags.NArg() == 0 {
		err = demonstrate(ctx, opts, stdout)
	} else {
		err = command(ctx, opts, *dir, flags.Args(), stdin, stdout)
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, usage)
		return 2
	case err != nil:
		fmt.Fprintln(stderr, "desktop:", explain(err))
		return 1
	}
	return 0
}

const usage = "usage: desktop [-dir folder] [sign-up name [text …] | sign-in name | add text … | list | sign-out | delete-account]"

var errUsage = errors.New(usage)

// command does one verb.
func command(ctx context.Context, opts snib.Options, dir string, args []string, stdin io.Reader, stdout io.Writer) error {
	verb, ok := verbs[args[0]]
	if !ok || len(args)-1 < verb.least || verb.most >= 0 && len(args)-1 > verb.most {
		return errUsage
	}
	if dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return err
		}
		dir = filepath.Join(config, "snib-notes")
	}
	n, err := openNotes(ctx, opts, dir, stdin, stdout)
	if err != nil {
		return err
	}
	return errors.Join(verb.do(n, args[1:]), n.db.Close())
}

// verbs, and how many arguments they take; most is -1 for any number.
var verbs = map[string]struct {
	least, most int
	do          func(*notes, []string) error
}{
	"sign-up":        {1, -1, (*notes).signUp},
	"sign-in":        {1, 1, (*notes).signIn},
	"add":            {1, -1, (*notes).add},
	"list":           {0, 0, (*notes).list},
	"sign-out":       {0, 0, (*notes).signOut},
	"delete-account": {0, 0, (*notes).deleteAccount},
}

// explain turns an error into a message for the person in front of the screen.
func explain(err error) string {
	wrong, isInput := errors.AsType[*snib.InputError](err)
	switch {
	case errors.Is(err, snib.ErrInvalidSession):
		return "nobody is signed in, or the session has ended: sign in"
	case errors.Is(err, snib.ErrInvalidCredentials):
		return "the name or the password is wrong"
	case errors.Is(err, snib.ErrIdentityTaken):
		return "the name is taken"
	case errors.Is(err, snib.ErrLocked):
		return "another window of this program is working: try again"
	case isInput && wrong.Field == "Identifier":
		return "the name " + wrong.Reason
	case isInput:
		return "the password " + wrong.Reason
	}
	return err.Error()
}
