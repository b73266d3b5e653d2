package snib

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/guesses"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/ticket"
	"github.com/snibdb/snib/internal/token"
)

// Passkey is a WebAuthn credential of a user: a [Factor] with the values that the
// verification of its assertions needs. As UsePasskey of [Factors] returned it, it is a [Proof].
type Passkey struct {
	ID     FactorID // public
	UserID UserID   // whose it is
	Name   string   // as the user calls it

	CredentialID []byte   // as the authenticator made it
	PublicKey    []byte   // COSE_Key
	AAGUID       [16]byte // the model of the authenticator; zero if it does not tell
	Transports   []string // as the client told: "internal", "hybrid", "usb", …

	SignCount      uint32 // of the last assertion; 0 of an authenticator that does not count
	BackupEligible bool   // the credential can be on several devices
	BackedUp       bool   // as of the last assertion

	CreatedAt  time.Time // when it was added
	LastUsedAt time.Time // zero: never

	used uint64 // the credential version of the user when UsePasskey accepted it; 0 of any other
}

// NewPasskey is a registration that the program has verified as WebAuthn 7.1 says:
// challenge, origin, RP id, user presence, attestation as far as it asks for one.
type NewPasskey struct {
	Name      string // as the user calls it, 1–64 bytes of text
	Challenge string // as the client data has it, decoded: the text of PasskeyChallenge

	CredentialID []byte   // 1–1,023 bytes
	PublicKey    []byte   // COSE_Key, 1–4,096 bytes, not looked at
	AAGUID       [16]byte // of the authenticator data
	Transports   []string // at most 8 of 1–32 of [a-z0-9_-]

	SignCount                uint32 // of the authenticator data
	BackupEligible, BackedUp bool   // its flags BE and BS
}

// Assertion is an answer of a passkey that the program has verified as WebAuthn 7.2
// says, up to the counter: the signature by Passkey.PublicKey, origin, RP id, type
// and user presence. A value that was not verified lets anybody in: it is made by
// the module that verifies, at one place.
type Assertion struct {
	Passkey      Passkey // as PasskeyByCredential returned it, by whose PublicKey the signature is good
	Challenge    string  // as the client data has it, decoded: the text of PasskeyChallenge
	SignCount    uint32  // of the authenticator data
	UserVerified bool    // its flag UV: by PIN, finger or face
	BackedUp     bool    // its flag BS
}

// Bounds of passkeys.
const (
	maxCredentialID = 1023 // WebAuthn 4
	maxPublicKey    = 4096
	maxTransports   = 8
)

// PasskeyPurpose is the use of a challenge.
type PasskeyPurpose byte

// The purposes.
const (
	PasskeyRegistration PasskeyPurpose = 1 // AddPasskey
	PasskeyLogIn        PasskeyPurpose = 2 // methods that take an [Assertion]
)

// PasskeyChallenge returns the challenge of a ceremony: its text, as bytes, is the
// challenge of WebAuthn. Nothing is stored. It is sealed, with the purpose, the user
// ("" for a log-in whose user the passkey will name), a deadline of 10 minutes and a
// number that rises with time. One passkey answers challenges in the order of their
// numbers, each once; a registration is single because its credential id is. So of two
// tabs that ask at once, the later answer wins and the earlier one may be refused. A
// challenge for a log-in that was not answered could be answered by another
// passkey of the same user, which gains nothing.
//
// ErrNoKey; ErrInvalidInput (Purpose, UserID).
func (f Factors) PasskeyChallenge(ctx context.Context, purpose PasskeyPurpose, user UserID) (Token, error) {
	return result(ctx, "make challenge", f.at.view, func(tx *Tx) (Token, error) {
		switch {
		case purpose != PasskeyRegistration && purpose != PasskeyLogIn:
			return Token{}, &InputError{Field: "Purpose", Code: CodeUnsupported, Reason: "must be one of the constants of this package"}
		case user == "" && purpose == PasskeyRegistration:
			return Token{}, missing("UserID")
		}
		text, err := ticket.SealChallenge(&tx.rec, byte(purpose), string(user), tx.db.challenges.Add(1))
		if err != nil {
			return Token{}, err
		}
		return Token{newSecret(text)}, nil
	})
}

