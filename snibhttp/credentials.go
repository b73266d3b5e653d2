package snibhttp

import (
	"net/http"
	"net/textproto"
	"strings"
)

// credentials holds the tokens that a request presents, as text, before any
// lookup. If bearer is set, it alone counts, and cookies is empty.
type credentials struct {
	bearer  bool
	token   string   // of the Authorization header
	cookies []string // the values of the cookies of our name, the last of them
	count   int      // of all cookies of our name
}

// maxCookies bounds how many cookies of our name are looked at, and so the cost
// of a request. Browsers send those of longer paths first: ours, whose path is
// the shortest, is among the last.
const maxCookies = 8

// presented takes the credentials out of a request. ErrAuthorization if it has
// more than one Authorization header: two programs on the way might each
// believe another one. Options.IgnoreAuthorization ignores the header.
//
// A token is accepted in these two places only: one in an address would be in
// logs, histories and Referer headers.
func (m *Manager) presented(r *http.Request) (credentials, error) {
	lines := r.Header["Authorization"]
	if m.o.IgnoreAuthorization {
		lines = nil
	}
	if len(lines) > 1 {
		return credentials{}, ErrAuthorization
	}
	if len(lines) == 1 {
		if token, bearer := bearerToken(lines[0]); bearer {
			return credentials{bearer: true, token: token}, nil
		}
	}
	values, count := cookieValues(r.Header["Cookie"], m.cookie, maxCookies)
	return credentials{cookies: values, count: count}, nil
}

// bearerToken returns the token of an Authorization header of the Bearer scheme
// (RFC 6750), and whether it is of that scheme at all: another one (of a proxy
// in front, say) is not for us. The text after the scheme is taken as it
// stands; the database accepts one spelling only.
func bearerToken(line string) (token string, bearer bool) {
	line = strings.Trim(line, " \t")
	scheme := line
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		scheme, token = line[:i], strings.TrimLeft(line[i:], " \t")
	}
	return token, strings.EqualFold(scheme, "Bearer")
}

// cookieValues returns the values of the cookies of a name in the Cookie
// headers, in their order, the last of them if there are more than most, and how
// many there are. It splits as browsers join (RFC 6265, 4.2.1), trims
// as net/http does, and leaves nothing out that looks like a cookie of that
// name: net/http skips values it finds malformed, and a second cookie must not
// hide in that.
func cookieValues(lines []string, name string, most int) (values []string, count int) {
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			key, value, _ := strings.Cut(textproto.TrimString(pair), "=")
			if textproto.TrimString(key) != name {
				continue
			}
			if count++; count > most {
				values = values[:copy(values, values[1:])]
			}
			values = append(values, value)
		}
	}
	return values, count
}

// looksLikeKey reports whether a bearer token is for RequireKey to judge.
func looksLikeKey(token string) bool { return strings.HasPrefix(token, "snkey_") }
