package snib

import (
	"context"
	"errors"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// ListUserRefreshTokens returns the user's refresh tokens that can be used,
// oldest first: at most 100, none for an unknown user.
func (db *DB) ListUserRefreshTokens(ctx context.Context, id UserID) ([]RefreshToken, error) {
	return result(ctx, "list refresh tokens", db.view, func(tx *Tx) ([]RefreshToken, error) {
		return tx.ListUserRefreshTokens(id)
	})
}

// ListUserRefreshTokens is [DB.ListUserRefreshTokens] in this transaction.
func (tx *Tx) ListUserRefreshTokens(id UserID) ([]RefreshToken, error) {
	if err := tx.reading(); err != nil {
		return nil, err
	}
	if !validUserID(id) {
		return nil, nil
	}
	var out []RefreshToken
	err := tx.rec.ScanOwner(records.SpaceFamilies, tx.rec.Owner(string(id)), 0, func(key codec.OwnedKey, value []byte) error {
		f, err := codec.DecodeFamily(key[:], value)
		if err != nil {
			return tx.rec.Damaged(records.SpaceFamilies, err)
		}
		if f.UserID == string(id) && !records.Revoked(&f) && tx.familyLive(&f) {
			out = append(out, newRefreshToken(&f))
		}
		return nil
	})
	return out, err
}

// RevokeRefreshToken ends a family of this user by its id, and its session. An
// unknown id and a family of another user are no error. ErrInvalidInput
// (UserID, RefreshTokenID) for what cannot be an id, such as a token.
func (db *DB) RevokeRefreshToken(ctx context.Context, userID UserID, id RefreshTokenID) error {
	return during("revoke refresh token", db.update(ctx, func(tx *Tx) error { return tx.RevokeRefreshToken(userID, id) }))
}

// RevokeRefreshToken is [DB.RevokeRefreshToken] in this transaction.
func (tx *Tx) RevokeRefreshToken(userID UserID, id RefreshTokenID) error {
	return tx.revokeFamily(id, &userID)
}

// RevokeRefreshTokenByID is RevokeRefreshToken for a family of any user: for
// operators. With an id that a form or an address contained, use
// RevokeRefreshToken. ErrInvalidInput (RefreshTokenID).
func (db *DB) RevokeRefreshTokenByID(ctx context.Context, id RefreshTokenID) error {
	return during("revoke refresh token", db.update(ctx, func(tx *Tx) error { return tx.RevokeRefreshTokenByID(id) }))
}

// RevokeRefreshTokenByID is [DB.RevokeRefreshTokenByID] in this transaction.
func (tx *Tx) RevokeRefreshTokenByID(id RefreshTokenID) error {
	return tx.revokeFamily(id, nil)
}

// revokeFamily ends a family, if it is of the given user; nil is any.
func (tx *Tx) revokeFamily(id RefreshTokenID, of *UserID) error {
	key, err := tx.revoking(of, "RefreshTokenID", token.Family, string(id))
	if err != nil {
		return err
	}
	f, err := tx.rec.Family(key)
	if errors.Is(err, ErrInvalidRefreshToken) || err == nil && of != nil && f.UserID != string(*of) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.endFamily(&f)
}

// endFamily ends a family because somebody wants it to end, and its session. A
// tombstone stays.
func (tx *Tx) endFamily(f *codec.Family) error {
	if records.Revoked(f) {
		return nil
	}
	if err := tx.rec.DeleteOwned(records.Sessions, f.Key.With(f.Session)); err != nil {
		return err
	}
	return tx.rec.DeleteOwned(records.Families, f.Key)
}

// RevokeUserRefreshTokens ends all refresh tokens of the user and their
// sessions, and raises the credential version. ErrUserNotFound.
func (db *DB) RevokeUserRefreshTokens(ctx context.Context, id UserID) error {
	return during("revoke refresh tokens", db.update(ctx, func(tx *Tx) error { return tx.RevokeUserRefreshTokens(id) }))
}

// RevokeUserRefreshTokens is [DB.RevokeUserRefreshTokens] in this transaction.
func (tx *Tx) RevokeUserRefreshTokens(id UserID) error {
	_, err := tx.updateUser(id, func(u *codec.User, c *records.Cascade) error {
		u.CredentialVersion++
		if err := c.On(&tx.rec, records.RefreshTokensRevoked); err != nil {
			return err
		}
		// And the sessions of families, also of one that was evicted.
		return c.Add(&tx.rec, records.Sessions, func(key codec.OwnedKey, value []byte) (bool, error) {
			v, err := codec.ViewSession(key[:], value)
			return err == nil && !v.Family().IsZero(), err
		})
	})
	return err
}
