package load

import (
	"os"
	"syscall"
)

// dataSync syncs as bbolt does on Linux.
func dataSync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
