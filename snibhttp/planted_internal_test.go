package snibhttp

import (
	"slices"
	"strings"
	"testing"
)

// sends is the rule of RFC 6265, 5.1.4, word for word: whether a browser sends
// a cookie of a path with a request for another.
func sends(cookie, request string) bool {
	return cookie == request ||
		strings.HasPrefix(request, cookie) && strings.HasSuffix(cookie, "/") ||
		strings.HasPrefix(request, cookie) && request[len(cookie)] == '/'
}

func TestAncestorsAreThePathsOfRFC6265(t *testing.T) {
	for _, request := range []string{"/", "/a", "/a/", "/a/b", "/a//b", "//", "//a", "/a//", "/a/b%2Fc/d;x/é", "/account/sessions/end"} {
		want := []string{}
		for end := 1; end <= len(request); end++ {
			if sends(request[:end], request) {
				want = append(want, request[:end])
			}
		}
		if got := ancestors(request); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
	if got := ancestors(""); len(got) != 0 { // of CONNECT
		t.Errorf("of no path: %q", got)
	}
}

func TestHostDomains(t *testing.T) {
	for host, want := range map[string]string{
		"localhost:8080":       " localhost",
		"127.0.0.1:8080":       "",
		"[::1]":                "",
		"printer.local":        " printer.local",
		"a.printer.local:80":   " a.printer.local printer.local",
		"a.b.office.home.arpa": " a.b.office.home.arpa b.office.home.arpa office.home.arpa home.arpa",
		"":                     "",
		"a:b":                  "",
	} {
		if got := strings.Join(hostDomains(host), " "); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
