package snib

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/phc"
	"github.com/snibdb/snib/internal/records"
)

// A PasswordHash is a hash made by [DB.HashPassword], to be given to a method
// of Tx. It prints as REDACTED, like a [Token], and its text cannot be had.
type PasswordHash struct {
	secret
	folded [32]byte // the password, under a key of this process
}

func (h PasswordHash) isZero() bool { return h.text == nil }

// HashPassword hashes a new password with the policy in force, waiting at the
// gate that bounds how much memory hashing uses at once. It must be called
// outside of a transaction.
//
// A password is valid UTF-8 of 8 code points or more (counted before and after
// NFKC, the smaller counts), at most 1,024 bytes, without NUL; nothing else is
// asked of it (NIST SP 800-63B) but what [PasswordPolicy] says of length, common
// passwords and names, the user's own when it is set. It is compared in the form
// NFKC and never truncated. ErrInvalidInput (Password), ErrBusy when the queue
// is full.
func (db *DB) HashPassword(ctx context.Context, password string) (PasswordHash, error) {
	hash, err := db.hashPassword(ctx, password)
	return hash, during("hash password", err)
}

func (db *DB) hashPassword(ctx context.Context, password string) (PasswordHash, error) {
	folded, err := db.checkNew(password)
	if err != nil {
		return PasswordHash{}, err
	}
	ctx, err = db.inTurn(ctx)
	if err != nil {
		return PasswordHash{}, err
	}
	hash, err := db.o.hasher.Hash(ctx, password)
	if err != nil {
		return PasswordHash{}, hashingError(err)
	}
	return PasswordHash{newSecret(string(hash)), folded}, nil
}

// checkNew refuses a password that must not be set, and returns it as own names
// are compared with it.
func (db *DB) checkNew(password string) (folded [32]byte, err error) {
	p := &db.o.Passwords
	if err := phc.CheckNew(password, p.MinLength); err != nil {
		return folded, p.refusal(err)
	}
	text, fault := foldPassword(password), fold.Fault{}
	switch {
	case p.Blocklist != nil && p.Blocklist.Common(text):
		fault = fold.Fault{Code: CodeCommon, Reason: "is one of the most common ones"}
	case slices.ContainsFunc(p.Names, func(name string) bool { return foldPassword(name) == text }):
		fault = fold.Fault{Code: CodeCommon, Reason: "is a name"}
	}
	if fault.Found() {
		return folded, faulty("Password", fault)
	}
	return db.digest(text), nil
}

// foldPassword is the form in which passwords are compared with lists and names.
func foldPassword(text string) string {
	return phc.Normalize(strings.ToLower(strings.ToUpper(phc.Normalize(text))))
}

// digest goes into a PasswordHash, to compare a folded password with names.
func (db *DB) digest(folded string) (out [32]byte) {
	h := hmac.New(sha256.New, db.processKey[:])
	h.Write([]byte("snib password\x00" + folded))
	h.Sum(out[:0])
	return out
}

// checkOwnNames refuses a password that is an identifier of its user, or the
// part of an address before the @.
func (db *DB) checkOwnNames(hash PasswordHash, own []codec.Identity) error {
	for _, x := range own {
		name := foldPassword(x.Identifier)
		local, _, _ := strings.Cut(name, "@")
		if !hash.isZero() && (db.digest(name) == hash.folded || db.digest(local) == hash.folded) {
			return &InputError{Field: "Password", Code: CodeCommon, Reason: "is a name of the user"}
		}
	}
	return nil
}

