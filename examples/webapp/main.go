// Webapp is a complete small web application: accounts, and pages on which
// people look after theirs. It is plain HTML, and made to be copied from.
//
//	go run ./examples/webapp            then open the address it prints
//
//	-addr host:port   where to listen; loopback only, as it speaks plain HTTP
//	                  (default localhost:8080)
//	-db file          where the accounts are (default: "snib-webapp" among the
//	                  user's configuration)
//	-active, -idle    how long a session is active, and then idle: for trying
//	                  out what happens to it
//
// Everything it serves is in the program. It sends no mail: the link for a
// forgotten password is printed to the terminal. It can be stopped and started
// again at any time, and users stay signed in.
//
// Read routes in app.go first, then any of the handlers: each file is one page.
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
	"syscall"
	"time"

	"github.com/snibdb/snib"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code: 0, 1 if it could not serve, 2
// for wrong arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c config
	c.terminal, c.log = stdout, stderr
	flags := flag.NewFlagSet("webapp", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "localhost:8080", "`host:port` to listen on; loopback only")
	flags.StringVar(&c.path, "db", "", "`file` of the accounts (default: among the user's configuration)")
	flags.DurationVar(&c.options.Sessions.Active, "active", 24*time.Hour, "how long a session is active, for trying out")
	flags.DurationVar(&c.options.Sessions.Idle, "idle", 14*24*time.Hour, "how long it is idle after that, for trying out")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		flags.Usage()
		return 2
	}
	if err := serve(ctx, *addr, c); err != nil {
		fmt.Fprintln(stderr, "webapp:", explain(err))
		return 1
	}
	return 0
}

// defaultPath returns the default place of the accounts, and makes the folder.
// It does not depend on the working directory.
func defaultPath() (string, error) {
	folder, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("%w: name a file with -db", err)
	}
	folder = filepath.Join(folder, "snib-webapp")
	return filepath.Join(folder, "accounts.db"), os.MkdirAll(folder, 0o700)
}

// explain turns an error into a message for the person at the terminal.
func explain(err error) string {
	switch {
	case errors.Is(err, snib.ErrLocked):
		return "the accounts are open in another program: is it running already?"
	case errors.Is(err, syscall.EADDRINUSE):
		return err.Error() + ": name another with -addr, or port 0 for any"
	}
	return err.Error()
}
