package main

import (
	"context"

	"github.com/snibdb/snib"
)

// withPassword calls then if password is the user's. A session left open must
// not suffice for an action that cannot be undone.
//
// The verification takes long and so comes before the transaction that then
// makes, in which stillHolds tells whether its result still holds. Like every
// closure of an Update, that may run more than once.
func (a *app) withPassword(ctx context.Context, user snib.User, password string, then func(stillHolds func(*snib.Tx) error) error) error {
	proven, err := a.db.AuthenticateUser(ctx, provider, addressOf(user), password)
	if err != nil {
		return err
	}
	if proven.ID != user.ID {
		return snib.ErrInvalidCredentials // the address belongs to another user by now
	}
	return then(func(tx *snib.Tx) error { return stillHolds(tx, proven) })
}

// stillHolds returns ErrInvalidCredentials if the user's password, address or
// right to be here has changed since it was proven.
func stillHolds(tx *snib.Tx, proven snib.User) error {
	now, err := tx.GetUser(proven.ID)
	if err == nil && now.CredentialVersion != proven.CredentialVersion {
		err = snib.ErrInvalidCredentials
	}
	return err
}
