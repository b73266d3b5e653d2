// Engines is one program on any store: a file, SQLite, PostgreSQL or etcd. It
// shows the life of an account, plays other examples there, moves accounts from one
// store to another, and can stay as a server, of which several may share a store.
//
//	go run . -store accounts.db
//	go run . -store sqlite:accounts.sqlite
//	go run . -store postgres://user@host/database
//	go run . -store etcd://host:2379,host:2379
//
//	-move-from STORE   moves the accounts of STORE into -store first
//	-play quickstart   plays that example there
//	-play movein       likewise, with the export that it has, or one named last
//	-serve ADDRESS     then serves sign-in, "who am I" and sign-out there
//	-key FILE          the key file: the same one for all programs on a store
//
// The store is named in one place, store.go, and the program's own rows are in
// notes.go. Every other call is the same on all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/examples/internal/mover"
	"github.com/snibdb/snib/examples/internal/tour"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends it at once
	code := run(ctx, snib.Options{}, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program with the options of a test. It returns the exit code: 0, 1
// for an error, 2 for wrong arguments.
func run(ctx context.Context, opts snib.Options, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("engines", flag.ContinueOnError)
	flags.SetOutput(stderr)
	name := flags.String("store", "accounts.db", "the `store`: a path, sqlite:path, postgres://… or etcd://host:port,…")
	from := flags.String("move-from", "", "move the accounts of this `store` into -store first")
	what := flags.String("play", "life", "what to play: `life`, quickstart or movein")
	addr := flags.String("serve", "", "stay as a server at this `address`, such as 127.0.0.1:8001")
	key := flags.String("key", "", "the key `file`; without one, nothing is sealed")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil || flags.NArg() > 1 || flags.NArg() > 0 && *what != "movein":
		return 2
	case *what != "life" && (*addr != "" || *what != "quickstart" && *what != "movein"):
		flags.Usage()
		return 2
	}
	opts.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if *key != "" {
		opts.Keys = []snib.Key{snib.KeyFile(*key)}
	}
	if *from != "" {
		if err := moved(ctx, *from, *name, &opts, stdout); err != nil {
			fmt.Fprintln(stderr, "engines: move:", err)
			return 1
		}
	}
	if *what == "movein" {
		o := &opener{name: *name, opts: opts}
		defer o.close()
		return mover.Run(ctx, mover.Target{Name: *name, Open: o.open}, flags.Arg(0), stdout, stderr)
	}
	var err error
	if *what == "quickstart" {
		o := &opener{name: *name, opts: opts}
		defer o.close()
		err = tour.Run(ctx, tour.Store{Name: *name, State: "a store of this program", Open: o.open}, stdout)
	} else {
		err = play(ctx, opts, *name, *addr, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "engines:", err)
		return 1
	}
	return 0
}

// moved moves the accounts of one store into another, and says how many.
func moved(ctx context.Context, from, to string, opts *snib.Options, out io.Writer) error {
	report, err := move(ctx, from, to, opts)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "moved %d users, %d records\n", report.Users, report.Records)
	return nil
}

// play shows the life of an account, and serves.
func play(ctx context.Context, opts snib.Options, name, addr string, out io.Writer) (err error) {
	to, err := storeOf(ctx, name)
	if err != nil {
		return err
	}
	defer to.close()
	db, err := to.openWithNotes(ctx, &opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := life(ctx, db, to.notes, out); err != nil || addr == "" {
		return err
	}
	return serve(ctx, db, opts.Logger, addr, out)
}
