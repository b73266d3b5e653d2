package passes

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// A Sweep removes records that have been dead for long. All fields are required.
type Sweep struct {
	Runner
	Protected []string // roles whose last holder no guest is
	Uses      *records.KeyUses
	Removed   func(n int)                 // after each step
	Leftover  func(context.Context) error // removes the leftover of a build of indexes
}

// Run is one sweep. It returns how many records it has removed, also with an error.
// It writes the last uses of API keys, and the events of keys that end soon.
func (s *Sweep) Run(ctx context.Context) (n int, err error) {
	count := func(removed int, err error) error {
		n += removed
		s.Removed(removed)
		return err
	}
	if err := count(s.guests(ctx)); err != nil { // before the sessions that tell when they were seen
		return n, err
	}
	for _, k := range records.Kinds {
		if err := count(s.RemoveKind(ctx, k, (*records.Tx).LongDead)); err != nil {
			return n, err
		}
	}
	if err := count(s.leaving(ctx)); err != nil {
		return n, err
	}
	if err := count(s.invitations(ctx)); err != nil {
		return n, err
	}
	if err := errors.Join(s.quarantine(ctx), s.outbox(ctx), s.Leftover(ctx)); err != nil {
		return n, err
	}
	return n, errors.Join(s.StoreUses(ctx, s.Uses), s.announceEnds(ctx))
}

// RemoveKind walks the records of a kind from the left, past the live ones, and
// removes the records that dead selects.
func (r *Runner) RemoveKind(ctx context.Context, k *records.Kind, dead func(*records.Tx, records.Life) bool) (n int, err error) {
	pick := func(tx *records.Tx, key, value []byte) bool {
		l, err := k.Life(key, value)
		return err == nil && dead(tx, l) // one that cannot be read is left for Check to report
	}
	err = r.each(ctx, k.Space, deleteAtOnce, pick, func(keys [][]byte) (int, error) {
		removed, done, err := r.RemoveDead(ctx, k, owned(keys), dead)
		n += removed
		return done, err
	})
	return n, err
}

// RemoveDead removes those of keys that are still dead when the write has its
// turn: one may have been extended since. It has seen to the first done of them.
func (r *Runner) RemoveDead(ctx context.Context, k *records.Kind, keys []codec.OwnedKey, dead func(*records.Tx, records.Life) bool) (removed, done int, err error) {
	done, err = r.some(ctx, len(keys), func(tx *records.Tx, i int) error {
		if i == 0 {
			removed = 0
		}
		gone, err := removeDead(tx, k, keys[i], dead)
		if gone {
			removed++
		}
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return removed, done, nil
}

func removeDead(tx *records.Tx, k *records.Kind, key codec.OwnedKey, dead func(*records.Tx, records.Life) bool) (bool, error) {
	value, err := tx.OwnedValue(k, key)
	if errors.Is(err, k.Missing) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	l, err := k.Life(key[:], value)
	if err != nil || !dead(tx, l) {
		return false, nil
	}
	return true, tx.DeleteOwned(k, key)
}

// leaving removes the rows of deleted users, as many in one step as take a few
// milliseconds.
func (s *Sweep) leaving(ctx context.Context) (n int, err error) {
	most := s.most(rowsAtOnce, rowsInTurn)
	err = s.each(ctx, records.SpaceLeaving, 1, all, func(ids [][]byte) (int, error) {
		for done := false; !done; {
			removed, err := returning(ctx, s.Update, func(tx *records.Tx) (n int, err error) {
				n, done, err = tx.SweepLeaving(string(ids[0]), most)
				return n, err
			})
			if n += removed; err != nil {
				return 0, err
			}
		}
		return 1, nil
	})
	return n, err
}

func all(*records.Tx, []byte, []byte) bool { return true }

// invitations removes those dead for a day, and all of an earlier epoch.
func (s *Sweep) invitations(ctx context.Context) (n int, err error) {
	over := func(tx *records.Tx, key, value []byte) bool {
		i, err := codec.DecodeInvitation(key, value)
		return err == nil && tx.InvitationOver(&i)
	}
	err = s.each(ctx, records.SpaceInvitations, deleteAtOnce, over, func(keys [][]byte) (int, error) {
		done, err := s.some(ctx, len(keys), func(tx *records.Tx, i int) error { // a key is never used again, and a deadline stays
			return tx.DeleteInvitation(codec.OwnedKey(keys[i]))
		})
		n += done
		return done, err
	})
	return n, err
}

// quarantine removes records that have been there for 30 days. Keys are in the
// order of owners, so it reads them all.
func (s *Sweep) quarantine(ctx context.Context) error {
	over := func(tx *records.Tx, _, value []byte) bool { return quarantineOver(tx, value) }
	return s.each(ctx, records.SpaceQuarantine, deleteAtOnce, over, func(keys [][]byte) (int, error) { return s.EndQuarantine(ctx, keys) })
}

// EndQuarantine removes those keys whose time is still over: a repair may have
// put another value there since. It has seen to the first done of them.
func (r *Runner) EndQuarantine(ctx context.Context, keys [][]byte) (done int, err error) {
	return r.some(ctx, len(keys), func(tx *records.Tx, i int) error {
		value, ok, err := tx.R.Get(records.SpaceQuarantine, keys[i])
		if err == nil && ok && quarantineOver(tx, value) {
			err = tx.Delete(records.SpaceQuarantine, string(keys[i]))
		}
		return err
	})
}

// quarantineOver reports whether a value has been in quarantine for long enough.
func quarantineOver(tx *records.Tx, value []byte) bool {
	at, _, ok := codec.SplitQuarantineValue(value)
	return !ok || tx.Now-at >= records.QuarantineAge
}

// outbox removes entries that are too old, or that no consumer needs.
func (s *Sweep) outbox(ctx context.Context) (err error) {
	for more := true; more && err == nil; {
		more, err = returning(ctx, s.IfNeeded, (*records.Tx).Trim)
	}
	return err
}
