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
	if fault := fold.Provider(provider); fault.Found() {
		return codec.Identity{}, faulty("Provider", fault)
	}
	key, fault := d.Fold(provider, identifier)
	if fault.Found() {
		return codec.Identity{}, faulty("Identifier", fault)
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
	if err == nil && records.FindIdentity(&u, x) < 0 {
		// A damaged entry, or one of a lost user whose id was given again,
		// must not let in another user.
		return codec.User{}, tx.rec.Stray(records.SpaceIdentities)
	}
	return u, tx.rec.Orphan(records.SpaceIdentities, err)
}

// UpdateUserProviderID replaces the user's identity of this provider by another
// identifier, and returns the updated user. The old identity stops finding the
// user at the instant at which the new one begins to. Identities of other
// providers stay, and so do all positions in User.Identities.
//
// A user whose only identity is of another provider moves to this one. A user
// whom Repair has left without an identity gets it. With several identities,
// none or more than one of them of this provider, it is not clear which one goes:
// an [InputError] of Provider with CodeAmbiguous. Use LinkIdentity and
// UnlinkIdentity then, in one Update.
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
		i, err := replaced(u, provider)
		switch {
		case err != nil:
			return err
		case i == len(u.Identities):
			u.Identities = append(u.Identities, x)
		case records.FindIdentity(u, x) == i:
			u.Identities[i].Identifier = identifier
			return nil
		default:
			u.Identities[i] = x
		}
		u.CredentialVersion++
		return c.On(&tx.rec, records.IdentityMoves)
	})
}

// replaced returns the position among u's identities at which a new one of
// provider goes: that of the only one of it, or else of the only one.
func replaced(u *codec.User, provider string) (int, error) {
	at, found := 0, 0
	for i, x := range u.Identities {
		if x.Provider == provider {
			at, found = i, found+1
		}
	}
	switch {
	case found == 1, found == 0 && len(u.Identities) <= 1:
		return at, nil
	case found == 0:
		return 0, &InputError{Field: "Provider", Code: CodeAmbiguous, Reason: "is of none of the user's several identities: link the new one"}
	}
	return 0, &InputError{Field: "Provider", Code: CodeAmbiguous, Reason: "is of several of the user's identities: link the new one and unlink the old one"}
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
			return &InputError{Field: "Identifier", Code: CodeNotAllowed, Reason: "is the user's last identity"}
		}
		u.Identities = slices.Delete(u.Identities, i, i+1)
		u.CredentialVersion++
		return c.On(&tx.rec, records.IdentityMoves)
	})
}
