package snibhttp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
	"github.com/snibdb/snib/snibtest"
)

// TestAHostAsProxiesSpellIt: nginx's "Host $host:$server_port" adds the
// scheme's own port, which browsers leave out of the Origin, and others keep
// the capitals that somebody has typed.
func TestAHostAsProxiesSpellIt(t *testing.T) {
	for _, c := range []struct {
		profile      snibhttp.Profile
		hosts        []string
		host, origin string
		pass         bool
	}{
		{snibhttp.HTTPS, nil, "app.example.com:443", "https://app.example.com", true},
		{snibhttp.HTTPS, nil, "App.Example.COM", "https://app.example.com", true},
		{snibhttp.HTTPS, nil, "APP.example.com:443", "https://app.example.com", true},
		{snibhttp.HTTPS, nil, "[2001:DB8::1]:443", "https://[2001:db8::1]", true},
		{snibhttp.HTTPS, nil, "app.example.com:8443", "https://app.example.com:8443", true},
		{snibhttp.HTTPS, []string{"app.example.com"}, "app.example.com:443", "https://app.example.com", true},
		{snibhttp.HTTPS, []string{"APP.example.com:443"}, "app.example.com", "https://app.example.com", true},
		{snibhttp.InsecureLAN, nil, "printer.local:80", "http://printer.local", true},
		{snibhttp.InsecureLAN, []string{"Printer.fritz.box"}, "printer.fritz.box:80", "http://printer.fritz.box", true},
		{snibhttp.Loopback, []string{"localhost:80"}, "localhost", "http://localhost", true},

		{snibhttp.HTTPS, nil, "app.example.com:80", "https://app.example.com", false},
		{snibhttp.HTTPS, nil, "app.example.com:8443", "https://app.example.com", false},
		{snibhttp.HTTPS, nil, "app.example.com", "https://app.example.com:8443", false},
		{snibhttp.HTTPS, nil, "app.example.com:443", "http://app.example.com", false},
		{snibhttp.HTTPS, nil, "app.example.com:443", "https://app.example.com:443", false}, // no browser's
		{snibhttp.HTTPS, nil, "app.example.com.", "https://app.example.com", false},
		{snibhttp.HTTPS, nil, ":443", "https://", false},
		{snibhttp.InsecureLAN, nil, "printer.local:443", "http://printer.local", false},
		{snibhttp.HTTPS, []string{"app.example.com"}, "app.example.com:80", "https://app.example.com:80", false},
		{snibhttp.HTTPS, []string{"app.example.com"}, "app.example.com:8443", "https://app.example.com:8443", false},
	} {
		s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.Profile, o.Hosts = c.profile, c.hosts })
		for _, site := range []string{"", "same-origin"} { // browsers send none over plain HTTP
			for _, websocket := range []bool{false, true} {
				r := httptest.NewRequest("POST", "/open", nil)
				if websocket {
					r.Method = "GET"
					r.Header.Set("Upgrade", "websocket")
				}
				r.Host = c.host
				r.Header.Set("Origin", c.origin)
				if site != "" {
					r.Header.Set("Sec-Fetch-Site", site)
				}
				if res := s.do(r); (res.StatusCode == http.StatusOK) != c.pass {
					t.Errorf("%v %q: host %q, origin %q, site %q, WebSocket %v: %s", c.profile, c.hosts, c.host, c.origin, site, websocket, res.Status)
				}
			}
		}
	}
}

// TestLoopbackOfAnyPort: a forwarded port is another one than the program
// listens on. The origin must be of the port that the request is for.
func TestLoopbackOfAnyPort(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) {
		o.Profile, o.Hosts = snibhttp.Loopback, []string{"LocalHost", "[::1]", "127.0.0.1:8080"}
	})
	for host, want := range map[string]int{
		"localhost:9000": 200, "LOCALHOST:1": 200, "localhost": 200, "localhost:80": 200, "[::1]:9000": 200, "[::1]": 200,
		"127.0.0.1:8080": 200, "127.0.0.1:9000": 421, "127.0.0.1": 421,
		"attacker.example:9000": 421, "localhost.attacker.example:9000": 421, "localhost:": 421, "localhost:x": 421, "localhost.:9000": 421,
		"localhost:9000@attacker.example": 421, "localhost:9000:9000": 421, "[::2]:9000": 421, "::1": 421, ":9000": 421, "": 421,
	} {
		r := s.request("GET", "/open")
		r.Host = host
		wantStatus(t, s.do(r), want)
	}
	for origin, want := range map[string]int{"http://localhost:9000": 200, "http://localhost:8080": 403, "http://localhost": 403, "http://[::1]:9000": 403} {
		r := s.request("POST", "/open", "Origin: "+origin)
		r.Host = "localhost:9000"
		wantStatus(t, s.do(r), want)
	}
}

