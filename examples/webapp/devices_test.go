package main

import (
	"testing"
	"time"

	"github.com/snibdb/snib"
)

func TestDeviceNames(t *testing.T) {
	for agent, want := range map[string]string{
		"": "Unknown device",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/148.0.0.0 Safari/537.36":                           "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36 Edg/148.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15":                   "Safari on Mac",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Mobile Safari/537.36":                            "Chrome on Android",
		"curl/8.5.0":                      "curl",
		"Mozilla/5.0 (X11; Linux x86_64)": "Linux",
	} {
		if got := deviceName(agent); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago",
		59 * time.Minute: "59 minutes ago", time.Hour: "1 hour ago", 47 * time.Hour: "1 day ago", 48 * time.Hour: "2 days ago",
	} {
		if got := ago(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

// A user whom an operator or a repair has left without an address.
func TestAUserWithoutAddress(t *testing.T) {
	for want, identities := range map[string][]snib.Identity{
		"":              nil,
		"a@example.com": {{Provider: "github", Identifier: "1"}, {Provider: provider, Identifier: "a@example.com"}},
	} {
		if got := addressOf(snib.User{Identities: identities}); got != want {
			t.Errorf("%v: %q, want %q", identities, got, want)
		}
	}
	if got := addressOf(snib.User{Identities: []snib.Identity{{Provider: "github", Identifier: "1"}}}); got != "" {
		t.Errorf("mail would go to %q", got)
	}
}
