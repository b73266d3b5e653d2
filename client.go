package snib

import (
	"context"
	"net/netip"
)

// WithClient returns a context that tells the methods of DB from which address
// a request came. Refresh compares the networks of two requests, IPv4 by /24
// and IPv6 by /48; an address in another notation of IPv4 (::ffff:192.0.2.1,
// 64:ff9b::192.0.2.1) is that of IPv4, and zones do not count. The zero Addr is
// an unknown client, as is a context without one: it never counts as another.
//
// The address must be the client's own, not that of a proxy: behind one, pass
// the address that a trusted proxy reports, or the zero Addr.
func WithClient(ctx context.Context, addr netip.Addr) context.Context {
	if !addr.IsValid() {
		return context.WithValue(ctx, clientKey{}, nil)
	}
	return context.WithValue(ctx, clientKey{}, clientBytes(addr.As16()))
}

type clientKey struct{}

// clientBytes are an address of either version. A context that held a
// netip.Addr would link all of its methods into every program.
type clientBytes [16]byte

// clientOf returns the address that WithClient has put into ctx, of IPv4 if it
// can be said so, without its zone; the zero Addr without one.
func clientOf(ctx context.Context) netip.Addr {
	b, ok := ctx.Value(clientKey{}).(clientBytes)
	if !ok {
		return netip.Addr{}
	}
	return netip.AddrFrom16(b).Unmap()
}
