//go:build !linux

package report

// fileSystem is not known on this system.
func fileSystem(string) string { return "" }
