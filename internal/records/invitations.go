package records

import (
	"errors"
	"fmt"
	"io"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/token"
)

// Invitations belong to no user: the owner in the key is that of an identity, which
// nobody may have yet. So no cascade reaches them, and they are in no row of Kinds.

// MaxInvitations bounds those of a file (INV-23).
const MaxInvitations = 10_000

// InvitationOwner returns the owner of the invitations for an identity.
func (f *File) InvitationOwner(provider, folded string) codec.Owner {
	return f.Owner("\x00invitation\x00" + PairKey(provider, folded)) // no user has such an id
}

// NewInvitationKey draws the key of a new invitation for an identity.
func (tx *Tx) NewInvitationKey(provider, folded string) (codec.OwnedKey, error) {
	var random [4]byte
	if _, err := io.ReadFull(tx.Rand, random[:]); err != nil {
		return codec.OwnedKey{}, fmt.Errorf("reading random bytes: %w", err)
	}
	return codec.MakeOwnedKey(tx.InvitationOwner(provider, folded), codec.NewOwnID(tx.Now, random)), nil
}

// Invitation returns the one under key, live or dead, or ErrInvalidOneTimeToken.
func (tx *Tx) Invitation(key codec.OwnedKey) (codec.Invitation, error) {
	value, err := tx.Value(SpaceInvitations, string(key[:]), ErrInvalidOneTimeToken)
	if err != nil {
		return codec.Invitation{}, err
	}
	i, err := codec.DecodeInvitation(tx.Key, value)
	if err != nil {
		return codec.Invitation{}, tx.Damaged(SpaceInvitations, err)
	}
	return i, nil
}

// InvitationLive reports whether an invitation can be accepted.
func (tx *Tx) InvitationLive(i *codec.Invitation) bool {
	return i.Epoch == tx.State.Epoch && tx.Now < i.ExpiresAt
}

// InvitationOver reports whether an invitation can be removed.
func (tx *Tx) InvitationOver(i *codec.Invitation) bool {
	return i.Epoch != tx.State.Epoch || tx.Now-i.ExpiresAt >= SweepAfter
}

// EachInvitation visits all, in the order of owners. With an error of the codec, i
// has nothing but its Key.
func (tx *Tx) EachInvitation(visit func(i *codec.Invitation, err error) error) error {
	return tx.R.Scan(SpaceInvitations, nil, nil, 0, func(key, value []byte) error {
		i, err := codec.DecodeInvitation(key, value)
		if err != nil {
			i.Key, _ = codec.ParseOwnedKey(key)
		}
		return visit(&i, err)
	})
}

// PutInvitation writes an invitation in the place of those for the same identity.
// It reports whether there was room: at the bound dead ones make it.
func (tx *Tx) PutInvitation(i *codec.Invitation) (room bool, err error) {
	owner := i.Key.Owner()
	from, to := owner.AppendRange(nil)
	n := 0
	count := func(delta int) func(_, _ []byte) error {
		return func(_, _ []byte) error { n += delta; return nil }
	}
	if err := tx.R.Scan(SpaceInvitations, nil, nil, 0, count(1)); err != nil {
		return false, err
	}
	if err := tx.R.Scan(SpaceInvitations, from, to, 0, count(-1)); err != nil {
		return false, err
	}
	if n >= MaxInvitations {
		if room, err = tx.forgetInvitation(); err != nil || !room {
			return false, err
		}
	}
	if err := tx.deleteOwner(SpaceInvitations, owner); err != nil {
		return false, err
	}
	return true, tx.Put(SpaceInvitations, string(i.Key[:]), i.Append(nil))
}

// forgetInvitation removes a dead one, or one that cannot be read.
func (tx *Tx) forgetInvitation() (removed bool, err error) {
	var dead codec.OwnedKey
	err = tx.EachInvitation(func(i *codec.Invitation, err error) error {
		switch {
		case errors.Is(err, codec.ErrNewer), err == nil && tx.InvitationLive(i):
			return nil
		}
		dead = i.Key
		return errFound
	})
	if !errors.Is(err, errFound) {
		return false, err
	}
	return true, tx.DeleteInvitation(dead)
}

// DeleteInvitation removes one. One that is not there is no error.
func (tx *Tx) DeleteInvitation(key codec.OwnedKey) error {
	return tx.Delete(SpaceInvitations, string(key[:]))
}

// invitations checks INV-23. Repair ends an invitation that breaks it.
func (c *checker) invitations() error {
	return c.each(SpaceInvitations, func(key, value []byte) error {
		i, err := codec.DecodeInvitation(key, value)
		if err != nil {
			return c.cannotRead(SpaceInvitations, key, value, err)
		}
		fault := ""
		switch {
		case !c.ownersLost && i.Key.Owner() != c.tx.InvitationOwner(i.Provider, i.Folded):
			fault = "does not lie under its identity"
		case c.future(i.Epoch):
			fault = "is of a later epoch than the file"
		case RolesFault(i.Roles).Found():
			fault = "has roles that nobody can have"
		case c.report.Invites >= MaxInvitations:
			fault = "is one too many"
		default:
			c.report.Invites++
			c.seen(i.Epoch, i.Key.Time())
			return nil
		}
		c.found(23, SpaceInvitations, token.Invitation.ID(i.Key), fault)
		return c.remove(SpaceInvitations, key)
	})
}
