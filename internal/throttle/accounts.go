package throttle

import "time"

// Sizes of the table of accounts.
const (
	rows   = 4
	width  = 64           // cells of a row in a block
	cells  = rows * width // of a block
	Blocks = 2048
	proven = 512 // of these, the last, for names that take a live secret

	most = 127 // a count does not grow beyond, so that it fades in a year
)

// A block holds the cells of all names that are hashed to it.
type block struct {
	counts [cells]uint8
	times  [cells]uint32 // of the last failure, seconds since 2000
	faded  uint32        // how many times FadeEvery had passed since 2000
	dirty  bool          // not stored as it is
	urgent bool          // a count that makes others wait is not stored

	base *[cells]uint8 // the counts as the store has them, of a Limiter that shares
}

// A place is where a name counts.
type place struct {
	block uint16
	cells [rows]uint8
}

// placeOf returns the place that a hash means. Strangers can fill their blocks
// with invented names, and must not reach those of callers with a live secret.
func placeOf(sum [32]byte, live bool) place {
	p := place{block: (uint16(sum[0])<<8 | uint16(sum[1])) % (Blocks - proven)}
	if live {
		p.block = Blocks - proven + p.block%proven
	}
	for r := range p.cells {
		p.cells[r] = uint8(r*width) + sum[2+r]%width
	}
	return p
}

// epoch2000 is 2000-01-01 in Unix milliseconds; no clock of ours is before it.
const epoch2000 = 946684800_000

func seconds(now int64) uint32 { return uint32(max(now-epoch2000, 0) / 1000) }

func fadings(now int64) uint32 {
	return uint32(max(now-epoch2000, 0) / FadeEvery.Milliseconds())
}

// at brings a block to a time: counts fade, and a time that is ahead, of a clock
// that was set back since, becomes now's, so that no wait is longer than a step.
func (b *block) at(now int64) {
	b.fade(fadings(now))
	for i, t := range b.times {
		if t > seconds(now) {
			b.times[i] = seconds(now)
		}
	}
}

// fade lowers each count by its loss until a day.
func (b *block) fade(today uint32) {
	if today == b.faded {
		return
	}
	lost := uint8(min(max(int64(today)-int64(b.faded), 0), most))
	for i, n := range b.counts {
		b.counts[i] = n - min(n, lost)
	}
	if b.base != nil {
		for i, n := range b.base {
			b.base[i] = n - min(n, lost)
		}
	}
	b.faded = today
}

// run returns how many failures there were and when the last, at most.
//
//go:noinline
func (b *block) run(p place) (failures int, last uint32) {
	failures, last = most, ^uint32(0)
	for _, c := range p.cells {
		failures, last = min(failures, int(b.counts[c])), min(last, b.times[c])
	}
	return failures, last
}

// wait returns how long an attempt must wait: the whole step, not the rest of
// it, which would tell the time of the last attempt.
func (b *block) wait(p place, now int64, closes bool) time.Duration {
	failures, last := b.run(p)
	if closes && failures >= Close {
		return Day
	}
	step := Step(failures)
	if step > 0 && time.Duration(seconds(now)-last)*time.Second < step {
		return step
	}
	return 0
}

// add counts one failure at a time, and returns the times that were there.
func (b *block) add(p place, now int64) (before [rows]uint32) {
	for r, c := range p.cells {
		before[r] = b.times[c]
		b.counts[c] = min(b.counts[c]+1, most)
		b.times[c] = seconds(now)
	}
	failures, _ := b.run(p)
	b.dirty, b.urgent = true, b.urgent || failures >= Free
	return before
}

// back takes one failure out again that add counted at a time.
func (b *block) back(p place, at int64, before [rows]uint32) {
	for r, c := range p.cells {
		b.counts[c] -= min(b.counts[c], 1)
		if b.times[c] == seconds(at) {
			b.times[c] = before[r]
		}
	}
	b.dirty = true
}

// forget takes the run of a name out of its cells. The failures of other
// names stay.
func (b *block) forget(p place) {
	failures, _ := b.run(p)
	for _, c := range p.cells {
		b.counts[c] -= min(b.counts[c], uint8(failures))
	}
	b.dirty = true
}
