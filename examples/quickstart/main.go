// Quickstart shows, in printed steps, the life of an account: it makes a user,
// logs in, validates, changes everything that can be changed, rotates a refresh
// token, resets a password with a mailed token, deletes the user and shows that
// nothing of the user is left.
//
//	go run ./examples/quickstart [file]
//
// Without a file it works in a temporary one and removes it. A file that it
// has made can be given again. The steps are in examples/internal/tour, which
// examples/engines plays on SQLite, PostgreSQL and etcd (-play quickstart).
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/snibdb/snib/examples/internal/tour"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := tour.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
