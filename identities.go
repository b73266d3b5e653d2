package snib

import (
	"context"
	"strings"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/users"
)

// identity checks the two parts of an identity and folds the identifier.
func (tx *Tx) identity(provider, identifier string) (codec.Identity, error) {
	return users.Identity(tx.rec.File, tx.rec.Declared, provider, identifier, tx.rec.Now)
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
	known, err := users.Identity(db.file, db.file.Declared.Load(), x.provider, x.identifier, 0)
	if err != nil {
		return nil
	}
	return ref(records.SpaceIdentities, records.PairKey(known.Provider, known.Key))
}

// userByIdentity returns the record of the user with this identity.
func (tx *Tx) userByIdentity(provider, identifier string) (codec.User, error) {
	return users.ByIdentity(&tx.rec, provider, identifier)
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
		x, err := tx.identity(provider, identifier)
		if err != nil {
			return err
		}
		_, err = users.Move(&tx.rec, u, c, x)
		return err
	})
}

// LinkIdentity gives the user one more identity, after those there are, and
// returns the updated user. One that the user has already is no error.
//
// Link only identities that the provider has verified: the holder of an
// identity can log in by it. ErrUserNotFound, ErrIdentityTaken, ErrTooMany
// (the 17th), ErrInvalidInput (Provider, Identifier).
func (db *DB) LinkIdentity(ctx context.Context, id UserID, provider, identifier string) (User, error) {
	return result(ctx, "link identity", db.update, func(tx *Tx) (User, error) {
		return tx.LinkIdentity(id, provider, identifier)
	})
}

// LinkIdentity is [DB.LinkIdentity] in this transaction.
func (tx *Tx) LinkIdentity(id UserID, provider, identifier string) (User, error) {
	return tx.updateUser(id, func(u *codec.User, c *records.Cascade) error {
		x, err := tx.identity(provider, identifier)
		if err != nil {
			return err
		}
		return users.Link(&tx.rec, u, c, x)
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
		x, err := tx.identity(provider, identifier)
		if err != nil {
			return nil // impossible, so never taken
		}
		return users.Unlink(&tx.rec, u, c, x)
	})
}

// Identities verifies identities, and moves a user to another one that has been
// proven. Transactions: see [Tx].
//
// An identity is verified when the person has proven to hold it: by the link
// that was mailed to it, by the answer of its provider. One that is not reserves
// nothing. Whoever proves it gets it, in a new account or in one of his own, and
// the user who had it unverified loses it in the same commit and nothing else:
// attributes, sessions and rows of the application stay with that user and never
// pass to the other. If it was the only identity, that user is disabled with the
// reason "identity-claimed", and an operator decides; the last enabled holder of a
// protected role ([RolePolicy]) is not, and keeps the sessions. So an account that
// a stranger made in advance with somebody's address is worth nothing
// (Sudhodanan and Paverd, Pre-hijacked accounts, USENIX Security 2022).
//
// A link proves the address, and not that the same person has signed up: a password
// that was set before could be a stranger's. Let the page of the link set it, as in
// the package comment of snibhttp, "Signing up".
type Identities struct{ at handle }

// Identities returns the methods on identities, a transaction each.
func (db *DB) Identities() Identities { return Identities{handle{db: db}} }

// Identities returns the methods on identities in this transaction.
func (tx *Tx) Identities() Identities { return Identities{handle{db: tx.db, tx: tx}} }

// Verify notes that the user has just proven to hold an identity, and returns
// the updated user. A user who does not have it gets it, after those there are,
// as by LinkIdentity. Call it in the transaction that uses the one-time token
// which was mailed to the address, by [Tx.Identities]; a password reset by mail
// proves the address too. Set the identity as it was proven: another spelling
// replaces the stored one.
//
// ErrUserNotFound, ErrIdentityTaken (another user has verified it), ErrTooMany
// (the 17th), ErrInvalidInput (Provider, Identifier).
func (x Identities) Verify(ctx context.Context, user UserID, provider, identifier string) (User, error) {
	return result(ctx, "verify identity", x.at.update, func(tx *Tx) (User, error) {
		return tx.verifyIdentity(user, provider, identifier)
	})
}

