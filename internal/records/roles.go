package records

import (
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
)

// MaxRoles bounds those of one user.
const MaxRoles = 16

// RoleKey is the key of a user's entry in the space roles. Neither part has a
// zero byte.
func RoleKey(role, id string) string { return PairKey(role, id) }

// RolesFault looks at the roles of a record: at most 16 names, ascending.
func RolesFault(roles []string) fold.Fault {
	if len(roles) > MaxRoles {
		return fold.Fault{Code: fold.TooMany, Max: MaxRoles, Reason: "must be at most 16"}
	}
	for i, r := range roles {
		if !fold.Name(r) || i > 0 && roles[i-1] >= r {
			return fold.Fault{Code: fold.Malformed, Reason: "must each be 1–32 of [a-z0-9_-]"}
		}
	}
	return fold.Fault{}
}

// guestEntry is the name under which a guest has an entry in the space roles. No
// role has it.
const guestEntry = "*guest"

// roleEntries are the names of a user's entries in the space roles.
func roleEntries(u *codec.User) []string {
	if u.GuestSeenAt == 0 {
		return u.Roles
	}
	return append(u.Roles[:len(u.Roles):len(u.Roles)], guestEntry)
}

// moveRoles makes the entries of before those of u.
func (tx *Tx) moveRoles(before, u *codec.User) error {
	old, now := roleEntries(before), roleEntries(u)
	for _, r := range old {
		if !slices.Contains(now, r) {
			if err := tx.Delete(SpaceRoles, RoleKey(r, before.ID)); err != nil {
				return err
			}
		}
	}
	for _, r := range now {
		if !slices.Contains(old, r) {
			if err := tx.Put(SpaceRoles, RoleKey(r, u.ID), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// EachHolder visits the ids of the users with a role behind after ("": all), in
// order, at most n (0: all).
func (tx *Tx) EachHolder(role, after string, n int, visit func(id string) error) error {
	from, to := codec.PairRange(role)
	if after != "" {
		from = append([]byte(RoleKey(role, after)), 0)
	}
	return tx.R.Scan(SpaceRoles, from, to, n, func(key, _ []byte) error {
		_, id, ok := codec.SplitPair(key)
		if !ok {
			return tx.Damaged(SpaceRoles, codec.ErrCorrupt)
		}
		return visit(string(id))
	})
}

// Held reports whether a user other than the one with the id except has a role,
// and, if able says so, is enabled and has an identity: nothing may lead to an account
// without one. A record that cannot be read holds none: its user cannot act by it.
func (tx *Tx) Held(role, except string, able bool) (held bool, err error) {
	err = tx.EachHolder(role, "", 0, func(id string) error {
		if id == except {
			return nil
		}
		u, err := tx.User(id)
		switch {
		case errors.Is(err, ErrUserNotFound), errors.Is(err, kv.ErrCorrupt):
			return nil
		case err != nil:
			return err
		}
		if slices.Contains(u.Roles, role) && (!able || u.DisabledAt == 0 && len(u.Identities) > 0) {
			held = true
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return held, err
}

var errFound = errors.New("found")