// AddPasskey adds a passkey to the factors of a user: from now on log-ins ask for
// one. The rules of [Factors] hold. The session of [DB.ChangeCredentials] counts as
// one that was signed in with it. A [Passkey] that was used is a proof with a factor,
// too.
//
// ErrPasskeyTaken, also if it is another user's; ErrInvalidChallenge;
// ErrTooMany; ErrNotFresh; ErrEnrolment; errors of [Proof]; ErrInvalidInput (Name,
// CredentialID, PublicKey, Transports).
func (f Factors) AddPasskey(ctx context.Context, proof Proof, n NewPasskey) (Factor, error) {
	return result(ctx, "add passkey", f.at.updateIfNeeded, func(tx *Tx) (Factor, error) {
		if err := n.check(); err != nil {
			return Factor{}, err
		}
		c, err := tx.changingFactors(ctx, proof)
		if err != nil {
			return Factor{}, err
		}
		number, ok := ticket.OpenChallenge(&tx.rec, n.Challenge, byte(PasskeyRegistration), c.user.ID, false)
		if !ok {
			return Factor{}, ErrInvalidChallenge
		}
		record := codec.Factor{UserID: c.user.ID, Name: n.Name, Counter: uint64(n.SignCount)}
		record.Flags = backupFlags(n.BackupEligible, n.BackedUp)
		content := codec.Passkey{
			Spent: number, AAGUID: n.AAGUID, CredentialID: n.CredentialID, PublicKey: n.PublicKey,
			Transports: strings.Join(n.Transports, ","),
		}
		if err := tx.rec.NewPasskey(c.all, &record, &content); err != nil {
			if errors.Is(err, records.ErrTooManyFactors) {
				err = ErrTooMany
			}
			return Factor{}, err
		}
		c.event, c.about, c.holds = records.EventFactorAdded, aboutFactor(&record), true
		err = tx.changeFactors(c, records.MethodPasskey, func() error { return nil })
		return newFactor(&record), tx.rec.DoomIf(err != nil, err)
	})
}

func (n *NewPasskey) check() error {
	if err := checkFactorName("Name", n.Name); err != nil {
		return err
	}
	switch {
	case len(n.CredentialID) == 0 || len(n.CredentialID) > maxCredentialID:
		return &InputError{Field: "CredentialID", Code: CodeOutOfRange, Reason: "must be of 1 to 1,023 bytes", Min: 1, Max: maxCredentialID}
	case len(n.PublicKey) == 0 || len(n.PublicKey) > maxPublicKey:
		return &InputError{Field: "PublicKey", Code: CodeOutOfRange, Reason: "must be of 1 to 4,096 bytes", Min: 1, Max: maxPublicKey}
	case len(n.Transports) > maxTransports || slices.ContainsFunc(n.Transports, func(t string) bool { return !fold.Name(t) }):
		return &InputError{Field: "Transports", Code: CodeMalformed, Reason: "must be at most 8 of 1–32 of [a-z0-9_-]", Max: maxTransports}
	}
	return nil
}

func backupFlags(eligible, backedUp bool) (flags uint8) {
	if eligible {
		flags |= records.PasskeyBackupEligible
	}
	if backedUp {
		flags |= records.PasskeyBackedUp
	}
	return flags
}

// PasskeyByCredential returns the passkey with a credential id, and its user, for
// the verification of an assertion. ErrFactorNotFound: answer as for a wrong
// password.
func (f Factors) PasskeyByCredential(ctx context.Context, credentialID []byte) (Passkey, User, error) {
	type found struct {
		p Passkey
		u User
	}
	out, err := result(ctx, "find passkey", f.at.view, func(tx *Tx) (found, error) {
		u, f, p, err := tx.rec.Passkey(credentialID)
		if err != nil {
			return found{}, err
		}
		return found{newPasskey(&f, &p), newUser(u)}, nil
	})
	return out.p, out.u, err
}