func (tx *Tx) verifyIdentity(user UserID, provider, identifier string) (User, error) {
	return tx.updateUser(user, func(u *codec.User, c *records.Cascade) error {
		x, err := tx.identity(provider, identifier)
		if err != nil {
			return err
		}
		x.VerifiedAt = tx.rec.Now
		return users.Link(&tx.rec, u, c, x)
	})
}

// movePurpose is that of the tokens of BeginMove. Their Data is the provider, a
// zero byte and the identifier.
const movePurpose = "snib:move"

// BeginMove makes a one-time token, to be mailed to an address, with which
// FinishMove replaces the user's identity of the provider by that address. ttl
// is 1 s to 90 days; an hour is usual. Until then nothing changes, and nothing
// is reserved. Ask for a fresh session first (snibhttp.RequireFresh): who holds
// the new address can have the password reset.
//
// It does not tell whether another user has the identity, so that a user cannot
// try out addresses; FinishMove tells it, to the holder of the address.
//
// The bounds are those of [OneTimeTokens.Create], and so is the end of the
// token: a password that is set or removed and a sign-out everywhere end a move
// that an intruder has begun. ErrUserNotFound, ErrUserDisabled,
// ErrOneTimeTokenLimit, ErrInvalidInput (Provider, Identifier, TTL).
func (x Identities) BeginMove(ctx context.Context, user UserID, provider, identifier string, ttl time.Duration) (OneTimeToken, error) {
	return result(ctx, "begin move", x.at.updateIfNeeded, func(tx *Tx) (OneTimeToken, error) {
		if _, err := tx.identity(provider, identifier); err != nil {
			return OneTimeToken{}, err
		}
		u, err := tx.user(user)
		if err == nil {
			if _, fault := users.Replaced(&u, provider); fault.Found() {
				err = faulty("Provider", fault)
			}
		}
		if err != nil {
			return OneTimeToken{}, err
		}
		return tx.createOneTime(user, movePurpose, ttl, []byte(provider+"\x00"+identifier))
	})
}

// FinishMove uses a token of BeginMove: the identity in it, verified by it, takes
// the place of the user's identity of that provider as UpdateUserProviderID
// says. It returns the updated user and the identity that is gone, to which a
// notice belongs; a zero one if the user had the identity already, or none. The
// credential version is raised and the user's one-time tokens end.
//
// ErrInvalidOneTimeToken, ErrIdentityTaken (another user has verified it
// meanwhile), ErrInvalidInput (Provider: the user's identities have changed, and
// it is not clear which one goes).
func (x Identities) FinishMove(ctx context.Context, token string) (User, Identity, error) {
	var old Identity
	u, err := result(ctx, "finish move", x.at.updateIfNeeded, func(tx *Tx) (User, error) {
		t, err := tx.liveOneTime(movePurpose, token)
		if err != nil {
			return User{}, err
		}
		provider, identifier, _ := strings.Cut(string(t.Data), "\x00")
		u, err := tx.updateUser(UserID(t.UserID), func(u *codec.User, c *records.Cascade) error {
			x, err := tx.identity(provider, identifier)
			if err != nil {
				return err
			}
			x.VerifiedAt = tx.rec.Now
			gone, err := users.Move(&tx.rec, u, c, x)
			old = newIdentity(gone)
			return err
		})
		if err == nil {
			err = tx.rec.DeleteOwned(records.OneTimeTokens, t.Key)
		}
		if err == nil {
			err = tx.rec.Note(t.UserID, records.EventTokenUsed, aboutOneTime(&t))
		}
		return u, err
	})
	if err != nil {
		old = Identity{}
	}
	return u, old, err
}
