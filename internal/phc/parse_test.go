package phc

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
)

const (
	salt16 = "AAECAwQFBgcICQoLDA0ODw"                      // 16 bytes
	key16  = "EBESExQVFhcYGRobHB0eHw"                      // 16 bytes
	key32  = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8" // 32 bytes
	key23  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRY"             // 23 bytes, for bcrypt
)

// base64Of returns unpadded base64 of n zero bytes.
func base64Of(n int) string { return strict64.EncodeToString(make([]byte, n)) }

func TestParseAcceptsOneSpelling(t *testing.T) {
	tests := []struct{ hash, class string }{
		{"$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + key32, "argon2id m=19456 t=2 p=1"},
		{"$argon2id$v=19$m=8,t=1,p=1,pw=both$" + salt16 + "$" + key16, "argon2id m=8 t=1 p=1 pw=both"},
		{"$argon2i$v=19$m=2040,t=1,p=255,pw=raw$" + salt16 + "$" + key16, "argon2i m=2040 t=1 p=255 pw=raw"},
		{"$scrypt$ln=14,r=16,p=1$" + salt16 + "$" + key32, "scrypt ln=14 r=16 p=1"},
		{"$scrypt$ln=1,r=1,p=1,pw=raw$AA$" + key16, "scrypt ln=1 r=1 p=1 pw=raw"},
		{"$pbkdf2-sha1$i=1,pw=both$" + salt16 + "$" + key16, "pbkdf2-sha1 i=1 pw=both"},
		{"$pbkdf2-sha256$i=5000000$" + base64Of(256) + "$" + key32, "pbkdf2-sha256 i=5000000"},
		{"$pbkdf2-sha512$i=2500000$" + salt16 + "$" + base64Of(128), "pbkdf2-sha512 i=2500000"},
		{"$bcrypt$cost=16,pw=both$" + salt16 + "$" + key23, "bcrypt cost=16 pw=both"},
		{"$bcrypt-sha256-hex$cost=4$" + salt16 + "$" + key23, "bcrypt-sha256-hex cost=4"},
		{"$bcrypt-sha256-b64$cost=4$" + salt16 + "$" + key23, "bcrypt-sha256-b64 cost=4"},
		{"$bcrypt-hmac-sha256$cost=4$" + salt16 + "$" + key23, "bcrypt-hmac-sha256 cost=4"},
		{"$bcrypt-wp-sha384$cost=4,pw=both$" + salt16 + "$" + key23, "bcrypt-wp-sha384 cost=4 pw=both"},
		{"$bcrypt$cost=4,pw=both,pepper=old-site$" + salt16 + "$" + key23, "bcrypt cost=4 pw=both pepper=old-site"},
		{"$bcrypt$cost=4,pepper=1$" + salt16 + "$" + key23, "bcrypt cost=4 pepper=1"},
		{"$argon2id-sha256-hex$v=19$m=8,t=1,p=1,pw=both$" + salt16 + "$" + key16, "argon2id-sha256-hex m=8 t=1 p=1 pw=both"},
		{"$scrypt-aes256-ctr$ln=14,r=8,p=1,pw=both$" + salt16 + "$" + base64Of(64), "scrypt-aes256-ctr ln=14 r=8 p=1 pw=both"},
		{"$phpass-md5$ln=7,pw=both$" + base64Of(8) + "$" + key16, "phpass-md5 ln=7 pw=both"},
		{"$phpass-sha512$ln=20,pw=both$" + base64Of(8) + "$" + key32, "phpass-sha512 ln=20 pw=both"},
		{"$sha256-crypt$rounds=1000,pw=both$" + salt16 + "$" + key32, "sha256-crypt rounds=1000 pw=both"},
		{"$sha512-crypt$rounds=1000000,pw=both$AA$" + base64Of(64), "sha512-crypt rounds=1000000 pw=both"},
		{"$app$x-old-site$eA", "app x-old-site"},
		{"$app$x-2$" + base64Of(MaxAppText), "app x-2"},
	}
	for _, name := range []string{"md5", "sha1", "sha256", "sha512", "salt-md5", "salt-sha1", "hmac-md5", "hmac-sha1",
		"hmac-sha256", "hmac-sha512", "twice-sha1", "hex-twice-md5"} {
		tests = append(tests, struct{ hash, class string }{
			"$argon2id-" + name + "$v=19$m=8,t=1,p=1,pw=both$" + salt16 + "$" + key32,
			"argon2id-" + name + " m=8 t=1 p=1 pw=both",
		})
	}
	seen := make(map[string]bool)
	for _, tt := range tests {
		p, err := Parse(tt.hash, Limits{})
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.hash, err)
			continue
		}
		if got := p.String(); got != tt.hash {
			t.Errorf("Parse(%q) is written again as %q", tt.hash, got)
		}
		if got := p.Class(); got != tt.class {
			t.Errorf("Class of %q = %q, want %q", tt.hash, got, tt.class)
		}
		seen[p.scheme.name] = true
	}
	for name := range schemes {
		if !seen[name] {
			t.Errorf("no test parses the scheme %s", name)
		}
	}
}