// Passkeys returns those of a user, oldest first: the credentials that a registration
// excludes and a second step allows. Empty for an unknown user. Their ids tell who has
// an account: show them only after the first step.
func (f Factors) Passkeys(ctx context.Context, user UserID) ([]Passkey, error) {
	return result(ctx, "list passkeys", f.at.view, func(tx *Tx) (out []Passkey, err error) {
		if !validUserID(user) {
			return nil, nil
		}
		all, err := tx.rec.Factors(string(user))
		for i := range all {
			if f := &all[i]; err == nil && f.Type == records.FactorPasskey {
				p, decoded := codec.DecodePasskey(f.Passkey)
				if decoded != nil {
					return nil, tx.rec.Damaged(records.SpaceFactors, decoded)
				}
				out = append(out, newPasskey(f, &p))
			}
		}
		return out, err
	})
}

func newPasskey(f *codec.Factor, p *codec.Passkey) Passkey {
	public := newFactor(f)
	out := Passkey{
		ID: public.ID, UserID: public.UserID, Name: public.Name, CreatedAt: public.CreatedAt, LastUsedAt: public.LastUsedAt,
		CredentialID: bytes.Clone(p.CredentialID), PublicKey: bytes.Clone(p.PublicKey), AAGUID: p.AAGUID, SignCount: uint32(f.Counter),
		BackupEligible: f.Flags&records.PasskeyBackupEligible != 0, BackedUp: f.Flags&records.PasskeyBackedUp != 0,
	}
	if p.Transports != "" {
		out.Transports = strings.Split(p.Transports, ",")
	}
	return out
}

// UsePasskey accepts an assertion with user verification, once, and returns the
// passkey as a [Proof]: of two factors (AAL2 of NIST SP 800-63B-4), by MethodPasskey
// alone. Make the session in the same transaction, by [Tx.Factors]: if that does not
// commit, the assertion was not used. Of several calls with one assertion one
// succeeds.
//
// ErrInvalidChallenge; ErrInvalidCredentials for a passkey that was removed or
// replaced since it was read; ErrUserDisabled; ErrPasskeyCloned; ErrInvalidInput
// (UserVerified) without user verification, which is one factor: see
// FinishLogInByPasskey.
func (f Factors) UsePasskey(ctx context.Context, a Assertion) (Passkey, error) {
	used, err := result(ctx, "use passkey", f.at.updateIfNeeded, func(tx *Tx) (Passkey, error) {
		if !a.UserVerified {
			return Passkey{}, &InputError{Field: "UserVerified", Code: CodeRequired, Reason: "must be true without another factor"}
		}
		return tx.usePasskey(&a, "")
	})
	f.noteCloned(ctx, &a, err)
	return used, err
}

// FinishLogInByPasskey is FinishLogIn with an assertion in the place of a code, with
// or without user verification. Errors are those of FinishLogIn and UsePasskey.
func (f Factors) FinishLogInByPasskey(ctx context.Context, pending string, a Assertion) (Session, User, error) {
	var made signedIn
	err := f.finishByPasskey(ctx, pending, &a, made.session)
	return made.result("finish log-in", err)
}

// FinishRefreshTokenByPasskey is FinishRefreshToken with an assertion in the place
// of a code.
func (f Factors) FinishRefreshTokenByPasskey(ctx context.Context, pending string, a Assertion) (Session, RefreshToken, error) {
	var made signedIn
	err := f.finishByPasskey(ctx, pending, &a, made.family)
	return made.refreshResult("finish refresh token", err)
}

func (f Factors) finishByPasskey(ctx context.Context, pending string, a *Assertion, create func(*Tx, *ticket.Pending, proven) error) error {
	err := f.secondStep(ctx, pending, create, func(tx *Tx, p *proven) error {
		_, err := tx.usePasskey(a, p.user.ID)
		p.methods |= MethodPasskey
		return err
	})
	if err == nil {
		f.settle(string(a.Passkey.UserID), nil, nil)
	}
	f.noteCloned(ctx, a, err)
	return err
}

