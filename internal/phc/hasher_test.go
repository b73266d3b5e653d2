package phc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	nfc = "p\u00e4ssw\u00f6rd-1"   // composed, which is its NFKC form
	nfd = "pa\u0308sswo\u0308rd-1" // the same, decomposed

	cheapClass = "argon2id m=64 t=1 p=1"
)

// cheapForeign are hashes of nfd that are quick to verify: over raw, NFKC or
// whichever it was.
var cheapForeign = map[form]Hash{
	formRaw:  "$pbkdf2-sha256$i=10,pw=raw$c2Vhc2FsdA$CHnxkPEMplu6eYKlXTOdcLfhv3gzMXFh+2X7Jj6AuQA",
	formBoth: "$pbkdf2-sha256$i=10,pw=both$c2Vhc2FsdA$CHnxkPEMplu6eYKlXTOdcLfhv3gzMXFh+2X7Jj6AuQA",
	formNFKC: "$pbkdf2-sha256$i=10$c2Vhc2FsdA$CHnxkPEMplu6eYKlXTOdcLfhv3gzMXFh+2X7Jj6AuQA",
}

func mustHash(t testing.TB, h *Hasher, password string) Hash {
	t.Helper()
	hash, err := h.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestHashVerifies(t *testing.T) {
	h, passes := newHasher(t, Config{})
	hash := mustHash(t, h, nfd)
	if want := "$argon2id$v=19$m=64,t=1,p=1$"; !strings.HasPrefix(string(hash), want) {
		t.Errorf("Hash = %q, want the prefix %q", hash, want)
	}
	p, err := Parse(string(hash), Limits{})
	if err != nil || len(p.salt) != 16 || len(p.key) != 32 || p.form != formNFKC {
		t.Errorf("Hash = %q parses as %+v, %v", hash, p, err)
	}
	if again := mustHash(t, h, nfd); again == hash {
		t.Error("two hashes of one password are equal")
	}
	passes()
	for password, want := range map[string]bool{
		nfc: true, nfd: true, nfc + " ": false, strings.ToUpper(nfc): false, "x": false, nfc[:8]: false,
	} {
		ok, err := h.Verify(t.Context(), hash, password)
		if ok != want || err != nil {
			t.Errorf("Verify(%q) = %v, %v, want %v", password, ok, err, want)
		}
		if got := passes(); !slices.Equal(got, []string{cheapClass}) {
			t.Errorf("Verify(%q) computed %q", password, got)
		}
	}
	if h.Foreign(hash) || h.NeedsRehash(hash, nfc) {
		t.Error("our own hash is foreign")
	}
}

// TestDefaultParams pins what a zero Config hashes with.
func TestDefaultParams(t *testing.T) {
	h, err := NewHasher(Config{})
	if err != nil {
		t.Fatal(err)
	}
	hash := mustHash(t, h, "password")
	if got := h.Class(hash); got != "argon2id m=19456 t=2 p=1" {
		t.Errorf("Class = %q", got)
	}
	if ok, err := h.Verify(t.Context(), hash, "password"); !ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
	procs := uint64(runtime.GOMAXPROCS(0))
	if h.gate.total != procs*32<<20 || h.gate.queue != 64*int(procs) || h.slot != 32<<20 {
		t.Errorf("gate: total %d, queue %d, slot %d", h.gate.total, h.gate.queue, h.slot)
	}
}

// TestEqualWork holds, for each form, that the passes depend on the password
// and the class and not on whether, or which of the two, has matched.
func TestEqualWork(t *testing.T) {
	const class = "pbkdf2-sha256 i=10"
	h, passes := newHasher(t, Config{})
	own := mustHash(t, h, nfc)
	passes()
	tests := []struct {
		name     string
		hash     Hash
		password string
		ok       bool
		want     []string
	}{
		{"raw matches", cheapForeign[formRaw], nfd, true, []string{class + " pw=raw"}},
		{"raw does not", cheapForeign[formRaw], nfc, false, []string{class + " pw=raw"}},
		{"both matches raw", cheapForeign[formBoth], nfd, true, []string{class + " pw=both", class + " pw=both"}},
		{"both fails", cheapForeign[formBoth], nfd + "x", false, []string{class + " pw=both", class + " pw=both"}},
		{"both, one form", cheapForeign[formBoth], nfc, false, []string{class + " pw=both"}},
		{"both, ASCII", cheapForeign[formBoth], "password", false, []string{class + " pw=both"}},
		{"nfkc", cheapForeign[formNFKC], nfd, false, []string{class}},
		{"own", own, nfd, true, []string{cheapClass}},
		{"own, wrong", own, nfd + "x", false, []string{cheapClass}},
		{"no password", "", nfd, false, []string{cheapClass}},
	}
	for _, tt := range tests {
		ok, err := h.Verify(t.Context(), tt.hash, tt.password)
		if ok != tt.ok || err != nil {
			t.Errorf("%s: Verify = %v, %v, want %v", tt.name, ok, err, tt.ok)
		}
		if got := passes(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: computed %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, password := range []string{nfd, nfc, "password", "x"} {
		if err := h.Decoy(t.Context(), password); err != nil {
			t.Errorf("Decoy(%q): %v", password, err)
		}
		if got := passes(); !slices.Equal(got, []string{cheapClass}) {
			t.Errorf("Decoy(%q) computed %q", password, got)
		}
	}
}

// TestBothTriesEitherForm: a hash over NFKC, marked as of unknown form, must
// verify for the decomposed password too.
func TestBothTriesEitherForm(t *testing.T) {
	h, _ := newHasher(t, Config{})
	own := mustHash(t, h, nfc)
	both := Hash(strings.Replace(string(own), "p=1$", "p=1,pw=both$", 1))
	raw := Hash(strings.Replace(string(own), "p=1$", "p=1,pw=raw$", 1))
	for _, tt := range []struct {
		hash     Hash
		password string
		want     bool
	}{{both, nfc, true}, {both, nfd, true}, {raw, nfc, true}, {raw, nfd, false}} {
		if ok, err := h.Verify(t.Context(), tt.hash, tt.password); ok != tt.want || err != nil {
			t.Errorf("Verify(%s, %q) = %v, %v, want %v", h.Class(tt.hash), tt.password, ok, err, tt.want)
		}
	}
}

// TestInvalidPasswords: refused by the arguments alone, with no work at all.
func TestInvalidPasswords(t *testing.T) {
	h, passes := newHasher(t, Config{Rand: failing{}})
	for password, want := range map[string]error{
		"": PasswordEmpty, "a\x00b": PasswordHasNUL, "\xff": PasswordNotUTF8,
		strings.Repeat("x", 1025): PasswordTooLong,
	} {
		_, hashErr := h.Hash(t.Context(), password)
		_, verifyErr := h.Verify(t.Context(), cheapForeign[formRaw], password)
		_, badErr := h.Verify(t.Context(), "malformed", password)
		_, _, rehashErr := h.VerifyAndRehash(t.Context(), "", password)
		for _, err := range []error{hashErr, verifyErr, badErr, rehashErr, h.Decoy(t.Context(), password)} {
			if err != want {
				t.Errorf("%.20q: %v, want %v", password, err, want)
			}
		}
	}
	if got := passes(); len(got) != 0 {
		t.Errorf("computed %q", got)
	}
}

func TestVerifyAndRehash(t *testing.T) {
	h, passes := newHasher(t, Config{})
	weak, _ := newHasher(t, Config{Params: Params{MemoryKiB: 32, Time: 1, Parallelism: 1}})
	for _, hash := range []Hash{cheapForeign[formRaw], cheapForeign[formBoth], mustHash(t, weak, nfd)} {
		ok, newHash, err := h.VerifyAndRehash(t.Context(), hash, nfd)
		if !ok || err != nil || h.Class(newHash) != cheapClass {
			t.Errorf("VerifyAndRehash(%s) = %v, %q, %v", h.Class(hash), ok, newHash, err)
			continue
		}
		got := passes()
		if len(got) < 2 || got[len(got)-1] != cheapClass {
			t.Errorf("VerifyAndRehash(%s) computed %q", h.Class(hash), got)
		}
		// From now on the person gets in however the password is composed.
		for _, password := range []string{nfc, nfd} {
			if ok, again, err := h.VerifyAndRehash(t.Context(), newHash, password); !ok || again != "" || err != nil {
				t.Errorf("VerifyAndRehash of the new hash = %v, %q, %v", ok, again, err)
			}
		}
		passes()
		if ok, newHash, err := h.VerifyAndRehash(t.Context(), hash, "wrong"); ok || newHash != "" || err != nil {
			t.Errorf("wrong password: VerifyAndRehash = %v, %q, %v", ok, newHash, err)
		}
		if got := passes(); len(got) != 1 {
			t.Errorf("wrong password: computed %q", got)
		}
	}
	if ok, newHash, err := h.VerifyAndRehash(t.Context(), "", nfd); ok || newHash != "" || err != nil {
		t.Errorf("no password: VerifyAndRehash = %v, %q, %v", ok, newHash, err)
	}
}

func TestNeedsRehash(t *testing.T) {
	h, _ := newHasher(t, Config{Params: Params{MemoryKiB: 64, Time: 4, Parallelism: 1}})
	argon := func(params string) Hash {
		return Hash("$argon2id$v=19$" + params + "$" + salt16 + "$" + key32)
	}
	tests := []struct {
		hash Hash
		want bool
	}{
		{"", false},
		{"malformed", false},
		{argon("m=64,t=4,p=1"), false},
		{argon("m=64,t=4,p=4"), false},
		{argon("m=128,t=4,p=1"), false}, // never downwards
		{argon("m=64,t=5,p=1"), false},
		{argon("m=256,t=1,p=1"), false}, // the same work, more memory
		{argon("m=128,t=1,p=1"), true},  // less work
		{argon("m=63,t=8,p=1"), true},   // less memory
		{argon("m=64,t=3,p=1"), true},
		{argon("m=64,t=4,p=1,pw=raw"), true},
		{argon("m=64,t=4,p=1,pw=both"), true},
		{argon("m=262144,t=1,p=1,pw=both"), true},
		{argon("m=4294967295,t=1,p=1"), false}, // above the limits: cannot be verified
		{"$argon2i$v=19$m=64,t=4,p=1$" + salt16 + "$" + key32, true},
		{"$scrypt$ln=14,r=8,p=1$" + salt16 + "$" + key32, true},
		{"$pbkdf2-sha512$i=1$" + salt16 + "$" + key32, true},
		{"$bcrypt$cost=16$" + salt16 + "$" + key23, true},
		{"$bcrypt-sha256-hex$cost=16$" + salt16 + "$" + key23, true},
	}
	for _, tt := range tests {
		if got := h.NeedsRehash(tt.hash, "password"); got != tt.want {
			t.Errorf("NeedsRehash(%q) = %v, want %v", tt.hash, got, tt.want)
		}
		if got := h.Foreign(tt.hash); got != tt.want {
			t.Errorf("Foreign(%q) = %v, want %v", tt.hash, got, tt.want)
		}
	}
}

// TestBcryptIsKeptWhereItTruncates: what bcrypt did not read cannot have been
// verified, and must not become part of a new hash.
func TestBcryptIsKeptWhereItTruncates(t *testing.T) {
	// bcrypt of 72 times "x", and of 71, at cost 4.
	hash72 := bcryptOf(t, strings.Repeat("x", 72))
	hash71 := bcryptOf(t, strings.Repeat("x", 71))
	h, _ := newHasher(t, Config{})
	tests := []struct {
		name     string
		hash     Hash
		password string
		ok       bool
		rehash   bool
	}{
		{"71 bytes", hash71, strings.Repeat("x", 71), true, true},
		{"71 bytes and more", hash71, strings.Repeat("x", 71) + "y", false, false},
		{"72 bytes, the first of more perhaps", hash72, strings.Repeat("x", 72), true, false},
		{"72 bytes and a mistyped end", hash72, strings.Repeat("x", 72) + "oops", true, false},
		{"NFKC makes it longer", hash72, strings.Repeat("x", 72-18) + "\ufdfa", false, false},
	}
	for _, tt := range tests {
		ok, newHash, err := h.VerifyAndRehash(t.Context(), tt.hash, tt.password)
		if ok != tt.ok || (newHash != "") != tt.rehash || err != nil {
			t.Errorf("%s: VerifyAndRehash = %v, %q, %v", tt.name, ok, newHash, err)
		}
		if !h.Foreign(tt.hash) {
			t.Errorf("%s: not foreign", tt.name)
		}
	}
	for password, want := range map[string]bool{
		strings.Repeat("x", 71):              true,
		strings.Repeat("x", 72):              false,
		strings.Repeat("\u0308a", 24):        false, // 72 bytes
		"\ufdfa\ufdfa\ufdfa":                 false, // 9 bytes, 99 in NFKC
		strings.Repeat("a\u0308", 24):        false, // 72 bytes, 48 in NFKC
		strings.Repeat("a\u0308", 23) + "ab": true,
	} {
		if got := h.NeedsRehash(hash71, password); got != want {
			t.Errorf("NeedsRehash(bcrypt, %q) = %v, want %v", password, got, want)
		}
		prehashed := Hash(strings.Replace(string(hash71), "$bcrypt$", "$bcrypt-hmac-sha256$", 1))
		if !h.NeedsRehash(prehashed, password) {
			t.Errorf("NeedsRehash(bcrypt-hmac-sha256, %q) = false", password)
		}
	}
}

// failing is a source of randomness that has none.
type failing struct{}

var errNoRandomness = errors.New("no randomness")

func (failing) Read([]byte) (int, error) { return 0, errNoRandomness }

func TestRandomnessFails(t *testing.T) {
	h, passes := newHasher(t, Config{Rand: failing{}})
	if hash, err := h.Hash(t.Context(), nfc); hash != "" || !errors.Is(err, errNoRandomness) {
		t.Errorf("Hash = %q, %v", hash, err)
	}
	if ok, newHash, err := h.VerifyAndRehash(t.Context(), cheapForeign[formRaw], nfd); ok || newHash != "" || !errors.Is(err, errNoRandomness) {
		t.Errorf("VerifyAndRehash = %v, %q, %v", ok, newHash, err)
	}
	if got := passes(); len(got) != 0 {
		t.Errorf("computed %q", got)
	}
	if ok, err := h.Verify(t.Context(), cheapForeign[formRaw], nfd); !ok || err != nil {
		t.Errorf("Verify, which needs none = %v, %v", ok, err)
	}
}

// TestRandIsTheSalt: the salt is what Rand gives, all 16 bytes of it, and a
// source that dries up is an error rather than a salt that ends in zeros.
func TestRandIsTheSalt(t *testing.T) {
	random := []byte("0123456789abcdefghijklmno") // one salt and a part of the next
	h, _ := newHasher(t, Config{Rand: bytes.NewReader(random)})
	p, err := Parse(string(mustHash(t, h, nfc)), Limits{})
	if err != nil || !bytes.Equal(p.salt, random[:16]) {
		t.Errorf("salt = %q, %v", p.salt, err)
	}
	if _, err := h.Hash(t.Context(), nfc); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Hash with half a salt: %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestNewHasherNamesTheField(t *testing.T) {
	tests := []struct {
		config Config
		field  string // "" means it is fine
	}{
		{Config{Params: Params{MemoryKiB: 8, Time: 1, Parallelism: 1}}, ""},
		{Config{Params: Params{MemoryKiB: 2040, Time: 1, Parallelism: 255}}, ""},
		{Config{Params: Params{MemoryKiB: 262144, Time: 8, Parallelism: 1}}, ""},
		{Config{Params: Params{MemoryKiB: 64, Time: 1}}, "Params.Parallelism"},
		{Config{Params: Params{MemoryKiB: 64, Parallelism: 1}}, "Params.Time"},
		{Config{Params: Params{Time: 1, Parallelism: 1}}, "Params.MemoryKiB"},
		{Config{Params: Params{MemoryKiB: 7, Time: 1, Parallelism: 1}}, "Params.MemoryKiB"},
		{Config{Params: Params{MemoryKiB: 2039, Time: 1, Parallelism: 255}}, "Params.MemoryKiB"},
		{Config{Params: Params{MemoryKiB: 262145, Time: 1, Parallelism: 1}}, "Params.MemoryKiB"},
		{Config{Params: Params{MemoryKiB: 262144, Time: 9, Parallelism: 1}}, "Params.Time"},
		{Config{Params: Params{MemoryKiB: 4294967295, Time: 4294967295, Parallelism: 255}}, "Params.MemoryKiB"},
		{Config{Params: Params{MemoryKiB: 1 << 22, Time: 1, Parallelism: 1}}, "Params.MemoryKiB"}, // 2³² bytes
		{Config{Limits: Limits{MemoryBytes: 1 << 20}}, "Params.MemoryKiB"},
		{Config{Limits: Limits{Work: 38911}}, "Params.Time"},
		{Config{Limits: Limits{Work: 38912}}, ""},
	}
	for _, tt := range tests {
		h, err := NewHasher(tt.config)
		if tt.field == "" {
			if h == nil || err != nil {
				t.Errorf("NewHasher(%+v): %v", tt.config, err)
			}
		} else if h != nil || err == nil || !strings.Contains(err.Error(), tt.field+" ") {
			t.Errorf("NewHasher(%+v) = %v, want an error that names %s", tt.config, err, tt.field)
		}
	}
}

// TestClasses also holds that Class does not tell two hashes of a class apart.
func TestClasses(t *testing.T) {
	h, _ := newHasher(t, Config{})
	for hash, want := range map[Hash]string{
		"":                      "none",
		"x":                     "unusable",
		cheapForeign[formRaw]:   "pbkdf2-sha256 i=10 pw=raw",
		cheapForeign[formNFKC]:  "pbkdf2-sha256 i=10",
		mustHash(t, h, nfc):     cheapClass,
		mustHash(t, h, "y"+nfc): cheapClass,
	} {
		if got := h.Class(hash); got != want {
			t.Errorf("Class(%q) = %q, want %q", hash, got, want)
		}
	}
}

// TestGateAroundHashes fills the gate by hand and sees every method wait, be
// turned away, and give back what it took.
func TestGateAroundHashes(t *testing.T) {
	h, passes := newHasher(t, Config{Memory: 1 << 20, Queue: -1})
	hash := mustHash(t, h, nfc)
	passes()
	leave, err := h.gate.enter(t.Context(), job{weight: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(context.Context) error{
		"Hash":   func(ctx context.Context) error { _, err := h.Hash(ctx, nfc); return err },
		"Verify": func(ctx context.Context) error { _, err := h.Verify(ctx, hash, nfc); return err },
		"Bad":    func(ctx context.Context) error { _, err := h.Verify(ctx, "bad", nfc); return err },
		"Decoy":  func(ctx context.Context) error { return h.Decoy(ctx, nfc) },
		"Rehash": func(ctx context.Context) error {
			_, _, err := h.VerifyAndRehash(ctx, cheapForeign[formBoth], nfd)
			return err
		},
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls {
		if err := call(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("%s at a full gate: %v, want %v", name, err, ErrBusy)
		}
		if err := call(over); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that is over: %v, want %v", name, err, context.Canceled)
		}
	}
	if got := passes(); len(got) != 0 {
		t.Errorf("computed %q at a full gate", got)
	}
	if running, waiting, busy := h.Stats(); running != 1 || waiting != 0 || busy != uint64(len(calls)) {
		t.Errorf("Stats = %d, %d, %d", running, waiting, busy)
	}
	leave()
	for name, call := range calls {
		if err := call(t.Context()); err != nil && name != "Bad" {
			t.Errorf("%s at a free gate: %v", name, err)
		}
	}
	if running, waiting, _ := h.Stats(); running != 0 || waiting != 0 || h.gate.used != 0 {
		t.Errorf("Stats = %d, %d after all is done", running, waiting)
	}
}

// TestWeights holds what each hash counts in the gate: its memory, at least a
// slot; and a rehash the larger of its two computations.
func TestWeights(t *testing.T) {
	procs := uint64(runtime.GOMAXPROCS(0))
	h, _ := newHasher(t, Config{Memory: procs << 20})
	for hash, want := range map[Hash]uint64{
		"$argon2id$v=19$m=64,t=1,p=1$" + salt16 + "$" + key32:    1 << 20,
		"$argon2id$v=19$m=65536,t=1,p=1$" + salt16 + "$" + key32: 64 << 20,
		"$scrypt$ln=14,r=8,p=1$" + salt16 + "$" + key32:          16 << 20,
		"$scrypt$ln=15,r=8,p=1$" + salt16 + "$" + key32:          32 << 20,
		"$scrypt$ln=17,r=8,p=2$" + salt16 + "$" + key32:          128 << 20,
		cheapForeign[formRaw]:                                    1 << 20,
		"$bcrypt$cost=4$" + salt16 + "$" + key23:                 1 << 20,
	} {
		p, err := Parse(string(hash), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.weight(&p); got != want {
			t.Errorf("weight of %s = %d, want %d", p.Class(), got, want)
		}
	}

	h, err := NewHasher(Config{})
	if err != nil {
		t.Fatal(err)
	}
	lucia, err := Parse("$scrypt$ln=14,r=16,p=1$"+salt16+"$"+key32, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.weight(&lucia); got*procs > h.gate.total {
		t.Errorf("a hash of Lucia's weighs %d, and %d of them do not fit in %d", got, procs, h.gate.total)
	}
}

// TestRehashHoldsTheLarger: verifying and rehashing happen in one turn, which
// must count the computation that needs more.
func TestRehashHoldsTheLarger(t *testing.T) {
	var h *Hasher
	var held []uint64
	h, err := NewHasher(Config{
		Params: Params{MemoryKiB: 2048, Time: 1, Parallelism: 1},
		Memory: uint64(runtime.GOMAXPROCS(0)) << 20,
		Observe: func(string) {
			h.gate.mu.Lock()
			defer h.gate.mu.Unlock()
			held = append(held, h.gate.used)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if ok, newHash, err := h.VerifyAndRehash(t.Context(), cheapForeign[formRaw], nfd); !ok || newHash == "" || err != nil {
		t.Fatalf("VerifyAndRehash = %v, %q, %v", ok, newHash, err)
	}
	want := min(2<<20, h.gate.total)
	if !slices.Equal(held, []uint64{want, want}) {
		t.Errorf("held %d while hashing, want %d twice", held, want)
	}
}

// TestParallelUse hammers one Hasher, for the race detector, and sees that no
// more computations run at once than there are processors.
func TestParallelUse(t *testing.T) {
	var mu sync.Mutex
	most := 0
	var h *Hasher
	h, err := NewHasher(Config{Params: cheap, Queue: 1000, Observe: func(string) {
		running, _, _ := h.Stats()
		mu.Lock()
		defer mu.Unlock()
		most = max(most, running)
	}})
	if err != nil {
		t.Fatal(err)
	}
	hash := mustHash(t, h, nfc)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if ok, _, err := h.VerifyAndRehash(t.Context(), hash, nfd); !ok || err != nil {
				t.Errorf("VerifyAndRehash = %v, %v", ok, err)
			}
			if ok, newHash, err := h.VerifyAndRehash(t.Context(), cheapForeign[formBoth], nfd); !ok || newHash == "" || err != nil {
				t.Errorf("VerifyAndRehash = %v, %q, %v", ok, newHash, err)
			}
			if err := h.Decoy(t.Context(), nfd); err != nil {
				t.Errorf("Decoy: %v", err)
			}
		})
	}
	wg.Wait()
	if most < 1 || most > runtime.GOMAXPROCS(0) {
		t.Errorf("%d computations ran at once, at most %d should", most, runtime.GOMAXPROCS(0))
	}
}
