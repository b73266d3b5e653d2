// Package users changes users: their record, with the identities that pass from one
// to another, and all that a change ends and tells.
package users

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	"github.com/snibdb/snib/internal/token"
)

// Update changes a copy of a user's record by change, which gathers the cascade in c,
// and writes both. Without a change of the record it writes nothing.
func Update(tx *records.Tx, id string, change func(u *codec.User, c *records.Cascade) error) (codec.User, error) {
	before, err := tx.User(id)
	if err != nil {
		return codec.User{}, err
	}
	u := before
	u.Identities = slices.Clone(before.Identities)
	c := records.Cascade{UserID: u.ID}
	if err := change(&u, &c); err != nil {
		return codec.User{}, err
	}
	if err := Upgrade(tx, &u, &c); err != nil {
		return codec.User{}, err
	}
	if bytes.Equal(u.Append(nil), before.Append(nil)) {
		return u, nil // nothing changes, and nothing ends
	}
	if err := c.Write(tx); err != nil {
		return codec.User{}, err
	}
	u.UpdatedAt = tx.Now
	if err := tx.PutUser(&before, &u); err != nil {
		return codec.User{}, err
	}
	return u, nil
}

// Upgrade makes an ordinary user of a guest with an identity or a password. A planted
// guest may have an API key or a passkey of the stranger's: they end, too.
func Upgrade(tx *records.Tx, u *codec.User, c *records.Cascade) error {
	if u.GuestSeenAt == 0 || len(u.Identities) == 0 && u.PasswordHash == "" {
		return nil
	}
	u.GuestSeenAt = 0
	u.Flags &^= records.UserHasFactor
	u.CredentialVersion++
	c.Note(records.EventGuestUpgraded, records.About{})
	return c.On(tx, records.FactorsReset)
}

// Add writes a new user, whose identities and values are free. Its credential
// version begins at random, so that a proof of an earlier user with the same id
// proves nothing of this one.
func Add(tx *records.Tx, u *codec.User) error {
	version, err := token.NewSecret(tx.Rand)
	if err != nil {
		return err
	}
	u.CredentialVersion = max(1, binary.BigEndian.Uint64(version[:])>>1)
	u.UpdatedAt = u.CreatedAt
	return tx.PutUser(&codec.User{}, u)
}

// SetAttributes gives a record attributes and the index entries that it owns by
// them, after looking whether they are free. raw is their encoded form.
func SetAttributes(tx *records.Tx, u *codec.User, raw string, values map[string]any) error {
	entries, err := tx.Entries(tx.Declared.Indexes, values)
	if err != nil {
		return err
	}
	u.Attributes, u.Entries = raw, entries
	_, err = tx.EntriesFree(u)
	return err
}

// Disable shuts a user out. Of a disabled user it changes the reason.
func Disable(tx *records.Tx, u *codec.User, c *records.Cascade, reason string) error {
	u.DisabledReason = reason
	if u.DisabledAt != 0 {
		return nil
	}
	if err := MayLose(tx, u, u.Roles...); err != nil {
		return err
	}
	u.DisabledAt = tx.Now
	u.CredentialVersion++
	c.Note(records.EventUserDisabled, records.About{})
	return c.On(tx, records.UserDisabled)
}

// Enable lets a disabled user in again.
func Enable(u *codec.User, c *records.Cascade) {
	if u.DisabledAt != 0 {
		u.DisabledAt, u.DisabledReason = 0, ""
		u.CredentialVersion++
		c.Note(records.EventUserEnabled, records.About{})
	}
}
