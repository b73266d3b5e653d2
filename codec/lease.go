package codec

// Lease says which of several programs on one store has something alone, under
// KeySweepLease or KeyBuildLease. A file has none.
//
//	offset  9  c4 10 + 16  Holder
//	       27  d3 + 8      Until
type Lease struct {
	Holder [16]byte // drawn by a program when it opens the store
	Until  int64    // Unix milliseconds
}

// Append appends the value of r to dst.
func (r *Lease) Append(dst []byte, key string) []byte {
	layout := leaseLayout(key)
	start := len(dst)
	dst = begin(dst, layout)
	dst = appendInt64(appendBinary(dst, r.Holder[:]), r.Until)
	return seal(dst, start, layout, "")
}

// DecodeLease decodes the value under a key. Errors are ErrCorrupt and ErrNewer.
func DecodeLease(key string, value []byte) (l Lease, err error) {
	extra, err := open(leaseLayout(key), nil, value)
	if err != nil {
		return Lease{}, err
	}
	r := reader{value: value, off: offFields}
	copy(l.Holder[:], r.fixed(len(l.Holder)))
	l.Until = r.int64()
	if !r.finish(extra) || l.Until < 0 {
		return Lease{}, errStructure
	}
	return l, nil
}

func leaseLayout(key string) layout { return layout{seedMeta(key), 1, 2} }
