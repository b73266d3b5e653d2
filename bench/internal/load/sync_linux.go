package load

import (
	"os"
	"syscall"
)

// dataSync is what bbolt calls on this system.
func dataSync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
