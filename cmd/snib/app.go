package main

import (
	"context"
	"io"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibops"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // or a check has found problems
	exitUsage  = 2
)

// A world is the system as the command sees it; tests have their own.
type world struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string

	inTerminal, outTerminal, errTerminal bool
	width                                func() int              // of the terminal at out, in cells
	hidden                               func() (secrets, error) // the echo is off when it returns
	plainEvery                           time.Duration           // between plain lines of progress
	tune                                 func(*snib.Options)     // of a file, in tests; nil otherwise
}

// Secrets are lines of a terminal that does not show them. The echo is off before
// the first prompt and stays off between two: a fast typist, or a program that
// waits for the prompt, is not shown either.
type secrets struct {
	ask     func(prompt string) (string, error) // io.EOF for Ctrl-C and Ctrl-D
	restore func()                              // the terminal as it was
}

// system is the world of the process.
func system() world {
	stdin, stdout, stderr := int(os.Stdin.Fd()), int(os.Stdout.Fd()), int(os.Stderr.Fd())
	return world{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv,
		inTerminal: term.IsTerminal(stdin), outTerminal: term.IsTerminal(stdout), errTerminal: term.IsTerminal(stderr),
		width: func() int {
			w, _, err := term.GetSize(stdout)
			if err != nil {
				return 0
			}
			return w
		},
		hidden: func() (secrets, error) {
			before, err := term.MakeRaw(stdin)
			if err != nil {
				return secrets{}, err
			}
			lines := term.NewTerminal(struct {
				io.Reader
				io.Writer
			}{os.Stdin, os.Stderr}, "")
			return secrets{lines.ReadPassword, func() { _ = term.Restore(stdin, before) }}, nil
		},
		plainEvery: 10 * time.Second,
	}
}

// An app is one run of the command.
type app struct {
	world
	started bool // flags and arguments are understood
	told    bool // on what the verb works

	file, socket string
	keyFiles     []string
	actor        string
	json, table  bool
	yes          bool
	wait         time.Duration
}

// run runs the command and returns its exit code.
func run(ctx context.Context, w world, args []string) int {
	a := &app{world: w}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(w.in)
	root.SetOut(w.out)
	root.SetErr(w.err)
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	return a.fail(ctx, c.CommandPath(), err)
}

// root is the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "snib",
		Short: "Operate the accounts in a snib database",
		Long: `Snib operates the accounts in a snib database: on the file, or through the
control socket beside it while a program has the file open.

A USER is a user id, PROVIDER=IDENTIFIER, or an identifier of the provider
"email" or "username" alone. Tables go to a terminal, JSON elsewhere.

Exit codes: 0 done, 1 failed or problems found, 2 wrong usage.`,
		Version:           version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
		Args:              cobra.ArbitraryArgs,
		RunE:              a.which,
	}
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := c.ValidateFlagGroups(); err != nil {
			return err
		}
		return a.start()
	}
	f := root.PersistentFlags()
	f.StringVarP(&a.file, "file", "f", "", "the database (default $SNIB_FILE)")
	f.StringVar(&a.socket, "socket", "", "control socket of a program that has the file open (default FILE.sock)")
	f.StringArrayVar(&a.keyFiles, "key-file", nil, "key of a sealed file, the current one first (default $CREDENTIALS_DIRECTORY/snib.key, snib.key.*)")
	f.StringVar(&a.actor, "actor", "", "who acts, for the program's log (default the user's name)")
	f.BoolVar(&a.json, "json", false, "JSON, one object a line (default without a terminal)")
	f.BoolVar(&a.table, "table", false, "tables (default on a terminal)")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask before what destroys")
	f.DurationVar(&a.wait, "wait", 5*time.Second, "how long to wait for a file that another process has open")
	root.MarkFlagsMutuallyExclusive("json", "table")
	must(root.MarkPersistentFlagFilename("file"))
	must(root.MarkPersistentFlagFilename("key-file"))
	root.AddGroup(
		&cobra.Group{ID: "users", Title: "Users:"},
		&cobra.Group{ID: "file", Title: "The file:"},
		&cobra.Group{ID: "moving", Title: "Moving in and out:"},
	)
	root.AddCommand(grouped("users", a.users(), a.user(), a.sessions(), a.keys(), a.events(), a.factors(), a.unlock(), a.role())...)
	root.AddCommand(grouped("file", a.check(), a.repair(), a.backup(), a.restore(), a.compact(), a.reseal(), a.stats())...)
	root.AddCommand(grouped("moving", a.importing(), a.export())...)
	root.AddCommand(a.man())
	return root
}

func grouped(id string, commands ...*cobra.Command) []*cobra.Command {
	for _, c := range commands {
		c.GroupID = id
	}
	return commands
}

// which is for a command that is only a group of others.
func (a *app) which(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %s; see: %s --help", quote(args[0]), c.CommandPath())
	}
	if c.HasParent() {
		return usagef("a command is missing; see: %s --help", c.CommandPath())
	}
	return c.Help()
}

// start fills in the defaults of the global flags.
func (a *app) start() error {
	a.started = true
	if a.file == "" {
		a.file = a.env("SNIB_FILE")
	}
	if a.socket == "" && a.file != "" {
		a.socket = snibops.SocketPath(a.file)
	}
	if a.actor == "" {
		if u, err := user.Current(); err == nil {
			a.actor = u.Username
		}
	}
	if !a.table && !a.outTerminal {
		a.json = true
	}
	return nil
}

// must panics for a mistake in the tree of commands.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
