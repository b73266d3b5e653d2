package snib

import (
	"context"

	"github.com/snibdb/snib/internal/records"
)

// The keys of the values in a context.
type (
	clientKey   struct{}
	proofKey    struct{}
	operatorKey struct{}
	devicesKey  struct{}
)

// WithClient returns a context that tells for which client a call is made, by
// its address: that of the connection, or behind a proxy the one that the proxy
// vouches for, never one that the client has sent. snibhttp sets it. Events record it.
// A nil or invalid address is none, and for the limits neither is a loopback or private
// one, which all clients of a local proxy share.
//
// Failed log-ins slow down the networks of the address, turns at the gate for
// hashing go from network to network, and Refresh compares the networks of two
// requests: /24 of IPv4, in each of its notations (::ffff:192.0.2.1,
// 64:ff9b::192.0.2.1), and /48 of IPv6.
func WithClient(ctx context.Context, addr Address) context.Context {
	if addr != nil && !addr.IsValid() {
		addr = nil
	}
	return context.WithValue(ctx, clientKey{}, addr)
}

// clientOf returns the address of the client; nil if it is not known.
func clientOf(ctx context.Context) Address {
	addr, _ := ctx.Value(clientKey{}).(Address)
	return addr
}

// WithProof returns a context that carries a live token of the caller: of a
// session, or a one-time token that is about to be used. Its user takes turns
// of their own at the gate for hashing, so that a flood of strangers does not
// hold them up, and with a session strangers' failures do not throttle them on
// their own account; their own do, log-in by log-in: a renewed or refreshed
// session has no new tries. A token that is not good is as none, and replaces the
// one that ctx carries. snibhttp sets it where its middleware has found a
// session: a handler behind that needs no call, and its Session has no Token to
// give.
func WithProof(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, proofKey{}, newSecret(token))
}

// WithDevice returns a context that carries the tokens of the known devices that
// a client claims to be, one for each of its users ([Devices]); at most five
// count, in the place of those that ctx carries. If one is of the user whose
// password is tried, and good, the failures of strangers do not count for the
// attempt, nor do those of its network, and it takes its user's turns at the
// gate for hashing; failures count for the device. Others change nothing, and
// whether there is such a user does not show in the time. A session as proof
// goes before it. snibhttp sets it from its cookie.
func WithDevice(ctx context.Context, tokens ...string) context.Context {
	presented := make([]secret, len(tokens))
	for i, token := range tokens {
		presented[i] = newSecret(token) // a printed context shows none
	}
	return context.WithValue(ctx, devicesKey{}, presented)
}

// presentedDevices returns the tokens that WithDevice has put into ctx.
func presentedDevices(ctx context.Context) (tokens []string) {
	presented, _ := ctx.Value(devicesKey{}).([]secret)
	for _, s := range presented[:min(len(presented), records.MaxPresentedDevices)] {
		tokens = append(tokens, s.reveal())
	}
	return tokens
}

// AsOperator returns a context for calls of an operator: of an administrator's
// page, of a tool at the command line. They take turns of their own at the gate
// for hashing and are not throttled. The program decides which callers are
// operators; a client must have no say in it.
func AsOperator(ctx context.Context) context.Context {
	return context.WithValue(ctx, operatorKey{}, true)
}

// by is the part of an event that a context tells.
func by(ctx context.Context) (b records.By) {
	if addr := clientOf(ctx); addr != nil {
		b.Client = addr.As16()
	}
	if operator, _ := ctx.Value(operatorKey{}).(bool); operator {
		b.Actor = records.ByOperator
	}
	return b
}
