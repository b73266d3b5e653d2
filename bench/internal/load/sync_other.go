//go:build !linux

package load

import "os"

// dataSync syncs as bbolt does on systems other than Linux.
func dataSync(f *os.File) error { return f.Sync() }
