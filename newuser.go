package snib

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
	"github.com/snibdb/snib/internal/users"
)

// NewUser is the input of CreateUser.
type NewUser struct {
	// Provider and Identifier are the primary identity. Required.
	Provider, Identifier string

	// Verified says that the person has proven to hold the identity: the link
	// that was mailed to it has been used, the provider has answered. Another
	// user who has it unverified loses it, as [Identities.Verify] says.
	Verified bool

	// Password is for DB.CreateUser only, as hashing has no place in a
	// transaction. Its rules are those of HashPassword. "" and no
	// PasswordHash is a user without a password, and no error: the handler of a
	// sign-up form refuses an empty field.
	Password string

	// PasswordHash is a password hashed before, by DB.HashPassword. At most
	// one of the two is given.
	PasswordHash PasswordHash

	// Attributes, within the bounds of [Attributes].
	Attributes Attributes
}

// CreateUser makes a user and returns it. ErrIdentityTaken,
// ErrAttributeTaken, ErrBusy (the queue for hashing), ErrInvalidInput
// (Provider, Identifier, Password, Attributes), ErrNoKey (with a password).
func (db *DB) CreateUser(ctx context.Context, n NewUser) (User, error) {
	if n.Password != "" {
		if !n.PasswordHash.isZero() {
			return User{}, during("create user", &InputError{Field: "PasswordHash", Code: CodeNotAllowed, Reason: "must not be given along with Password"})
		}
		hash, err := db.hashPassword(ctx, n.Password)
		if err != nil {
			return User{}, during("create user", err)
		}
		n.Password, n.PasswordHash = "", hash
	}
	return result(ctx, "create user", db.ahead(func() records.Foresight {
		return records.Foresight{New: readsIdentity(db, providerID{n.Provider, n.Identifier})}
	}), func(tx *Tx) (User, error) { return tx.CreateUser(n) })
}

// CreateUser is [DB.CreateUser] in this transaction, without Password.
func (tx *Tx) CreateUser(n NewUser) (User, error) {
	if err := tx.writing(); err != nil {
		return User{}, err
	}
	if n.Password != "" {
		return User{}, &InputError{Field: "Password", Code: CodeNotAllowed, Reason: "must be hashed before the transaction: DB.HashPassword"}
	}
	id, err := token.NewUserID(tx.rec.Now, tx.db.o.Rand)
	if err != nil {
		return User{}, err
	}
	u := codec.User{ID: id, CreatedAt: tx.rec.Now}
	if !n.PasswordHash.isZero() {
		if err := tx.setPassword(&u, n.PasswordHash); err != nil {
			return User{}, err
		}
	}
	if err := tx.db.checkOwnNames(n.PasswordHash, []codec.Identity{{Identifier: n.Identifier}}); err != nil {
		return User{}, err
	}
	x, err := tx.identity(n.Provider, n.Identifier)
	if err != nil {
		return User{}, err
	}
	if n.Verified {
		x.VerifiedAt = tx.rec.Now
	}
	u.Identities = []codec.Identity{x}
	if err := tx.mergeAttributes(&u, n.Attributes); err != nil {
		return User{}, err
	}
	if err := users.Claim(&tx.rec, x, u.ID); err != nil {
		return User{}, err
	}
	if err := users.Add(&tx.rec, &u); err != nil {
		return User{}, tx.rec.DoomIf(n.Verified, err) // another may have lost x
	}
	about := users.About(x)
	about.First = true
	if err := tx.rec.Note(u.ID, records.EventUserCreated, about); err != nil {
		return User{}, err
	}
	return newUser(u), nil
}

// A printedNewUser is a NewUser, or a UserImport, in a log.
type printedNewUser struct {
	ID       UserID
	Provider string
}

// Format implements fmt.Formatter: only the provider.
func (n NewUser) Format(f fmt.State, verb rune) { printed(f, verb, printedNewUser{"", n.Provider}) }

// LogValue implements slog.LogValuer, as Format.
func (n NewUser) LogValue() slog.Value { return slog.AnyValue(printedNewUser{"", n.Provider}) }
