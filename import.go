package snib

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// UserImport is a user of another system.
type UserImport struct {
	ID UserID // kept; 1–64 of [A-Za-z0-9_.:-]. "" makes one

	// Provider and Identifier are the primary identity. Required. Link
	// others with LinkIdentity.
	Provider, Identifier string

	// PasswordHash is the hash as the other system stored it, "" for none.
	// It verifies as it did there and is replaced at the next log-in.
	PasswordHash string

	// PasswordSource names the system where the string alone does not say
	// which it is: "lucia-0.1", "lucia-1", "lucia-2", "lucia-3",
	// "better-auth". [PasswordSources] lists all.
	PasswordSource string

	Attributes     Attributes // within their bounds
	Disabled       bool       // a user who was shut out stays so
	DisabledReason string     // at most 256 bytes

	CreatedAt time.Time // zero is now; not in the future, and after 1970 began
}

// PasswordSources returns the names that UserImport.PasswordSource takes.
func PasswordSources() []string { return phc.Sources() }

// ImportUser makes a user of another system's. ErrIdentityTaken (also when two
// spellings there are one identity here: report both, merge neither),
// ErrAttributeTaken, ErrInvalidInput (ID if it is malformed or a user's
// already; Provider, Identifier, PasswordHash, PasswordSource, Attributes,
// DisabledReason, CreatedAt). A hash that asks for more memory than
// Options.Passwords.MaxHashMemory allows, or for more work than seconds (argon2
// m·t or scrypt N·r·p above 2,097,152, 5,000,000 rounds of PBKDF2, a bcrypt
// cost above 16), is ErrInvalidInput (PasswordHash).
func (db *DB) ImportUser(ctx context.Context, i UserImport) (User, error) {
	return result(ctx, "import user", db.update, func(tx *Tx) (User, error) { return tx.ImportUser(i) })
}

// ImportUser is [DB.ImportUser] in this transaction.
func (tx *Tx) ImportUser(i UserImport) (User, error) {
	if err := tx.writing(); err != nil {
		return User{}, err
	}
	id, err := tx.importID(i.ID)
	if err != nil {
		return User{}, err
	}
	u := codec.User{ID: id, CreatedAt: tx.rec.Now}
	if at := i.CreatedAt; !at.IsZero() {
		// Compared as times: milliseconds of a far one wrap around.
		if !at.After(time.UnixMilli(0)) || !at.Before(time.UnixMilli(tx.rec.Now+1)) {
			return User{}, &InputError{Field: "CreatedAt", Reason: "must be from 1970 to now"}
		}
		u.CreatedAt = at.UnixMilli()
	}
	if err := checkReason("DisabledReason", i.DisabledReason); err != nil {
		return User{}, err
	}
	switch {
	case i.Disabled:
		u.DisabledAt, u.DisabledReason = tx.rec.Now, i.DisabledReason
	case i.DisabledReason != "":
		return User{}, &InputError{Field: "DisabledReason", Reason: "is for a disabled user"}
	}
	if err := tx.importPassword(&u, i); err != nil {
		return User{}, err
	}
	return tx.addUser(&u, i.Provider, i.Identifier, i.Attributes)
}

// importID returns the id to be: the one given, if it can be and is nobody's.
func (tx *Tx) importID(id UserID) (string, error) {
	if id == "" {
		return token.NewUserID(tx.rec.Now, tx.db.o.Rand)
	}
	if !validUserID(id) {
		return "", &InputError{Field: "ID", Reason: "must be 1–64 of [A-Za-z0-9_.:-]"}
	}
	taken, err := tx.rec.Has(records.SpaceUsers, string(id))
	if err == nil && taken {
		err = &InputError{Field: "ID", Reason: "is a user's already"}
	}
	return string(id), err
}

func (tx *Tx) importPassword(u *codec.User, i UserImport) error {
	if i.PasswordHash == "" {
		return nil
	}
	limits := phc.Limits{MemoryBytes: tx.db.o.Passwords.MaxHashMemory}
	hash, err := phc.Import(i.PasswordSource, i.PasswordHash, limits)
	switch {
	case errors.Is(err, phc.ErrUnknownSource):
		return &InputError{Field: "PasswordSource", Reason: "must be one of PasswordSources"}
	case err != nil:
		return &InputError{Field: "PasswordHash", Reason: strings.TrimPrefix(err.Error(), "phc: ")}
	case hash == "": // a mark that says there is none
		return nil
	}
	u.PasswordHash, u.HashClass, u.PasswordChangedAt = string(hash), records.HashForeign, u.CreatedAt
	return nil
}
