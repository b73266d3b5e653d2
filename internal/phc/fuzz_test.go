package phc

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// fuzzLimits are small, so that a fuzzer finds their edges.
var fuzzLimits = Limits{MemoryBytes: 1 << 20, Work: 4096}

// checkParsed fails unless p is within every bound that the package promises.
func checkParsed(t *testing.T, p Parsed, l Limits) {
	t.Helper()
	if p.scheme == appScheme {
		if n := len(p.key); n < 1 || n > 700 {
			t.Errorf("text of %d bytes", n)
		}
		return
	}
	l = l.withDefaults()
	if n := len(p.salt); n < 1 || n > 256 {
		t.Errorf("salt of %d bytes", n)
	}
	if n := len(p.key); n < 16 || n > 128 {
		t.Errorf("key of %d bytes", n)
	}
	if got := p.scheme.memory(&p); got > l.MemoryBytes {
		t.Errorf("asks for %d bytes", got)
	}
	var work, bound uint64
	switch p.scheme {
	case phpassMD5, phpassSHA512:
		work, bound = p.n[0], 20
	case sha256Crypt, sha512Crypt:
		work, bound = p.n[0], 1_000_000
	case bcryptPlain, bcryptSHA256Hex, bcryptSHA256B64, bcryptHMACSHA256, bcryptWP:
		work, bound = p.n[0], 16
	case scryptKey, scryptCTR:
		work, bound = p.n[1]*p.n[2]<<p.n[0], l.Work
	case pbkdf2SHA1, pbkdf2SHA256, pbkdf2SHA512:
		work, bound = p.n[0], 5_000_000
	default: // Argon2 in one way or another
		work, bound = p.n[0]*p.n[1], l.Work
		if p.n[1] == 0 || p.n[2] == 0 || p.n[2] > 255 {
			t.Errorf("Argon2 would panic: %s", p.Class())
		}
	}
	if work == 0 || work > bound {
		t.Errorf("work is %d, bound is %d", work, bound)
	}
}

// corpus returns how many seeds are committed for a fuzz target, and fails if
// there are none: a target whose seeds went astray would still pass.
func corpus(t testing.TB, target string) int {
	t.Helper()
	files, err := os.ReadDir("testdata/fuzz/" + target)
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestFuzzSeedsArePresent(t *testing.T) {
	for _, target := range []string{"FuzzParse", "FuzzImport"} {
		if n := corpus(t, target); n < 10 {
			t.Errorf("%s has %d committed seeds", target, n)
		}
	}
}

// FuzzParse: no input panics, and whatever is accepted is within the limits
// and is the one spelling of what it says.
func FuzzParse(f *testing.F) {
	for _, v := range readSystems(f) {
		if hash, err := Import(v.Source, v.Hash, Limits{}); err == nil {
			f.Add(string(hash))
		}
	}
	f.Add("$argon2id-salt-sha1$v=19$m=8,t=1,p=1,pw=both,pepper=a$" + salt16 + "$" + key32)
	f.Add("$app$x-old-site$c29tZXRoaW5n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, l := range []Limits{{}, fuzzLimits} {
			p, err := Parse(s, l)
			if err != nil {
				if p.scheme != nil {
					t.Errorf("returned something besides %v", err)
				}
				continue
			}
			checkParsed(t, p, l)
			if again := p.String(); again != s {
				t.Errorf("%q is written again as %q", s, again)
			}
			if strings.Contains(p.Class(), "$") || strings.Contains(p.Class(), strict64.EncodeToString(p.key)) {
				t.Errorf("Class %q shows more than parameters", p.Class())
			}
		}
	})
}

// FuzzImport: no input panics under any source, and whatever is converted can
// be parsed under the same limits and marks its form.
func FuzzImport(f *testing.F) {
	names := append(append([]string{""}, Sources()...), "x-old-site")
	for _, v := range readSystems(f) {
		f.Add(uint8(slices.Index(names, v.Source)), v.Hash)
	}
	h, _ := newHasher(f, Config{})
	f.Fuzz(func(t *testing.T, source uint8, s string) {
		name := names[int(source)%len(names)]
		for _, l := range []Limits{{}, fuzzLimits} {
			hash, err := Import(name, s, l)
			if errors.Is(err, ErrWeak) {
				// The same on the way that hashes it.
				if hash, err = h.Import(t.Context(), Foreign{Source: name, Text: s}, ""); err != nil {
					t.Fatalf("source %q: %q: %v", name, s, err)
				}
			}
			if err != nil {
				if hash != "" {
					t.Errorf("returned %q besides %v", hash, err)
				}
				continue
			}
			if hash == "" {
				if name != "django" || !strings.HasPrefix(s, "!") {
					t.Errorf("source %q: %q became no password", name, s)
				}
				continue
			}
			p, err := Parse(string(hash), l)
			if err != nil {
				t.Fatalf("source %q: %q became %q: %v", name, s, hash, err)
			}
			checkParsed(t, p, l)
			if p.form == formNFKC && p.scheme != scryptKey {
				t.Errorf("source %q: %q became %q, which is over NFKC", name, s, hash)
			}
		}
	})
}

// FuzzKey: a hash in parts is refused, or becomes one that can be parsed.
func FuzzKey(f *testing.F) {
	for _, v := range readSystems(f) {
		if k := v.Key; k != nil {
			f.Add(k.Scheme, k.Iterations, k.N, k.R, k.P, k.MemoryKiB, k.Salt, k.Key, "")
		}
	}
	f.Add("scrypt", uint64(0), uint64(1<<14), uint64(8), uint64(1), uint64(0), []byte("salt"), make([]byte, 64), "a")
	f.Fuzz(func(t *testing.T, scheme string, i, n, r, p, m uint64, salt, key []byte, pepper string) {
		k := Key{Scheme: scheme, Iterations: i, N: n, R: r, P: p, MemoryKiB: m, Salt: salt, Key: key}
		for _, l := range []Limits{{}, fuzzLimits} {
			hash, err := store(convert(Foreign{Key: &k, Pepper: pepper}, l))
			if err != nil {
				continue
			}
			parsed, err := Parse(string(hash), l)
			if err != nil {
				t.Fatalf("%+v became %q: %v", k, hash, err)
			}
			checkParsed(t, parsed, l)
			if parsed.form != formBoth || parsed.pepper != pepper {
				t.Errorf("%+v became %q", k, hash)
			}
		}
	})
}
