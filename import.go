package snib

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	p, err := db.o.prepare(i)
	if errors.Is(err, phc.ErrWeak) {
		err = p.hashWeak(ctx, db, "")
	}
	if err != nil {
		return User{}, during("import user", importError(&i, err))
	}
	return result(ctx, "import user", db.update, func(tx *Tx) (User, error) { return tx.importUser(p) })
}

// ImportUser is [DB.ImportUser] in this transaction. A digest that has to be
// hashed first is ErrInvalidInput (PasswordHash): it would hold the writer up.
func (tx *Tx) ImportUser(i UserImport) (User, error) {
	if err := tx.writing(); err != nil {
		return User{}, err
	}
	p, err := tx.db.o.prepare(i)
	if err != nil {
		return User{}, importError(&i, err)
	}
	return tx.importUser(p)
}

// A preparedImport is an import as far as no transaction is needed for it.
type preparedImport struct {
	*UserImport
	hash       phc.Hash // "" for none
	attributes string   // encoded
}

// prepare checks and converts everything that needs no transaction. The error is
// one for importError; phc.ErrWeak leaves the hash to hashWeak.
func (s *settings) prepare(i UserImport) (p *preparedImport, err error) {
	if err := checkReason("DisabledReason", i.DisabledReason); err != nil {
		return nil, err
	}
	if !i.Disabled && i.DisabledReason != "" {
		return nil, &InputError{Field: "DisabledReason", Code: CodeNotAllowed, Reason: "is for a disabled user"}
	}
	if len(i.Others) >= MaxIdentities {
		return nil, &InputError{Field: "Others", Code: CodeTooMany, Reason: "must be at most 15", Max: MaxIdentities - 1}
	}
	i.Roles = slices.Compact(slices.Sorted(slices.Values(i.Roles)))
	if err := s.Roles.importable(i.Roles); err != nil {
		return nil, err
	}
	i.Attributes = maps.Clone(i.Attributes)
	maps.DeleteFunc(i.Attributes, isUnset)
	p = &preparedImport{UserImport: &i}
	if p.attributes, err = encodeAttributes(i.Attributes, userBounds); err != nil {
		return nil, err
	}
	if i.PasswordHash != "" || i.PasswordKey != nil {
		p.hash, err = s.hasher.Convert(i.foreign())
	}
	return p, err
}

// hashWeak hashes a digest, outside of a transaction and in the caller's turn. old
// is the user's hash, if there is one.
func (p *preparedImport) hashWeak(ctx context.Context, db *DB, old phc.Hash) (err error) {
	if ctx, err = db.inTurn(ctx); err != nil {
		return err
	}
	if p.hash, err = db.o.hasher.Import(ctx, p.foreign(), old); err != nil {
		return hashingError(err)
	}
	return nil
}

// importUser writes a new user.
func (tx *Tx) importUser(p *preparedImport) (User, error) {
	id, err := tx.importID(p.ID)
	if err != nil {
		return User{}, err
	}
	u := codec.User{ID: id}
	if err := tx.fillImport(&u, p, ""); err != nil {
		return User{}, err
	}
	if _, err := tx.importTaken(&u); err != nil {
		return User{}, err
	}
	if err := tx.addImported(&u, p); err != nil {
		return User{}, err
	}
	if err := tx.rec.Note(u.ID, records.EventUserImported, aboutIdentity(u.Identities[0])); err != nil {
		return User{}, err
	}
	return newUser(u), nil
}

// addImported writes a new user of an import. Damage may have lost a user of an
// id that the import gives: the sessions and tokens of that one end.
func (tx *Tx) addImported(u *codec.User, p *preparedImport) error {
	err := tx.addUser(u)
	if err == nil && p.ID != "" {
		err = tx.rec.DoomIf(true, tx.rec.DeleteRemains(u.ID))
	}
	return err
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
		err = errIDTaken()
	}
	if err == nil {
		if _, leaving, leavingErr := tx.rec.Leaving(string(id)); leaving {
			err = &InputError{Field: "ID", Code: CodeTaken, Reason: "is of a deleted user whose rows are being removed"}
		} else {
			err = leavingErr
		}
	}
	return string(id), err
}

func errIDTaken() error {
	return &InputError{Field: "ID", Code: CodeTaken, Reason: "is a user's already"}
}

// fillImport makes u, which has an id, the record of an import. A time that the
// import does not tell is that of u, and now in a new record. opened is the hash
// of u, as the import would have it.
func (tx *Tx) fillImport(u *codec.User, p *preparedImport, opened string) (err error) {
	was, here := *u, u.CreatedAt != 0
	if u.CreatedAt, err = tx.importTime("CreatedAt", p.CreatedAt, was.CreatedAt); err != nil {
		return err
	}
	u.DisabledAt, u.DisabledReason = 0, p.DisabledReason
	if p.Disabled {
		u.DisabledAt = cmp.Or(was.DisabledAt, tx.rec.Now)
	}
	changed := u.CreatedAt
	switch {
	case p.hash == "": // none, or the other system's mark for none
		changed = 0
	case string(p.hash) == opened:
		changed = was.PasswordChangedAt
	case here: // the other system does not tell since when
		changed = tx.rec.Now
	}
	if u.PasswordHash = was.PasswordHash; string(p.hash) != opened {
		if u.PasswordHash, err = tx.storedHash(u.ID, string(p.hash)); err != nil {
			return err
		}
	}
	u.HashClass, u.PasswordChangedAt = records.HashForeign, changed
	if p.hash == "" {
		u.HashClass = records.HashNone
	} else if u.PasswordChangedAt, err = tx.importTime("PasswordChangedAt", p.PasswordChangedAt, changed); err != nil {
		return err
	}
	if u.Identities, err = tx.importIdentities(p.UserImport, &was); err != nil {
		return err
	}
	if !here {
		u.Roles = p.Roles
	}
	u.Attributes = p.attributes
	u.Entries, err = tx.rec.Entries(tx.rec.Declared.Indexes, p.Attributes)
	return err
}

