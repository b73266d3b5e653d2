package users

import (
	"errors"
	"slices"
	"strings"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/records"
)

// Identity returns the identity of a provider and an identifier, as it is linked
// now. ErrInvalidInput (Provider, Identifier).
func Identity(f *records.File, d *records.Declared, provider, identifier string, now int64) (codec.Identity, error) {
	x, field, fault := Known(d, provider, identifier)
	if fault.Found() {
		return codec.Identity{}, f.Input(field, fault)
	}
	x.LinkedAt = now
	return x, nil
}

// Known is Identity without a time, or the field at fault.
func Known(d *records.Declared, provider, identifier string) (x codec.Identity, field string, fault fold.Fault) {
	if fault := fold.Provider(provider); fault.Found() {
		return x, "Provider", fault
	}
	key, fault := d.Fold(provider, identifier)
	if fault.Found() {
		return x, "Identifier", fault
	}
	return codec.Identity{Provider: provider, Key: key, Identifier: identifier}, "", fault
}

// Domain returns that of an address; "" for an identifier of another rule, in
// which "@" means nothing.
func Domain(d *records.Declared, x *codec.Identity) string {
	if d.Rule(x.Provider) != fold.Email {
		return ""
	}
	return x.Key[strings.LastIndexByte(x.Key, '@')+1:]
}

// ByIdentity returns the record of the user with an identity, or ErrUserNotFound,
// also for one that cannot be.
func ByIdentity(tx *records.Tx, provider, identifier string) (codec.User, error) {
	x, err := Identity(tx.File, tx.Declared, provider, identifier, 0)
	if err != nil {
		return codec.User{}, records.ErrUserNotFound
	}
	id, ok, err := tx.IdentityOwner(x)
	if err != nil {
		return codec.User{}, err
	}
	if !ok {
		return codec.User{}, records.ErrUserNotFound
	}
	u, err := tx.User(id)
	if err == nil && records.FindIdentity(&u, x) < 0 {
		// A damaged entry, or one of a lost user whose id was given again,
		// must not let in another user.
		return codec.User{}, tx.Stray(records.SpaceIdentities)
	}
	return u, tx.Orphan(records.SpaceIdentities, err)
}

// VerifiedHolder returns the verified holder of an identity, or "".
func VerifiedHolder(tx *records.Tx, x *codec.Identity) (string, error) {
	u, err := ByIdentity(tx, x.Provider, x.Identifier)
	switch i := records.FindIdentity(&u, *x); {
	case err != nil && !errors.Is(err, records.ErrUserNotFound):
		return "", err
	case i < 0 || u.Identities[i].VerifiedAt == 0:
		return "", nil
	}
	return u.ID, nil
}

// About is the part of an event that tells an identity. Of one that is gone, a
// notice to the old address is made from it.
func About(x codec.Identity) records.About {
	return records.About{Detail: x.Provider + " " + x.Identifier}
}

// Move puts x in the place of u's identity of its provider, and returns the one
// that is gone: none if u had x already.
func Move(tx *records.Tx, u *codec.User, c *records.Cascade, x codec.Identity) (old codec.Identity, err error) {
	i, fault := Replaced(u, x.Provider)
	if fault.Found() {
		return old, tx.Input("Provider", fault)
	}
	if err := Claim(tx, x, u.ID); err != nil {
		return old, err
	}
	kind, about := records.EventIdentityLinked, About(x)
	switch {
	case i == len(u.Identities):
		u.Identities = append(u.Identities, x)
	case records.FindIdentity(u, x) == i:
		renew(&u.Identities[i], x)
		return old, nil
	default:
		old, u.Identities[i] = u.Identities[i], x
		kind, about = records.EventIdentityMoved, About(old)
	}
	u.CredentialVersion++
	c.Note(kind, about)
	return old, c.On(tx, records.IdentityMoves)
}

// renew writes an identity over the same one, which may be spelled otherwise.
// Mail goes to the spelling, so another one has to be proven again.
func renew(have *codec.Identity, x codec.Identity) {
	if x.VerifiedAt == 0 && x.Identifier == have.Identifier {
		x.VerifiedAt = have.VerifiedAt
	}
	x.LinkedAt = have.LinkedAt
	*have = x
}

