package snib

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/snibdb/snib/internal/arrivals"
	"github.com/snibdb/snib/internal/phc"
)

// UserImport is a user of another system.
type UserImport struct {
	ID UserID // kept; 1–128 of visible ASCII, no space. "" makes one

	// Provider and Identifier are the primary identity. Required.
	Provider, Identifier string

	LinkedAt   time.Time  // of the primary identity; bounds as CreatedAt, zero is now
	VerifiedAt time.Time  // likewise; zero is not verified
	Others     []Identity // after the primary, at most 15; their times likewise

	// PasswordHash is the hash as the other system stored it, "" for a user
	// without a password. It verifies as it did there and is replaced at the
	// next log-in. A digest that costs nothing to guess (MD5, SHA-1, SSHA and
	// the like) is hashed with argon2id before it is stored.
	PasswordHash string

	// PasswordSource names the system where the string alone does not tell:
	// "lucia-0.1", "better-auth", "meteor", "md5". [PasswordSources] lists all.
	// A name narrows nothing: strings that name their own scheme can be read
	// under each. A name of your own, "x-" and 1–32 of [a-z0-9-], is for
	// PasswordPolicy.ForeignVerifier; PasswordHash is then any 1–700 bytes.
	PasswordSource string

	// PasswordKey is the hash in parts, instead of PasswordHash, for systems
	// that keep them in columns of their own.
	PasswordKey *PasswordKey

	// PasswordPepper names the one of PasswordPolicy.ForeignPeppers that
	// followed the password when it was hashed, "" without a pepper.
	PasswordPepper string

	// Roles of a new user, as [Roles.Grant] gives them; a row that changes a
	// user leaves them as they are.
	Roles []string

	Attributes     Attributes // within their bounds
	Disabled       bool       // a disabled user stays disabled
	DisabledReason string     // at most 256 bytes

	CreatedAt         time.Time // zero is now; after 1970-01-01 00:00 UTC; up to 5 min ahead is now, later is refused
	PasswordChangedAt time.Time // likewise; zero is CreatedAt

	// Row is the place in the source, for ImportUsers, which reports it. Zero:
	// one more than the row before.
	Row int
}

// PasswordKey is a password hash in parts: of Keycloak, Gitea, Discourse,
// Grafana, Payload and others. The password was hashed as it came in.
type PasswordKey struct {
	// Scheme is "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512", "scrypt",
	// "argon2id" or "argon2i".
	Scheme string

	Iterations uint64 // of PBKDF2; of argon2, the passes
	N, R, P    uint64 // of scrypt, N as it is and no logarithm; of argon2, P is the lanes
	MemoryKiB  uint64 // of argon2

	// Salt is 1–256 bytes as they were hashed. Some systems hash the text of
	// a salt and not the bytes that it spells.
	Salt []byte

	// Key is the derived key: 16–128 bytes, of PBKDF2 up to 1,024.
	Key []byte
}

// PasswordSources returns the names that UserImport.PasswordSource takes,
// besides those of the application's own.
func PasswordSources() []string { return phc.Sources() }

// ImportUser makes a user of another system's. [DB.ImportUsers] is for many.
// ErrIdentityTaken (also when two spellings there are one identity here: report
// both, merge neither), ErrAttributeTaken, ErrInvalidInput (ID if it is malformed,
// a user's already or one of a user whose rows the sweep has still to remove;
// Provider, Identifier, LinkedAt, VerifiedAt, Others, PasswordHash,
// PasswordSource, PasswordKey, PasswordPepper, Roles, Attributes, DisabledReason,
// CreatedAt, PasswordChangedAt); ErrBusy; ErrNoKey (with a password).
//
// A refusal of a hash names its kind and shows nothing else of it. Refused is
// also one that asks for more memory than Options.Passwords.MaxHashMemory, or
// takes longer here than Options.Passwords.MaxImportTime, or than a fixed bound
// independent of both (argon2 m·t or scrypt N·r·p above 2,097,152, 5,000,000
// rounds of PBKDF2, 1,000,000 of SHA-crypt, 2^20 of phpass, a bcrypt cost above
// 16). Log in with a known password before the old system goes: no string tells
// that a pepper is missing.
func (db *DB) ImportUser(ctx context.Context, i UserImport) (User, error) {
	u, err := db.o.arrival(&i)
	if errors.Is(err, phc.ErrWeak) {
		u.Hash, err = db.hashWeak(ctx, u.Foreign, "")
	}
	if err != nil {
		return User{}, during("import user", importError(&i, err))
	}
	return result(ctx, "import user", db.update, func(tx *Tx) (User, error) { return tx.importUser(u) })
}

