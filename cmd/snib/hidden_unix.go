//go:build unix

package main

import (
	"os"
	"syscall"
)

// leaving are signals that end or stop a process without a word: it must give back a
// terminal without echo first. One of them is for a prompt that has no reader.
func leaving() []os.Signal {
	return []os.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTSTP}
}
