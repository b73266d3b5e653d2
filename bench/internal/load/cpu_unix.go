//go:build unix

package load

import (
	"syscall"
	"time"
)

// processorTime is the time of all processors that this process has used so
// far, including its collector and the kernel's work on its behalf.
func processorTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