// importTime returns a time of an import; that of the record, or now, if the
// import does not tell it.
func (tx *Tx) importTime(field string, at time.Time, of int64) (int64, error) {
	if at.IsZero() {
		return cmp.Or(of, tx.rec.Now), nil
	}
	// Compared as times: milliseconds of a far one wrap around.
	latest := time.UnixMilli(tx.rec.Now).Add(clockTolerance)
	if !at.After(time.UnixMilli(0)) || at.After(latest) {
		return 0, &InputError{Field: field, Code: CodeOutOfRange, Reason: "must be from 1970 to now", Max: latest.Unix()}
	}
	return min(at.UnixMilli(), tx.rec.Now), nil
}

// importIdentities returns the identities of an import; was is the record there
// is.
func (tx *Tx) importIdentities(i *UserImport, was *codec.User) ([]codec.Identity, error) {
	u := codec.User{Identities: make([]codec.Identity, 0, 1+len(i.Others))}
	add := func(field string, given Identity) error {
		x, err := identity(tx.rec.Declared, given.Provider, given.Identifier, 0)
		if wrong, ok := errors.AsType[*InputError](err); ok {
			wrong.Field = field + wrong.Field
		}
		if err != nil {
			return err
		}
		if records.FindIdentity(&u, x) >= 0 {
			return &InputError{Field: field + "Identifier", Code: CodeTaken, Reason: "is an identity that the user has already"}
		}
		if at := records.FindIdentity(was, x); at >= 0 {
			x.LinkedAt = was.Identities[at].LinkedAt
		}
		if x.LinkedAt, err = tx.importTime(field+"LinkedAt", given.LinkedAt, x.LinkedAt); err == nil && !given.VerifiedAt.IsZero() {
			x.VerifiedAt, err = tx.importTime(field+"VerifiedAt", given.VerifiedAt, 0)
		}
		u.Identities = append(u.Identities, x)
		return err
	}
	err := add("", Identity{i.Provider, i.Identifier, i.LinkedAt, i.VerifiedAt})
	for n, x := range i.Others {
		if err == nil {
			err = add(fmt.Sprintf("Others[%d].", n), x)
		}
	}
	return u.Identities, err
}

// importedUser returns the user whom a row is about, or a zero one.
func (tx *Tx) importedUser(r *preparedImport) (u codec.User, err error) {
	if r.ID != "" {
		u, err = tx.user(r.ID)
	} else {
		u, err = tx.userByIdentity(r.Provider, r.Identifier)
	}
	if errors.Is(err, ErrUserNotFound) {
		return codec.User{}, nil
	}
	return u, err
}

// asImported reports whether nothing but an import has written u: every other
// change tells its time.
func asImported(u *codec.User) bool {
	return u.UpdatedAt == u.CreatedAt && u.HashClass != records.HashOwn
}

// replaceImport writes an import over a user, and ends what the changes end.
func (tx *Tx) replaceImport(have, want *codec.User) error {
	var ends records.Occasion
	if want.PasswordHash != have.PasswordHash {
		ends |= tx.resetOccasion()
	}
	if want.DisabledAt != 0 && have.DisabledAt == 0 {
		ends |= records.UserDisabled
	}
	if slices.ContainsFunc(have.Identities, func(x codec.Identity) bool { return records.FindIdentity(want, x) < 0 }) {
		ends |= records.IdentityMoves
	}
	if ends != 0 || want.DisabledAt != have.DisabledAt {
		want.CredentialVersion++
	}
	c := records.Cascade{UserID: want.ID}
	if err := c.On(&tx.rec, ends); err != nil {
		return err
	}
	if err := c.Write(&tx.rec); err != nil {
		return err
	}
	want.UpdatedAt = want.CreatedAt
	return tx.rec.PutUser(have, want)
}

// importTaken returns an ErrIdentityTaken or ErrAttributeTaken if another user,
// the owner, has an identity or a unique value of u.
func (tx *Tx) importTaken(u *codec.User) (owner string, err error) {
	if owner, err = tx.rec.EntriesFree(u); err != nil {
		return owner, err
	}
	for _, x := range u.Identities {
		owner, ok, err := tx.rec.IdentityOwner(x)
		if err != nil {
			return "", err
		}
		if ok && owner != u.ID {
			return owner, ErrIdentityTaken
		}
	}
	return "", nil
}

func (i *UserImport) foreign() phc.Foreign {
	return phc.Foreign{
		Source: i.PasswordSource, Text: i.PasswordHash, Key: (*phc.Key)(i.PasswordKey), Pepper: i.PasswordPepper,
	}
}

// importError names the field at fault and, where an option lifts a refusal,
// the option. Errors that are not about the hash stay as they are.
func importError(i *UserImport, err error) error {
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
		reason += ", and only DB.ImportUser and ImportUsers hash it"
	case errors.Is(err, phc.ErrLimits):
		if strings.Contains(reason, "memory") {
			reason += ", more than Options.Passwords.MaxHashMemory"
		}
	case errors.Is(err, phc.ErrUnsupported), errors.Is(err, phc.ErrMalformed):
	default:
		return err
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
