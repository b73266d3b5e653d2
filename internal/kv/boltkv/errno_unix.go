//go:build unix

package boltkv

import "syscall"

// noSpace is how the system says that a file cannot grow.
var noSpace = []syscall.Errno{syscall.ENOSPC, syscall.EFBIG, syscall.EDQUOT}