// refused are strings that must be refused, by the sentinel that says why.
var refused = map[error][]string{
	ErrMalformed: {
		"", "$", "$$", "$$$$", "argon2id", "password", "\x00", "\xff",
		"argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id", "$argon2id$", "$argon2id$v=19", "$argon2id$v=19$m=8,t=1,p=1",
		"$ARGON2ID$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2d$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16,
		"$2b$06$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu",
		// version
		"$argon2id$m=8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=16$m=8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=019$m=8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16,
		"$scrypt$v=19$ln=1,r=1,p=1$" + salt16 + "$" + key16,
		// parameters: missing, twice, unknown, in another order
		"$argon2id$v=19$$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1,t=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,m=8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$t=1,m=8,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1,keyid=AA$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1,$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1,pw=nfkc$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1,pw=$" + salt16 + "$" + key16,
		"$argon2id$v=19$pw=raw,m=8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1,pw=raw,pw=raw$" + salt16 + "$" + key16,
		// numbers
		"$argon2id$v=19$m=,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=08,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=01,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=+8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=-8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=0x8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=1_0,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8.0,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8 ,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=٨,t=1,p=1$" + salt16 + "$" + key16,
		// values that the algorithms do not define
		"$argon2id$v=19$m=8,t=0,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1,p=0$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=65536,t=1,p=256$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=0,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=7,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2i$v=19$m=2039,t=1,p=255$" + salt16 + "$" + key16,
		"$scrypt$ln=0,r=8,p=1$" + salt16 + "$" + key16,
		"$scrypt$ln=14,r=0,p=1$" + salt16 + "$" + key16,
		"$scrypt$ln=14,r=8,p=0$" + salt16 + "$" + key16,
		"$pbkdf2-sha256$i=0$" + salt16 + "$" + key16,
		"$bcrypt$cost=3$" + salt16 + "$" + key23,
		"$bcrypt$cost=32$" + salt16 + "$" + key23,
		"$phpass-md5$ln=6$" + base64Of(8) + "$" + key16,
		"$phpass-md5$ln=31$" + base64Of(8) + "$" + key16,
		"$phpass-md5$ln=7$" + base64Of(7) + "$" + key16,
		"$phpass-md5$ln=7$" + base64Of(8) + "$" + key32,
		"$phpass-sha512$ln=7$" + base64Of(8) + "$" + key16,
		"$sha256-crypt$rounds=999$" + salt16 + "$" + key32,
		"$sha256-crypt$rounds=5000$" + base64Of(17) + "$" + key32,
		"$sha512-crypt$rounds=5000$" + salt16 + "$" + key32,
		"$argon2id-md5$v=19$m=8,t=1,p=1$" + base64Of(15) + "$" + key32, // less than our own salt
		"$argon2id-md5$m=8,t=1,p=1$" + salt16 + "$" + key32,
		// peppers
		"$bcrypt$cost=4,pepper=$" + salt16 + "$" + key23,
		"$bcrypt$cost=4,pepper=A$" + salt16 + "$" + key23,
		"$bcrypt$cost=4,pepper=a,pw=both$" + salt16 + "$" + key23,
		"$bcrypt$cost=4,pepper=a,pepper=b$" + salt16 + "$" + key23,
		"$bcrypt$cost=4,pepper=" + strings.Repeat("a", 33) + "$" + salt16 + "$" + key23,
		// the application's own
		"$app$", "$app$x-a", "$app$x-a$", "$app$a$eA", "$app$x-$eA", "$app$x-A$eA", "$app$x-a$eA==", "$app$x-a$eA$eA",
		"$app$x-a$eB", "$app$x-a$" + base64Of(MaxAppText+1), "$app$x-" + strings.Repeat("a", 33) + "$eA",
		// salt and key: length
		"$argon2id$v=19$m=8,t=1,p=1$$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$$",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + base64Of(15),
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + base64Of(129),
		"$argon2id$v=19$m=8,t=1,p=1$" + base64Of(257) + "$" + key16,
		"$bcrypt$cost=4$" + base64Of(15) + "$" + key23,
		"$bcrypt$cost=4$" + base64Of(17) + "$" + key23,
		"$bcrypt$cost=4$" + salt16 + "$" + base64Of(22),
		"$bcrypt$cost=4$" + salt16 + "$" + base64Of(24),
		// salt and key: base64
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "==$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16 + "==",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16[:21] + "x", // spare bits
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16[:21] + "x$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16 + "AAA", // 6 bits too many
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$-" + key16[1:],
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$." + key16[1:],
		// what would be invisible in a dump
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16 + "\n",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16 + "\r",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16[:4] + "\n" + salt16[4:] + "$" + key16,
		" $argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16 + "\x00",
		// fields and length of the whole
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16 + "$",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key16 + "$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1$" + base64Of(700) + "$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + strings.Repeat("A", 1<<20),
		strings.Repeat("$", 1<<20),
		"$argon2id$v=19$" + strings.Repeat("$", 1<<20),
		"$scrypt$" + strings.Repeat(",", 1<<20) + "$" + salt16 + "$" + key16,
	},
	ErrLimits: {
		"$argon2id$v=19$m=4294967295,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=4294967296,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=99999999999999999999999999,t=1,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=262145,t=1,p=1$" + salt16 + "$" + key16, // 256 MiB and 1 KiB
		"$argon2id$v=19$m=8,t=4294967295,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=65536,t=100,p=255$" + salt16 + "$" + key16,
		"$argon2i$v=19$m=65536,t=33,p=1$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=4294967295,t=4294967295,p=255$" + salt16 + "$" + key16,
		"$scrypt$ln=18,r=16,p=1$" + salt16 + "$" + key16, // 512 MiB
		"$scrypt$ln=14,r=8,p=17$" + salt16 + "$" + key16, // 17 times the work
		"$scrypt$ln=31,r=1,p=1$" + salt16 + "$" + key16,
		"$scrypt$ln=63,r=1,p=1$" + salt16 + "$" + key16,
		"$scrypt$ln=64,r=1,p=1$" + salt16 + "$" + key16,
		"$scrypt$ln=4294967295,r=1,p=1$" + salt16 + "$" + key16,
		"$scrypt$ln=1,r=4294967295,p=4294967295$" + salt16 + "$" + key16,
		"$scrypt$ln=1,r=2147483648,p=2147483648$" + salt16 + "$" + key16, // r·p is 0 in 32 bits
		"$scrypt$ln=1,r=65536,p=65536$" + salt16 + "$" + key16,
		"$scrypt$ln=1,r=1048576,p=1$" + salt16 + "$" + key16, // 640 MiB of scratch
		"$pbkdf2-sha256$i=5000001$" + salt16 + "$" + key16,
		"$pbkdf2-sha256$i=4294967295$" + salt16 + "$" + key16,
		"$pbkdf2-sha256$i=5000000$" + salt16 + "$" + base64Of(33), // two blocks
		"$pbkdf2-sha1$i=1000000$" + salt16 + "$" + base64Of(128),  // seven blocks
		"$bcrypt$cost=17$" + salt16 + "$" + key23,
		"$bcrypt$cost=31$" + salt16 + "$" + key23,
		"$bcrypt-hmac-sha256$cost=31$" + salt16 + "$" + key23,
	},
}

