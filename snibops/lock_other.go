//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package snibops

// lockPlace does nothing where a file cannot be locked.
func lockPlace(string) (unlock func(), err error) { return func() {}, nil }
