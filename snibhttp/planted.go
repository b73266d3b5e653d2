package snibhttp

import (
	"net/http"
	"net/url"
	"slices"
)

// maxDeletions bounds the header of an answer: proxies refuse a large one.
const maxDeletions = 48

// deletePlanted takes away cookies of our name that are not ours, where a
// request has more than one. Under plain HTTP, programs on other ports of the
// host and hosts under the same domain can set them, with a path or domain
// other than ours; under HTTPS, browsers keep one of a __Host- name, and that
// one goes.
//
// A cookie that was sent has a path that is an ancestor of the request's (RFC
// 6265, 5.1.4) and a domain that is the host's or a parent's. All of these are
// deleted but the one that we set ourselves, of path / and no domain. That one
// must never go without the others, and behind a proxy that strips a prefix of
// the path there may be others that are not found: they would be alone then,
// and the user in the planter's account. As it is, the next request has ours
// alone, or two of the name again.
//
// One of path / and the host's own domain is another than ours to most
// browsers, and ours itself to some (to Chromium, where the host is localhost):
// it goes where the same answer sets or deletes ours, which rewritten says.
func (m *Manager) deletePlanted(w http.ResponseWriter, r *http.Request, rewritten bool) {
	if m.o.Profile == HTTPS {
		m.deleteCookie(w)
		return
	}
	h := w.Header()
	noStore(h)
	domains := hostDomains(m.hosts.canonical(r.Host))
	lines := 0
	for _, path := range ancestors(requestPath(r)) {
		for i, domain := range domains {
			if path == "/" && (i == 0 || i == 1 && !rewritten) {
				continue
			}
			if lines++; lines > maxDeletions {
				return
			}
			if line := m.cookieLine(m.cookie, "", path, domain, -1); !slices.Contains(h["Set-Cookie"], line) {
				h.Add("Set-Cookie", line)
			}
		}
	}
}

// ancestors returns the paths that a cookie can have which a browser sends
// with a request for path, the shortest first.
func ancestors(path string) (list []string) {
	for i, c := range []byte(path) {
		if c != '/' {
			continue
		}
		if i > 0 && path[i-1] != '/' {
			list = append(list, path[:i])
		}
		list = append(list, path[:i+1])
	}
	if len(path) > 0 && path[len(path)-1] != '/' {
		list = append(list, path)
	}
	return list
}

// requestPath returns the path of a request as the browser wrote it. r.URL may
// have been changed by http.StripPrefix.
func requestPath(r *http.Request) string {
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil { // of a request that was not received
		u = r.URL
	}
	return u.EscapedPath()
}
