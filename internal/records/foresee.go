package records

import (
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
)

// A Foresight lists the probable reads of a write, as far as its arguments tell.
// An engine that is far away fetches it in the trip of the first read.
type Foresight struct {
	Refs  []kv.Ref
	New   []kv.Ref    // keys to put if absent, such as an identity
	User  string      // whose record, and records in Owned, are read
	Owner codec.Owner // the same, where only a key is known
	Owned []kv.Space
	All   bool // all owned records are removed
}

// Foresee tells a far engine the reads to come after the state.
func (f *File) Foresee(r kv.Reader, x Foresight) {
	far, ok := kv.As[kv.Wanter](r)
	if !ok {
		return
	}
	head := codec.PositionKey(codec.OutboxHeadKey)
	refs := append([]kv.Ref{{Space: SpaceMeta, Key: []byte(codec.KeyState)}, {Space: SpaceOutbox, Key: head[:]}}, x.Refs...)
	if x.User != "" {
		refs = append(refs, kv.Ref{Space: SpaceUsers, Key: []byte(x.User)})
		x.Owner = f.Owner(x.User)
	}
	if claimer, ok := kv.As[kv.Claimer](r); ok {
		claimer.Claim(x.New)
	} else {
		refs = append(refs, x.New...)
	}
	far.Want(refs)
	ranges, ok := kv.As[kv.ScanWanter](r)
	if !ok || x.Owner == (codec.Owner{}) {
		return
	}
	if x.All {
		x.Owned = append(append([]kv.Space{}, f.Owned...), SpaceQuarantine)
		if d := f.Declared.Load(); d != nil && len(d.Owned) > 0 {
			far.Want([]kv.Ref{{Space: SpaceLeaving, Key: []byte(x.User)}})
		}
	}
	for _, space := range x.Owned {
		from, to := x.Owner.AppendRange(nil)
		ranges.WantScan(space, from, to, 0)
	}
}