// refusal says which rule a password breaks: "password is empty" becomes the
// reason "is empty" of its field.
func (p *PasswordPolicy) refusal(err error) error {
	out := &InputError{Field: "Password", Code: CodeMalformed, Reason: strings.TrimPrefix(err.Error(), "password ")}
	switch err {
	case phc.PasswordEmpty:
		out.Code = CodeRequired
	case phc.PasswordTooLong:
		out.Code, out.Max = CodeTooLong, phc.MaxPassword
	case phc.PasswordTooShort:
		out.Code, out.Min = CodeTooShort, int64(p.MinLength)
		out.Reason = "must have " + strconv.Itoa(p.MinLength) + " characters or more"
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
func (tx *Tx) setPassword(u *codec.User, hash PasswordHash) (err error) {
	u.PasswordHash, err = tx.storedHash(u.ID, hash.reveal())
	u.HashClass, u.PasswordChangedAt = records.HashOwn, tx.rec.Now
	if hash.isZero() {
		u.HashClass = records.HashNone
	}
	return err
}

// passwordKeys returns ErrNoKey unless every stored password and every seed of a
// second factor can be opened. It
// comes before a look-up and before hooks count an attempt, alike for known and
// unknown users.
func (db *DB) passwordKeys(ctx context.Context) error {
	return db.view(ctx, func(tx *Tx) error { return tx.rec.NeedKeys(records.PasswordHashes.Use | records.FactorSeeds.Use) })
}

// keysFirst is passwordKeys before a look-up, where that costs no trip. Far away the
// look-up does the same, before it reads anything of a user.
func (db *DB) keysFirst(ctx context.Context) error {
	if db.far {
		return nil
	}
	return db.passwordKeys(ctx)
}

// canStoreHash reports the key that storing a password hash lacks: the current
// one if hashes are sealed, otherwise any under which hashes are. A program that
// has lost its Options.Keys does not begin to store hashes unsealed.
func (tx *Tx) canStoreHash() error {
	if !tx.db.o.Passwords.Seal {
		return tx.rec.NeedKeys(records.PasswordHashes.Use)
	}
	_, err := tx.rec.CurrentKey()
	return err
}

// storedHash returns a hash as it is to be stored for a user.
func (tx *Tx) storedHash(id, hash string) (string, error) {
	if hash == "" {
		return "", nil
	}
	if err := tx.canStoreHash(); err != nil || !tx.db.o.Passwords.Seal {
		return hash, err
	}
	return tx.rec.Seal(records.PasswordHashes, id, id, hash)
}

// openHash returns the hash of u, to be verified. One that no key opens is
// returned as it is stored: it verifies nothing, at the usual cost.
func (tx *Tx) openHash(u *codec.User) (string, error) {
	hash, err := tx.rec.Open(records.PasswordHashes, u.ID, u.ID, u.PasswordHash)
	if records.Unusable(err) {
		return u.PasswordHash, nil
	}
	return hash, err
}

// UpdateUserPassword sets the user's password without asking for the old one
// (the reset of an administrator, or after a one-time token), and returns the
// updated user. All sessions, refresh tokens and one-time tokens of the user
// end in the same transaction. Users set their own by ChangePassword, or inside
// ChangeCredentials, which gives their session back. API keys end too, unless
// [PasswordPolicy].ResetKeepsAPIKeys says otherwise. Failed log-ins go on counting: [Throttle.Unlock] ends their run.
//
// ErrUserNotFound; ErrInvalidInput (Password as in HashPassword); ErrBusy;
// ErrNoKey.
func (db *DB) UpdateUserPassword(ctx context.Context, id UserID, password string) (User, error) {
	hash, err := db.hashPassword(ctx, password)
	if err != nil {
		return User{}, during("update password", err)
	}
	return result(ctx, "update password", db.update, func(tx *Tx) (User, error) {
		return tx.UpdateUserPassword(id, hash)
	})
}

// UpdateUserPassword is [DB.UpdateUserPassword] in this transaction, with a
// hash from [DB.HashPassword]; the zero hash is ErrInvalidInput.
func (tx *Tx) UpdateUserPassword(id UserID, hash PasswordHash) (User, error) {
	if err := tx.writing(); err != nil {
		return User{}, err
	}
	if hash.isZero() {
		return User{}, missing("Password")
	}
	return tx.replacePassword(id, hash, records.EventPasswordSet, tx.resetOccasion())
}

// RemoveUserPassword takes the user's password away: afterwards every password
// is refused. It returns the updated user, and revokes the same sessions and
// tokens as UpdateUserPassword. ErrUserNotFound.
func (db *DB) RemoveUserPassword(ctx context.Context, id UserID) (User, error) {
	return result(ctx, "remove password", db.update, func(tx *Tx) (User, error) {
		return tx.RemoveUserPassword(id)
	})
}

// RemoveUserPassword is [DB.RemoveUserPassword] in this transaction.
func (tx *Tx) RemoveUserPassword(id UserID) (User, error) {
	return tx.replacePassword(id, PasswordHash{}, records.EventPasswordRemoved, tx.resetOccasion())
}

// resetOccasion is that of a password which is set or removed without the old
// one.
func (tx *Tx) resetOccasion() records.Occasion {
	if tx.db.o.Passwords.ResetKeepsAPIKeys {
		return records.PasswordChanges
	}
	return records.PasswordReset
}

// replacePassword sets or removes a password and revokes the credentials that
// depend on it.
func (tx *Tx) replacePassword(id UserID, hash PasswordHash, kind records.EventKind, occasion records.Occasion) (User, error) {
	if err := tx.writing(); err != nil {
		return User{}, err
	}
	if !hash.isZero() {
		if err := tx.canStoreHash(); err != nil {
			return User{}, err
		}
	}
	return tx.updateUser(id, func(u *codec.User, c *records.Cascade) error {
		if err := tx.db.checkOwnNames(hash, u.Identities); err != nil {
			return err
		}
		if err := tx.setPassword(u, hash); err != nil {
			return err
		}
		u.CredentialVersion++
		c.Note(kind, records.About{})
		return c.On(&tx.rec, occasion)
	})
}

// verifyAgain verifies the password of a known user, whose hash is open, then
// lets finish rely on it. The bearer of a session must not try passwords without
// bound: it is counted as a log-in by the primary identity.
func (db *DB) verifyAgain(ctx context.Context, u *codec.User, password string, finish func() error) error {
	primary := codec.Identity{Key: u.ID}
	if len(u.Identities) > 0 {
		primary = u.Identities[0]
	}
	if err := db.beforeAuth(ctx, primary.Provider, primary.Key); err != nil {
		return err
	}
	g := &guess{db: db}
	hashing, err := g.admit(ctx, u, primary.Provider, primary.Key)
	if err != nil {
		return err
	}
	impossible := phc.CheckInput(password) != nil
	if impossible {
		password = standIn
	}
	ok, err := db.o.hasher.Verify(hashing, phc.Hash(u.PasswordHash), password)
	right := false
	if err = db.verdict(u, ok && !impossible, err); err == nil {
		right = true
		err = finish()
	}
	g.settle(right, err)
	return err
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
