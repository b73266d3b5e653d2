package phc

import (
	"math"
	"strings"
	"sync"
	"time"
)

// A pace is the time, in nanoseconds, that one unit of a scheme's work takes on
// this machine. It is measured when it is first needed, on samples of about
// a millisecond, and turns the parameters of a hash into seconds before any work
// is done on its behalf.
var paces struct {
	mu sync.Mutex
	of map[*scheme]float64
}

// samples is how often a pace is measured. The least time counts: other load
// only makes a sample slower. Samples are short, so that on a busy machine too
// some are not interrupted.
const samples = 20

// Cost estimates how long a verification of p takes on this machine, on one
// idle core and for the worst password: a form that is not known takes two
// passes. It is zero for hashes that the application verifies, and under the
// race detector, where the time says nothing about the program without it.
func (p *Parsed) Cost() time.Duration {
	if p.scheme == appScheme || raceDetector {
		return 0
	}
	nanos := p.pace() * float64(p.work())
	if p.form == formBoth {
		nanos *= 2
	}
	if nanos >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(nanos)
}

// work counts the units that the time of one pass is proportional to.
func (p *Parsed) work() uint64 {
	switch n := p.n; p.scheme.params[0] {
	case "m": // Argon2; cores that may be to spare for its lanes do not count
		return mul(n[0], n[1])
	case "ln": // scrypt, and phpass, which has no r and p
		return mul(mul(1<<n[0], max(n[1], 1)), max(n[2], 1))
	case "i":
		return mul(n[0], uint64((len(p.key)+p.scheme.block-1)/p.scheme.block))
	case "cost":
		return 1 << n[0]
	}
	return p.n[0]
}

// sampleWork are the parameters of a sample, by the first of their names.
func (p *Parsed) sampleWork() [3]uint64 {
	switch p.scheme.params[0] {
	case "m":
		return [3]uint64{1 << 10, 1, 1}
	case "ln":
		if len(p.scheme.params) == 1 {
			return [3]uint64{minPhpass}
		}
		return [3]uint64{9, 8, 1}
	case "i":
		return [3]uint64{2048}
	case "cost":
		return [3]uint64{4}
	}
	return [3]uint64{200}
}

// pace returns that of the scheme of p. The sample's password is as long as
// can be, because some schemes hash it again in each round.
func (p *Parsed) pace() float64 {
	paces.mu.Lock()
	defer paces.mu.Unlock()
	if known := paces.of[p.scheme]; known != 0 {
		return known
	}
	sample, least := *p, time.Duration(math.MaxInt64)
	sample.n = p.sampleWork()
	for range samples {
		start := time.Now()
		_, _ = p.scheme.match(&sample, strings.Repeat("x", MaxPassword)) // no password is right
		least = min(least, time.Since(start))
	}
	if paces.of == nil {
		paces.of = make(map[*scheme]float64)
	}
	paces.of[p.scheme] = float64(least) / float64(sample.work())
	return paces.of[p.scheme]
}
