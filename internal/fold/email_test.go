package fold

import (
	"net"
	"regexp"
	"strings"
	"testing"
)

// mailbox is the grammar of RFC 5321, 4.1.2 and 4.1.3, without Quoted-string
// and General-address-literal. Package net reads the numbers.
var mailbox = regexp.MustCompile("^([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)@" +
	`(?:([A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)|\[([0-9.]+)\]|\[(?i:IPv6):([0-9A-Fa-f:.]+)\])$`)

// isMailbox is the promise of the rule Email, from the text of the RFC.
func isMailbox(s string) bool {
	m := mailbox.FindStringSubmatch(s)
	if m == nil || len(s) > 254 || len(m[1]) > 64 {
		return false
	}
	for _, label := range strings.Split(m[3], ".") {
		if len(label) > 63 {
			return false
		}
	}
	switch {
	case m[4] != "":
		return net.ParseIP(m[4]) != nil
	case m[5] != "":
		return strings.Contains(m[5], ":") && net.ParseIP(m[5]) != nil
	}
	return true
}

func TestEmail(t *testing.T) {
	long := strings.Repeat("d", 63)
	for address, want := range map[string]string{
		"Ada@Example.COM": "ada@example.com", "a+tag@x.org": "a+tag@x.org", "o'brien@x.org": "o'brien@x.org", "a@localhost": "a@localhost",
		"info@xn--mller-kva.example": "info@xn--mller-kva.example", "-oQ/tmp@x.org": "-oq/tmp@x.org", "!#$%&'*+-/=?^_`{|}~@x.org": "!#$%&'*+-/=?^_`{|}~@x.org",
		"a@[192.0.2.1]": "a@[192.0.2.1]", "a@[ipv6:2001:DB8:0::1]": "a@[ipv6:2001:db8:0:0:0:0:0:1]", "a@[IPv6:::ffff:1.2.3.4]": "a@[ipv6:0:0:0:0:0:ffff:102:304]",
		strings.Repeat("l", 64) + "@" + long + ".org":           strings.Repeat("l", 64) + "@" + long + ".org",
		"a@" + long + "." + long + "." + long + "." + long[:60]: "a@" + long + "." + long + "." + long + "." + long[:60],
		"a@[IPv6:1:2:3:4:5:6:7::]":                              "a@[ipv6:1:2:3:4:5:6:7:0]", "a@[IPv6:::]": "a@[ipv6:0:0:0:0:0:0:0:0]", "a@[IPv6:1:2:3:4:5:6:1.2.3.4]": "a@[ipv6:1:2:3:4:5:6:102:304]",
		// Refused: lists, routes, ports, quotes, bad hosts and addresses.
		"a@[IPv6:1:2:3:4:5:6:7:8:9]": "", "a@[IPv6:1:2:3:4:5:6:7]": "", "a@[IPv6:1:2:3:4:5:6:7::8]": "", "a@[IPv6:1::2::3]": "", "a@[IPv6::::]": "", "a@[IPv6:1:]": "",
		"a@[IPv6::1:2:3:4:5:6:7]": "", "a@[IPv6:12345::]": "", "a@[IPv6:1.2.3.4::]": "", "a@[IPv6:+1::]": "", "a@[+1.2.3.4]": "", "a@[1.2.3.4.5]": "", "a@[1..2.3]": "",
		"victim@x.org,attacker": "", "a@x.org>": "", "<a@x.org": "", "<a@x.org>": "", "a@x.org;b": "", "a@x.org:25": "", "a,b@x.org": "", "@r:a@x.org": "",
		"a@@x.org": "", "a@b@x.org": "", `"e@evil.example"@x.org`: "", `"a"@x.org`: "", `a\@x.org`: "", "a(c)@x.org": "", "a@b%0d%0aBcc:eve": "",
		"a@-x.org": "", "a@x-.org": "", "a@x..org": "", "a@.": "", "a@.org": "", "a@x.org.": "", "a..b@x.org": "", ".a@x.org": "", "a.@x.org": "", "a@x_y.org": "",
		"a@": "", "@x.org": "", "": "", "a": "", "a b@x.org": "", "a@x .org": "", "info@m\u00fcller.example": "", "\u8a71@example.com": "",
		"a@[]": "", "a@[192.0.2.1": "", "a@192.0.2.1]": "", "a@[192.0.2.256]": "", "a@[192.0.2.01]": "", "a@[2001:db8::1]": "", "a@[IPv6:]": "",
		"a@[IPv6:192.0.2.1]": "", "a@[IPv6:fe80::1%eth0]": "", "a@[192.0.2.1].org": "", "a@[tag:x]": "",
		strings.Repeat("l", 65) + "@x.org": "", "a@" + long + "d.org": "", "a@" + long + "." + long + "." + long + "." + long[:61]: "",
	} {
		key, fault := Identifier(Email, address)
		if key != want || fault.Found() != (want == "") {
			t.Errorf("%q has the key %q, want %q (%v)", address, key, want, fault)
		}
		if isMailbox(address) != (want != "") {
			t.Errorf("the oracle differs about %q", address)
		}
	}
}

// FuzzEmail compares the rule with the grammar.
func FuzzEmail(f *testing.F) {
	for _, s := range []string{
		"ada@example.com", "a.b-c@x-y.org", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a@[IPv6:::]", "a@x.org.", "a..b@x.org", "a@b,c", "a@[1.2.3]", `"a"@b`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, fault := Identifier(Email, s)
		if fault.Found() == isMailbox(s) {
			t.Errorf("%q: key %q, %v", s, key, fault)
		}
	})
}
