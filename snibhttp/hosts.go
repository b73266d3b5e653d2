package snibhttp

import (
	"net/netip"
	"strconv"
	"strings"
)

// A hostList decides by which names the program may be reached. Host headers
// are compared as name and port, the scheme being the profile's: proxies send
// forms that browsers do not, "App.example.com:443".
type hostList struct {
	profile Profile
	port    string          // the scheme's own, with a colon before it
	exact   map[string]bool // canonical; empty: as Options.Hosts says
	names   map[string]bool // with any port, under Loopback
}

// hostList makes the list of checked options.
func (o *Options) hostList() hostList {
	l := hostList{profile: o.Profile, port: ":" + defaultPort(o.Profile.scheme())}
	for _, h := range o.Hosts {
		if l.exact == nil {
			l.exact, l.names = make(map[string]bool), make(map[string]bool)
		}
		name, port, _ := parseHost(h)
		if port == "" && o.Profile == Loopback {
			l.names[name] = true
		}
		l.exact[l.canonical(name+port)] = true
	}
	return l
}

// canonical returns a Host header as browsers write it: in lower case and
// without the scheme's own port.
func (l *hostList) canonical(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), l.port)
}

// allows reports whether a request for host is for this program.
func (l *hostList) allows(host string) bool {
	host = l.canonical(host)
	switch {
	case l.exact[host]:
		return true
	case l.exact == nil && l.profile != InsecureLAN:
		return true
	case l.exact == nil:
		name, _, ok := cutPort(host)
		return ok && localName(name)
	}
	name, _, ok := cutPort(host)
	return ok && l.names[name]
}

// localName reports whether a name is out of reach of a stranger's DNS: an
// address, or a name of no public domain.
func localName(name string) bool {
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	if !validName(name) {
		return false
	}
	for _, suffix := range []string{".local", ".internal", ".home.arpa", ".localhost"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return !strings.Contains(name, ".")
}

// loopbackName reports whether browsers take a name for this machine without
// asking the network.
func loopbackName(name string) bool {
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || err == nil && ip.IsLoopback()
}

// parseHost returns the name, in lower case and in brackets if it is an IPv6
// address, and the port, with its colon, of a host as browsers could send it.
// ok is false for all others, which would never match: wildcards, names that
// are not ASCII, other spellings of an address.
func parseHost(host string) (name, port string, ok bool) {
	name, port, ok = cutPort(strings.ToLower(host))
	if port != "" && !validPort(port[1:]) {
		return "", "", false
	}
	if inner, isIPv6 := strings.CutPrefix(name, "["); isIPv6 {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return "[" + ip.String() + "]", port, ok && err == nil && ip.Is6() && !ip.Is4In6() && ip.Zone() == ""
	}
	return name, port, ok && validName(name)
}

// cutPort cuts the port, with its colon, off a host.
func cutPort(host string) (name, port string, ok bool) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host, "", host != ""
	}
	name, port = host[:i], host[i:]
	return name, port, name != "" && len(port) > 1 && strings.Trim(port[1:], "0123456789") == ""
}

// validPort reports whether browsers write a port like that.
func validPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0 && port == strconv.FormatUint(number, 10)
}

// validName reports whether a name, in lower case, is one of DNS or an IPv4
// address in its one spelling: browsers take a name for an address if its last
// label is a number.
func validName(name string) bool {
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		ip, err := netip.ParseAddr(name)
		return err == nil && ip.Is4()
	}
	return len(name) <= 253
}

// validOrigin reports whether a browser could send origin. Browsers write one
// in one way only: anything else would be accepted here and never match.
func validOrigin(origin string) bool {
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || !validScheme(scheme) {
		return false
	}
	name, port, ok := parseHost(host)
	return ok && name+port == host && port != ":"+defaultPort(scheme)
}

// validScheme reports whether a page can have a scheme (RFC 3986, 3.1). Those
// of WebSockets it cannot have: their origin is that of the page.
func validScheme(scheme string) bool {
	return scheme != "" && 'a' <= scheme[0] && scheme[0] <= 'z' && scheme != "ws" && scheme != "wss" &&
		strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// defaultPort is the port that browsers leave out of a Host and of an Origin.
// Schemes without one get a port that no URL has.
func defaultPort(scheme string) string {
	switch scheme {
	case "https":
		return "443"
	case "http":
		return "80"
	}
	return "none"
}

// hostDomains returns the domains that a cookie can have which a browser sends
// to a host: no domain, its own, and its parents of two labels and more. To an
// address, only those without are sent.
func hostDomains(host string) []string {
	domains := []string{""}
	name, _, ok := cutPort(host)
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); !ok || err == nil {
		return domains
	}
	for {
		domains = append(domains, name)
		_, name, ok = strings.Cut(name, ".")
		if !ok || !strings.Contains(name, ".") {
			return domains
		}
	}
}