func TestParseRefuses(t *testing.T) {
	for want, hashes := range refused {
		for _, hash := range hashes {
			p, err := Parse(hash, Limits{})
			if !errors.Is(err, want) {
				t.Errorf("Parse(%.80q) = %v, want %v", hash, err, want)
			}
			if p.scheme != nil || p.salt != nil || p.key != nil {
				t.Errorf("Parse(%.80q) returned something besides the error", hash)
			}
		}
	}
}

// TestRefusalsDoNoWork gives every hostile string to Verify: the work done is
// that of one decoy, and what is allocated is nothing like what they ask for.
func TestRefusalsDoNoWork(t *testing.T) {
	h, passes := newHasher(t, Config{})
	for want, hashes := range refused {
		for _, hash := range hashes {
			if hash == "" {
				continue // means no password, which is no error
			}
			before := allocated()
			ok, err := h.Verify(t.Context(), Hash(hash), "password")
			after := allocated()
			if ok || !errors.Is(err, want) {
				t.Errorf("Verify(%.80q) = %v, %v, want %v", hash, ok, err, want)
			}
			if got := passes(); len(got) != 1 || got[0] != h.current.Class() {
				t.Errorf("Verify(%.80q) computed %q, want one decoy", hash, got)
			}
			spent := after - before // by the process: the least of some is Verify's own
			for range 5 {
				if spent <= 1<<20 {
					break
				}
				before = allocated()
				h.Verify(t.Context(), Hash(hash), "password")
				spent = min(spent, allocated()-before)
				passes()
			}
			if spent > 1<<20 {
				t.Errorf("Verify(%.80q) allocated %d bytes", hash, spent)
			}
			if ok, newHash, err := h.VerifyAndRehash(t.Context(), Hash(hash), "password"); ok || newHash != "" || !errors.Is(err, want) {
				t.Errorf("VerifyAndRehash(%.80q) = %v, %q, %v", hash, ok, newHash, err)
			}
			if h.NeedsRehash(Hash(hash), "password") || h.Foreign(Hash(hash)) || h.Class(Hash(hash)) != "unusable" {
				t.Errorf("%.80q passes for a usable hash", hash)
			}
			passes()
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestErrorsDoNotQuote makes sure that no error repeats the string it is about.
func TestErrorsDoNotQuote(t *testing.T) {
	const marker = "Secret0Secret0Secret0"
	for _, hash := range []string{
		marker, "$" + marker + "$", "$argon2id$" + marker + "$",
		"$argon2id$v=19$m=8,t=1,p=1$" + marker + "!$" + key16,
		"$argon2id$v=19$m=8,t=1,p=1," + marker + "$" + salt16 + "$" + key16,
		"$argon2id$v=19$m=" + marker + ",t=1,p=1$" + salt16 + "$" + key16,
	} {
		_, err := Parse(hash, Limits{})
		if err == nil || strings.Contains(err.Error(), "Secret0") {
			t.Errorf("Parse(%q): %v", hash, err)
		}
		for _, source := range append(Sources(), "") {
			if _, err := Import(source, hash, Limits{}); err == nil || strings.Contains(err.Error(), "Secret0") {
				t.Errorf("Import(%q, %q): %v", source, hash, err)
			}
		}
	}
}

func TestLimitsAreTheCallers(t *testing.T) {
	argon := "$argon2id$v=19$m=1024,t=4,p=1$" + salt16 + "$" + key16
	mixed := "$scrypt$ln=10,r=8,p=2$" + salt16 + "$" + key16
	var scryptMost error
	if math.MaxInt == math.MaxInt32 {
		scryptMost = ErrLimits // no memory limit can be set that high
	}
	tests := []struct {
		hash   string
		limits Limits
		want   error
	}{
		{argon, Limits{MemoryBytes: 1 << 20, Work: 4096}, nil},
		{argon, Limits{MemoryBytes: 1<<20 - 1, Work: 4096}, ErrLimits},
		{argon, Limits{MemoryBytes: 1 << 20, Work: 4095}, ErrLimits},
		{argon, Limits{MemoryBytes: math.MaxUint64, Work: math.MaxUint64}, nil},
		// Beyond 32 bits there is no limit to raise: it would be cut off.
		{"$argon2id$v=19$m=1024,t=4294967295,p=1$" + salt16 + "$" + key16, Limits{Work: math.MaxUint64}, nil},
		{"$argon2id$v=19$m=1024,t=4294967296,p=1$" + salt16 + "$" + key16, Limits{Work: math.MaxUint64}, ErrLimits},
		// scrypt itself is not defined from here on.
		{"$scrypt$ln=1,r=1,p=1073741823$" + salt16 + "$" + key16, Limits{MemoryBytes: 1 << 40, Work: math.MaxUint64}, scryptMost},
		{"$scrypt$ln=1,r=1,p=1073741824$" + salt16 + "$" + key16, Limits{MemoryBytes: 1 << 40, Work: math.MaxUint64}, ErrLimits},
		{mixed, Limits{MemoryBytes: 128 * 8 * (1024 + 2 + 2), Work: 16384}, nil},
		{mixed, Limits{MemoryBytes: 128*8*(1024+2+2) - 1, Work: 16384}, ErrLimits},
		{mixed, Limits{Work: 16383}, ErrLimits},
		{"$scrypt$ln=18,r=16,p=1$" + salt16 + "$" + key16, Limits{MemoryBytes: 1 << 30, Work: 1 << 30}, nil},
	}
	for _, tt := range tests {
		if _, err := Parse(tt.hash, tt.limits); !errors.Is(err, tt.want) {
			t.Errorf("Parse(%q, %+v) = %v, want %v", tt.hash, tt.limits, err, tt.want)
		}
	}
}

func TestMulSticks(t *testing.T) {
	tests := []struct{ a, b, want uint64 }{
		{0, math.MaxUint64, 0}, {3, 5, 15}, {1 << 32, 1 << 31, 1 << 63},
		{1 << 32, 1 << 32, math.MaxUint64}, {math.MaxUint64, 2, math.MaxUint64},
	}
	for _, tt := range tests {
		if got := mul(tt.a, tt.b); got != tt.want {
			t.Errorf("mul(%d, %d) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestShortKeysNeverMatch: Parse refuses keys below 16 bytes, and if it did
// not, the comparison would.
func TestShortKeysNeverMatch(t *testing.T) {
	for n := range minKey {
		if equal(make([]byte, n), make([]byte, n)) {
			t.Errorf("a key of %d bytes matches", n)
		}
	}
	if !equal(make([]byte, minKey), make([]byte, minKey)) {
		t.Errorf("a key of %d bytes does not match itself", minKey)
	}
}
