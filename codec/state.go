package codec

// State holds the variables of a file, under KeyState.
//
//	offset  9  ce + 4  Epoch
//	       14  d3 + 8  Floor
//	       23  cf + 8  Declarations
//	       32  cf + 8  Keys
//	       41  cf + 8  Sealed
type State struct {
	Epoch        uint32 // raised to end all sessions and tokens at once
	Floor        int64  // Unix milliseconds before which the clock never goes
	Declarations uint64 // [Declarations].Version of those in force

	// Keys is [SealKeys].Version, and Sealed the uses of all its keys. Keys 0
	// is not written, nor Sealed then: the file has no keys.
	Keys, Sealed uint64
}

var (
	stateLayout  = layout{seedMeta(KeyState), 2, 3}
	state1Layout = layout{seedMeta(KeyState), 1, 3}
)

// Append appends the value of r, whose key is KeyState, to dst.
func (r *State) Append(dst []byte) []byte {
	start, l := len(dst), stateLayout
	if r.Keys != 0 {
		l.fields += 2
	}
	dst = begin(dst, l)
	dst = appendUint32(dst, r.Epoch)
	dst = appendInt64(dst, r.Floor)
	dst = appendUint64(dst, r.Declarations)
	if r.Keys != 0 {
		dst = appendUint64(appendUint64(dst, r.Keys), r.Sealed)
	}
	return seal(dst, start, l, "")
}

// DecodeState decodes the value under KeyState, without an allocation: every
// transaction reads it. Errors are ErrCorrupt and ErrNewer.
func DecodeState(value []byte) (State, error) {
	extra, err := open(stateLayout, nil, value)
	if err != nil {
		return State{}, err
	}
	r := reader{value: value, off: offFields}
	s := State{Epoch: r.uint32(), Floor: r.int64(), Declarations: r.uint64()}
	if extra > 0 {
		r.stateKeys(&s, extra)
		extra -= 2
	}
	if !r.finish(extra) {
		return State{}, errStructure
	}
	return s, nil
}

// stateKeys takes the elements of a file with keys.
//
//go:noinline
func (r *reader) stateKeys(s *State, extra int) {
	s.Keys, s.Sealed = r.uint64(), r.uint64()
	r.bad = r.bad || s.Keys == 0 || extra == 1
}

// DecodeState1 decodes the value under KeyState in a file of format 1, for an
// upgrade. The others are 0. There, the fields are
//
//	offset  9  cf + 8  epoch, at most 32 bits of it in use
//	       18  d3 + 8  floor
//	       27  cf + 8  a count of password hashes, which format 2 does not keep
//
// Errors are ErrCorrupt, and ErrNewer for the state of format 2.
func DecodeState1(value []byte) (State, error) {
	extra, err := open(state1Layout, nil, value)
	if err != nil {
		return State{}, err
	}
	r := reader{value: value, off: offFields}
	epoch, floor := r.uint64(), r.int64()
	r.uint64()
	if !r.finish(extra) || epoch>>32 != 0 {
		return State{}, errStructure
	}
	return State{Epoch: uint32(epoch), Floor: floor}, nil
}
