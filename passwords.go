package snib

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
)

// A PasswordHash is a hash made by [DB.HashPassword], to be given to a method
// of Tx. It prints as REDACTED, like a [Token], and its text cannot be had.
type PasswordHash struct{ secret }

func (h PasswordHash) isZero() bool { return h.text == nil }

// HashPassword hashes a new password with the policy in force, waiting at the
// gate that bounds how much memory hashing uses at once. It must be called
// outside of a transaction.
//
// A password is valid UTF-8 of 8 code points or more (counted before and after
// NFKC, the smaller counts), at most 1,024 bytes, without NUL; nothing else is
// asked of it (NIST SP 800-63B). It is compared in the form NFKC and never
// truncated. ErrInvalidInput (Password), ErrBusy when the queue is full.
func (db *DB) HashPassword(ctx context.Context, password string) (PasswordHash, error) {
	hash, err := db.hashPassword(ctx, password)
	return hash, during("hash password", err)
}

func (db *DB) hashPassword(ctx context.Context, password string) (PasswordHash, error) {
	if err := phc.CheckNew(password); err != nil {
		return PasswordHash{}, passwordError("Password", err)
	}
	hash, err := db.o.hasher.Hash(ctx, password)
	if err != nil {
		return PasswordHash{}, hashingError(err)
	}
	return PasswordHash{newSecret(string(hash))}, nil
}

// passwordError says which rule a password breaks: "password is empty" becomes
// the reason "is empty" of its field.
func passwordError(field string, err error) error {
	out := &InputError{Field: field, Code: CodeMalformed, Reason: strings.TrimPrefix(err.Error(), "password ")}
	switch err {
	case phc.PasswordEmpty:
		out.Code = CodeRequired
	case phc.PasswordTooLong:
		out.Code, out.Max = CodeTooLong, phc.MaxPassword
	case phc.PasswordTooShort:
		out.Code, out.Min = CodeTooShort, phc.MinPassword
	}
	return out
}

// hashingError makes a full queue an ErrBusy.
func hashingError(err error) error {
	if errors.Is(err, phc.ErrBusy) {
		return fmt.Errorf("hashing: %w", ErrBusy)
	}
	return err
}

// setPassword puts a hash made here into a record; the zero hash removes the
// password.
func setPassword(u *codec.User, hash PasswordHash, now int64) {
	u.PasswordHash, u.HashClass, u.PasswordChangedAt = hash.reveal(), records.HashOwn, now
	if hash.isZero() {
		u.HashClass = records.HashNone
	}
}

// UpdateUserPassword sets the user's password without asking for the old one
// (the reset of an administrator, or after a one-time token), and returns the
// updated user. All sessions, refresh tokens and one-time tokens of the user
// end in the same transaction, except the sessions in keep. A kept session that
// was born of a refresh token loses it, and ends at the deadline it has.
//
// ErrUserNotFound; ErrInvalidInput (Password as in HashPassword, Keep if one
// is a session of another user); ErrBusy.
func (db *DB) UpdateUserPassword(ctx context.Context, id UserID, password string, keep ...SessionID) (User, error) {
	hash, err := db.hashPassword(ctx, password)
	if err != nil {
		return User{}, during("update password", err)
	}
	return result(ctx, "update password", db.update, func(tx *Tx) (User, error) {
		return tx.UpdateUserPassword(id, hash, keep...)
	})
}

// UpdateUserPassword is [DB.UpdateUserPassword] in this transaction, with a
// hash from [DB.HashPassword]; the zero hash is ErrInvalidInput.
func (tx *Tx) UpdateUserPassword(id UserID, hash PasswordHash, keep ...SessionID) (User, error) {
	if err := tx.writing(); err != nil {
		return User{}, err
	}
	if hash.isZero() {
		return User{}, missing("Password")
	}
	return tx.replacePassword(id, hash, keep, func(*codec.User) error { return nil })
}

// RemoveUserPassword takes the user's password away: afterwards every password
// is refused. It returns the updated user, and revokes the same sessions and
// tokens as UpdateUserPassword. ErrUserNotFound, ErrInvalidInput (Keep).
func (db *DB) RemoveUserPassword(ctx context.Context, id UserID, keep ...SessionID) (User, error) {
	return result(ctx, "remove password", db.update, func(tx *Tx) (User, error) {
		return tx.RemoveUserPassword(id, keep...)
	})
}

// RemoveUserPassword is [DB.RemoveUserPassword] in this transaction.
func (tx *Tx) RemoveUserPassword(id UserID, keep ...SessionID) (User, error) {
	return tx.replacePassword(id, PasswordHash{}, keep, func(*codec.User) error { return nil })
}

