package snibhttp

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are the networks whose word about their clients counts.
type proxies []netip.Prefix

// maxHops bounds how many addresses of X-Forwarded-For are looked at.
const maxHops = 32

// client returns the address of the client of a request; the zero Addr if it
// cannot be told. Of X-Forwarded-For, which anybody can send, only what trusted
// proxies have appended counts: it is read from the right, up to the first
// address that is not of one of them.
func (p proxies) client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // of a server that listens on something else
	}
	addr := peer.Addr().Unmap().WithZone("")
	if !p.trusted(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for n := 0; len(hops) > 0 && n < maxHops; n++ {
		last := strings.TrimSpace(hops[len(hops)-1])
		hops = hops[:len(hops)-1]
		hop, err := netip.ParseAddr(last)
		if err != nil {
			if port, err := netip.ParseAddrPort(last); err == nil { // some proxies append the port
				hop = port.Addr()
			} else {
				return netip.Addr{}
			}
		}
		addr = hop.Unmap().WithZone("")
		if !p.trusted(addr) {
			return addr
		}
	}
	return addr
}

func (p proxies) trusted(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(addr) })
}
