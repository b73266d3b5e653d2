package throttle

// A Record is a block as it is stored.
type Record struct {
	Block uint16 // less than Blocks
	Faded uint32
	Cells []Cell // those that count something, in their order

	base [cells]uint8 // the counts as they were read, of a Limiter that shares
}

// A Cell is one of a block.
type Cell struct {
	Index uint8
	Count uint8
	Last  uint32 // seconds since 2000
}

// Budget is how many bytes of records are stored in a minute.
const Budget = 256 << 10

// bytes is about the size of a record and its key.
func (r *Record) bytes() int { return 32 + 6*len(r.Cells) }

// Pending reports whether there is something to store, and something that should
// not wait for the end of the minute.
func (l *Limiter) Pending() (some, urgent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dirty, l.urgent
}

// Take returns blocks that have changed, for the caller to store, those first
// that make callers wait, and no more than the Budget of this minute has left,
// or all. It counts them as stored: see [Limiter.Return]. It reports whether the
// budget was spent before the last of them.
func (l *Limiter) Take(now int64, all bool) (records []Record, spent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now-l.window >= 60_000 || now < l.window {
		l.window, l.spent = now, 0
	}
	for _, urgent := range []bool{true, false} {
		for i, b := range l.blocks {
			if b == nil || !b.dirty || b.urgent != urgent {
				continue
			}
			b.at(now)
			r := b.record(uint16(i))
			if b.base != nil {
				r.base = *b.base
			}
			if !all && l.spent+r.bytes() > Budget {
				l.dirty, l.urgent = true, urgent
				return records, true
			}
			l.spent += r.bytes()
			b.dirty, b.urgent = false, false
			records = append(records, r)
		}
	}
	l.dirty, l.urgent = false, false
	return records, false
}

func (b *block) record(i uint16) Record {
	r := Record{Block: i, Faded: b.faded}
	for c, n := range b.counts {
		if n > 0 {
			r.Cells = append(r.Cells, Cell{Index: uint8(c), Count: n, Last: b.times[c]})
		}
	}
	return r
}

// Return says that records were not stored after all.
func (l *Limiter) Return(records []Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		l.blocks[r.Block].dirty, l.dirty = true, true
	}
}

// Load takes a stored record, before the first attempt.
func (l *Limiter) Load(r Record) {
	if int(r.Block) >= Blocks {
		return
	}
	b := &block{}
	b.load(&r)
	if l.shared {
		base := b.counts
		b.base = &base
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocks[r.Block] = b
}
