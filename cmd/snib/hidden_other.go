//go:build !unix

package main

import (
	"os"
	"syscall"
)

func leaving() []os.Signal { return []os.Signal{syscall.SIGHUP} }
