package snib

import (
	"context"
	"errors"
	"github.com/snibdb/snib/internal/token"

	"github.com/snibdb/snib/codec"
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
	families, err := tx.userFamilies(string(id))
	if err != nil {
		return nil, err
	}
	var out []RefreshToken
	for i := range families {
		if f := &families[i]; f.RevokedAt == 0 && tx.familyLive(f) {
			out = append(out, newRefreshToken(f))
		}
	}
	return out, nil
}

// userFamilies returns all records of a user's, in whatever state.
func (tx *Tx) userFamilies(userID string) ([]codec.Family, error) {
	ids, err := tx.members(spaceUserFamilies, userID)
	if err != nil {
		return nil, err
	}
	out := make([]codec.Family, len(ids))
	for i, id := range ids {
		if out[i], err = tx.family(id); err != nil {
			return nil, orphan(spaceUserFamilies, err)
		}
		if out[i].UserID != userID { // keys alone have no checksum
			return nil, strayed(spaceUserFamilies)
		}
	}
	return out, nil
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
	if err := tx.revoking(of, "RefreshTokenID", token.Family, string(id)); err != nil {
		return err
	}
	f, err := tx.family(string(id))
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
	if f.RevokedAt != 0 {
		return nil
	}
	if err := tx.deleteOne(kindSession, f.UserID, f.SessionID); err != nil {
		return err
	}
	return tx.deleteOne(kindFamily, f.UserID, f.ID)
}

// RevokeUserRefreshTokens ends all refresh tokens of the user and their
// sessions, and raises the credential version. ErrUserNotFound.
func (db *DB) RevokeUserRefreshTokens(ctx context.Context, id UserID) error {
	return during("revoke refresh tokens", db.update(ctx, func(tx *Tx) error { return tx.RevokeUserRefreshTokens(id) }))
}

// RevokeUserRefreshTokens is [DB.RevokeUserRefreshTokens] in this transaction.
func (tx *Tx) RevokeUserRefreshTokens(id UserID) error {
	_, err := tx.updateUser(id, func(u *codec.User, c *cascade) error {
		u.CredentialVersion++
		if err := c.on(tx, refreshTokensRevoked); err != nil {
			return err
		}
		// And the sessions of families, also of one that was evicted.
		return c.add(tx, kindSession, func(id string) (bool, error) {
			s, err := tx.session(id)
			return s.FamilyID != "", err
		})
	})
	return err
}
