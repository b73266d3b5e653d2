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
	ID UserID // kept; 1–128 of visible ASCII, no space. "" makes one

	// Provider and Identifier are the primary identity. Required. Link
	// others with LinkIdentity.
	Provider, Identifier string

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

	Attributes     Attributes // within their bounds
	Disabled       bool       // a disabled user stays disabled
	DisabledReason string     // at most 256 bytes

	CreatedAt time.Time // zero is now; after 1970-01-01 00:00 UTC; up to 5 min ahead is now, later is refused

	ready phc.Hash // hashed by DB.ImportUser before its transaction
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

// ImportUser makes a user of another system's. ErrIdentityTaken (also when two
// spellings there are one identity here: report both, merge neither),
// ErrAttributeTaken, ErrInvalidInput (ID if it is malformed or a user's
// already; Provider, Identifier, PasswordHash, PasswordSource, PasswordKey,
// PasswordPepper, Attributes, DisabledReason, CreatedAt); ErrBusy.
//
// A refusal of a hash names its kind and shows nothing else of it. Refused is
// also one that asks for more memory than Options.Passwords.MaxHashMemory, or
// takes longer here than Options.Passwords.MaxImportTime, or than a fixed bound
// independent of both (argon2 m·t or scrypt N·r·p above 2,097,152, 5,000,000
// rounds of PBKDF2, 1,000,000 of SHA-crypt, 2^20 of phpass, a bcrypt cost above
// 16). Log in with a known password before the old system goes: no string tells
// that a pepper is missing.
func (db *DB) ImportUser(ctx context.Context, i UserImport) (User, error) {
	if err := db.prepareImport(ctx, &i); err != nil {
		return User{}, during("import user", err)
	}
	return result(ctx, "import user", db.update, func(tx *Tx) (User, error) { return tx.ImportUser(i) })
}

// ImportUser is [DB.ImportUser] in this transaction. A digest that has to be
// hashed first is ErrInvalidInput (PasswordHash): it would hold the writer up.
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
		latest := time.UnixMilli(tx.rec.Now).Add(clockTolerance)
		if !at.After(time.UnixMilli(0)) || at.After(latest) {
			return User{}, &InputError{Field: "CreatedAt", Code: CodeOutOfRange, Reason: "must be from 1970 to now", Max: latest.Unix()}
		}
		u.CreatedAt = min(at.UnixMilli(), tx.rec.Now)
	}
	if err := checkReason("DisabledReason", i.DisabledReason); err != nil {
		return User{}, err
	}
	switch {
	case i.Disabled:
		u.DisabledAt, u.DisabledReason = tx.rec.Now, i.DisabledReason
	case i.DisabledReason != "":
		return User{}, &InputError{Field: "DisabledReason", Code: CodeNotAllowed, Reason: "is for a disabled user"}
	}
	if err := tx.importPassword(&u, i); err != nil {
		return User{}, err
	}
	out, err := tx.addUser(&u, i.Provider, i.Identifier, i.Attributes)
	if err == nil && i.ID != "" {
		// Damage may have lost a user of this id, whose sessions and tokens
		// must not become the new user's.
		err = tx.rec.DeleteRemains(id)
	}
	if err != nil {
		return User{}, err
	}
	return out, nil
}

// importID returns the new user's id: the one given, if well formed and free.
func (tx *Tx) importID(id UserID) (string, error) {
	if id == "" {
		return token.NewUserID(tx.rec.Now, tx.db.o.Rand)
	}
	if !validUserID(id) {
		return "", &InputError{Field: "ID", Code: CodeMalformed, Reason: "must be 1–128 of visible ASCII without space"}
	}
	taken, err := tx.rec.Has(records.SpaceUsers, string(id))
	if err == nil && taken {
		err = &InputError{Field: "ID", Code: CodeTaken, Reason: "is a user's already"}
	}
	return string(id), err
}

// prepareImport does the hashing of an import, outside of a transaction.
func (db *DB) prepareImport(ctx context.Context, i *UserImport) error {
	i.ready = ""
	if i.PasswordHash == "" && i.PasswordKey == nil {
		return nil
	}
	_, err := db.o.hasher.Convert(i.foreign())
	if !errors.Is(err, phc.ErrWeak) {
		return nil // tx.importPassword meets the same
	}
	if i.ready, err = db.o.hasher.Import(ctx, i.foreign()); err != nil {
		return hashingError(err)
	}
	return nil
}

func (i *UserImport) foreign() phc.Foreign {
	return phc.Foreign{
		Source: i.PasswordSource, Text: i.PasswordHash, Key: (*phc.Key)(i.PasswordKey), Pepper: i.PasswordPepper,
	}
}

func (tx *Tx) importPassword(u *codec.User, i UserImport) error {
	if i.PasswordHash == "" && i.PasswordKey == nil {
		return nil
	}
	hash := i.ready
	if hash == "" {
		var err error
		if hash, err = tx.db.o.hasher.Convert(i.foreign()); err != nil {
			return importError(i, err)
		}
	}
	if hash == "" { // the other system's mark for no password
		return nil
	}
	u.PasswordHash, u.HashClass, u.PasswordChangedAt = string(hash), records.HashForeign, u.CreatedAt
	return nil
}

// importError names the field at fault and, where an option lifts a refusal,
// the option.
func importError(i UserImport, err error) error {
	field, reason := "PasswordHash", strings.TrimPrefix(err.Error(), "phc: ")
	if i.PasswordKey != nil {
		field = "PasswordKey"
	}
	switch {
	case errors.Is(err, phc.ErrUnknownSource):
		return &InputError{Field: "PasswordSource", Code: CodeUnsupported, Reason: "must be one of PasswordSources"}
	case errors.Is(err, phc.ErrMissing):
		reason += " in Options.Passwords"
	case errors.Is(err, phc.ErrAmbiguous):
		reason += ": PasswordSource must name it"
	case errors.Is(err, phc.ErrSlow):
		reason += ", Options.Passwords.MaxImportTime"
	case errors.Is(err, phc.ErrWeak):
		reason += ", and only DB.ImportUser hashes it"
	case errors.Is(err, phc.ErrLimits) && strings.Contains(reason, "memory"):
		reason += ", more than Options.Passwords.MaxHashMemory"
	}
	code := CodeUnsupported
	switch {
	case errors.Is(err, phc.ErrMalformed):
		code = CodeMalformed
	case errors.Is(err, phc.ErrAmbiguous):
		code = CodeAmbiguous
	case errors.Is(err, phc.ErrMissing), errors.Is(err, phc.ErrSlow), errors.Is(err, phc.ErrLimits):
		code = CodeNotAllowed
	}
	return &InputError{Field: field, Code: code, Reason: reason}
}
