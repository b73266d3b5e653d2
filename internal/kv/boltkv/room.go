package boltkv

// Room for removing on a file that has reached Options.MaxSize.
//
// bbolt writes changed pages to new places, so that a removal, too, needs free
// pages, and bbolt lets the file grow in steps of DB.AllocSize: a transaction
// that needs one page more is refused when a whole step does not fit. Open
// makes the step 1 MiB. For a group all of whose members only free room, the
// writer makes the step one page, under bbolt's lock, before the commit: then
// the last MiB can be used too, and pages that they free serve the next group.
// The file never exceeds MaxSize.
//
// If a group does not fit, its members run again one by one (group.go), each
// under its own step, so that a removal does not fail with the others.

const (
	growStep = 1 << 20 // bytes by which the file grows

	// A member frees room if it adds no key, on balance, and at most slack
	// bytes: a revocation may note a reason in a record that it keeps.
	slack = 1 << 10
)

// room is the balance of one run.
type room struct{ keys, bytes int }

func (r *room) put(key, value []byte, present bool, old []byte) {
	if present {
		r.bytes += len(value) - len(old)
		return
	}
	r.keys++
	r.bytes += len(key) + len(value)
}

func (r *room) remove(key, value []byte) {
	r.keys--
	r.bytes -= len(key) + len(value)
}

func (r *room) freed() bool { return r.keys <= 0 && r.bytes <= slack }

// step sets how much the file grows in the transaction that is about to
// commit. bbolt reads AllocSize only under the lock that the caller holds.
func (s *Store) step(frees bool) {
	if s.db.at().file == nil || s.opt.MaxSize <= 0 {
		return
	}
	s.db.at().AllocSize = growStep
	if frees {
		s.db.at().AllocSize = s.pageSize
	}
}
