package snib

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
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

	Attributes Attributes // of a user who is made
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

// linkLife is how long FinishLink may take, in milliseconds.
const linkLife = 10 * 60_000

// ResolveExternal returns the user of a provider's answer, who is the [Proof] of a
// new session, with MethodProvider in SessionOptions.Methods. In this order:
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
// ErrUserDisabled; ErrInvalidInput (Provider, Subject, AddressProvider, Address,
// Attributes); ErrAttributeTaken.
func (x Identities) ResolveExternal(ctx context.Context, e External) (User, error) {
	return result(ctx, "resolve external", x.at.updateIfNeeded, func(tx *Tx) (User, error) { return tx.resolve(&e) })
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
	u, err := tx.CreateUser(NewUser{Provider: e.Provider, Identifier: e.Subject, Verified: true, Attributes: e.Attributes})
	if err == nil && vouched {
		u, err = tx.verifyIdentity(u.ID, e.AddressProvider, e.Address)
	}
	return u, tx.rec.DoomIf(err != nil, err)
}

// identities are the two of an answer; the second is zero without an address.
func (e *External) identities(tx *Tx) (subject, address codec.Identity, err error) {
	named := func(provider, identifier, field, other string) (codec.Identity, error) {
		x, err := identity(tx.rec.Declared, provider, identifier, tx.rec.Now)
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
	factors, err := tx.rec.Factors(holder.ID)
	if err != nil {
		return User{}, err
	}
	unlinked, err := tx.rec.HasUnlinked(holder.ID, subject.Provider)
	if err != nil {
		return User{}, err
	}
	if !vouched || factors.Needed() || unlinked {
		return User{}, &LinkRequiredError{Pending: tx.pendingLink(holder.ID, subject)}
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
		c, err := tx.changingFactors(proof) // the same proof as a change of factors
		if err != nil {
			return User{}, err
		}
		provider, subject, ok := tx.openLink(c.user.ID, pending)
		if !ok {
			return User{}, ErrInvalidOneTimeToken
		}
		return tx.verifyIdentity(UserID(c.user.ID), provider, subject)
	})
}

const linkPrefix = "snlnk_"

// pendingLink is a text that openLink takes for this user: a deadline, the
// identity, and a MAC over them and the user.
func (tx *Tx) pendingLink(user string, x *codec.Identity) Token {
	b := binary.BigEndian.AppendUint64(nil, uint64(tx.rec.Now+linkLife))
	b = append(b, x.Provider+"\x00"+x.Identifier...)
	return Token{newSecret(linkPrefix + string(codec.AppendBase32(nil, append(tx.linkMAC(user, b), b...))))}
}

func (tx *Tx) linkMAC(user string, b []byte) []byte {
	h := hmac.New(sha256.New, tx.db.processKey[:])
	owner := tx.rec.Owner(user)
	h.Write([]byte("snib link\x00"))
	h.Write(owner[:])
	h.Write(b)
	return h.Sum(nil)
}

func (tx *Tx) openLink(user, text string) (provider, subject string, ok bool) {
	digits, ok := strings.CutPrefix(text, linkPrefix)
	b := make([]byte, len(digits)*5/8)
	if !ok || len(b) < sha256.Size+8 || len(digits) > 1024 || !codec.DecodeBase32(b, digits) {
		return "", "", false
	}
	mac, b := b[:sha256.Size], b[sha256.Size:]
	if !hmac.Equal(mac, tx.linkMAC(user, b)) || tx.rec.Now >= int64(binary.BigEndian.Uint64(b)) {
		return "", "", false
	}
	provider, subject, ok = strings.Cut(string(b[8:]), "\x00")
	return provider, subject, ok
}
