package phc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/snibdb/snib/internal/latency"
)

const (
	ownSalt = 16 // bytes in the salts of hashes made here
	ownKey  = 32 // bytes in their keys

	// minSlot is the least memory that the default gate has for each processor,
	// so that hashes of 32 MiB, the size of most imports, run side by side for
	// any Params.
	minSlot = 32 << 20
)

// maxWait is how long a caller waits at the gate. Under the race detector
// everything takes longer and says nothing.
const maxWait = 2*time.Second + raceWait

// Config configures [NewHasher]. The zero value is the default.
type Config struct {
	// Params are the cost of new hashes. Zero means [Default]; a value that is
	// only partly zero is an error.
	Params Params

	// Limits bound the stored hashes that are verified. Zero fields mean their
	// defaults. Params must be within them.
	Limits Limits

	// Memory is how many bytes the running computations may take together.
	// Zero means GOMAXPROCS times the larger of Params.MemoryKiB and 32 MiB.
	// Hashes that are heavier than ours, in memory or in time, share half of it;
	// one that needs more than that half runs alone in it, and takes as much
	// memory as it needs. Never more than GOMAXPROCS computations run at once,
	// however little memory they take: more would only make each of them
	// slower.
	Memory uint64

	// Queue is how many callers may wait for their turn; for one beyond, the
	// last of the longest line gets [ErrBusy], or the caller itself. Zero means
	// 64 times GOMAXPROCS, negative that no caller may wait.
	Queue int

	// Wait is how long a caller may wait. One who would wait for longer, by an
	// estimate, gets [ErrBusy] at once, and so does one who has. Zero means
	// 2 s, negative that time does not count.
	Wait time.Duration

	// ImportTime is how long, on one core, a verification of an imported hash
	// may take here, estimated. Zero means 1 s, negative any time that Limits
	// allow.
	ImportTime time.Duration

	// Peppers follow the passwords of imported hashes that name them. Their
	// names are 1 to 32 of [a-z0-9-]. At most 16, of 1 to 1,024 bytes.
	Peppers map[string]string

	// Verifier verifies the hashes that were imported under a name of the
	// application's own. It gets the password as it came in and holds a turn
	// of the gate until it returns; after 10 s, or when the context ends, it
	// is waited for no longer. Its error, or panic, is [ErrVerifier].
	Verifier Verifier

	// Rand is where salts come from. Nil means crypto/rand. It is read by one
	// goroutine at a time.
	Rand io.Reader

	// Observe, if set, is called after each pass of hashing with the class of
	// the hash. It is for tests that count work, and must be safe for
	// concurrent use.
	Observe func(class string)
}

// A Hasher makes and verifies password hashes. It is safe for concurrent use;
// how many computations run at once is bounded by memory, and the others wait
// in the order they came. A context is honoured while waiting; a computation
// that has begun is finished.
//
// All methods that take a context first apply [CheckInput] to the password and
// return its error at once. The work of a verification depends on the stored
// hash's class and on the password, never on whether they match; only a match
// can be followed by a rehash.
type Hasher struct {
	limits     Limits
	importTime time.Duration
	peppers    map[string]string
	verifier   Verifier

	verifierTime time.Duration

	observe func(class string)
	gate    *gate
	slot    uint64 // the least weight of a computation in the gate
	current Parsed // carries Params; salt and key match no password

	randMu sync.Mutex
	rand   io.Reader
}

// NewHasher checks c and returns a Hasher. An error names the field at fault.
func NewHasher(c Config) (*Hasher, error) {
	if c.Params == (Params{}) {
		c.Params = Default
	}
	if err := c.Params.check(c.Limits); err != nil {
		return nil, err
	}
	if err := checkPeppers(c.Peppers); err != nil {
		return nil, err
	}
	h := &Hasher{
		limits: c.Limits, importTime: c.ImportTime, peppers: maps.Clone(c.Peppers), verifier: c.Verifier,
		verifierTime: verifierTime, observe: c.Observe, rand: c.Rand,
	}
	if h.importTime == 0 {
		h.importTime = time.Second
	}
	if h.observe == nil {
		h.observe = func(string) {}
	}
	if h.rand == nil {
		h.rand = rand.Reader
	}
	h.current = Parsed{
		scheme: argon2id,
		n:      [3]uint64{uint64(c.Params.MemoryKiB), uint64(c.Params.Time), uint64(c.Params.Parallelism)},
		salt:   make([]byte, ownSalt),
		key:    make([]byte, ownKey),
	}
	procs := runtime.GOMAXPROCS(0)
	if c.Memory == 0 {
		c.Memory = uint64(procs) * max(memoryArgon2(&h.current), minSlot)
	}
	switch {
	case c.Queue == 0:
		c.Queue = 64 * procs
	case c.Queue < 0:
		c.Queue = 0
	}
	switch {
	case c.Wait == 0:
		c.Wait = maxWait
	case c.Wait < 0:
		c.Wait = 0
	}
	h.gate = newGate(c.Memory, c.Queue, procs, c.Wait)
	h.slot = c.Memory / uint64(procs)
	return h, nil
}

