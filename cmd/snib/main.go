// Snib operates the accounts in a snib database: it lists users, shuts them out
// and lets them in, ends log-ins, and checks, copies and repairs the file.
//
// It works on the file, or through the control socket beside it when a program
// has the file open and serves one (package snibops), with the same output. Verbs
// that only read leave the file byte for byte as it is.
//
// Tables go to a terminal and JSON elsewhere, one object a line. It exits with 0
// when all is done, 1 when something failed or a check found problems, and 2 for
// arguments that cannot be meant. docs/OPERATING.md goes through its use.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, system(), os.Args[1:])
	stop()
	os.Exit(code)
}
