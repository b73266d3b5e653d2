package snib

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/factor"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/throttle"
	"github.com/snibdb/snib/internal/token"
)

// FactorID names a second factor: "fac_" and 32 characters, as of SessionID.
type FactorID string

// Factor is a second factor of a user, or the list of recovery codes that stands
// in for one.
type Factor struct {
	ID         FactorID   // public
	UserID     UserID     // whose it is
	Kind       FactorKind // of proof
	Name       string     // as the user calls it
	CreatedAt  time.Time  // when it was begun
	LastUsedAt time.Time  // zero: never
	Left       int        // recovery codes that are not used yet
}

// TOTPEnrolment is a second factor that has begun. It becomes one when
// [Factors.ConfirmTOTP] is given a code of it, and is forgotten otherwise.
type TOTPEnrolment struct {
	ID        FactorID  // for ConfirmTOTP
	Secret    Token     // the seed in base32, for typing; shown this once
	URI       Token     // otpauth://totp/…, for a QR code; shown this once
	ExpiresAt time.Time // must be confirmed before this
}

// Bounds of second factors.
const (
	MaxAuthenticators = records.MaxAuthenticators // 8 factors of one user, one that waits included
	RecoveryCodes     = factor.RecoveryCodes      // 10 in a list
)

// Factors adds, lists and removes second factors, and finishes log-ins with one.
// Transactions: see [Tx].
//
// A user with a confirmed factor is signed in only by [Factors.FinishLogIn] and
// [Factors.FinishRefreshToken]. LogIn, Reauthenticate, CreateSession and
// CreateRefreshToken return [SecondFactorError] instead, also for a link by mail
// or a new password; the ways around it are [FactorNotNeeded] and a factor that the
// program names in SessionOptions.Methods ([MethodTOTP]). Refresh and
// RenewSession go on, as they descend from a log-in with the factor.
//
// Options.Keys are required: seeds are sealed in the file, always.
//
// Methods that change factors take a proof that is fresh: a session whose log-in
// is at most [FreshFor] ago, or a [User] as for CreateSession, which the
// program has just authenticated by password or one-time token. Once the user has
// a factor it must be a session of a log-in with a second factor; a recovery code
// is one, a password alone is not. Otherwise they return ErrNotFresh; call
// Reauthenticate. The first factor of a user who must have one ([FactorPolicy])
// takes more than a password, see [Enrolling]; else ErrEnrolment. A change raises the credential version and ends all sessions,
// refresh tokens, one-time tokens and known devices of the user, the session that is
// the proof too. Within [DB.ChangeCredentials], with its session as the proof, that
// one stays, under another token, with its refresh token. Behind snibhttp that is
// Manager.ChangeCredentials, which shows how.
type Factors struct{ at handle }

// Factors returns the methods on second factors, a transaction each.
func (db *DB) Factors() Factors { return Factors{handle{db: db}} }

// Factors returns the methods on second factors in this transaction.
func (tx *Tx) Factors() Factors { return Factors{handle{db: tx.db, tx: tx}} }

// BeginTOTP makes a factor that waits to be confirmed, in the place of another
// that waits. The issuer is the name of the program and name the user's own for
// this device, both for people: 1–64 bytes of text, the issuer without a colon.
// The account in the URI is the primary identity.
//
// Errors are those of [Proof]; ErrNotFresh; ErrNoKey; ErrTooMany for the 9th;
// ErrInvalidInput (Issuer, Name).
func (f Factors) BeginTOTP(ctx context.Context, proof Proof, issuer, name string) (TOTPEnrolment, error) {
	return result(ctx, "begin TOTP", f.at.update, func(tx *Tx) (TOTPEnrolment, error) {
		if err := checkFactorName("Issuer", issuer); err != nil {
			return TOTPEnrolment{}, err
		}
		if err := checkFactorName("Name", name); err != nil {
			return TOTPEnrolment{}, err
		}
		c, err := tx.changingFactors(ctx, proof)
		if err != nil {
			return TOTPEnrolment{}, err
		}
		if _, err := tx.rec.CurrentKey(); err != nil {
			return TOTPEnrolment{}, err
		}
		var seed [factor.SeedBytes]byte
		if _, err := io.ReadFull(tx.db.o.Rand, seed[:]); err != nil {
			return TOTPEnrolment{}, err
		}
		made, err := tx.rec.NewTOTP(c.all, c.user.ID, name, seed[:])
		if errors.Is(err, records.ErrTooManyFactors) {
			err = ErrTooMany
		}
		if err != nil {
			return TOTPEnrolment{}, err
		}
		return TOTPEnrolment{
			ID: FactorID(token.Factor.ID(made.Key)), ExpiresAt: clock.Time(made.ExpiresAt),
			Secret: Token{newSecret(factor.SeedText(seed[:]))},
			URI:    Token{newSecret(factor.URI(issuer, accountOf(&c.user), seed[:]))},
		}, nil
	})
}