// TestInsecureLANWithoutHosts: a page of a stranger's may lead its own name to
// the device (DNS rebinding), but can own no name of the local network.
func TestInsecureLANWithoutHosts(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.Profile = snibhttp.InsecureLAN })
	for host, want := range map[string]int{
		"192.168.1.7": 200, "192.168.1.7:8080": 200, "203.0.113.9": 200, "[fe80::1]:8080": 200, "[fd00::1]": 200,
		"printer": 200, "PRINTER:8080": 200, "printer.local": 200, "a.printer.local:80": 200, "nas.internal": 200, "tv.home.arpa:8080": 200, "localhost:8080": 200,
		"rebound.attacker.example": 421, "rebound.attacker.example:8080": 421, "attacker.com.": 421, "127.0.0.1.attacker.com": 421,
		"printer.local.attacker.com": 421, "notlocal.com": 421, "xlocal.com": 421, "fritz.box": 421, "": 421, ":80": 421, "[::1": 421,
	} {
		for _, method := range []string{"GET", "POST"} {
			r := s.request(method, "/open")
			r.Host = host
			if res := s.do(r); res.StatusCode != want {
				t.Errorf("%s for %q: %s", method, host, res.Status)
			}
		}
	}
	// Its own list, if there is one, is all there is.
	s = newSite(t, func(_ *snib.Options, o *snibhttp.Options) {
		o.Profile, o.Hosts = snibhttp.InsecureLAN, []string{"device.example"}
	})
	for host, want := range map[string]int{"device.example": 200, "printer.local": 421, "192.168.1.7": 421} {
		r := s.request("GET", "/open")
		r.Host = host
		wantStatus(t, s.do(r), want)
	}
}

// TestNewRefusesWhatNeverMatches: browsers send no such Host or Origin, and
// nobody would be told.
func TestNewRefusesWhatNeverMatches(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	bad := []string{"*.example.com", "*", "bücher.example", "a.example:*", "a.example:0443", "a.example:0", "a.example:65536", "a.example:+80", "a..example", ".example",
		"127.1", "0x7f.1", "127.0.0.1.", "1.2.3.4.5", "a.0x7f", "[::ffff:1.2.3.4]", "[fe80::1%25eth0]", "[1.2.3.4]", "[::1", "a%41.example", "a.example,b.example",
		"https://a.example", "a.example/", "a b", "a.example:", ""}
	for _, host := range bad {
		_, err := snibhttp.New(db, &snibhttp.Options{App: "a", Hosts: []string{host}})
		wantInput(t, err, "Options.Hosts")
		_, err = snibhttp.New(db, &snibhttp.Options{App: "a", TrustedOrigins: []string{"https://" + host}})
		wantInput(t, err, "Options.TrustedOrigins")
	}
	for _, origin := range []string{"wss://a.example", "ws://a.example", "https://[0:0::1]", "https://a.example.com,https://b.example", "1x://a", "-x://a", "x_y://a", "://a", "https:a.example"} {
		_, err := snibhttp.New(db, &snibhttp.Options{App: "a", TrustedOrigins: []string{origin}})
		wantInput(t, err, "Options.TrustedOrigins")
	}
	good := &snibhttp.Options{App: "a", Hosts: []string{"xn--bcher-kva.example", "a_b.example.", "[0:0::1]:8443", "192.0.2.1:1", "a.example:65535"},
		TrustedOrigins: []string{"https://xn--bcher-kva.example", "capacitor://localhost", "chrome-extension://abcdefghijklmnop", "http://192.0.2.1:8080", "https://a.example."}}
	if _, err := snibhttp.New(db, good); err != nil {
		t.Error(err)
	}
}

// TestAnAddressInHostsMayBeSpelledOtherwise than browsers send it.
func TestAnAddressInHostsMayBeSpelledOtherwise(t *testing.T) {
	s := newSite(t, func(_ *snib.Options, o *snibhttp.Options) { o.Hosts = []string{"[2001:DB8:0:0::1]:443"} })
	for host, want := range map[string]int{"[2001:db8::1]": 200, "[2001:db8::1]:443": 200, "[2001:db8::1]:80": 421} {
		r := s.request("GET", "/open")
		r.Host = host
		wantStatus(t, s.do(r), want)
	}
}
