package snibhttp

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// FuzzCredentials compares what is taken out of a request with net/http, which
// is more forgiving: a cookie that it sees is never overlooked, so that no
// second one can hide, and a value it would return is returned alike.
func FuzzCredentials(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""},
		{"__Host-notes=snses_1.x", "Bearer snses_1.x"},
		{"a=b; __Host-notes=1; c=d; __Host-notes=2", "bearer  x "},
		{"a=b;__Host-notes = 1 ;", "\tBearer\tx"},
		{`__Host-notes="q"`, "Basic YTpi"},
		{"__Host-notes", "Bearer"},
		{"__Host-notes==;=__Host-notes", "Bearer a, Bearer b"},
		{"__Host-notes=1\n__Host-notes=2", "Bearer a\nBearer b"},
		{"__Host-notes=a b,c\x00", "BEARERx y"},
		{"a=b;__Host-notes\r=;1  ", "\tBear~3\xc6Jer\tx"},
		{"__host-notes=1;\u00a0__Host-notes=2", "Bearer\u00a0x"},
		{"__Host-notes=a;" + strings.Repeat("__Host-notes=b;", 9) + "__Host-notes=c", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	m := &Manager{cookie: "__Host-notes"}
	f.Fuzz(func(t *testing.T, cookies, authorization string) {
		r := &http.Request{Header: http.Header{"Cookie": strings.Split(cookies, "\n")}}
		got, err := m.presented(r)
		if err != nil || got.bearer {
			t.Fatalf("without Authorization: %+v, %v", got, err)
		}
		found, _ := cookieValues(r.Header["Cookie"], m.cookie, 1<<20)
		if got.count != len(found) || len(got.cookies) > maxCookies || len(got.cookies) < min(len(found), maxCookies) ||
			!slices.Equal(got.cookies, found[len(found)-len(got.cookies):]) {
			t.Errorf("%q: %d counted, %q kept of %q", cookies, got.count, got.cookies, found)
		}
		theirs := r.CookiesNamed(m.cookie)
		for _, c := range theirs {
			value := c.Value
			if c.Quoted {
				value = `"` + value + `"`
			}
			if !slices.Contains(found, value) {
				t.Errorf("%q: net/http finds %q, we %q", cookies, value, found)
			}
		}
		if len(found) < len(theirs) {
			t.Errorf("%q: net/http finds %d, we %d", cookies, len(theirs), len(found))
		}
		if n := strings.Count(cookies, m.cookie); len(found) > n {
			t.Errorf("%q: %d cookies in %d names", cookies, len(found), n)
		}
		checkAuthorization(t, m, r, authorization)
	})
}

func checkAuthorization(t *testing.T, m *Manager, r *http.Request, authorization string) {
	t.Helper()
	r.Header["Authorization"] = strings.Split(authorization, "\n")
	got, err := m.presented(r)
	if lines := len(r.Header["Authorization"]); (err != nil) != (lines > 1) {
		t.Fatalf("%q: %d headers, %v", authorization, lines, err)
	}
	if err != nil {
		return
	}
	if got.bearer && len(got.cookies) != 0 {
		t.Errorf("%q: both a token and cookies", authorization)
	}
	if got.bearer != (len(authorization) >= 6 && isBearer(authorization)) {
		t.Errorf("%q: bearer %v", authorization, got.bearer)
	}
	if strings.Trim(got.token, " \t") != got.token || !strings.HasSuffix(strings.Trim(authorization, " \t"), got.token) {
		t.Errorf("%q: token %q", authorization, got.token)
	}
}

// isBearer says the same as bearerToken in another way: the first word.
func isBearer(line string) bool {
	words := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' })
	return len(words) > 0 && strings.EqualFold(words[0], "Bearer")
}

// FuzzHosts: an entry of Options.Hosts that New accepts is matched by itself,
// in whatever case and with the scheme's own port, and by no other port or
// name.
func FuzzHosts(f *testing.F) {
	for _, seed := range []string{"localhost:8080", "App.example.com", "[::1]:443", "[0:0::1]", "127.0.0.1:80", "a_b.", "*.example", "127.1", "[::1", "::1", "a:b:c", "a:", ":80", "\u212a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		for _, profile := range []Profile{HTTPS, InsecureLAN} {
			o := &Options{App: "a", Profile: profile, Hosts: []string{host}}
			if o.check() != nil {
				continue
			}
			l := o.hostList()
			name, port, ok := parseHost(host)
			if !ok || !l.allows(name+port) || !l.allows(strings.ToUpper(name+port)) || port == "" && !l.allows(name+l.port) {
				t.Errorf("%v %q: does not match itself: %q %q", profile, host, name, port)
			}
			for _, other := range []string{"x" + name + port, name + ":1", name + "x" + port, name + ".attacker.example" + port, ""} {
				if other != name+port && l.allows(other) {
					t.Errorf("%v %q: accepts %q", profile, host, other)
				}
			}
		}
		if validOrigin("https://"+host) != (strings.ToLower(host) == host && (&Options{App: "a", Hosts: []string{host}}).check() == nil && canonical(host)) {
			t.Errorf("%q: as an origin %v", host, validOrigin("https://"+host))
		}
	})
}

// canonical reports whether browsers would write a valid host so in an origin.
func canonical(host string) bool {
	name, port, _ := parseHost(host)
	return name+port == host && port != ":443"
}
