package snibhttp

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"github.com/snibdb/snib"
)

// Options is how a Manager behaves. Every field but App may be left at its zero
// value, which is the safe one. New copies its Options.
type Options struct {
	// App is the name of the application, and of its cookie: 1–32 of
	// [A–Za–z0–9_-], beginning with a letter or digit. Required. Programs
	// that share a host name need different ones: browsers keep cookies by
	// host and name, and send them to every port.
	App string

	// Profile is how browsers reach the program. Default HTTPS.
	Profile Profile

	// Hosts are the names by which browsers reach the program, each a name or
	// address with the port, unless that is the scheme's own: "localhost:8080",
	// "app.example.com". A request for another one is refused with 421, for any
	// method, before anything is looked up. Case does not count, nor does the
	// scheme's own port, which some proxies add. An entry that no browser sends
	// is refused by New.
	//
	// Any page can point its own host name at 127.0.0.1 or at a device (DNS
	// rebinding) and is then, to the browser, of the same origin as this
	// program. Hence:
	//   - under Loopback, Hosts is required, and each must be localhost, a
	//     name that ends in .localhost, or a loopback address. One without a
	//     port stands for all its ports, for where ports are forwarded
	//     (docker -p, ssh -L).
	//   - under InsecureLAN, empty accepts addresses and the names that no
	//     stranger can own: those without a dot, and under .local, .internal,
	//     .home.arpa and .localhost.
	//   - under HTTPS, empty accepts every host: an attacker has no
	//     certificate for a name that leads here.
	Hosts []string

	// SameSite of the cookie: http.SameSiteLaxMode, the default, or
	// http.SameSiteStrictMode, under which a user that follows a link from
	// another site arrives signed out.
	SameSite http.SameSite

	// TrustedOrigins may send requests that change something, with the
	// cookie of the user, as if they were this program: "https://host" or
	// "https://host:port" as browsers write an Origin header, in lower case.
	// Name the program's own public origin here if a proxy in front of it
	// changes the Host header. At most 64.
	TrustedOrigins []string

	// IgnoreAuthorization is for a proxy in front that sends a header
	// Authorization of its own with every request, which would otherwise lock
	// everybody out. The header is then not read at all, so native clients
	// have no way in: give their endpoints a Manager of their own.
	IgnoreAuthorization bool

	// BrowserSession makes cookies that end with the browser, unless the log-in
	// sets snib.SessionOptions.Persistent. The session itself lives on in the
	// database as Options.Sessions there says; and a browser that is set to
	// open the tabs of last time keeps such cookies too.
	BrowserSession bool

	// TrustedProxies are the networks of the proxies in front of the program
	// that append to X-Forwarded-For the address they were called from. The
	// client is then the last address in that header that is not of one of
	// them, as long as the peer is one. Without it, headers are not looked at
	// and the client is the peer: behind a proxy all clients are the proxy, and
	// a guesser slows all of them down. At most 64.
	TrustedProxies []netip.Prefix

	// Refuse answers in the place of the Manager where a request gets no
	// further: with a redirect to the sign-in page at 401, say. status is the
	// one that [WriteStatus] would answer with, which is also the one to call
	// for statuses that need no answer of their own; err is why, for errors.Is,
	// and not for the client to see. Cache-Control, Retry-After and
	// WWW-Authenticate are set already. Routes of RequireKey come here too:
	// redirect where people ask for a page. It is called concurrently.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, err error)

	// Reused is called when TokenHandler is presented a refresh token that was
	// used before: another client holds a copy, and the family is ended. Tell
	// the user. It is called again each time a token of that family comes,
	// which its holders can repeat: e.ID tells families apart. It is called
	// concurrently, before the answer, which waits for it. nil disables it.
	Reused func(r *http.Request, e *snib.ReuseError)

	// Logger receives lines for the operator: each 503 with its reason,
	// requests refused for their origin or host with the setting that would let
	// them through, and duplicate cookies; at most 20 lines of a kind a minute.
	// nil discards. Of a request, only its method, Host, Origin, Sec-Fetch-Site
	// and the client's address are in it, and never a token.
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

	// InsecureLAN is for devices that are reached by plain HTTP over a network,
	// where browsers would drop a Secure cookie in silence. The cookie is as
	// under Loopback. An attacker that can listen or write on that network can
	// take over every session; New logs a warning.
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
func invalid(field, code, reason string) error {
	return &snib.InputError{Field: "Options." + field, Code: code, Reason: reason}
}

// check returns which field is outside its bounds, looking at each by itself.
func (o *Options) check() error {
	switch {
	case !validApp(o.App):
		return invalid("App", snib.CodeMalformed, "must be 1–32 of [A-Za-z0-9_-], the first a letter or digit")
	case o.Profile < HTTPS || o.Profile > InsecureLAN:
		return invalid("Profile", snib.CodeOutOfRange, "must be HTTPS, Loopback or InsecureLAN")
	case o.Profile == Loopback && len(o.Hosts) == 0:
		return invalid("Hosts", snib.CodeRequired, `must be set under Loopback, to "localhost:8080" say`)
	case o.SameSite != 0 && o.SameSite != http.SameSiteLaxMode && o.SameSite != http.SameSiteStrictMode:
		return invalid("SameSite", snib.CodeUnsupported, "must be SameSiteLaxMode or SameSiteStrictMode")
	case len(o.TrustedProxies) > maxTrustedOrigins:
		return invalid("TrustedProxies", snib.CodeTooMany, "must be at most 64")
	case slices.ContainsFunc(o.TrustedProxies, func(p netip.Prefix) bool { return !p.IsValid() }):
		return invalid("TrustedProxies", snib.CodeMalformed, "must each be a prefix")
	case len(o.TrustedOrigins) > maxTrustedOrigins:
		return invalid("TrustedOrigins", snib.CodeTooMany, "must be at most 64")
	case !allOf(o.TrustedOrigins, validOrigin):
		return invalid("TrustedOrigins", snib.CodeMalformed, `must each be as browsers write an origin: "https://app.example.com"`)
	}
	for _, h := range o.Hosts {
		name, _, ok := parseHost(h)
		switch {
		case !ok:
			return invalid("Hosts", snib.CodeMalformed, `must each be as browsers send it: "localhost:8080", "xn--bcher-kva.example"`)
		case o.Profile == Loopback && !loopbackName(name):
			return invalid("Hosts", snib.CodeNotAllowed, "must each be localhost, under .localhost or a loopback address, under Loopback")
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
