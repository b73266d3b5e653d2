package snib

import (
	"context"
	"errors"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/ticket"
	"github.com/snibdb/snib/internal/users"
)

// External is the answer of a provider of identities, such as an OpenID Connect
// provider, that the program has verified: signature, issuer, audience, nonce.
type External struct {
	// Provider names the issuer, one name for one issuer, and Subject is the
	// issuer's name for the person ("sub"): never a login name or an address,
	// which pass from one person to another. Compared exactly.
	Provider, Subject string

	// AddressProvider and Address are an address that the provider calls
	// verified, as identity here: "email" and the claim. Leave them empty
	// without email_verified.
	AddressProvider, Address string

	// SecondFactor says that the provider asserts a second factor for this log-in
	// (the claim amr, "mfa" say), which Options.Factors.AssertsMFA must allow.
	SecondFactor bool

	Attributes Attributes // of a user who is made
}

// asserted is the evidence of a provider's answer.
type asserted struct {
	provider string
	factor   bool
}

// recheck implements evidence.
func (asserted) recheck(*Tx) (codec.User, error) { return codec.User{}, ErrInvalidCredentials }

// methods implements evidence.
func (asserted) methods(*Tx) (Methods, error) { return MethodProvider, nil }

// complete implements evidence.
func (a asserted) complete(tx *Tx) bool {
	return a.factor && slices.Contains(tx.db.o.Factors.AssertsMFA, a.provider)
}

// LinkRequiredError is an [ErrLinkRequired]: the address that a provider asserts
// is a user's, whom the provider's word alone does not open. No formatting of it
// shows the token.
type LinkRequiredError struct {
	// Pending is for the client, which presents it to [Identities.FinishLink] in
	// a session of that user, within 10 minutes. The key that makes it is of this
	// process: a restart voids it, and so does another process.
	Pending Token
}

// Error says that the accounts must be linked.
func (e *LinkRequiredError) Error() string { return ErrLinkRequired.Error() }

// Unwrap makes it an ErrLinkRequired.
func (e *LinkRequiredError) Unwrap() error { return ErrLinkRequired }

// ResolveExternal returns the user of a provider's answer, who is the [Proof] of a
// new session with MethodProvider. Of a user with a second factor, or who must have
// one, that is the first step, unless the provider has asserted a second factor and
// Options.Factors.AssertsMFA names it. In this order:
//
//   - The user who has the identity Provider and Subject. Addresses play no part,
//     so one that has changed at the provider changes nothing here.
//   - If a user has the address and has verified it: that user, who gets the
//     identity, if Options.VouchesFor[Provider] names the domain of the address,
//     and the user has no second factor and has never unlinked an identity of
//     this provider, as far as the events of the last year tell. Otherwise
//     [LinkRequiredError].
//   - A new user, with the identity and, if the provider vouches for the domain,
//     the address, both verified. Another user who has that address unverified
//     loses it, as [Identities.Verify] says, and nothing is merged.
//
// LinkRequiredError tells the bearer of the answer that there is such an account.
//
// So a provider that asserts whatever its customers type opens no account, nor
// does an account that a stranger made in advance take in its victim (Sudhodanan
// and Paverd, USENIX Security 2022).
//
// ErrUserDisabled; ErrSignUpClosed in the place of a new user, by Options.SignUp; ErrInvalidInput (Provider, Subject, AddressProvider, Address,
// Attributes); ErrAttributeTaken.
func (x Identities) ResolveExternal(ctx context.Context, e External) (User, error) {
	return result(ctx, "resolve external", x.at.updateIfNeeded, func(tx *Tx) (User, error) {
		u, err := tx.resolve(&e)
		if err == nil {
			u.login = asserted{e.Provider, e.SecondFactor}
		}
		return u, err
	})
}