func checkFactorName(field, name string) error {
	if fault := fold.PlainText(name, 64); fault.Found() {
		return faulty(field, fault)
	}
	if field == "Issuer" && strings.Contains(name, ":") {
		return &InputError{Field: field, Code: CodeMalformed, Reason: "must have no colon"}
	}
	return nil
}

// accountOf names a user to the owner of an authenticator.
func accountOf(u *codec.User) string {
	if len(u.Identities) == 0 {
		return u.ID
	}
	return u.Identities[0].Identifier
}

// ConfirmTOTP makes a factor out of one that waits, if code is one of its codes.
// From then on log-ins ask for it. The session of [DB.ChangeCredentials] counts as
// one that was signed in with it. The code is spent: the next log-in needs another.
//
// ErrFactorNotFound if it does not wait any more; ErrInvalidCredentials for a
// wrong code, after which it waits on. Errors of [Proof]; ErrNotFresh; ErrNoKey.
func (f Factors) ConfirmTOTP(ctx context.Context, proof Proof, id FactorID, code string) (Factor, error) {
	return result(ctx, "confirm TOTP", f.at.updateIfNeeded, func(tx *Tx) (Factor, error) {
		c, err := tx.changingFactors(ctx, proof)
		if err != nil {
			return Factor{}, err
		}
		waiting, err := c.factor(id)
		if err == nil && records.Confirmed(waiting) {
			err = ErrFactorNotFound
		}
		if err != nil {
			return Factor{}, err
		}
		typed, _ := factor.ParseCode(code) // the zero code has no digits
		step, ok, err := tx.rec.VerifyTOTP(waiting, typed, tx.db.clock.Wall().UnixMilli())
		if err == nil && !ok {
			err = ErrInvalidCredentials
		}
		if err != nil {
			return Factor{}, err
		}
		err = tx.confirm(c, waiting, step)
		return newFactor(waiting), err
	})
}

// CreateRecoveryCodes returns ten codes of 120 random bits, in the place of all
// that there were: to be shown once, printed and kept. Each stands in for a
// factor once; case, blanks and hyphens do not count. The file holds hashes.
//
// ErrFactorNotFound for a user without a factor, which they could not stand in
// for. Errors of [Proof]; ErrNotFresh.
func (f Factors) CreateRecoveryCodes(ctx context.Context, proof Proof) ([]Token, error) {
	return result(ctx, "create recovery codes", f.at.update, func(tx *Tx) (out []Token, err error) {
		c, err := tx.changingFactors(ctx, proof)
		if err == nil && !c.all.Needed() {
			err = ErrFactorNotFound
		}
		if err != nil {
			return nil, err
		}
		var hashes []byte
		for range RecoveryCodes {
			code, err := factor.NewRecovery(tx.db.o.Rand)
			if err != nil {
				return nil, err
			}
			hash := code.Hash()
			hashes, out = append(hashes, hash[:]...), append(out, Token{newSecret(code.Text())})
		}
		c.event, c.holds = records.EventRecoveryCodes, true
		err = tx.changeFactors(c, 0, func() error {
			_, err := tx.rec.PutRecovery(c.all, c.user.ID, hashes)
			return err
		})
		return out, err
	})
}

// List returns the confirmed factors of a user and, if there are some, the
// recovery codes as one more: oldest first, an empty list for an unknown user.
func (f Factors) List(ctx context.Context, user UserID) ([]Factor, error) {
	return result(ctx, "list factors", f.at.view, func(tx *Tx) (out []Factor, err error) {
		if !validUserID(user) {
			return nil, nil
		}
		all, err := tx.rec.Factors(string(user))
		for i := range all {
			if records.Confirmed(&all[i]) {
				out = append(out, newFactor(&all[i]))
			}
		}
		return out, err
	})
}

// Remove removes a factor, or the recovery codes, of the user of whom proof is
// given. Recovery codes go with the last factor. To replace a factor, confirm the
// new one first.
//
// ErrFactorNotFound, also for another user's; ErrLastFactor for that of a user who
// must have one ([FactorPolicy]); errors of [Proof]; ErrNotFresh; ErrInvalidInput
// (FactorID) for a text that cannot be an id.
func (f Factors) Remove(ctx context.Context, proof Proof, id FactorID) error {
	return during("remove factor", f.at.update(ctx, func(tx *Tx) error {
		c, err := tx.changingFactors(ctx, proof)
		if err != nil {
			return err
		}
		gone, err := c.factor(id)
		if err != nil {
			return err
		}
		c.event, c.about, c.holds = records.EventFactorRemoved, aboutFactor(gone), c.all.Without(gone.Key).Needed()
		if !c.holds && tx.mustHave(&c.user) {
			return ErrLastFactor
		}
		return tx.changeFactors(c, 0, func() error { return tx.rec.RemoveFactor(c.all, gone.Key) })
	}))
}

