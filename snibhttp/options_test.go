package snibhttp_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
	"github.com/snibdb/snib/snibtest"
)

// wantInput wants an InputError that names field.
func wantInput(t *testing.T, err error, field string) {
	t.Helper()
	e, ok := errors.AsType[*snib.InputError](err)
	if !ok || e.Field != field || !errors.Is(err, snib.ErrInvalidInput) {
		t.Errorf("got %v, want an error that names %s", err, field)
	}
}

func TestNewNamesTheFieldThatIsWrong(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	local := func(hosts ...string) *snibhttp.Options {
		return &snibhttp.Options{App: "a", Profile: snibhttp.Loopback, Hosts: hosts}
	}
	trusting := func(origins ...string) *snibhttp.Options {
		return &snibhttp.Options{App: "a", TrustedOrigins: origins}
	}
	for field, list := range map[string][]*snibhttp.Options{
		"Options.App": {nil, {}, {App: "a b"}, {App: "a="}, {App: "ä"}, {App: "-a"}, {App: "_a"}, {App: "__Host-a"},
			{App: "a;"}, {App: strings.Repeat("a", 33)}},
		"Options.Profile":  {{App: "a", Profile: -1}, {App: "a", Profile: 3}},
		"Options.SameSite": {{App: "a", SameSite: http.SameSiteNoneMode}, {App: "a", SameSite: http.SameSiteDefaultMode}, {App: "a", SameSite: 9}},
		"Options.Hosts": {local(), local(""), local("notes.example:8080"), local("10.0.0.1:80"), local("localhost.example"),
			local("localhost:8080", "0.0.0.0:8080"), local("localhost:"), local("http://localhost"), local("localhost/"), local("a@localhost"),
			local("::1"), {App: "a", Hosts: []string{""}}, {App: "a", Hosts: []string{"https://a.example"}}, {App: "a", Hosts: []string{"a b"}}},
		"Options.TrustedOrigins": {trusting(""), trusting("null"), trusting("*"), trusting("a.example"), trusting("https://a.example/"),
			trusting("https://A.example"), trusting("HTTPS://a.example"), trusting("https://a.example:443"), trusting("http://a.example:80"), trusting("https://u@a.example"),
			trusting("https://a.example?"), trusting("https://a.example#"), trusting("https://"), trusting("https://a.example", "file://"),
			trusting(slices.Repeat([]string{"https://a.example"}, 65)...)},
	} {
		for _, o := range list {
			m, err := snibhttp.New(db, o)
			if wantInput(t, err, field); m != nil {
				t.Errorf("%+v: there is a Manager", o)
			}
		}
	}
	_, err := snibhttp.New(nil, &snibhttp.Options{App: "a"})
	wantInput(t, err, "db")
}

func TestNewAccepts(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	for _, o := range []*snibhttp.Options{
		{App: "a"},
		{App: strings.Repeat("a", 32)},
		{App: "My_app-2", SameSite: http.SameSiteStrictMode, Hosts: []string{"notes.example", "Notes.example:8443", "[2001:db8::1]:443"}},
		{App: "a", Profile: snibhttp.Loopback, Hosts: []string{"localhost:8080", "LOCALHOST", "notes.localhost:1", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080", "[::1]"}},
		{App: "a", TrustedOrigins: []string{"https://app.example.com", "https://a.example:80", "http://a.example:443", "wails://wails", "https://[2001:db8::1]:8443"}},
	} {
		if _, err := snibhttp.New(db, o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestNewCopiesItsOptions: changing a slice of the caller's later trusts
// nobody.
func TestNewCopiesItsOptions(t *testing.T) {
	var o *snibhttp.Options
	s := newSite(t, func(_ *snib.Options, h *snibhttp.Options) {
		h.TrustedOrigins, h.Hosts = []string{"https://a.example"}, []string{"notes.example"}
		o = h
	})
	o.TrustedOrigins[0], o.Hosts[0] = "https://b.example", "b.example"
	r := s.request("POST", "/sign-in", "Origin: https://b.example")
	wantStatus(t, s.do(r), http.StatusForbidden)
	wantStatus(t, s.do(s.request("POST", "/sign-in", "Origin: https://a.example")), http.StatusNoContent)
}

func TestInsecureLANIsLogged(t *testing.T) {
	for profile, want := range map[snibhttp.Profile]bool{snibhttp.HTTPS: false, snibhttp.Loopback: false, snibhttp.InsecureLAN: true} {
		var log bytes.Buffer
		if _, err := snibhttp.New(snibtest.NewDB(t, nil), &snibhttp.Options{
			App: "a", Profile: profile, Hosts: []string{"localhost"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "level=WARN"); got != want {
			t.Errorf("%v: log %q", profile, log.String())
		}
	}
}

func TestProfileString(t *testing.T) {
	for p, want := range map[snibhttp.Profile]string{
		snibhttp.HTTPS: "HTTPS", snibhttp.Loopback: "Loopback", snibhttp.InsecureLAN: "InsecureLAN", 7: "unknown",
	} {
		if got := p.String(); got != want {
			t.Errorf("%d: %q, want %q", int(p), got, want)
		}
	}
}