// Replaced returns the position among u's identities at which a new one of
// provider goes: that of the only one of it, or else of the only one.
func Replaced(u *codec.User, provider string) (int, fold.Fault) {
	at, found := 0, 0
	for i, x := range u.Identities {
		if x.Provider == provider {
			at, found = i, found+1
		}
	}
	switch {
	case found == 1, found == 0 && len(u.Identities) <= 1:
		return at, fold.Fault{}
	case found == 0:
		return 0, fold.Fault{Code: fold.Ambiguous, Reason: "is of none of the user's several identities: link the new one"}
	}
	return 0, fold.Fault{Code: fold.Ambiguous, Reason: "is of several of the user's identities: link the new one and unlink the old one"}
}

// Link gives u one more identity. One that u has already is proven, if x is.
// ErrTooMany; errors of Claim.
func Link(tx *records.Tx, u *codec.User, c *records.Cascade, x codec.Identity) error {
	i := records.FindIdentity(u, x)
	switch {
	case i >= 0 && x.VerifiedAt == 0:
		return nil
	case i >= 0:
		c.Note(records.EventIdentityProven, About(x))
		renew(&u.Identities[i], x)
		return nil
	case len(u.Identities) >= records.MaxIdentities:
		return records.ErrTooMany
	}
	if err := Claim(tx, x, u.ID); err != nil {
		return err
	}
	c.Note(records.EventIdentityLinked, About(x))
	u.Identities = append(u.Identities, x)
	return nil
}

// Unlink takes an identity from u, unless it is the last.
func Unlink(tx *records.Tx, u *codec.User, c *records.Cascade, x codec.Identity) error {
	i := records.FindIdentity(u, x)
	switch {
	case i < 0:
		return nil
	case len(u.Identities) == 1:
		return tx.Input("Identifier", fold.Fault{Code: fold.NotAllowed, Reason: "is the user's last identity"})
	}
	c.Note(records.EventIdentityRemoved, About(u.Identities[i]))
	u.Identities = slices.Delete(u.Identities, i, i+1)
	u.CredentialVersion++
	return c.On(tx, records.IdentityMoves)
}

// claimed is the reason for disabling a user whose only identity went to its
// proven holder.
const claimed = "identity-claimed"

// Claim makes x free for the user id, and is the last that can refuse it: a verified x
// is taken from another user with x unverified.
func Claim(tx *records.Tx, x codec.Identity, id string) error {
	owner, ok, err := tx.IdentityOwner(x)
	switch {
	case err != nil || !ok || owner == id:
		return err
	case x.VerifiedAt == 0:
		return records.ErrIdentityTaken
	}
	_, err = Update(tx, owner, func(u *codec.User, c *records.Cascade) error { return lose(tx, u, c, x) })
	return tx.Orphan(records.SpaceIdentities, err)
}

// lose takes from u an identity that another has proven to hold.
func lose(tx *records.Tx, u *codec.User, c *records.Cascade, x codec.Identity) error {
	i := records.FindIdentity(u, x)
	switch {
	case i < 0:
		return tx.Stray(records.SpaceIdentities)
	case u.Identities[i].VerifiedAt != 0:
		return records.ErrIdentityTaken
	}
	about := About(u.Identities[i])
	about.Library, about.Other = true, true
	c.Note(records.EventIdentityClaimed, about)
	u.Identities = slices.Delete(u.Identities, i, i+1)
	u.CredentialVersion++
	ends := records.IdentityMoves
	if len(u.Identities) == 0 && u.DisabledAt == 0 {
		err := MayLose(tx, u, u.Roles...)
		if errors.Is(err, records.ErrLastHolder) {
			return c.On(tx, ends) // a live session can link another identity
		}
		if err != nil {
			return err
		}
		u.DisabledAt, u.DisabledReason = tx.Now, claimed
		c.Note(records.EventUserDisabled, records.About{Library: true, Other: true})
		ends |= records.UserDisabled
	}
	return c.On(tx, ends)
}
