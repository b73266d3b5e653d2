package snib

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/users"
)

// An Identity is one way in: a provider and its name for the user.
type Identity struct {
	Provider   string    // 1–64 of [A-Za-z0-9._:-], compared bytewise: "email", "username", "github", …
	Identifier string    // as it was given; compared by the provider's rule
	LinkedAt   time.Time // when the user got it

	// VerifiedAt is when the user last proved to hold the identity in this
	// spelling; zero for one that nothing has proven. See [Identities].
	VerifiedAt time.Time
}

// User is an account as it was when it was read.
//
// With the verbs of fmt and in slog it prints its ID, its times and HasPassword,
// and nothing personal; so do the other nouns that hold what a user has typed,
// [NewUser] and [UserImport] included. That does not reach a value in an
// unexported field of another struct, names of factors and keys, a single [Identity],
// [External] or [Attempt], [Attributes], and JSON, which has the exported fields; slog's
// handler of JSON writes a slice so.
type User struct {
	ID         UserID     // never changes
	Identities []Identity // at most 16; the first is the primary, the others oldest first; none of a guest, after a Repair, or when another has proven to hold the last
	CreatedAt  time.Time  // imported users: as imported
	UpdatedAt  time.Time  // of the record; sessions do not count. Imported users: CreatedAt, until something changes here

	// CredentialVersion is raised by each change that voids an earlier proof of
	// identity: setting or removing the password, disabling, enabling, moving
	// or unlinking an identity, adding or removing a second factor, revoking all
	// sessions or refresh tokens. It
	// starts at a random number. [Proof] is compared by it.
	CredentialVersion uint64

	HasPassword       bool      // can log in by password
	PasswordChangedAt time.Time // zero: never had one

	DisabledAt     time.Time // zero: not disabled
	DisabledReason string    // as it was given

	Roles []string // ascending, at most 16; see [Roles]
	Guest bool     // made by CreateGuest of [Identities], and without identity and password

	attributes string   // encoded; checked when the record was read
	login      evidence // of the method that authenticated the user, for prove; nil otherwise
}

// evidence is a verified password, or another log-in.
type evidence interface {
	// recheck returns the user's record if the password would be accepted now,
	// and ErrInvalidCredentials otherwise.
	recheck(tx *Tx) (codec.User, error)

	// methods are what was verified, as far as it holds now.
	methods(tx *Tx) (Methods, error)

	// complete reports whether no second factor is needed.
	complete(tx *Tx) bool
}

// Disabled reports whether the user is disabled: cannot authenticate and has
// no sessions.
func (u User) Disabled() bool { return !u.DisabledAt.IsZero() }

// HasRole reports whether role is one of the user's, compared bytewise.
func (u User) HasRole(role string) bool { return slices.Contains(u.Roles, role) }

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
		Roles:             u.Roles,
		Guest:             u.GuestSeenAt != 0,
		attributes:        u.Attributes,
	}
	for i, x := range u.Identities {
		out.Identities[i] = newIdentity(x)
	}
	return out
}

