package snib

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
	"github.com/snibdb/snib/internal/users"
)

// InvitationID names an invitation: "inv_" and 32 characters.
type InvitationID string

// MaxInvitations is how many a file may have: 10,000 live ones.
const MaxInvitations = records.MaxInvitations

// Invitation lets the reader of a mail sign up, once. It reserves nothing.
type Invitation struct {
	ID InvitationID // public

	// Token is the secret text for the mail, and is there only when Invite has just
	// made it.
	Token Token

	Provider, Identifier string    // the identity of the invited person
	Roles                []string  // of the user to be made, ascending
	CreatedAt            time.Time // when it was made
	ExpiresAt            time.Time // accepted before this

	attributes string // encoded
}

// Attributes returns those of the user to be made, a private copy, never nil.
func (i Invitation) Attributes() Attributes { return decodeAttributes(i.attributes) }

// A printedInvitation is what the log of a program may have of an Invitation.
type printedInvitation struct {
	ID                   InvitationID
	Provider             string
	CreatedAt, ExpiresAt time.Time
}

func (i Invitation) printed() printedInvitation {
	return printedInvitation{i.ID, i.Provider, i.CreatedAt, i.ExpiresAt}
}

// Format implements fmt.Formatter, without identifier and attributes.
func (i Invitation) Format(f fmt.State, verb rune) { printed(f, verb, i.printed()) }

// LogValue implements slog.LogValuer, as Format.
func (i Invitation) LogValue() slog.Value { return slog.AnyValue(i.printed()) }

// NewInvitation describes the invitation to be made.
type NewInvitation struct {
	Provider, Identifier string        // the identity that gets the mail
	TTL                  time.Duration // how long it can be accepted: 1 s to 90 days
	Roles                []string      // of the user to be made: at most 16, as of [Roles]
	Attributes           Attributes    // likewise, within the bounds of [Attributes]
}

// Format implements fmt.Formatter: only the provider.
func (n NewInvitation) Format(f fmt.State, verb rune) {
	printed(f, verb, printedNewUser{"", n.Provider})
}

// LogValue implements slog.LogValuer, as Format.
func (n NewInvitation) LogValue() slog.Value { return slog.AnyValue(printedNewUser{"", n.Provider}) }

// Invite makes an invitation, in the place of one for the same identity that is
// there, whose token is void then. It is for operators: ask for a role before.
// Mail the Token to the identity alone, because accepting it is taken as proof of
// the identity.
//
// It looks at no user: it reserves nothing, and neither its result nor its time tells
// of an account with the identity. It has no event, as there is no user.
//
// An invitation ends when it is accepted, revoked or replaced, when it expires,
// and by EndEverything, ResetClock and Restore (with
// [RestoreOptions].KeepSessions too). At [MaxInvitations] live ones:
// ErrInvitationLimit. ErrInvalidInput (Provider, Identifier, TTL, Role, Roles,
// Attributes).
func (x Identities) Invite(ctx context.Context, n NewInvitation) (Invitation, error) {
	return result(ctx, "invite", x.at.update, func(tx *Tx) (Invitation, error) { return tx.invite(&n) })
}

func (tx *Tx) invite(n *NewInvitation) (Invitation, error) {
	mine, err := tx.identity(n.Provider, n.Identifier)
	if err != nil {
		return Invitation{}, err
	}
	i := codec.Invitation{
		Provider: mine.Provider, Folded: mine.Key, Identifier: mine.Identifier,
		Epoch: tx.rec.State.Epoch, ExpiresAt: clock.After(tx.rec.Now, n.TTL),
	}
	if err := n.into(&i, &tx.db.o.Roles); err != nil {
		return Invitation{}, err
	}
	if i.Key, err = tx.rec.NewInvitationKey(mine.Provider, mine.Key); err != nil {
		return Invitation{}, err
	}
	secret, err := token.NewSecret(tx.db.o.Rand)
	if err != nil {
		return Invitation{}, err
	}
	i.SecretHash = token.Invitation.Hash(secret[:])
	switch room, err := tx.rec.PutInvitation(&i); {
	case err != nil:
		return Invitation{}, err
	case !room:
		return Invitation{}, ErrInvitationLimit
	}
	out := newInvitation(&i)
	out.Token = newToken(token.Invitation, i.Key, secret[:])
	return out, nil
}

// into checks roles, attributes and life, and writes them into the record.
func (n *NewInvitation) into(i *codec.Invitation, policy *RolePolicy) (err error) {
	if n.TTL < time.Second || n.TTL > maxOneTimeLife {
		return &InputError{Field: "TTL", Code: CodeOutOfRange, Reason: "must be from 1 s to 90 days", Min: int64(time.Second), Max: int64(maxOneTimeLife)}
	}
	i.Roles = slices.Compact(slices.Sorted(slices.Values(n.Roles)))
	if len(i.Roles) > MaxRoles {
		return &InputError{Field: "Roles", Code: CodeTooMany, Reason: "must be at most 16", Max: MaxRoles}
	}
	for _, role := range i.Roles {
		if err := policy.grantable(role); err != nil {
			return err
		}
	}
	i.Attributes, err = encodeAttributes(n.Attributes, userBounds)
	return err
}