func checkPeppers(peppers map[string]string) error {
	if len(peppers) > 16 {
		return fmt.Errorf("phc: Peppers must be at most 16")
	}
	for name, text := range peppers {
		switch {
		case !validLabel(name):
			return fmt.Errorf("phc: Peppers must have names of 1–32 of [a-z0-9-]")
		case text == "" || len(text) > MaxPassword:
			return fmt.Errorf("phc: Peppers must be of 1–1,024 bytes")
		}
	}
	return nil
}

// Hash returns a new hash of the NFKC form of password with a fresh salt. The
// error is a [PasswordError], [ErrBusy], the context's, or one of Config.Rand.
func (h *Hasher) Hash(ctx context.Context, password string) (Hash, error) {
	if err := CheckInput(password); err != nil {
		return "", err
	}
	salt, err := h.newSalt()
	if err != nil {
		return "", err
	}
	leave, err := h.gate.enter(ctx, h.job(&h.current, false))
	if err != nil {
		return "", err
	}
	defer leave()
	return h.compute(password, salt), nil
}

// Verify reports whether password is the one that hash was made from.
//
// The empty hash, which means that there is no password, is verified against a
// decoy: false, after the work of one hash with the current parameters. So is
// one that cannot be parsed, is above the limits or needs a pepper or verifier
// that is not configured, and Verify then also returns [ErrMalformed],
// [ErrLimits] or [ErrMissing], for the caller to report to the operator. The
// other errors are [ErrVerifier], a [PasswordError], [ErrBusy] and the
// context's. With an error, ok is false.
func (h *Hasher) Verify(ctx context.Context, hash Hash, password string) (ok bool, err error) {
	ok, _, err = h.verify(ctx, hash, password, false)
	return ok, err
}

// VerifyAndRehash is [Hasher.Verify], and when the password is right and
// [Hasher.NeedsRehash], it also makes the new hash, within one turn. newHash is
// "" otherwise.
func (h *Hasher) VerifyAndRehash(ctx context.Context, hash Hash, password string) (ok bool, newHash Hash, err error) {
	return h.verify(ctx, hash, password, true)
}

// Decoy does the work of verifying password against a hash with the current
// parameters, for a user that does not exist. The error is as in
// [Hasher.Verify].
func (h *Hasher) Decoy(ctx context.Context, password string) error {
	_, err := h.Verify(ctx, "", password)
	return err
}

func (h *Hasher) verify(ctx context.Context, hash Hash, password string, rehash bool) (bool, Hash, error) {
	if err := CheckInput(password); err != nil {
		return false, "", err
	}
	target, unusable := h.current, error(nil)
	if hash != "" {
		if target, unusable = h.usable(hash); unusable != nil {
			target = h.current
		}
	}
	decoy := hash == "" || unusable != nil

	var salt []byte
	if rehash && !decoy && h.replace(&target, password) {
		// Drawn before the turn is taken, so that a failing source of
		// randomness cannot make a right password look wrong after the work.
		var err error
		if salt, err = h.newSalt(); err != nil {
			return false, "", err
		}
	}
	leave, err := h.gate.enter(ctx, h.job(&target, salt != nil))
	if err != nil {
		return false, "", err
	}
	defer func() { leave() }()

	ok, err := h.match(ctx, &target, password)
	if hangs := (*stuck)(nil); errors.As(err, &hangs) {
		// It goes on computing, so its turn ends only when it returns.
		turn := leave
		leave = func() { go func() { <-hangs.done; turn() }() }
	}
	switch {
	case err != nil:
		return false, "", err
	case decoy:
		return false, "", unusable
	case !ok || salt == nil:
		return ok, "", nil
	}
	return true, h.compute(password, salt), nil
}

// usable returns hash taken apart, if it can be verified here.
func (h *Hasher) usable(hash Hash) (Parsed, error) {
	p, err := Parse(string(hash), h.limits)
	if err == nil {
		err = h.lacks(&p)
	}
	return p, err
}

// lacks reports the pepper or verifier that p needs and h lacks.
func (h *Hasher) lacks(p *Parsed) error {
	if _, ok := h.peppers[p.pepper]; p.pepper != "" && !ok {
		return &hashError{ErrMissing, "the pepper " + p.pepper}
	}
	if p.scheme == appScheme && h.verifier == nil {
		return &hashError{ErrMissing, "a verifier for " + p.name}
	}
	return nil
}

