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
// The work is in examples/internal/mover, by which examples/engines moves the same users
// into SQLite, PostgreSQL or etcd (-play movein).
//
// Without -db the accounts are made in a temporary file, which is removed at
// the end. The exit code is 0, 1 if anything was reported, 2 for wrong
// arguments and 130 after an interrupt; users moved in until then stay, and
// another run with the same file goes on.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/snibdb/snib/examples/internal/mover"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends it at once
	os.Exit(mover.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
