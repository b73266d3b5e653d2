package codec

// Cursor is a record of the space cursors, under the name of a consumer of the
// outbox.
//
//	offset 9  cf + 8  Position
type Cursor struct {
	Position uint64 // the last one that the consumer is done with
}

var cursorLayout = layout{seed(SpaceCursors), 1, 1}

// Append appends the value of r under the name of a consumer to dst.
func (r *Cursor) Append(dst []byte, name string) []byte {
	start := len(dst)
	dst = appendUint64(begin(dst, cursorLayout), r.Position)
	return seal(dst, start, cursorLayout, name)
}

// DecodeCursor decodes the value under a key of the space cursors. Errors are
// ErrCorrupt and ErrNewer.
func DecodeCursor(key, value []byte) (Cursor, error) {
	extra, err := open(cursorLayout, key, value)
	if err != nil {
		return Cursor{}, err
	}
	r := reader{value: value, off: offFields}
	c := Cursor{Position: r.uint64()}
	if !r.finish(extra) {
		return Cursor{}, errStructure
	}
	return c, nil
}
