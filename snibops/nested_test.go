package snibops

import (
	"errors"
	"fmt"
	"testing"

	"github.com/snibdb/snib"
)

// TestAnErrorOfACallbackThatComesFromAServerEndsTheAnswer: an error that each
// has from another client is not the end of this client's answer, whose rest
// must not pass for the answer to the next request.
func TestAnErrorOfACallbackThatComesFromAServerEndsTheAnswer(t *testing.T) {
	path := dbPath(t)
	db := open(t, path, snib.Options{})
	for i := range 5 {
		must(db.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: fmt.Sprint("u", i)}))(t)
	}
	first, second := live(t, db, path, nil), must(Dial(t.Context(), path, nil))(t)
	defer second.Close()
	_, err := VerbUsers.Do(t.Context(), first, UsersArgs{}, func(User) error {
		_, err := VerbUserDisable.Do(t.Context(), second, DisableArgs{User: "nobody"}, nil)
		return err
	})
	if !errors.Is(err, snib.ErrUserNotFound) {
		t.Errorf("users: %v", err)
	}
	if d, err := VerbUserShow.Do(t.Context(), first, UserArgs{User: "u1"}, nil); err != nil || d.User.ID == "" {
		t.Errorf("the next: %+v, %v", d.User, err)
	}
}
