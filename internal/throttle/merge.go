package throttle

// Several processes may count in one store. Each keeps the counts as it last saw
// them there; the
// difference is its own, and is added to the counts that are there by then. So failures at one process are seen by the others when they
// store, or read the store anew.

// Share makes l count together with others. Call it before
// the first attempt.
func (l *Limiter) Share() { l.shared = true }

// On returns r, taken by Take, merged with the block as it is in the store by now.
// nil: the store has no such block.
func (r *Record) On(stored *Record) Record {
	var there, mine block
	if stored != nil {
		there.load(stored)
	}
	mine.load(r)
	there.fade(max(r.Faded, there.faded))
	mine.fade(there.faded)
	base := block{counts: r.base, faded: r.Faded}
	base.fade(there.faded)
	there.addTo(&mine, &base.counts)
	return there.record(r.Block)
}

// addTo adds mine without base to b. Later times count.
func (b *block) addTo(mine *block, base *[cells]uint8) {
	for i := range b.counts {
		n := int(b.counts[i]) + int(mine.counts[i]) - int(base[i])
		b.counts[i] = uint8(min(max(n, 0), most))
		b.times[i] = max(b.times[i], mine.times[i])
	}
}

// Stored says that a record of Take was stored as another one, by On: the counts
// of others are in that.
func (l *Limiter) Stored(taken, stored Record) {
	var was block
	was.load(&taken)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renew(stored, &was)
}

// Renew takes a block that another process may have stored.
func (l *Limiter) Renew(stored Record) {
	if int(stored.Block) >= Blocks {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var base block
	if b := l.blocks[stored.Block]; b != nil && b.base != nil {
		base = block{counts: *b.base, faded: b.faded}
	}
	l.renew(stored, &base)
}

// renew makes a block that of the store, and adds the counts of this process since
// it was as base. The caller holds mu.
func (l *Limiter) renew(stored Record, base *block) {
	var there block
	there.load(&stored)
	b := l.blocks[stored.Block]
	if b == nil {
		b = &block{}
		l.blocks[stored.Block] = b
	}
	b.fade(max(b.faded, there.faded))
	there.fade(b.faded)
	base.fade(b.faded)
	counts := there.counts
	there.addTo(b, &base.counts)
	b.counts, b.times, b.base = there.counts, there.times, &counts
}

// load makes b the block of a record.
func (b *block) load(r *Record) {
	b.faded = r.Faded
	for _, c := range r.Cells {
		b.counts[c.Index], b.times[c.Index] = min(c.Count, most), c.Last
	}
}
