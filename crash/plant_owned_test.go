package main

// ownedHelper is a file of the planted library: what a method does in one
// transaction, in two.
const ownedHelper = `package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
)

// The rows of the program's follow their user.
func (db *DB) plantedDelete(ctx context.Context, id UserID) error {
	var buckets []string
	err := db.update(ctx, func(tx *Tx) error {
		buckets = tx.rec.Declared.Owned
		tx.rec.Declared.Owned = nil
		defer func() { tx.rec.Declared.Owned = buckets }()
		return tx.DeleteUser(id)
	})
	if err != nil {
		return err
	}
	return db.update(ctx, func(tx *Tx) error { _, err := tx.rec.RemoveRows(string(id), records.MaxRows); return err })
}

func (r Roles) plantedGrant(ctx context.Context, user UserID, role string) (User, error) {
	u, err := result(ctx, "", r.at.update, func(tx *Tx) (User, error) {
		return tx.updateUser(user, func(u *codec.User, _ *records.Cascade) error { u.Roles = append(u.Roles, role); return nil })
	})
	if err != nil {
		return u, err
	}
	return u, r.at.update(ctx, func(tx *Tx) error { return tx.rec.Note(string(user), records.EventRoleGranted, records.About{Detail: role}) })
}

func (a APIKeys) plantedCreate(ctx context.Context, user UserID, n NewAPIKey) (APIKey, error) {
	var event [2][]byte // which the first transaction leaves out
	k, err := result(ctx, "", a.at.update, func(tx *Tx) (APIKey, error) {
		from, to := tx.rec.Owner(string(user)).AppendRange(nil)
		seen := map[string]bool{}
		tx.rec.R.Scan(records.SpaceEvents, from, to, 0, func(k, _ []byte) error { seen[string(k)] = true; return nil })
		k, err := tx.createAPIKey(string(user), n)
		if err != nil {
			return k, err
		}
		err = tx.rec.R.Scan(records.SpaceEvents, from, to, 0, func(k, v []byte) error {
			if !seen[string(k)] {
				event = [2][]byte{append([]byte(nil), k...), append([]byte(nil), v...)}
			}
			return nil
		})
		return k, errors.Join(err, tx.rec.W.Delete(records.SpaceEvents, event[0]))
	})
	if err != nil {
		return k, err
	}
	return k, a.at.update(ctx, func(tx *Tx) error { return tx.rec.W.Put(records.SpaceEvents, event[0], event[1]) })
}

func (a APIKeys) plantedRevoke(ctx context.Context, user UserID) error {
	all, err := a.List(ctx, user)
	if err != nil || len(all) == 0 {
		return err
	}
	return a.Revoke(ctx, user, all[0].ID)
}

func (o Devices) plantedRevoke(ctx context.Context, user UserID) error {
	all, err := o.List(ctx, user)
	if err != nil || len(all) == 0 {
		return err
	}
	return o.Revoke(ctx, user, all[0].ID)
}

func (f Factors) plantedRemove(ctx context.Context, proof Proof, id FactorID) error {
	var user string
	var key codec.OwnedKey
	err := f.at.update(ctx, func(tx *Tx) error {
		c, err := tx.changingFactors(ctx, proof)
		if err != nil {
			return err
		}
		gone, err := c.factor(id)
		if err != nil {
			return err
		}
		user, key = c.user.ID, gone.Key
		c.event, c.about, c.holds = records.EventFactorRemoved, aboutFactor(gone), c.all.Without(key).Needed()
		return tx.changeFactors(c, 0, func() error { return nil })
	})
	if err != nil {
		return err
	}
	return f.at.update(ctx, func(tx *Tx) error {
		all, err := tx.rec.Factors(user)
		if err != nil {
			return err
		}
		return tx.rec.RemoveFactor(all, key)
	})
}

// The code is spent in one transaction, and the session made in another.
func (f Factors) plantedFinish(ctx context.Context, pending, typed string) (Session, User, error) {
	code, _ := readCode(typed)
	var user string
	err := f.at.update(ctx, func(tx *Tx) error {
		p, u, err := tx.pending(pending)
		if err != nil {
			return err
		}
		user = p.User
		proof := proofOf(&p, u)
		return tx.spend(&proof, &code)
	})
	if err != nil {
		return Session{}, User{}, err
	}
	u, err := f.at.db.GetUser(ctx, UserID(user))
	if err != nil {
		return Session{}, User{}, err
	}
	s, err := f.at.db.CreateSession(ctx, FactorNotNeeded(u), SessionOptions{})
	return s, u, err
}

// The invitation is used up in a transaction of its own.
func (x Identities) plantedAccept(ctx context.Context, text string, n NewUser) (User, error) {
	var i codec.Invitation
	u, err := result(ctx, "", x.at.update, func(tx *Tx) (u User, err error) {
		if i, _, err = tx.invitationBy(text); err != nil {
			return u, err
		}
		if u, err = tx.acceptInvitation(text, n); err == nil {
			err = tx.rec.W.Put(records.SpaceInvitations, i.Key[:], i.Append(nil))
		}
		return u, err
	})
	if err != nil {
		return u, err
	}
	return u, x.at.update(ctx, func(tx *Tx) error { return tx.rec.DeleteInvitation(i.Key) })
}
`
