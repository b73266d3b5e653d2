package snib

import (
	"context"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
)

// identity checks the two parts of an identity and folds the identifier.
func identity(d *records.Declared, provider, identifier string, now int64) (codec.Identity, error) {
	if !fold.Name(provider) {
		return codec.Identity{}, &InputError{Field: "Provider", Reason: "must be 1–32 of [a-z0-9_-]"}
	}
	key, reason := d.Fold(provider, identifier)
	if reason != "" {
		return codec.Identity{}, &InputError{Field: "Identifier", Reason: reason}
	}
	return codec.Identity{Provider: provider, Key: key, Identifier: identifier, LinkedAt: now}, nil
}

// GetUserByProviderID returns the user with this identity, the identifier
// compared by the provider's rule. ErrUserNotFound, also for an impossible one.
func (db *DB) GetUserByProviderID(ctx context.Context, provider, identifier string) (User, error) {
	return read(ctx, db, "get user by provider id", readsIdentity, func(tx *Tx, x providerID) (User, error) {
		return tx.GetUserByProviderID(x.provider, x.identifier)
	}, providerID{provider, identifier})
}

// GetUserByProviderID is [DB.GetUserByProviderID] in this transaction.
func (tx *Tx) GetUserByProviderID(provider, identifier string) (User, error) {
	if err := tx.reading(); err != nil {
		return User{}, err
	}
	u, err := tx.userByIdentity(provider, identifier)
	return newUser(u), err
}

// providerID is an identity as a program names it.
type providerID struct{ provider, identifier string }

func readsIdentity(db *DB, x providerID) []kv.Ref {
	known, err := identity(db.file.Declared.Load(), x.provider, x.identifier, 0)
	if err != nil {
		return nil
	}
	return ref(records.SpaceIdentities, records.PairKey(known.Provider, known.Key))
}

// userByIdentity returns the record of the user with this identity.
func (tx *Tx) userByIdentity(provider, identifier string) (codec.User, error) {
	x, err := identity(tx.rec.Declared, provider, identifier, 0)
	if err != nil {
		return codec.User{}, ErrUserNotFound
	}
	id, ok, err := tx.rec.IdentityOwner(x)
	if err != nil {
		return codec.User{}, err
	}
	if !ok {
		return codec.User{}, ErrUserNotFound
	}
	u, err := tx.user(UserID(id))
	return u, tx.rec.Orphan(records.SpaceIdentities, err)
}

// UpdateUserProviderID replaces the user's primary identity (Identities[0]) by
// provider and identifier, both required, and returns the updated user. The
// old identity stops finding the user at the instant at which the new one
// begins to. If the user has the new one already, it becomes the primary. A
// user whom Repair has left without an identity gets it.
//
// Where the identity really changes (and not only its spelling), the
// credential version is raised and the user's one-time tokens end: a link that
// was mailed to the old address is worth nothing.
//
// ErrUserNotFound, ErrIdentityTaken, ErrInvalidInput (Provider, Identifier).
func (db *DB) UpdateUserProviderID(ctx context.Context, id UserID, provider, identifier string) (User, error) {
	return result(ctx, "update provider id", db.update, func(tx *Tx) (User, error) {
		return tx.UpdateUserProviderID(id, provider, identifier)
	})
}

// UpdateUserProviderID is [DB.UpdateUserProviderID] in this transaction.
func (tx *Tx) UpdateUserProviderID(id UserID, provider, identifier string) (User, error) {
	return tx.updateUser(id, func(u *codec.User, c *records.Cascade) error {
		x, err := identity(tx.rec.Declared, provider, identifier, tx.rec.Now)
		if err != nil {
			return err
		}
		if err := tx.rec.IdentityFree(x, u.ID); err != nil {
			return err
		}
		switch i := records.FindIdentity(u, x); {
		case i == 0:
			u.Identities[0].Identifier = identifier
			return nil
		case i > 0:
			x.LinkedAt = u.Identities[i].LinkedAt
			u.Identities = slices.Delete(u.Identities, i, i+1)
		}
		if len(u.Identities) == 0 {
			u.Identities = []codec.Identity{x}
		} else {
			u.Identities[0] = x
		}
		u.CredentialVersion++
		return c.On(&tx.rec, records.IdentityMoves)
	})
}

// LinkIdentity gives the user one more identity, after those there are, and
// returns the updated user. One that the user has already is no error.
//
// Link only identities that the provider has verified: the holder of an
// identity can log in by it. ErrUserNotFound, ErrIdentityTaken, ErrTooLarge
// (the 17th), ErrInvalidInput (Provider, Identifier).
func (db *DB) LinkIdentity(ctx context.Context, id UserID, provider, identifier string) (User, error) {
	return result(ctx, "link identity", db.update, func(tx *Tx) (User, error) {
		return tx.LinkIdentity(id, provider, identifier)
	})
}

// LinkIdentity is [DB.LinkIdentity] in this transaction.
func (tx *Tx) LinkIdentity(id UserID, provider, identifier string) (User, error) {
	return tx.updateUser(id, func(u *codec.User, _ *records.Cascade) error {
		x, err := identity(tx.rec.Declared, provider, identifier, tx.rec.Now)
		if err != nil {
			return err
		}
		if err := tx.rec.IdentityFree(x, u.ID); err != nil {
			return err
		}
		if records.FindIdentity(u, x) >= 0 {
			return nil
		}
		if len(u.Identities) >= MaxIdentities {
			return ErrTooLarge
		}
		u.Identities = append(u.Identities, x)
		return nil
	})
}

// UnlinkIdentity takes an identity from the user and returns the updated user.
// The last one stays: ErrInvalidInput. Unlinking the primary makes the oldest
// other the primary. The credential version is raised and the user's one-time
// tokens end; sessions go on (see RevokeUserSessions). An identity that
// the user does not have is no error. ErrUserNotFound.
func (db *DB) UnlinkIdentity(ctx context.Context, id UserID, provider, identifier string) (User, error) {
	return result(ctx, "unlink identity", db.update, func(tx *Tx) (User, error) {
		return tx.UnlinkIdentity(id, provider, identifier)
	})
}

// UnlinkIdentity is [DB.UnlinkIdentity] in this transaction.
func (tx *Tx) UnlinkIdentity(id UserID, provider, identifier string) (User, error) {
	return tx.updateUser(id, func(u *codec.User, c *records.Cascade) error {
		x, err := identity(tx.rec.Declared, provider, identifier, 0)
		if err != nil {
			return nil // impossible, so never taken
		}
		i := records.FindIdentity(u, x)
		switch {
		case i < 0:
			return nil
		case len(u.Identities) == 1:
			return &InputError{Field: "Identifier", Reason: "is the user's last identity"}
		}
		u.Identities = slices.Delete(u.Identities, i, i+1)
		u.CredentialVersion++
		return c.On(&tx.rec, records.IdentityMoves)
	})
}