func newInvitation(i *codec.Invitation) Invitation {
	return Invitation{
		ID: InvitationID(token.Invitation.ID(i.Key)), Provider: i.Provider, Identifier: i.Identifier, Roles: slices.Clone(i.Roles),
		CreatedAt: clock.Time(i.Key.Time()), ExpiresAt: clock.Time(i.ExpiresAt), attributes: i.Attributes,
	}
}

// Invitations returns the live ones without their Token, oldest first: at most
// 10,000.
func (x Identities) Invitations(ctx context.Context) ([]Invitation, error) {
	return result(ctx, "list invitations", x.at.view, func(tx *Tx) (out []Invitation, err error) {
		err = tx.rec.EachInvitation(func(i *codec.Invitation, err error) error {
			if err != nil {
				return tx.rec.Damaged(records.SpaceInvitations, err)
			}
			if tx.rec.InvitationLive(i) {
				out = append(out, newInvitation(i))
			}
			return nil
		})
		slices.SortStableFunc(out, func(a, b Invitation) int { return a.CreatedAt.Compare(b.CreatedAt) })
		return out, err
	})
}

// RevokeInvitation ends an invitation by its id. An unknown id is no error.
// ErrInvalidInput (InvitationID) for a text that cannot be an id, such as the
// token itself.
func (x Identities) RevokeInvitation(ctx context.Context, id InvitationID) error {
	return during("revoke invitation", x.at.update(ctx, func(tx *Tx) error {
		key, err := tx.revoking(nil, "InvitationID", token.Invitation, string(id))
		if err != nil {
			return err
		}
		return tx.rec.DeleteInvitation(key)
	}))
}

// PeekInvitation returns the invitation of a token, for the page to which the mailed
// link leads. It never writes. Errors are those of AcceptInvitation.
func (x Identities) PeekInvitation(ctx context.Context, token string) (Invitation, error) {
	return result(ctx, "peek at invitation", x.at.view, func(tx *Tx) (Invitation, error) {
		i, _, err := tx.invitationBy(token)
		if err != nil {
			return Invitation{}, err
		}
		return newInvitation(&i), nil
	})
}

// AcceptInvitation makes a user with the identity of an invitation, verified by it,
// and with its roles and attributes, ends the invitation in the same commit, and
// returns the user. The rest is from n, as the page of the link has asked for it;
// Provider and Identifier must be empty, and of an attribute that both have, the
// invitation's counts. A role that [RolePolicy].Known has no more is left out.
// Another user with the identity unverified loses it, as [Identities] says. Of many
// at once, one makes a user. In a transaction the password is hashed before, as for
// [Tx.CreateUser].
//
// ErrInvalidOneTimeToken; ErrIdentityTaken if another user has verified the
// identity meanwhile, which leaves the invitation: the page asks to log in, and the
// operator grants the roles; ErrSignUpClosed by Options.SignUp; all three before a
// password is hashed. Errors of CreateUser.
func (x Identities) AcceptInvitation(ctx context.Context, token string, n NewUser) (User, error) {
	return x.newUser(ctx, "accept invitation", n,
		func(tx *Tx) error { _, _, err := tx.invitationBy(token); return err },
		func(tx *Tx, n NewUser) (User, error) { return tx.acceptInvitation(token, n) })
}

func (tx *Tx) acceptInvitation(text string, n NewUser) (User, error) {
	i, mine, err := tx.invitationBy(text)
	if err != nil {
		return User{}, err
	}
	n.Provider, n.Identifier, n.Verified = mine.Provider, mine.Identifier, true
	if i.Attributes != "" {
		merged := Attributes{}
		maps.Copy(merged, n.Attributes)
		maps.Copy(merged, decodeAttributes(i.Attributes))
		n.Attributes = merged
	}
	u, err := tx.CreateUser(n)
	if err != nil {
		return User{}, err
	}
	if err := tx.rec.Note(string(u.ID), records.EventInvitationAccepted, users.About(mine)); err != nil {
		return User{}, err
	}
	for _, role := range i.Roles {
		if tx.db.o.Roles.grantable(role) != nil {
			continue
		}
		if u, err = tx.grant(u.ID, role); err != nil {
			return User{}, tx.rec.DoomIf(true, err)
		}
	}
	return u, tx.rec.DeleteInvitation(i.Key)
}

// invitationBy returns the live record that a token leads to, and its identity, if
// that is free. The secret is hashed whether there is a record or not, and
// compared in constant time.
func (tx *Tx) invitationBy(text string) (codec.Invitation, codec.Identity, error) {
	var secret [32]byte
	key, ok := token.Invitation.Parse(text, secret[:])
	if !ok {
		return codec.Invitation{}, codec.Identity{}, ErrInvalidOneTimeToken
	}
	hash := token.Invitation.Hash(secret[:])
	i, err := tx.rec.Invitation(key)
	if err == nil && (!token.Equal(hash, i.SecretHash) || !tx.rec.InvitationLive(&i)) {
		err = ErrInvalidOneTimeToken
	}
	if err == nil {
		err = tx.db.o.SignUp.admitsInvited()
	}
	if err != nil {
		return i, codec.Identity{}, err
	}
	mine, err := tx.identity(i.Provider, i.Identifier)
	if errors.Is(err, ErrInvalidInput) {
		err = ErrInvalidOneTimeToken // the rule of the provider is another one now
	}
	if err != nil {
		return i, mine, err
	}
	holder, err := users.VerifiedHolder(&tx.rec, &mine)
	if err == nil && holder != "" {
		err = ErrIdentityTaken
	}
	return i, mine, err
}
