package snibhttp

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/snibdb/snib"
)

// Options is how a Manager behaves. Every field but App may be left at its
// zero value, which is the safe one. New copies what it is given.
type Options struct {
	// App is the name of the application, and of its cookie: 1–32 of
	// [A–Za–z0–9_-], beginning with a letter or digit. Required. Programs
	// that share a host name need different ones: browsers keep cookies by
	// host and name, and send them to every port.
	App string

	// Profile is how browsers reach the program. Default HTTPS.
	Profile Profile

	// Hosts are the values that the Host header of a request may have, each
	// a name or address with the port, unless that is the scheme's own:
	// "localhost:8080", "app.example.com". A request for another one is
	// refused with 421, whatever its method, before anything is looked up.
	//
	// Required under Loopback, where each must be localhost, a name that ends
	// in .localhost, or a loopback address: a page of anybody's can point its
	// own host name at 127.0.0.1 (DNS rebinding) and is then, to the browser,
	// of the same origin as this program. Elsewhere empty accepts every Host.
	Hosts []string

	// SameSite of the cookie: http.SameSiteLaxMode, the default, or
	// http.SameSiteStrictMode, under which who follows a link from another
	// site arrives signed out.
	SameSite http.SameSite

	// TrustedOrigins may send requests that change something, with the
	// cookie of the user, as if they were this program: "https://host" or
	// "https://host:port" as browsers write an Origin header, in lower case.
	// Name the program's own public origin here if a proxy in front of it
	// changes the Host header. At most 64.
	TrustedOrigins []string

	// ClientAddr returns the address of the client, to be shown in the list
	// of sessions. Default: that of RemoteAddr. Set it if a proxy is in front
	// of the program, to what that proxy vouches for; a header that clients
	// can send as well is no such thing. It is called concurrently.
	ClientAddr func(r *http.Request) string

	// Refuse answers in the place of the Manager where a request gets no
	// further: with a redirect to the sign-in page at 401, say. status is the
	// one that [WriteStatus] would answer with, which is also what to call
	// for those that need no answer of their own; err is why, for errors.Is,
	// and not for the client to see. Cache-Control, Retry-After and
	// WWW-Authenticate are set already. It is called concurrently.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, err error)

	// Logger receives what an operator wants to see: each 503 with its
	// reason, and duplicate cookies. nil discards. No token, and nothing of
	// a request but its method and the client's address, is in it.
	Logger *slog.Logger
}

// Profile is how browsers reach the program. It alone decides the scheme:
// neither a TLS connection nor a forwarded header is asked.
type Profile int

const (
	// HTTPS is for everything that is reached over a network: the program
	// itself, or a proxy in front of it, speaks TLS. The cookie is named
	// __Host-<app> and Secure, so that no other host and no plain-text
	// connection can set, shadow or read it.
	HTTPS Profile = iota

	// Loopback is for a program whose browser runs on the same machine:
	// plain HTTP on localhost. The cookie is named <app> and not Secure,
	// Options.Hosts is required.
	Loopback

	// InsecureLAN is for devices that are reached by plain HTTP over a
	// network, where browsers would drop a Secure cookie in silence. The
	// cookie is as under Loopback. Whoever can listen or write on that
	// network can take over every session; New logs a warning.
	InsecureLAN
)

// String returns the name of the constant.
func (p Profile) String() string {
	switch p {
	case HTTPS:
		return "HTTPS"
	case Loopback:
		return "Loopback"
	case InsecureLAN:
		return "InsecureLAN"
	}
	return "unknown"
}

// scheme is that of the program's own origin.
func (p Profile) scheme() string {
	if p == HTTPS {
		return "https"
	}
	return "http"
}

// maxTrustedOrigins is for symmetry with the other declarations of options.
const maxTrustedOrigins = 64

// invalid names a field that New refuses.
func invalid(field, reason string) error {
	return &snib.InputError{Field: "Options." + field, Reason: reason}
}

// check returns which field is outside its bounds, looking at each by itself.
func (o *Options) check() error {
	switch {
	case !validApp(o.App):
		return invalid("App", "must be 1–32 of [A-Za-z0-9_-], the first a letter or digit")
	case o.Profile < HTTPS || o.Profile > InsecureLAN:
		return invalid("Profile", "must be HTTPS, Loopback or InsecureLAN")
	case o.Profile == Loopback && len(o.Hosts) == 0:
		return invalid("Hosts", `must be set under Loopback, to "localhost:8080" say`)
	case o.SameSite != 0 && o.SameSite != http.SameSiteLaxMode && o.SameSite != http.SameSiteStrictMode:
		return invalid("SameSite", "must be SameSiteLaxMode or SameSiteStrictMode")
	case len(o.TrustedOrigins) > maxTrustedOrigins:
		return invalid("TrustedOrigins", "must be at most 64")
	case !allOf(o.TrustedOrigins, validOrigin):
		return invalid("TrustedOrigins", `must each be as browsers write an origin: "https://app.example.com"`)
	}
	for _, h := range o.Hosts {
		name, ok := hostName(h)
		switch {
		case !ok:
			return invalid("Hosts", `must each be as in a Host header: "localhost:8080"`)
		case o.Profile == Loopback && !loopbackName(name):
			return invalid("Hosts", "must each be localhost, under .localhost or a loopback address, under Loopback")
		}
	}
	return nil
}

func allOf(list []string, ok func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !ok(s) })
}

func validApp(app string) bool {
	if len(app) < 1 || len(app) > 32 || app[0] == '-' || app[0] == '_' {
		return false
	}
	for _, c := range []byte(app) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// validOrigin reports whether a browser could send origin: anything else would
// be accepted here and never match.
func validOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Scheme != "" && u.Host != "" && u.Port() != defaultPort(u.Scheme) &&
		origin == strings.ToLower(u.Scheme+"://"+u.Host)
}

// defaultPort is what browsers leave out of a Host and of an Origin. Schemes
// that have none get a port that no URL has.
func defaultPort(scheme string) string {
	switch scheme {
	case "https":
		return "443"
	case "http":
		return "80"
	}
	return "none"
}

// hostName returns the name or address in the value of a Host header.
func hostName(host string) (name string, ok bool) {
	u, err := url.Parse("//" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || strings.HasSuffix(host, ":") {
		return "", false
	}
	return u.Hostname(), true
}

// loopbackName reports whether browsers take a name for this machine without
// asking the network.
func loopbackName(name string) bool {
	name = strings.ToLower(name)
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || err == nil && ip.IsLoopback()
}

// hostSet is the values of a Host header that are accepted.
func (o *Options) hostSet() map[string]bool {
	if len(o.Hosts) == 0 {
		return nil
	}
	set := make(map[string]bool)
	for _, h := range o.Hosts {
		h = strings.ToLower(h)
		set[strings.TrimSuffix(h, ":"+defaultPort(o.Profile.scheme()))] = true
		set[h] = true
	}
	return set
}

// remoteAddr is the default of Options.ClientAddr: the address of the peer
// without its port.
func remoteAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // of a server that listens on something else
	}
	return host
}