// match runs all passes that the form of p asks for, also after one of them
// has matched. The caller has entered the gate.
func (h *Hasher) match(ctx context.Context, p *Parsed, password string) (bool, error) {
	if p.scheme == appScheme {
		h.observe(p.Class())
		return h.callVerifier(ctx, p, password)
	}
	found, pepper := false, h.peppers[p.pepper]
	for _, input := range p.form.inputs(password) {
		ok, err := p.scheme.match(p, input+pepper)
		if err != nil {
			return false, err
		}
		h.observe(p.Class())
		found = found || ok
	}
	return found, nil
}

// compute makes a hash of password. The caller has entered the gate.
func (h *Hasher) compute(password string, salt []byte) Hash {
	p := h.current
	p.salt = salt
	p.key = deriveArgon2(argon2.IDKey, &p, []byte(Normalize(password)), ownKey)
	h.observe(p.Class())
	return Hash(p.String())
}

// weight is the share of the gate that a computation of p takes: its memory in
// whole MiB, but at least one slot, of which there are as many as processors.
// The remainder is left out because scrypt takes some KiB of scratch: 32 MiB of
// it, as of Lucia, are to fit a default slot.
func (h *Hasher) weight(p *Parsed) uint64 { return max(p.scheme.memory(p)>>20<<20, h.slot) }

// heavyFactor is how many times our own hash a hash takes to be a heavy one.
const heavyFactor = 4

// job returns what verifying p takes, with another hash made if it is right.
func (h *Hasher) job(p *Parsed, rehash bool) job {
	j := job{weight: h.weight(p), cost: p.Cost()}
	own := h.current.Cost()
	// The time of the application's function is not known. An own hash is
	// never heavy: everybody's log-in would be.
	j.heavy = p.scheme == appScheme || j.weight > h.weight(&h.current) || j.cost > heavyFactor*own
	if j.cost == 0 {
		j.cost = own
	}
	if rehash {
		j.weight, j.cost = max(j.weight, h.weight(&h.current)), j.cost+own
	}
	return j
}

func (h *Hasher) newSalt() ([]byte, error) {
	salt := make([]byte, ownSalt)
	h.randMu.Lock()
	defer h.randMu.Unlock()
	if _, err := io.ReadFull(h.rand, salt); err != nil {
		return nil, fmt.Errorf("phc: draw a salt: %w", err)
	}
	return salt, nil
}

// NeedsRehash reports whether hash, once password has been found right, should
// be replaced by one from [Hasher.Hash]: if it is [Hasher.Foreign], with one
// exception. bcrypt reads 72 bytes, so a password of 72 bytes or more that
// matches need not be the one that was set: its end may be missing or mistyped.
// Replacing the hash would lock out a user with the right one, and it stays.
func (h *Hasher) NeedsRehash(hash Hash, password string) bool {
	p, err := Parse(string(hash), h.limits)
	return err == nil && h.replace(&p, password)
}

// Foreign reports whether hash is usable and other than one made here with the
// current parameters or higher ones: of another scheme, over another form of
// the password, or with less memory or work. The time to verify such a hash
// differs from that of a decoy. One of our own that is no weaker in either
// respect is never replaced, or of two programs on one file, one with higher
// settings than the other, each would undo the other's work.
func (h *Hasher) Foreign(hash Hash) bool {
	p, err := Parse(string(hash), h.limits)
	return err == nil && h.foreign(&p)
}

func (h *Hasher) foreign(p *Parsed) bool {
	if p.scheme != argon2id || p.form != formNFKC || p.pepper != "" {
		return true
	}
	has, want := p.n, h.current.n
	return has[0] < want[0] || mul(has[0], has[1]) < mul(want[0], want[1])
}

func (h *Hasher) replace(p *Parsed, password string) bool {
	if p.scheme == bcryptPlain && max(len(password), len(Normalize(password))) >= bcryptReads {
		return false
	}
	return h.foreign(p)
}

// Class returns the parameters that the time to verify hash depends on, for
// statistics: "argon2id m=19456 t=2 p=1", "scrypt ln=14 r=8 p=1 pw=raw", "none"
// for the empty hash and "unusable" for one that cannot be parsed or is above
// the limits.
func (h *Hasher) Class(hash Hash) string {
	if hash == "" {
		return "none"
	}
	p, err := Parse(string(hash), h.limits)
	if err != nil {
		return "unusable"
	}
	return p.Class()
}

// Stats returns how many calls compute and wait at this moment, and how many
// were turned away with [ErrBusy] since the Hasher was made.
func (h *Hasher) Stats() (running, waiting int, busy uint64) { return h.gate.stats() }

// Times are how long computations have waited for their turn, and how long the
// turns were.
func (h *Hasher) Times() (waits, works *latency.Histogram) { return &h.gate.waits, &h.gate.works }
