//go:build !(linux || darwin || freebsd || netbsd)

package mover

import "os"

// columns returns the width to assume of a terminal.
func columns(*os.File) int { return usualColumns() }