// Reset removes all factors and recovery codes of a user, for an operator: the
// way back for a user without phone and codes, after the operator has verified
// the identity. It ends every session, refresh token, one-time token, known device
// and API key, raises the credential version in the same commit, and opens the
// second step if wrong codes had closed it. The password is as it was. It returns
// the updated user. ErrUserNotFound.
func (f Factors) Reset(ctx context.Context, user UserID) (User, error) {
	return result(ctx, "reset factors", f.at.update, func(tx *Tx) (User, error) {
		u, err := tx.updateUser(user, func(u *codec.User, c *records.Cascade) error {
			u.CredentialVersion++
			u.Flags &^= records.UserHasFactor
			c.Note(records.EventFactorsReset, records.About{})
			return c.On(&tx.rec, records.FactorsReset)
		})
		if err == nil {
			tx.whenOver(func(committed bool) {
				if committed {
					tx.db.Throttle().forget(throttle.Factor, string(user))
				}
			})
		}
		return u, err
	})
}

func newFactor(f *codec.Factor) Factor {
	out := Factor{
		ID: FactorID(token.Factor.ID(f.Key)), UserID: UserID(f.UserID), Kind: kindOfFactor(f), Name: f.Name,
		CreatedAt: clock.Time(f.Key.Time()), Left: len(f.Codes) / 32,
	}
	if f.UsedAt != f.Key.Time() {
		out.LastUsedAt = clock.Time(f.UsedAt)
	}
	return out
}

// A factorChange is a change of factors that its proof allows.
type factorChange struct {
	proven
	all   records.FactorSet
	holds bool              // whether the user has a factor afterwards
	event records.EventKind // of the change
	about records.About
}

func aboutFactor(f *codec.Factor) records.About {
	return records.About{Subject: f.Key.OwnID(), Detail: string(kindOfFactor(f))}
}

// changingFactors verifies the proof of a change of factors.
func (tx *Tx) changingFactors(ctx context.Context, proof Proof) (c factorChange, err error) {
	if c.proven, err = tx.proven(proof); err != nil {
		return c, err
	}
	if c.all, err = tx.rec.FactorsOf(&c.user); err == nil {
		err = tx.mayChange(ctx, &c.proven, c.all)
	}
	return c, err
}

// factor returns the live factor of an id.
func (c *factorChange) factor(id FactorID) (*codec.Factor, error) {
	key, ok := token.Factor.ParseID(string(id))
	if !ok {
		return nil, &InputError{Field: "FactorID", Code: CodeMalformed, Reason: "cannot be an id"}
	}
	if f := c.all.Find(key); f != nil {
		return f, nil
	}
	return nil, ErrFactorNotFound
}

// changeFactors ends the credentials of before, but for the session that
// ChangeCredentials gives back under another token, to which it adds methods, then
// writes the change.
func (tx *Tx) changeFactors(c factorChange, methods uint16, write func() error) error {
	if err := tx.writing(); err != nil {
		return err
	}
	var kept []codec.OwnedKey
	if c.session != (codec.OwnedKey{}) && c.session == tx.changing {
		kept = append(kept, c.session)
		s, err := records.OwnedRecord(&tx.rec, records.Sessions, c.session, codec.DecodeSession)
		if err != nil {
			return err
		}
		kept = append(kept, familiesOf([]codec.Session{s})...)
	}
	_, err := tx.updateUser(UserID(c.user.ID), func(u *codec.User, cascade *records.Cascade) error {
		u.CredentialVersion++
		if u.Flags &^= records.UserHasFactor; c.holds {
			u.Flags |= records.UserHasFactor
		}
		cascade.Note(c.event, c.about)
		return cascade.On(&tx.rec, records.FactorsChange, kept...)
	})
	if err != nil {
		return err
	}
	if err = write(); err == nil && methods != 0 {
		err = tx.addMethods(kept, methods)
	}
	return tx.rec.DoomIf(true, err)
}

// addMethods notes in a session, and its family behind it, how the user was
// proven since.
func (tx *Tx) addMethods(kept []codec.OwnedKey, methods uint16) error {
	if len(kept) == 0 {
		return nil
	}
	s, err := records.OwnedRecord(&tx.rec, records.Sessions, kept[0], codec.DecodeSession)
	if err != nil {
		return err
	}
	s.Methods |= methods
	if err := tx.rec.PutOwned(records.Sessions, s.Key, s.Append(nil)); err != nil || len(kept) == 1 {
		return err
	}
	f, err := tx.rec.Family(kept[1])
	if records.DamagedOrMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Methods |= methods
	return tx.rec.PutOwned(records.Families, f.Key, f.Append(nil))
}
