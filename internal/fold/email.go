package fold

import (
	"strconv"
	"strings"
)

// Bounds of RFC 5321, 4.5.3.1, and 2.3.4 of RFC 1035, in bytes. A path is at
// most 256 with its angle brackets.
const (
	maxMailbox = 254
	maxLocal   = 64
	maxLabel   = 63
)

// atomMarks are the characters of an atom besides letters and digits (RFC 5322,
// atext).
const atomMarks = "!#$%&'*+-/=?^_`{|}~"

// email takes a Mailbox of RFC 5321 without a quoted local part. It refuses all
// text that a mailer could read as two addresses, a route or a port, and the
// trailing dot of a domain, which would be a second account for one mailbox.
func email(address string) (key string, fault Fault) {
	const reason = "must be an e-mail address: name@domain in ASCII (RFC 5321), without quotes"
	if len(address) > maxMailbox {
		return "", Fault{Code: TooLong, Max: maxMailbox, Reason: "must be at most 254 bytes"}
	}
	local, domain, _ := strings.Cut(address, "@")
	if len(local) > maxLocal || !parts(local, atom) {
		return "", malformed(reason)
	}
	if strings.HasPrefix(domain, "[") {
		domain = literal(domain)
	} else if !parts(domain, label) {
		domain = ""
	}
	if domain == "" {
		return "", malformed(reason)
	}
	return strings.ToLower(local + "@" + domain), Fault{}
}

// parts reports whether s is one or more parts between dots, each as valid
// says.
func parts(s string, valid func(string) bool) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !valid(part) {
			return false
		}
	}
	return true
}

func atom(s string) bool { return made(s, maxLocal, atomMarks, 'a', 'A') }

// label reports whether s is one of a host's name: letters, digits and, within,
// hyphens.
func label(s string) bool {
	return made(s, maxLabel, "-", 'a', 'A') && s[0] != '-' && s[len(s)-1] != '-'
}

// literal returns an address literal as it is compared, "" for other text. All
// spellings of an IPv6 address are one. Package net/netip would add 60 KiB to
// every program.
func literal(domain string) string {
	inside, ok := strings.CutSuffix(domain[1:], "]")
	if !ok {
		return ""
	}
	const tag = "ipv6:"
	if len(inside) <= len(tag) || !strings.EqualFold(inside[:len(tag)], tag) {
		if _, ok := ipv4(inside); !ok {
			return ""
		}
		return domain
	}
	groups, ok := ipv6(inside[len(tag):])
	if !ok {
		return ""
	}
	var key strings.Builder
	separator := "[" + tag
	for _, g := range groups {
		key.WriteString(separator + strconv.FormatUint(uint64(g), 16))
		separator = ":"
	}
	return key.String() + "]"
}

// ipv4 reads four decimal numbers, without leading zeros, which some take for
// octal.
func ipv4(s string) (ip [4]byte, ok bool) {
	n := 0
	for part := range strings.SplitSeq(s, ".") {
		b, err := strconv.ParseUint(part, 10, 8)
		if err != nil || n == len(ip) || part[0] == '0' && len(part) > 1 {
			return ip, false
		}
		ip[n] = byte(b)
		n++
	}
	return ip, n == len(ip)
}

// ipv6 reads eight groups, of which "::" stands for one or more of zero, and an
// IPv4 address for the last two.
func ipv6(s string) (groups [8]uint16, ok bool) {
	before, after, short := strings.Cut(s, "::")
	head, ok1 := hexGroups(before, !short)
	tail, ok2 := hexGroups(after, true)
	if n := len(head) + len(tail); !ok1 || !ok2 || n > len(groups) || (n == len(groups)) == short {
		return groups, false
	}
	copy(groups[:], head)
	copy(groups[len(groups)-len(tail):], tail)
	return groups, true
}

func hexGroups(s string, last bool) (groups []uint16, ok bool) {
	for s != "" {
		part, rest, more := strings.Cut(s, ":")
		if ip, ok := ipv4(part); ok && last && !more {
			return append(groups, uint16(ip[0])<<8|uint16(ip[1]), uint16(ip[2])<<8|uint16(ip[3])), true
		}
		g, err := strconv.ParseUint(part, 16, 16)
		if err != nil || len(part) > 4 || more && rest == "" {
			return nil, false
		}
		groups, s = append(groups, uint16(g)), rest
	}
	return groups, true
}