// ChangePassword sets the user's password if current is the one that is set, as
// a user does, and returns the updated user. It is atomic: if the password
// changes between the verification and the write, the call is refused. It
// revokes the same sessions and tokens as UpdateUserPassword, and calls
// Options.BeforeAuth and AfterAuth as a log-in by the primary identity does.
//
// ErrUserNotFound, ErrUserDisabled, ErrInvalidCredentials (current is wrong or
// cannot be a password, or was changed meanwhile; a sign-out meanwhile is no
// reason), ErrInvalidInput (Password, Keep), ErrBusy.
func (db *DB) ChangePassword(ctx context.Context, id UserID, current, password string, keep ...SessionID) (User, error) {
	u, err := db.changePassword(ctx, id, current, password, keep)
	return u, during("change password", err)
}

func (db *DB) changePassword(ctx context.Context, id UserID, current, password string, keep []SessionID) (User, error) {
	if err := phc.CheckNew(password); err != nil {
		return User{}, passwordError("Password", err)
	}
	verified, err := result(ctx, "", db.view, func(tx *Tx) (codec.User, error) { return tx.user(id) })
	if err != nil {
		return User{}, err
	}
	if verified.DisabledAt != 0 {
		return User{}, ErrUserDisabled
	}
	// The bearer of a session must not try passwords without bound: the hooks
	// of a log-in are called, by the primary identity.
	primary := codec.Identity{Key: verified.ID}
	if len(verified.Identities) > 0 {
		primary = verified.Identities[0]
	}
	if err := db.beforeAuth(ctx, primary.Provider, primary.Key); err != nil {
		return User{}, err
	}
	u, err := db.swapPassword(ctx, &verified, current, password, keep)
	db.afterAuth(ctx, primary.Provider, primary.Key, err)
	return u, err
}

// swapPassword verifies the current password of u and sets another, unless
// another was set in between or the user disabled.
func (db *DB) swapPassword(ctx context.Context, u *codec.User, current, password string, keep []SessionID) (User, error) {
	impossible := phc.CheckInput(current) != nil
	if impossible {
		current = standIn
	}
	ok, err := db.o.hasher.Verify(ctx, phc.Hash(u.PasswordHash), current)
	if err := db.verdict(u, ok && !impossible, err); err != nil {
		return User{}, err
	}
	hash, err := db.hashPassword(ctx, password)
	if err != nil {
		return User{}, err
	}
	db.afterVerify()
	id, verified := UserID(u.ID), opened{u.CredentialVersion, u.PasswordHash}
	return result(ctx, "", db.update, func(tx *Tx) (User, error) {
		return tx.replacePassword(id, hash, keep, func(u *codec.User) error {
			switch {
			case u.DisabledAt != 0:
				return ErrUserDisabled
			case !verified.holds(u):
				return ErrInvalidCredentials
			}
			return nil
		})
	})
}

// replacePassword sets or removes a password and revokes the credentials that
// depend on it, after allowed has agreed.
func (tx *Tx) replacePassword(id UserID, hash PasswordHash, keep []SessionID, allowed func(*codec.User) error) (User, error) {
	return tx.updateUser(id, func(u *codec.User, c *records.Cascade) error {
		if err := allowed(u); err != nil {
			return err
		}
		kept, err := tx.keptSessions(u.ID, "Keep", keep)
		if err != nil {
			return err
		}
		setPassword(u, hash, tx.rec.Now)
		u.CredentialVersion++
		for _, s := range kept {
			if !s.Family.IsZero() {
				// Its family ends. It lives to the deadline it has, and no
				// longer.
				s.Family, s.AbsoluteUntil = codec.OwnID{}, s.IdleUntil
				c.Detached = append(c.Detached, s)
			}
		}
		return c.On(&tx.rec, records.PasswordChanges, keysOf(kept)...)
	})
}

// verdict is the outcome of verifying u's stored hash: nil, or
// ErrInvalidCredentials for every reason that a stranger could cause.
func (db *DB) verdict(u *codec.User, ok bool, err error) error {
	switch {
	case phc.Unusable(err):
		db.o.Logger.Error("snib: a stored password hash cannot be used", "user", u.ID, "error", err)
		return ErrInvalidCredentials
	case err != nil:
		return hashingError(err)
	case !ok:
		return ErrInvalidCredentials
	}
	return nil
}

// afterVerify lets a test act between a verification and its transaction.
func (db *DB) afterVerify() {
	if db.verified != nil {
		db.verified()
	}
}
