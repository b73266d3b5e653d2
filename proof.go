package snib

import (
	"errors"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
)

// FreshFor is how long ago the log-in of a session may be that makes an API key,
// changes the second factors of its user or trusts a device in their place. A thief
// of a session gets nothing by it that would outlive a sign-out everywhere.
const FreshFor = 15 * time.Minute

// Proof says for whom, and on which evidence, a session or refresh token is
// made. It is one of four:
//
//   - A [User], as a method returned it when the person was authenticated: by
//     AuthenticateUser, by CreateUser, by UpdateUserPassword after a reset by a
//     one-time token, or by GetUser before an OAuth provider was asked. If the
//     user's credential version has changed since, that evidence is void:
//     ErrInvalidCredentials. That of AuthenticateUser is so only if the password
//     was changed or the identity moved. Only AuthenticateUser, ResolveExternal
//     and Use of [Codes] show a method; the program names others as
//     SessionOptions.Methods.
//   - A [OneTimeToken], as Use of [OneTimeTokens] returned it: a log-in by a
//     mailed link. Void as a User is; best in the transaction that uses it.
//   - A [Passkey], as UsePasskey of [Factors] returned it: a log-in without a
//     password, complete. Void as a User is; best in the transaction that uses it.
//   - A [Session] that is active: one log-in carried to another place (a second
//     device, a desktop program that opens a browser). The new credential has
//     its time of log-in and Methods and does not outlive its AbsoluteUntil. If
//     it has ended meanwhile: ErrInvalidSession.
//
// Of a user with a second factor it must include that: a Session of a log-in with
// one does, a User does not. Otherwise [SecondFactorError]; [FactorNotNeeded]
// makes an exception.
//
// ErrUserNotFound, ErrUserDisabled; ErrInvalidInput (Proof) for nil and for a
// User, Session or OneTimeToken that no method returned, or that is not used.
type Proof interface {
	// prove looks at the evidence in tx.
	prove(tx *Tx) (proven, error)
}

// proven is the content of a verified Proof.
type proven struct {
	user    codec.User
	methods Methods // by which the user was authenticated
	at      int64   // when
	until   int64   // a bound on the new credential

	session codec.OwnedKey // which is the proof; zero without one
	waived  bool           // a second factor is not needed

	asked     Methods // of the options of a pending log-in
	enrolling bool    // good for the first factor alone
	again     bool    // session gets another token
}

// old reports whether the log-in is too long ago for a change that outlives it.
func (p *proven) old(now int64) bool { return now-p.at > FreshFor.Milliseconds() }

// fresh refuses the proof of a change that outlives a sign-out everywhere: it must
// be of now, and have the second factor that the user has.
func (tx *Tx) fresh(p *proven) (records.FactorSet, error) {
	all, err := tx.rec.FactorsOf(&p.user)
	if err == nil && (p.enrolling || p.old(tx.rec.Now) || p.bare(all)) {
		err = ErrNotFresh
	}
	return all, err
}

// bare reports whether the proof lacks the second factor that its user has.
func (p *proven) bare(all records.FactorSet) bool {
	return all.Needed() && uint16(p.methods)&records.ProvenFactors == 0 && !p.waived
}

// proven verifies proof in this transaction.
func (tx *Tx) proven(proof Proof) (proven, error) {
	if proof == nil {
		return proven{}, missing("Proof")
	}
	p, err := proof.prove(tx)
	if err == nil && p.user.DisabledAt != 0 {
		err = ErrUserDisabled
	}
	if err != nil {
		return proven{}, err
	}
	return p, nil
}

func (u User) prove(tx *Tx) (proven, error) {
	if u.CredentialVersion == 0 {
		return proven{}, &InputError{Field: "Proof", Code: CodeMalformed, Reason: "must be a User that was read"}
	}
	var methods Methods
	var err error
	var waived bool
	if u.login != nil {
		methods, err = u.login.methods(tx)
		waived = u.login.complete(tx)
	}
	if err != nil {
		return proven{}, err
	}
	record, err := tx.user(u.ID)
	switch {
	case err != nil:
		return proven{}, err
	case record.DisabledAt != 0 || record.CredentialVersion == u.CredentialVersion:
	case u.login == nil:
		return proven{}, ErrInvalidCredentials
	default:
		if record, err = u.login.recheck(tx); err == nil && record.ID != string(u.ID) {
			err = ErrInvalidCredentials
		}
		if err != nil {
			return proven{}, err
		}
	}
	return proven{user: record, methods: methods, at: tx.rec.Now, until: clock.Never, waived: waived}, nil
}

func (t OneTimeToken) prove(tx *Tx) (proven, error) {
	if t.used == 0 {
		return proven{}, &InputError{Field: "Proof", Code: CodeMalformed, Reason: "must be a OneTimeToken that was used"}
	}
	u, err := tx.user(t.UserID)
	if err == nil && u.DisabledAt == 0 && u.CredentialVersion != t.used {
		err = ErrInvalidCredentials
	}
	return proven{user: u, methods: MethodOneTimeToken, at: tx.rec.Now, until: clock.Never}, err
}

func (s Session) prove(tx *Tx) (proven, error) {
	if s.ID == "" {
		return proven{}, &InputError{Field: "Proof", Code: CodeMalformed, Reason: "must be a Session that was read"}
	}
	v, err := tx.sessionByID(s.ID)
	if err == nil && (tx.stateOf(&v) != SessionActive || !v.IsUser(string(s.UserID))) {
		err = ErrInvalidSession
	}
	if err != nil {
		return proven{}, err
	}
	at, until, key, methods := v.AuthTime(), v.AbsoluteUntil(), v.Key(), Methods(v.Methods())
	u, err := tx.user(s.UserID)
	if errors.Is(err, ErrUserNotFound) {
		err = tx.rec.Orphan(records.SpaceSessions, err)
	}
	return proven{user: u, methods: methods, at: at, until: until, session: key}, err
}
