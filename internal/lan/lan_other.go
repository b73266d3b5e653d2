//go:build !linux

package lan

import (
	"context"
	"errors"
	"net"
	"testing"
)

// LAN is a network of hosts, on Linux.
type LAN struct{}

// New skips the test.
func New(tb testing.TB, _ ...string) *LAN {
	tb.Helper()
	skip(tb, errors.ErrUnsupported)
	return nil
}

// Address, Dial, Run, Part and Heal are never called.
func (*LAN) Address(string) string { return "" }

// Dial is never called.
func (*LAN) Dial(string) func(context.Context, string, string) (net.Conn, error) { return nil }

// Run is never called.
func (*LAN) Run(string) func(func() error) error { return nil }

// Part is never called.
func (*LAN) Part(testing.TB, ...string) {}

// Heal is never called.
func (*LAN) Heal(testing.TB) {}
