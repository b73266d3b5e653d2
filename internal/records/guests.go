package records

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
)

// GuestAge is the time after which an unseen guest is removed, in milliseconds.
const GuestAge = 30 * 24 * 3600 * 1000

// guestSeenStep is how much later than the stored time a guest must have been seen
// for it to be stored, in milliseconds.
const guestSeenStep = 24 * 3600 * 1000

// A GuestFate is the verdict of a sweep on a guest.
type GuestFate int

// The fates.
const (
	GuestStays   GuestFate = iota
	GuestSeen              // and the record that tells of it is about to go
	GuestRemoved           // not seen for GuestAge
)

// EachGuest visits the ids of guests behind after, in order, at most n.
func (tx *Tx) EachGuest(after string, n int, visit func(id string) error) error {
	return tx.EachHolder(guestEntry, after, n, visit)
}

// GuestFate looks at a guest and returns the time at which the guest was last seen:
// when a session was extended or could last be used without a write, when
// a refresh token was used, or at a log-in on a known device. A record that cannot be
// read counts as seen now.
func (tx *Tx) GuestFate(u *codec.User) (fate GuestFate, seen int64, err error) {
	seen, live := u.GuestSeenAt, true
	for _, k := range []*Kind{Sessions, Families, Devices} {
		err := tx.ScanOwner(k.Space, tx.Owner(u.ID), 0, func(key codec.OwnedKey, value []byte) error {
			l, err := k.Life(key[:], value)
			if err != nil {
				seen, live = tx.Now, true
				return nil
			}
			if !l.Who.Is(u.ID) {
				return nil
			}
			at := l.newest(key)
			if v, err := codec.ViewSession(key[:], value); k == Sessions && err == nil {
				at = max(at, min(tx.Now, v.ActiveUntil()))
			}
			if at > seen {
				seen, live = at, !tx.ended(l) && tx.Now < l.Until
			}
			return nil
		})
		if err != nil {
			return GuestStays, 0, err
		}
	}
	switch {
	case tx.Now-seen >= GuestAge:
		return GuestRemoved, seen, nil
	case !live && seen-u.GuestSeenAt >= guestSeenStep:
		return GuestSeen, seen, nil
	}
	return GuestStays, seen, nil
}

// Guest returns the record of a guest; ok is false for a user who is no guest now, or
// whose record cannot be read.
func (tx *Tx) Guest(id string) (u codec.User, ok bool, err error) {
	u, err = tx.User(id)
	if errors.Is(err, ErrUserNotFound) || unreadable(err) {
		return u, false, nil
	}
	return u, err == nil && u.GuestSeenAt != 0, err
}

// PutGuestSeen writes when a guest was last seen, which is no update of the user.
func (tx *Tx) PutGuestSeen(before codec.User, seen int64) error {
	u := before
	u.GuestSeenAt = seen
	return tx.PutUser(&before, &u)
}

// GuestDue reports whether EndGuest would do something now.
func (tx *Tx) GuestDue(id string) (bool, error) {
	u, ok, err := tx.Guest(id)
	if err != nil || !ok {
		return false, err
	}
	fate, _, err := tx.GuestFate(&u)
	return fate != GuestStays, err
}

// EndGuest decides about a user if it is still a guest, and removes a guest who was
// not seen for GuestAge, with all, unless it is the last enabled holder of a
// protected role.
func (tx *Tx) EndGuest(id string, protected []string) (removed bool, err error) {
	u, ok, err := tx.Guest(id)
	if err != nil || !ok {
		return false, err // upgraded, or gone, since
	}
	fate, seen, err := tx.GuestFate(&u)
	switch {
	case err != nil || fate == GuestStays:
		return false, err
	case fate == GuestSeen:
		return false, tx.PutGuestSeen(u, seen)
	}
	for _, role := range u.Roles {
		if u.DisabledAt != 0 || !slices.Contains(protected, role) {
			continue
		}
		if held, err := tx.Held(role, id, true); err != nil || !held {
			return false, err
		}
	}
	return true, tx.DeleteUser(id)
}