// ImportUser is [DB.ImportUser] in this transaction. A digest that has to be
// hashed first is ErrInvalidInput (PasswordHash): it would hold the writer up.
func (tx *Tx) ImportUser(i UserImport) (User, error) {
	if err := tx.writing(); err != nil {
		return User{}, err
	}
	u, err := tx.db.o.arrival(&i)
	if err != nil {
		return User{}, importError(&i, err)
	}
	return tx.importUser(u)
}

func (tx *Tx) importUser(from *arrivals.User) (User, error) {
	u, err := tx.arriving().Create(from)
	if err != nil {
		return User{}, err
	}
	return newUser(u), nil
}

// arriving is tx for users who arrive.
func (tx *Tx) arriving() arrivals.Tx {
	return arrivals.Tx{Tx: &tx.rec, Open: tx.openHash, Store: tx.storedHash, Reset: tx.resetOccasion()}
}

// arrival checks and converts all of a user that needs no transaction. The error is
// one for importError; with phc.ErrWeak, the hash is left to hashWeak.
func (s *settings) arrival(i *UserImport) (*arrivals.User, error) {
	u := &arrivals.User{
		ID: string(i.ID), Identities: []arrivals.Identity{{Provider: i.Provider, Identifier: i.Identifier, LinkedAt: i.LinkedAt, VerifiedAt: i.VerifiedAt}},
		Roles: slices.Compact(slices.Sorted(slices.Values(i.Roles))), Values: maps.Clone(i.Attributes),
		Disabled: i.Disabled, DisabledReason: i.DisabledReason, CreatedAt: i.CreatedAt, PasswordChangedAt: i.PasswordChangedAt,
		Foreign: phc.Foreign{Source: i.PasswordSource, Text: i.PasswordHash, Key: (*phc.Key)(i.PasswordKey), Pepper: i.PasswordPepper},
	}
	for _, x := range i.Others {
		u.Identities = append(u.Identities, arrivals.Identity(x))
	}
	maps.DeleteFunc(u.Values, isUnset)
	if err := checkReason("DisabledReason", i.DisabledReason); err != nil {
		return u, err
	}
	if !i.Disabled && i.DisabledReason != "" {
		return u, &InputError{Field: "DisabledReason", Code: CodeNotAllowed, Reason: "is for a disabled user"}
	}
	if len(i.Others) >= MaxIdentities {
		return u, &InputError{Field: "Others", Code: CodeTooMany, Reason: "must be at most 15", Max: MaxIdentities - 1}
	}
	err := s.Roles.importable(u.Roles)
	if err == nil {
		u.Attributes, err = encodeAttributes(u.Values, userBounds)
	}
	if err == nil && (i.PasswordHash != "" || i.PasswordKey != nil) {
		u.Hash, err = s.hasher.Convert(u.Foreign)
	}
	return u, err
}

// hashWeak hashes a digest, outside of a transaction and in the caller's turn. old
// is the user's hash, if there is one.
func (db *DB) hashWeak(ctx context.Context, f phc.Foreign, old phc.Hash) (phc.Hash, error) {
	ctx, err := db.inTurn(ctx)
	if err != nil {
		return "", err
	}
	hash, err := db.o.hasher.Import(ctx, f, old)
	return hash, hashingError(err)
}

// importError names the field at fault in an error about a hash. Others stay as they
// are.
func importError(i *UserImport, err error) error {
	if field, fault := arrivals.HashFault(err, i.PasswordKey != nil); fault.Found() {
		return faulty(field, fault)
	}
	return err
}

// Format implements fmt.Formatter: only the id and the provider.
func (i UserImport) Format(f fmt.State, verb rune) {
	printed(f, verb, printedNewUser{i.ID, i.Provider})
}

// LogValue implements slog.LogValuer, as Format.
func (i UserImport) LogValue() slog.Value { return slog.AnyValue(printedNewUser{i.ID, i.Provider}) }
