package throttle

import "time"

// An Address is one of IPv6, or of IPv4 mapped into it; all zero if the client's
// is not known.
type Address [16]byte

// A network is a prefix of an address, with how many times the failures of the
// smallest it may cause.
type network struct {
	bits   int
	weight int64
}

var (
	networks4 = []network{{96 + 32, 1}, {96 + 24, 8}}
	networks6 = []network{{64, 1}, {56, 4}, {48, 16}}
)

// Failures that the smallest network may cause.
const (
	burst = 20
	every = 30_000 // milliseconds: after the burst, one in this time
)

const networkCells = 1 << 14 // of each row

var (
	mapped = Address{10: 0xff, 11: 0xff}        // ::ffff:0:0/96
	nat64  = Address{1: 0x64, 2: 0xff, 3: 0x9b} // 64:ff9b::/96
)

// plain returns a as IPv4 in its mapped form if it is IPv4 in any.
func (a Address) plain() Address {
	if [12]byte(a[:12]) == [12]byte(nat64[:12]) {
		copy(a[:12], mapped[:12])
	}
	return a
}

func (a Address) is4() bool { return [12]byte(a[:12]) == [12]byte(mapped[:12]) }

// Public reports whether an address is that of one client or network in the
// Internet: not unknown, loopback, link-local or private, of which all clients
// behind a proxy have the same.
func (a Address) Public() bool {
	a = a.plain()
	if a.is4() {
		switch b := a[12:]; {
		case b[0] == 0, b[0] == 127, b[0] == 10, b[0] == 172 && b[1]&0xf0 == 16,
			b[0] == 192 && b[1] == 168, b[0] == 169 && b[1] == 254:
			return false
		}
		return true
	}
	loopback := Address{15: 1}
	return a != (Address{}) && a != loopback && a[0]&0xfe != 0xfc && !(a[0] == 0xfe && a[1]&0xc0 == 0x80)
}

// Network returns the prefix by which clients take turns: /24 of IPv4, /48 of
// IPv6; "" for an address that is not known.
func (a Address) Network() string {
	a = a.plain()
	switch {
	case a == (Address{}):
		return ""
	case a.is4():
		return string(a[12:15])
	}
	return string(a[:6])
}

// networks returns those that an attempt counts in.
func (a Address) networks() []network {
	switch {
	case !a.Public():
		return nil
	case a.plain().is4():
		return networks4
	}
	return networks6
}

// masked returns the first bits of a.
func (a Address) masked(bits int) (out Address) {
	for i := range out {
		switch {
		case bits >= 8*(i+1):
			out[i] = a[i]
		case bits > 8*i:
			out[i] = a[i] & (0xff << (8*(i+1) - bits))
		}
	}
	return out
}

// meters count failures of networks, in cells as those of accounts. A cell holds
// the time, in Unix milliseconds, up to which its failures are paid for: each
// failure moves it on by as much as it costs, and it may be ahead by a burst.
type meters struct {
	cells [][networkCells]int64 // rows of them; nil before the first failure
}

// A spot is where a network counts.
type spot struct {
	cells [rows]uint16
	cost  int64
}

func spotOf(sum [32]byte, n network) (s spot) {
	s.cost = every / n.weight
	for r := range s.cells {
		s.cells[r] = (uint16(sum[2*r])<<8 | uint16(sum[2*r+1])) % networkCells
	}
	return s
}

// wait returns how long a network must wait for its next failure.
func (m *meters) wait(s spot, now int64) time.Duration {
	if m.cells == nil {
		return 0
	}
	ahead := int64(burst * every)
	for r, c := range s.cells {
		m.cells[r][c] = m.paid(r, c, now)
		ahead = min(ahead, m.cells[r][c]-now)
	}
	if ahead+s.cost > burst*every {
		return time.Duration(every) * time.Millisecond
	}
	return 0
}

// paid returns a cell, at a time before which nothing counts; one that is
// farther ahead than a burst was counted by another clock.
func (m *meters) paid(row int, cell uint16, now int64) int64 {
	return min(max(m.cells[row][cell], now), now+burst*every)
}

//go:noinline
func (m *meters) add(s spot, now, cost int64) {
	if m.cells == nil {
		m.cells = make([][networkCells]int64, rows)
	}
	for r, c := range s.cells {
		m.cells[r][c] = m.paid(r, c, now) + cost
	}
}
