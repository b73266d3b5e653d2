//go:build !linux

package load

import "os"

// dataSync is what bbolt calls on these systems.
func dataSync(f *os.File) error { return f.Sync() }
