package snib

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// User is an account as it was when it was read.
type User struct {
	ID         UserID     // never changes
	Identities []Identity // 1–16, none only if Repair has left none; the first is the primary, the others oldest first
	CreatedAt  time.Time  // imported users: as imported
	UpdatedAt  time.Time  // of the record; sessions do not count

	// CredentialVersion is raised by what makes an earlier proof of identity
	// void: setting or removing the password, disabling, enabling, moving or
	// unlinking an identity, revoking all sessions or refresh tokens. It
	// starts at a random number. [Proof] is compared by it.
	CredentialVersion uint64

	HasPassword       bool      // can log in by password
	PasswordChangedAt time.Time // zero: never had one

	DisabledAt     time.Time // zero: not disabled
	DisabledReason string    // as it was given

	attributes string // encoded; checked when the record was read
}

// Disabled reports whether the user is disabled: cannot authenticate and has
// no sessions.
func (u User) Disabled() bool { return !u.DisabledAt.IsZero() }

// Attributes returns the user's attributes, a private copy decoded at each
// call, never nil. [Attr] gets one of them with its type.
func (u User) Attributes() Attributes { return decodeAttributes(u.attributes) }

// newUser is the public form of a record; the zero User of the zero record.
func newUser(u codec.User) User {
	if u.ID == "" {
		return User{}
	}
	out := User{
		ID:                UserID(u.ID),
		Identities:        make([]Identity, len(u.Identities)),
		CreatedAt:         clock.Time(u.CreatedAt),
		UpdatedAt:         clock.Time(u.UpdatedAt),
		CredentialVersion: u.CredentialVersion,
		HasPassword:       u.PasswordHash != "",
		PasswordChangedAt: clock.Time(u.PasswordChangedAt),
		DisabledAt:        clock.Time(u.DisabledAt),
		DisabledReason:    u.DisabledReason,
		attributes:        u.Attributes,
	}
	for i, x := range u.Identities {
		out.Identities[i] = Identity{Provider: x.Provider, Identifier: x.Identifier, LinkedAt: clock.Time(x.LinkedAt)}
	}
	return out
}

// user returns the record of id, or ErrUserNotFound.
func (tx *Tx) user(id UserID) (codec.User, error) { return tx.rec.User(string(id)) }

// publicUser is user in the form of the API, for an id that could be a user's.
// It decodes into memory that tx keeps.
func (tx *Tx) publicUser(id UserID) (User, error) {
	value, err := tx.rec.Value(records.SpaceUsers, string(id), ErrUserNotFound)
	if err != nil {
		return User{}, err
	}
	if err := tx.spare.Decode(tx.rec.Key, value); err != nil {
		return User{}, tx.rec.Damaged(records.SpaceUsers, err)
	}
	return newUser(tx.spare), nil
}

// updateUser is the form of every update of a user: read the record, let
// change decide about it and about what ends with it (the cascade), then write. The index
// conflicts that putUser could meet are for change to look for.
func (tx *Tx) updateUser(id UserID, change func(u *codec.User, c *records.Cascade) error) (User, error) {
	if err := tx.writing(); err != nil {
		return User{}, err
	}
	before, err := tx.user(id)
	if err != nil {
		return User{}, err
	}
	u := before
	u.Identities = slices.Clone(before.Identities)
	c := records.Cascade{UserID: u.ID}
	if err := change(&u, &c); err != nil {
		return User{}, err
	}
	if bytes.Equal(u.Append(nil), before.Append(nil)) {
		return newUser(u), nil // nothing changes, and nothing ends
	}
	if err := c.Write(&tx.rec); err != nil {
		return User{}, err
	}
	if err := tx.rec.PutUser(&before, &u); err != nil {
		return User{}, err
	}
	return newUser(u), nil
}

// NewUser is what CreateUser makes a user of.
type NewUser struct {
	// Provider and Identifier are the primary identity. Required.
	Provider, Identifier string

	// Password is for DB.CreateUser only, as hashing has no place in a
	// transaction. Its rules are those of HashPassword. "" and no
	// PasswordHash is a user without a password.
	Password string

	// PasswordHash is a password hashed before, by DB.HashPassword. At most
	// one of the two is given.
	PasswordHash PasswordHash

	// Attributes, within the bounds of [Attributes].
	Attributes Attributes
}

// CreateUser makes a user and returns it. ErrIdentityTaken,
// ErrAttributeTaken, ErrBusy (the queue for hashing), ErrInvalidInput
// (Provider, Identifier, Password, Attributes).
func (db *DB) CreateUser(ctx context.Context, n NewUser) (User, error) {
	if n.Password != "" {
		if !n.PasswordHash.isZero() {
			return User{}, during("create user", &InputError{Field: "PasswordHash", Reason: "must not be given along with Password"})
		}
		hash, err := db.HashPassword(ctx, n.Password)
		if err != nil {
			return User{}, err
		}
		n.Password, n.PasswordHash = "", hash
	}
	return result(ctx, "create user", db.update, func(tx *Tx) (User, error) { return tx.CreateUser(n) })
}

