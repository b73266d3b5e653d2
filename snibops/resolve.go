package snibops

import (
	"errors"
	"strings"

	"github.com/snibdb/snib"
)

// bare are the providers whose identifiers can stand alone.
var bare = [...]string{"email", "username"}

// find returns the user whom a text names, as UserArgs says, and notes the user
// for the log. A text that a stranger has chosen as identifier so that it reads
// like the name of another user makes it ambiguous, and names neither.
func (a *act) find(text string) (snib.User, error) {
	if text == "" {
		return snib.User{}, &snib.InputError{Field: "User", Code: snib.CodeRequired, Reason: "is required"}
	}
	var found snib.User
	err := a.db.View(a.ctx, func(tx *snib.Tx) (err error) {
		found, err = named(tx, text)
		return err
	})
	a.user = found.ID
	return found, err
}

func named(tx *snib.Tx, text string) (found snib.User, err error) {
	if id, ok := strings.CutPrefix(text, "id="); ok {
		return tx.GetUser(snib.UserID(id))
	}
	ways := []func() (snib.User, error){func() (snib.User, error) { return tx.GetUser(snib.UserID(text)) }}
	if provider, identifier, ok := strings.Cut(text, "="); ok {
		ways = append(ways, func() (snib.User, error) { return tx.GetUserByProviderID(provider, identifier) })
	}
	for _, provider := range bare {
		ways = append(ways, func() (snib.User, error) { return tx.GetUserByProviderID(provider, text) })
	}
	for _, way := range ways {
		u, err := way()
		switch {
		case errors.Is(err, snib.ErrUserNotFound) || errors.Is(err, snib.ErrInvalidInput):
		case err != nil:
			return snib.User{}, err
		case found.ID != "" && found.ID != u.ID:
			return snib.User{}, &snib.InputError{Field: "User", Code: snib.CodeAmbiguous, Reason: "names two users: give the id, as id=…, or provider=identifier"}
		default:
			found = u
		}
	}
	if found.ID == "" {
		return found, snib.ErrUserNotFound
	}
	return found, nil
}
