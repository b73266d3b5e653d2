package codec

// Moving stands under KeyMoving while accounts are imported from another store:
// what is there is incomplete, and of no use until the import has ended, which
// removes it.
//
//	offset  9  c4 10 + 16  Export
//	       27  cf + 8      Frames
type Moving struct {
	Export [16]byte // the id of the export that is imported
	Frames uint64   // how many of its frames are here
}

var movingLayout = layout{seedMeta(KeyMoving), 1, 2}

// Append appends the value of r, whose key is KeyMoving, to dst.
func (r *Moving) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, movingLayout)
	dst = appendUint64(appendBinary(dst, r.Export[:]), r.Frames)
	return seal(dst, start, movingLayout, "")
}

// DecodeMoving decodes the value under KeyMoving. Errors are ErrCorrupt and
// ErrNewer.
func DecodeMoving(value []byte) (m Moving, err error) {
	extra, err := open(movingLayout, nil, value)
	if err != nil {
		return Moving{}, err
	}
	r := reader{value: value, off: offFields}
	copy(m.Export[:], r.fixed(len(m.Export)))
	m.Frames = r.uint64()
	if !r.finish(extra) {
		return Moving{}, errStructure
	}
	return m, nil
}
