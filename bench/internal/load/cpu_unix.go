//go:build unix

package load

import (
	"syscall"
	"time"
)

// processorTime is what this process has used of all processors so far, its
// collector and the kernel on its behalf included.
func processorTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