func newIdentity(x codec.Identity) Identity {
	return Identity{Provider: x.Provider, Identifier: x.Identifier, LinkedAt: clock.Time(x.LinkedAt), VerifiedAt: clock.Time(x.VerifiedAt)}
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

// updateUser is the form of every update of a user. change looks for the conflicts
// of indexes that the write could meet.
func (tx *Tx) updateUser(id UserID, change func(u *codec.User, c *records.Cascade) error) (User, error) {
	if err := tx.writing(); err != nil {
		return User{}, err
	}
	u, err := users.Update(&tx.rec, string(id), change)
	return newUser(u), err
}

// GetUser returns the user id. ErrUserNotFound.
func (db *DB) GetUser(ctx context.Context, id UserID) (User, error) {
	return read(ctx, db, "get user", readsUser, (*Tx).GetUser, id)
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

func readsUser(_ *DB, id UserID) []kv.Ref {
	if !validUserID(id) {
		return nil
	}
	return ref(records.SpaceUsers, string(id))
}

// DeleteUser removes the user and all that is the user's: identities, index
// entries, roles, sessions, refresh and one-time tokens, API keys, and rows in the buckets of
// Options.Owned, in one transaction. From then
// on every token of the user fails, and the identities and unique values are
// free. Of rows the first 10,000 go at once and the rest in later, short
// transactions of the sweep ([DB.Sweep]); until then the file keeps the id, which
// ImportUser refuses, and goes on after a crash or a restore. An unknown or malformed id is no error, nor is a record that is damaged.
// Of a record that damage has lost, sessions and tokens end; finding its
// identities and unique values would be a walk through all users, so they stay
// taken until Repair frees them; rows go. ErrLastHolder for the last enabled
// user with a protected role ([RolePolicy]).
func (db *DB) DeleteUser(ctx context.Context, id UserID) error {
	return during("delete user", db.updateAhead(ctx, func() records.Foresight { return records.Foresight{User: string(id), All: true} },
		func(tx *Tx) error { return tx.DeleteUser(id) }))
}

// DeleteUser is [DB.DeleteUser] in this transaction.
func (tx *Tx) DeleteUser(id UserID) error {
	if err := tx.writing(); err != nil {
		return err
	}
	if !validUserID(id) {
		return nil
	}
	if len(tx.db.o.Roles.Protected) > 0 {
		switch u, err := tx.user(id); {
		case err == nil:
			if err := tx.mayLose(&u, u.Roles...); err != nil {
				return err
			}
		case !errors.Is(err, ErrUserNotFound) && !errors.Is(err, ErrCorrupt): // which keeps nobody in
			return err
		}
	}
	return tx.rec.DeleteUser(string(id))
}

// checkReason refuses a reason for disabling that is no text of at most 256
// bytes.
func checkReason(field, reason string) error {
	if fault := fold.PlainText(reason, 256); reason != "" && fault.Found() {
		return faulty(field, fault)
	}
	return nil
}

// DisableUser shuts the user out: every session, refresh token and one-time
// token ends in the same transaction, and nothing authenticates until
// EnableUser. Identities and unique values stay reserved, and all updates
// work. API keys are refused until then, and stay. reason is for the operator, at most 256 bytes of text, or "". Doing
// it again only replaces the reason. It returns the updated user.
// ErrUserNotFound; ErrLastHolder; ErrInvalidInput (Reason).
func (db *DB) DisableUser(ctx context.Context, id UserID, reason string) (User, error) {
	return result(ctx, "disable user", db.update, func(tx *Tx) (User, error) { return tx.DisableUser(id, reason) })
}

// DisableUser is [DB.DisableUser] in this transaction.
func (tx *Tx) DisableUser(id UserID, reason string) (User, error) {
	return tx.updateUser(id, func(u *codec.User, c *records.Cascade) error {
		if err := checkReason("Reason", reason); err != nil {
			return err
		}
		return users.Disable(&tx.rec, u, c, reason)
	})
}

// mayLose returns a LastHolderError if u is the last enabled user with one of
// these roles that is protected.
func (tx *Tx) mayLose(u *codec.User, roles ...string) error {
	return users.MayLose(&tx.rec, u, roles...)
}

// EnableUser lets the user in again and returns the updated user. Nothing that
// ended comes back. ErrUserNotFound.
func (db *DB) EnableUser(ctx context.Context, id UserID) (User, error) {
	return result(ctx, "enable user", db.update, func(tx *Tx) (User, error) { return tx.EnableUser(id) })
}

// EnableUser is [DB.EnableUser] in this transaction.
func (tx *Tx) EnableUser(id UserID) (User, error) {
	return tx.updateUser(id, func(u *codec.User, c *records.Cascade) error {
		users.Enable(u, c)
		return nil
	})
}

// UpdateUserAttributes changes the attributes given, and only those: a key
// that is not given is left alone, nil is stored as null, [Unset] removes the
// key. It returns the updated user. Values are replaced whole; nested maps are
// not merged. ErrUserNotFound, ErrAttributeTaken (an [AttributeTakenError]
// names it), ErrInvalidInput (Attributes).
func (db *DB) UpdateUserAttributes(ctx context.Context, id UserID, a Attributes) (User, error) {
	return result(ctx, "update attributes", db.update, func(tx *Tx) (User, error) {
		return tx.UpdateUserAttributes(id, a)
	})
}

// UpdateUserAttributes is [DB.UpdateUserAttributes] in this transaction.
func (tx *Tx) UpdateUserAttributes(id UserID, a Attributes) (User, error) {
	return tx.updateUser(id, func(u *codec.User, _ *records.Cascade) error { return tx.mergeAttributes(u, a) })
}

// mergeAttributes changes the attributes of a record and recomputes the index
// entries that it owns, after looking whether they are free.
func (tx *Tx) mergeAttributes(u *codec.User, changes Attributes) error {
	merged := mergedAttributes(u.Attributes, changes)
	raw, err := encodeAttributes(merged, userBounds)
	if err != nil {
		return err
	}
	return users.SetAttributes(&tx.rec, u, raw, merged)
}

// A printedUser is what the log of a program may have of a User.
type printedUser struct {
	ID                   UserID
	Identities           int // how many
	CreatedAt, UpdatedAt time.Time
	HasPassword          bool
	DisabledAt           time.Time
}

func (u User) printed() printedUser {
	return printedUser{u.ID, len(u.Identities), u.CreatedAt, u.UpdatedAt, u.HasPassword, u.DisabledAt}
}

// Format implements fmt.Formatter, without identities, attributes and the
// reason of disabling.
func (u User) Format(f fmt.State, verb rune) { printed(f, verb, u.printed()) }

// LogValue implements slog.LogValuer, as Format.
func (u User) LogValue() slog.Value { return slog.AnyValue(u.printed()) }