// noteCloned writes the event of an assertion that was refused for its counter.
func (f Factors) noteCloned(ctx context.Context, a *Assertion, err error) {
	if key, ok := token.Factor.ParseID(string(a.Passkey.ID)); ok && errors.Is(err, ErrPasskeyCloned) {
		f.noteFailed(ctx, string(a.Passkey.UserID), guesses.Note{Kind: records.EventPasskeyCloned, About: records.About{Subject: key.OwnID()}})
	}
}

// usePasskey spends an assertion, of a passkey of the user unless that is "".
func (tx *Tx) usePasskey(a *Assertion, user string) (Passkey, error) {
	u, f, p, err := tx.rec.Passkey(a.Passkey.CredentialID)
	switch {
	case errors.Is(err, ErrFactorNotFound):
		return Passkey{}, ErrInvalidCredentials
	case err != nil:
		return Passkey{}, err
	case token.Factor.ID(f.Key) != string(a.Passkey.ID), !bytes.Equal(p.PublicKey, a.Passkey.PublicKey), user != "" && u.ID != user:
		return Passkey{}, ErrInvalidCredentials
	case u.DisabledAt != 0:
		return Passkey{}, ErrUserDisabled
	}
	number, ok := ticket.OpenChallenge(&tx.rec, a.Challenge, byte(PasskeyLogIn), u.ID, true)
	if !ok || f.Epoch == tx.rec.State.Epoch && number <= p.Spent { // answered, or older than one that was
		return Passkey{}, ErrInvalidChallenge
	}
	counted := a.SignCount != 0 || f.Counter != 0
	if counted && uint64(a.SignCount) <= f.Counter {
		if !tx.db.o.Factors.InsecureClones {
			return Passkey{}, ErrPasskeyCloned
		}
		if err := tx.rec.Note(u.ID, records.EventPasskeyCloned, records.About{Subject: f.Key.OwnID()}); err != nil {
			return Passkey{}, err
		}
	}
	// The epoch tells of which numbers of challenges Spent is one: after ResetClock
	// they begin anew.
	f.Counter, f.UsedAt, f.Epoch, p.Spent = uint64(a.SignCount), tx.rec.Now, tx.rec.State.Epoch, number
	f.Flags = f.Flags&^records.PasskeyBackedUp | backupFlags(false, a.BackedUp)
	f.Passkey = p.Append(nil)
	if err := tx.rec.PutFactor(&f); err != nil {
		return Passkey{}, err
	}
	out := newPasskey(&f, &p)
	out.used = u.CredentialVersion
	return out, nil
}

func (p Passkey) prove(tx *Tx) (proven, error) {
	if p.used == 0 {
		return proven{}, &InputError{Field: "Proof", Code: CodeMalformed, Reason: "must be a Passkey that was used"}
	}
	u, err := tx.user(p.UserID)
	if err == nil && u.DisabledAt == 0 && u.CredentialVersion != p.used {
		err = ErrInvalidCredentials
	}
	return proven{user: u, methods: MethodPasskey, at: tx.rec.Now, until: clock.Never}, err
}

// Rename gives a factor of a user another name, 1–64 bytes of text.
// ErrFactorNotFound, also for another user's; ErrInvalidInput (FactorID, Name).
func (f Factors) Rename(ctx context.Context, user UserID, id FactorID, name string) (Factor, error) {
	return result(ctx, "rename factor", f.at.updateIfNeeded, func(tx *Tx) (Factor, error) {
		if err := checkFactorName("Name", name); err != nil {
			return Factor{}, err
		}
		c := factorChange{}
		var err error
		if c.all, err = tx.rec.Factors(string(user)); err != nil {
			return Factor{}, err
		}
		factor, err := c.factor(id)
		if err != nil || factor.Name == name {
			return newFactorOr(factor, err)
		}
		factor.Name = name
		err = tx.rec.PutFactor(factor)
		return newFactorOr(factor, err)
	})
}

func newFactorOr(f *codec.Factor, err error) (Factor, error) {
	if err != nil {
		return Factor{}, err
	}
	return newFactor(f), nil
}
