package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// holder is a user as the library of the ceremony sees one.
type holder struct {
	user snib.User
	keys []snib.Passkey
}

func (h holder) WebAuthnID() []byte          { return []byte(h.user.ID) } // at most 64 bytes: ids made here
func (h holder) WebAuthnName() string        { return h.user.Identities[0].Identifier }
func (h holder) WebAuthnDisplayName() string { return h.user.Identities[0].Identifier }

func (h holder) WebAuthnCredentials() (all []webauthn.Credential) {
	for _, k := range h.keys {
		all = append(all, webauthn.Credential{
			ID: k.CredentialID, PublicKey: k.PublicKey,
			Flags:         webauthn.CredentialFlags{BackupEligible: k.BackupEligible, BackupState: k.BackedUp},
			Authenticator: webauthn.Authenticator{AAGUID: k.AAGUID[:], SignCount: k.SignCount},
		})
	}
	return all
}

// passkeyOptions begins a registration. The challenge is of the database, which does
// not store it: it is sealed, and is answered once.
func (a *app) passkeyOptions(w http.ResponseWriter, r *http.Request) error {
	_, user, _ := snibhttp.FromContext(r.Context())
	keys, err := a.db.Factors().Passkeys(r.Context(), user.ID)
	if err != nil {
		return err
	}
	challenge, err := a.db.Factors().PasskeyChallenge(r.Context(), snib.PasskeyRegistration, user.ID)
	if err != nil {
		return err
	}
	h := holder{user, keys}
	options, _, err := a.webauthn.BeginRegistration(h,
		webauthn.WithExclusions(webauthn.Credentials(h.WebAuthnCredentials()).CredentialDescriptors()),
		webauthn.WithResidentKeyRequirement(protocol.ResidentKeyRequirementRequired))
	if err != nil {
		return err
	}
	options.Response.Challenge = []byte(challenge.Reveal())
	return json.NewEncoder(w).Encode(options)
}

// addPasskey ends a registration.
func (a *app) addPasskey(w http.ResponseWriter, r *http.Request) error {
	_, user, _ := snibhttp.FromContext(r.Context())
	parsed, err := protocol.ParseCredentialCreationResponse(r)
	if err != nil {
		return errors.Join(snib.ErrInvalidChallenge, err)
	}
	challenge, err := challengeOf(parsed.Response.CollectedClientData)
	if err != nil {
		return err
	}
	c, err := a.webauthn.CreateCredential(holder{user: user}, webauthn.SessionData{
		Challenge: parsed.Response.CollectedClientData.Challenge, UserID: []byte(user.ID),
		CredParams: webauthn.CredentialParametersDefault(),
	}, parsed)
	if err != nil {
		return errors.Join(snib.ErrInvalidChallenge, err)
	}
	n := snib.NewPasskey{
		Name: "passkey", Challenge: challenge, CredentialID: c.ID, PublicKey: c.PublicKey,
		SignCount: c.Authenticator.SignCount, BackupEligible: c.Flags.BackupEligible, BackedUp: c.Flags.BackupState,
	}
	copy(n.AAGUID[:], c.Authenticator.AAGUID)
	for _, t := range c.Transport {
		n.Transports = append(n.Transports, string(t))
	}
	_, err = a.m.ChangeCredentials(w, r, func(tx *snib.Tx, s snib.Session) error {
		_, err := tx.Factors().AddPasskey(r.Context(), s, n)
		return err
	})
	return err
}

// passkeyChallenge begins a sign-in whose user the passkey will name.
func (a *app) passkeyChallenge(w http.ResponseWriter, r *http.Request) error {
	challenge, err := a.db.Factors().PasskeyChallenge(r.Context(), snib.PasskeyLogIn, "")
	if err != nil {
		return err
	}
	options, _, err := a.webauthn.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return err
	}
	options.Response.Challenge = []byte(challenge.Reveal())
	return json.NewEncoder(w).Encode(options)
}

// passkeySignIn verifies the answer, and spends it in the transaction that makes the
// session.
func (a *app) passkeySignIn(w http.ResponseWriter, r *http.Request) error {
	assertion, err := a.verified(r)
	if err != nil {
		return err
	}
	var s snib.Session
	err = a.db.Update(r.Context(), func(tx *snib.Tx) error {
		used, err := tx.Factors().UsePasskey(r.Context(), assertion)
		if err != nil {
			return err
		}
		s, err = tx.CreateSession(used, a.m.SessionOptions(r))
		return err
	})
	if err != nil {
		return err
	}
	return a.m.SetSession(w, r, s)
}

// verified is the one place that makes an Assertion: after the signature, origin and
// flags were verified.
func (a *app) verified(r *http.Request) (none snib.Assertion, err error) {
	parsed, err := protocol.ParseCredentialRequestResponse(r)
	if err != nil {
		return none, errors.Join(snib.ErrInvalidChallenge, err)
	}
	challenge, err := challengeOf(parsed.Response.CollectedClientData)
	if err != nil {
		return none, err
	}
	key, user, err := a.db.Factors().PasskeyByCredential(r.Context(), parsed.RawID)
	if errors.Is(err, snib.ErrFactorNotFound) {
		return none, snib.ErrInvalidCredentials
	}
	if err != nil {
		return none, err
	}
	_, err = a.webauthn.ValidateLogin(holder{user, []snib.Passkey{key}}, webauthn.SessionData{
		Challenge: parsed.Response.CollectedClientData.Challenge, UserID: []byte(user.ID),
		UserVerification: protocol.VerificationRequired,
	}, parsed)
	if err != nil {
		return none, errors.Join(snib.ErrInvalidCredentials, err)
	}
	data := parsed.Response.AuthenticatorData
	return snib.Assertion{
		Passkey: key, Challenge: challenge, SignCount: data.Counter,
		UserVerified: data.Flags.UserVerified(), BackedUp: data.Flags.HasBackupState(),
	}, nil
}

// challengeOf is the text of PasskeyChallenge that the client data has.
func challengeOf(data protocol.CollectedClientData) (string, error) {
	text, err := base64.RawURLEncoding.DecodeString(data.Challenge)
	if err != nil {
		return "", errors.Join(snib.ErrInvalidChallenge, err)
	}
	return string(text), nil
}
