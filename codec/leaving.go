package codec

// MaxBucketName is how many bytes the name of a bucket of the application's has
// at most.
const MaxBucketName = 64

// Leaving is a record of the space leaving, under the id of a user who was
// deleted while rows of the application's were left. Times are Unix
// milliseconds.
//
//	offset  9  d3 + 8  LeftAt
//	       18  dc + 2 + Buckets, each a text
type Leaving struct {
	ID      string   // of the user, the key; not in the value
	LeftAt  int64    // when the user was deleted
	Buckets []string // those that may have rows: not empty, strictly ascending
}

var leavingLayout = layout{seed(SpaceLeaving), 1, 2}

// Append appends the value of r to dst.
func (r *Leaving) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, leavingLayout)
	dst = appendInt64(dst, r.LeftAt)
	dst = appendNames(dst, r.Buckets)
	return seal(dst, start, leavingLayout, r.ID)
}

// DecodeLeaving decodes the value under a key of the space leaving. Errors are
// ErrCorrupt and ErrNewer.
func DecodeLeaving(key, value []byte) (Leaving, error) {
	extra, err := open(leavingLayout, key, value)
	if err != nil {
		return Leaving{}, err
	}
	r := reader{value: value, off: offFields}
	t := copyText(key, value, offFields, len(value))
	out := Leaving{ID: t.id(), LeftAt: r.int64(), Buckets: r.names(t)}
	if !r.finish(extra) || len(out.Buckets) == 0 {
		return Leaving{}, errStructure
	}
	return out, nil
}

// appendNames appends a list of the names of buckets.
func appendNames(dst []byte, names []string) []byte {
	dst = appendList(dst, len(names))
	for _, name := range names {
		dst = appendText(dst, name)
	}
	return dst
}

// names takes a list of the names of buckets, strictly ascending.
func (r *reader) names(t text) (out []string) {
	last := ""
	for range r.list(2) {
		name := t.at(r.text())
		r.bad = r.bad || name <= last || len(name) > MaxBucketName
		if r.bad {
			return nil
		}
		out = append(out, name)
		last = name
	}
	return out
}
