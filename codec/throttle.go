package codec

import "encoding/binary"

// Bounds of the space throttle.
const (
	ThrottleBlocks = 2048 // records at most
	throttleKey    = 2    // bytes of a key: the number of the block, big-endian
	throttleCell   = 6    // bytes of a cell
	throttleCells  = 256  // in a block
)

// Throttle is one block of the counts of failed guesses, a record of the space
// throttle. It names nobody: a cell belongs to all names that a keyed hash leads
// to it.
//
//	offset 9   ce + 4    Faded
//	offset 14  bin       Cells, 6 bytes each: Index, Count, 4 of Last
type Throttle struct {
	Block uint16         // its number, and the key
	Faded uint32         // up to when counts have faded, in periods of 48 h since 2000
	Cells []ThrottleCell // those that count something, by ascending Index
}

// ThrottleCell counts the failures of some names.
type ThrottleCell struct {
	Index uint8  // in the block
	Count uint8  // 1–127
	Last  uint32 // when the last one was, in seconds since 2000
}

var throttleLayout = layout{seed(SpaceThrottle), 1, 2}

// Key is that of r in the space throttle.
func (r *Throttle) Key() []byte { return binary.BigEndian.AppendUint16(nil, r.Block) }

// Append appends the value of r to dst.
func (r *Throttle) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, throttleLayout)
	dst = appendUint32(dst, r.Faded)
	dst = appendSize(dst, markBin8, throttleCell*len(r.Cells))
	for _, c := range r.Cells {
		dst = binary.BigEndian.AppendUint32(append(dst, c.Index, c.Count), c.Last)
	}
	return seal(dst, start, throttleLayout, r.Key())
}

// DecodeThrottle decodes the value under a key of the space throttle. Errors are
// ErrCorrupt and ErrNewer.
func DecodeThrottle(key, value []byte) (Throttle, error) {
	if len(key) != throttleKey {
		return Throttle{}, errStructure
	}
	extra, err := open(throttleLayout, key, value)
	if err != nil {
		return Throttle{}, err
	}
	out := Throttle{Block: binary.BigEndian.Uint16(key)}
	r := reader{value: value, off: offFields}
	out.Faded = r.uint32()
	span := r.binary()
	if !r.finish(extra) || out.Block >= ThrottleBlocks || (span.to-span.from)%throttleCell != 0 {
		return Throttle{}, errStructure
	}
	last := -1
	for b := value[span.from:span.to]; len(b) > 0; b = b[throttleCell:] {
		c := ThrottleCell{Index: b[0], Count: b[1], Last: binary.BigEndian.Uint32(b[2:])}
		if int(c.Index) <= last || c.Count == 0 || c.Count > 127 {
			return Throttle{}, errStructure
		}
		out.Cells = append(out.Cells, c)
		last = int(c.Index)
	}
	return out, nil
}