func (tx *Tx) resolve(e *External) (User, error) {
	subject, address, err := e.identities(tx)
	if err != nil {
		return User{}, err
	}
	known, err := tx.userByIdentity(e.Provider, e.Subject)
	if err == nil {
		return admitted(known)
	}
	if !errors.Is(err, ErrUserNotFound) {
		return User{}, err
	}
	vouched := tx.db.o.vouches(e.Provider, address.Key)
	if address.Key != "" {
		holder, err := tx.userByIdentity(e.AddressProvider, e.Address)
		if err != nil && !errors.Is(err, ErrUserNotFound) {
			return User{}, err
		}
		if i := records.FindIdentity(&holder, address); i >= 0 && holder.Identities[i].VerifiedAt != 0 {
			return tx.linkExternal(&holder, &subject, vouched)
		}
	}
	if err := tx.admitsExternal(&address, vouched); err != nil {
		return User{}, err
	}
	u, err := tx.CreateUser(NewUser{Provider: e.Provider, Identifier: e.Subject, Verified: true, Attributes: e.Attributes})
	if err == nil && vouched {
		u, err = tx.verifyIdentity(u.ID, e.AddressProvider, e.Address)
	}
	return u, tx.rec.DoomIf(err != nil, err)
}

// admitsExternal refuses a new user whom Options.SignUp does not admit. An address
// counts if the provider's word is proof of it.
func (tx *Tx) admitsExternal(address *codec.Identity, vouched bool) error {
	if !vouched {
		return tx.db.o.SignUp.admits("")
	}
	return tx.db.o.SignUp.admits(users.Domain(tx.rec.Declared, address))
}

// identities are the two of an answer; the second is zero without an address.
func (e *External) identities(tx *Tx) (subject, address codec.Identity, err error) {
	named := func(provider, identifier, field, other string) (codec.Identity, error) {
		x, err := tx.identity(provider, identifier)
		if wrong, ok := errors.AsType[*InputError](err); ok && wrong.Field == "Identifier" {
			wrong.Field = field
		} else if ok {
			wrong.Field = other
		}
		return x, err
	}
	if subject, err = named(e.Provider, e.Subject, "Subject", "Provider"); err != nil || e.AddressProvider == "" && e.Address == "" {
		return subject, address, err
	}
	if e.AddressProvider == e.Provider {
		return subject, address, &InputError{Field: "AddressProvider", Code: CodeNotAllowed, Reason: "must not be that of the subject"}
	}
	address, err = named(e.AddressProvider, e.Address, "Address", "AddressProvider")
	return subject, address, err
}

func admitted(u codec.User) (User, error) {
	if u.DisabledAt != 0 {
		return User{}, ErrUserDisabled
	}
	return newUser(u), nil
}

// linkExternal gives the holder of a verified address the identity of a provider,
// if nothing speaks against it.
func (tx *Tx) linkExternal(holder *codec.User, subject *codec.Identity, vouched bool) (User, error) {
	if holder.DisabledAt != 0 {
		return User{}, ErrUserDisabled
	}
	factors, err := tx.rec.FactorsOf(holder)
	if err != nil {
		return User{}, err
	}
	unlinked, err := tx.rec.HasUnlinked(holder.ID, subject.Provider)
	if err != nil {
		return User{}, err
	}
	if !vouched || factors.Needed() || unlinked {
		text := ticket.Link(&tx.rec, tx.textKey(), holder.ID, subject.Provider, subject.Identifier)
		return User{}, &LinkRequiredError{Pending: Token{newSecret(text)}}
	}
	return tx.verifyIdentity(UserID(holder.ID), subject.Provider, subject.Identifier)
}

// FinishLink gives the user of a fresh session the identity of a
// LinkRequiredError, verified, and returns the updated user. Run it within
// ChangeCredentials, which gives the session another token.
//
// ErrInvalidOneTimeToken for a pending link that is malformed, expired, or of
// another user; ErrNotFresh for a session whose log-in is more than [FreshFor]
// ago, or without the second factor that the user has; errors of [Proof] and of
// [Identities.Verify].
func (x Identities) FinishLink(ctx context.Context, proof Proof, pending string) (User, error) {
	return result(ctx, "finish link", x.at.updateIfNeeded, func(tx *Tx) (User, error) {
		p, err := tx.proven(proof)
		if err == nil {
			_, err = tx.fresh(&p)
		}
		if err != nil {
			return User{}, err
		}
		provider, subject, ok := ticket.OpenLink(&tx.rec, tx.textKey(), p.user.ID, pending)
		if !ok {
			return User{}, ErrInvalidOneTimeToken
		}
		return tx.verifyIdentity(UserID(p.user.ID), provider, subject)
	})
}
