package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/snibdb/snib"
)

const password = "correct horse battery"

// life is the life of an account, from sign-up to deletion. Its address is its
// own, as other programs may have the store open.
func life(ctx context.Context, db *snib.DB, notes shelf, out io.Writer) (err error) {
	address := "visitor-" + rand.Text() + "@example.com"
	user, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: address, Password: password})
	if err != nil {
		return err
	}
	defer func() { // twice is no error
		err = errors.Join(err, db.DeleteUser(context.WithoutCancel(ctx), user.ID))
	}()
	fmt.Fprintln(out, "sign-up  ", user.ID)

	session, user, err := db.LogIn(ctx, "email", address, password, snib.SessionOptions{})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "log-in   ", session.ID, session.State)

	_, first, err := db.CreateRefreshToken(ctx, user, snib.SessionOptions{})
	if err != nil {
		return err
	}
	short, _, err := db.Refresh(ctx, first.Token.Reveal())
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "refresh  ", short.ID)

	if err := db.RevokeToken(ctx, session.Token.Reveal()); err != nil {
		return err
	}
	if err := refused(db.ValidateSession(ctx, session.Token.Reveal())); err != nil {
		return err
	}
	fmt.Fprintln(out, "revoke   ", session.ID, "is refused")

	if err := notes.note(ctx, db, user.ID, "bread, milk", out); err != nil {
		return err
	}

	if err := db.DeleteUser(ctx, user.ID); err != nil {
		return err
	}
	if err := refused(db.ValidateSession(ctx, short.Token.Reveal())); err != nil {
		return err
	}
	if err := notes.gone(ctx, db, user.ID); err != nil {
		return err
	}
	fmt.Fprintln(out, "delete   ", user.ID, "with all its sessions")
	return nil
}

// refused returns nil if a session was refused, as it should be.
func refused(_ snib.Session, err error) error {
	if !errors.Is(err, snib.ErrInvalidSession) {
		return fmt.Errorf("a session that has ended: got %v", err)
	}
	return nil
}
