package passes

import (
	"context"
	"errors"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// guests removes those unseen for long, and keeps of others the time that only a
// dead session tells.
func (s *Sweep) guests(ctx context.Context) (removed int, err error) {
	for after := ""; ; {
		var due []string
		last := ""
		err := s.View(ctx, func(tx *records.Tx) error {
			due, last = nil, ""
			var ids []string
			if err := tx.EachGuest(after, guestsAtOnce, func(id string) error { ids = append(ids, id); return nil }); err != nil {
				return err
			}
			for _, id := range ids {
				last = id
				isDue, err := tx.GuestDue(id)
				if err != nil {
					return err
				}
				if isDue {
					due = append(due, id)
				}
			}
			return nil
		})
		if err == nil && len(due) > 0 {
			var n int
			n, err = s.EndGuests(ctx, due, s.Protected)
			removed += n
		}
		if err != nil || last == "" {
			return removed, err
		}
		after = last
	}
}

// EndGuests decides anew about guests, together as far as a turn goes, or one by one
// where that is too much for a transaction. It keeps the last holder of a protected role.
func (r *Runner) EndGuests(ctx context.Context, ids, protected []string) (removed int, err error) {
	for most := len(ids); len(ids) > 0; {
		n, done, err := r.endGuests(ctx, ids[:min(len(ids), most)], protected)
		switch {
		case errors.Is(err, kv.ErrTooLarge) && most > 1:
			most = 1
		case err != nil:
			return removed, err
		default:
			removed, ids = removed+n, ids[done:]
		}
	}
	return removed, nil
}

// endGuests decides about the first of ids in one transaction. It has seen to done of
// them.
func (r *Runner) endGuests(ctx context.Context, ids, protected []string) (removed, done int, err error) {
	err = r.IfNeeded(ctx, func(tx *records.Tx) error {
		removed, done = 0, 0
		// A guest may have many records: the time is looked at behind each.
		for over := r.turn(); done < len(ids) && !over(done*turnLook); done++ {
			gone, err := tx.EndGuest(ids[done], protected)
			if err != nil {
				return err
			}
			if gone {
				removed++
			}
		}
		return nil
	})
	return removed, done, err
}