// CreateUser is [DB.CreateUser] in this transaction, without Password.
func (tx *Tx) CreateUser(n NewUser) (User, error) {
	if err := tx.writing(); err != nil {
		return User{}, err
	}
	if n.Password != "" {
		return User{}, &InputError{Field: "Password", Reason: "must be hashed before the transaction: DB.HashPassword"}
	}
	id, err := token.NewUserID(tx.rec.Now, tx.db.o.Rand)
	if err != nil {
		return User{}, err
	}
	u := codec.User{ID: id, CreatedAt: tx.rec.Now}
	if !n.PasswordHash.isZero() {
		setPassword(&u, n.PasswordHash, tx.rec.Now)
	}
	return tx.addUser(&u, n.Provider, n.Identifier, n.Attributes)
}

// addUser writes a new user: its identity and attributes checked, folded and
// looked for first. Its credential version begins anywhere, so that what was
// proven of a user who had the id before proves nothing of this one.
func (tx *Tx) addUser(u *codec.User, provider, identifier string, a Attributes) (User, error) {
	version, err := token.NewSecret(tx.db.o.Rand)
	if err != nil {
		return User{}, err
	}
	u.CredentialVersion = max(1, binary.BigEndian.Uint64(version[:])>>1)
	x, err := identity(tx.rec.Declared, provider, identifier, tx.rec.Now)
	if err != nil {
		return User{}, err
	}
	u.Identities = []codec.Identity{x}
	if err := tx.mergeAttributes(u, a); err != nil {
		return User{}, err
	}
	if err := tx.rec.IdentityFree(x, u.ID); err != nil {
		return User{}, err
	}
	if err := tx.rec.PutUser(&codec.User{}, u); err != nil {
		return User{}, err
	}
	return newUser(*u), nil
}

// GetUser returns the user id. ErrUserNotFound.
func (db *DB) GetUser(ctx context.Context, id UserID) (User, error) {
	return read(ctx, db, "get user", (*Tx).GetUser, id)
}

// GetUser is [DB.GetUser] in this transaction.
func (tx *Tx) GetUser(id UserID) (User, error) {
	if err := tx.reading(); err != nil {
		return User{}, err
	}
	if !validUserID(id) {
		return User{}, ErrUserNotFound
	}
	return tx.publicUser(id)
}

// DeleteUser removes the user and all that is the user's: identities, index
// entries, sessions, refresh and one-time tokens, in one transaction. From
// then on every token of the user fails, and the identities and unique values
// are free. An id that is unknown or could be nobody's is no error, nor is a
// record that is damaged.
func (db *DB) DeleteUser(ctx context.Context, id UserID) error {
	return during("delete user", db.update(ctx, func(tx *Tx) error { return tx.DeleteUser(id) }))
}

// DeleteUser is [DB.DeleteUser] in this transaction.
func (tx *Tx) DeleteUser(id UserID) error {
	if err := tx.writing(); err != nil {
		return err
	}
	return tx.rec.DeleteUser(string(id))
}

// checkReason refuses a reason for disabling that is no text of at most 256
// bytes.
func checkReason(field, reason string) error {
	if wrong := fold.PlainText(reason, 256); reason != "" && wrong != "" {
		return &InputError{Field: field, Reason: wrong}
	}
	return nil
}

// DisableUser shuts the user out: every session, refresh token and one-time
// token ends in the same transaction, and nothing authenticates until
// EnableUser. Identities and unique values stay reserved, and all updates
// work. reason is for the operator, at most 256 bytes of text, or "". Doing
// it again only replaces the reason. It returns the updated user.
// ErrUserNotFound, ErrInvalidInput (Reason).
func (db *DB) DisableUser(ctx context.Context, id UserID, reason string) (User, error) {
	return result(ctx, "disable user", db.update, func(tx *Tx) (User, error) { return tx.DisableUser(id, reason) })
}

// DisableUser is [DB.DisableUser] in this transaction.
func (tx *Tx) DisableUser(id UserID, reason string) (User, error) {
	return tx.updateUser(id, func(u *codec.User, c *records.Cascade) error {
		if err := checkReason("Reason", reason); err != nil {
			return err
		}
		u.DisabledReason = reason
		if u.DisabledAt != 0 {
			return nil
		}
		u.DisabledAt = tx.rec.Now
		u.CredentialVersion++
		return c.On(&tx.rec, records.UserDisabled)
	})
}

// EnableUser lets the user in again and returns the updated user. Nothing that
// ended comes back. ErrUserNotFound.
func (db *DB) EnableUser(ctx context.Context, id UserID) (User, error) {
	return result(ctx, "enable user", db.update, func(tx *Tx) (User, error) { return tx.EnableUser(id) })
}

// EnableUser is [DB.EnableUser] in this transaction.
func (tx *Tx) EnableUser(id UserID) (User, error) {
	return tx.updateUser(id, func(u *codec.User, _ *records.Cascade) error {
		if u.DisabledAt != 0 {
			u.DisabledAt, u.DisabledReason = 0, ""
			u.CredentialVersion++
		}
		return nil
	})
}
