package main

import (
	"net/http"

	"github.com/snibdb/snib"
)

func deletePage(user snib.User) page {
	return page{
		Title: "Delete your account", Back: true,
		Intro: "This cannot be undone. Your address and your user name become free for others.",
		Form: &form{Action: "/account/delete", Submit: "Delete my account", Danger: true,
			Account: addressOf(user),
			Fields:  []field{passwordField("Your password")}},
	}
}

func (a *app) showDelete(w http.ResponseWriter, r *http.Request) error {
	_, user := signedIn(r)
	return a.showForm(w, r, deletePage(user))
}

// delete removes the user and all that is the user's. Rows of the program's own
// would be removed in the same transaction.
func (a *app) delete(w http.ResponseWriter, r *http.Request) error {
	_, user := signedIn(r)
	p := deletePage(user)
	f := p.Form
	if !f.read(r) {
		return a.showForm(w, r, p)
	}
	err := a.withPassword(r.Context(), user, f.get("password"), func(stillHolds func(*snib.Tx) error) error {
		return a.db.Update(r.Context(), func(tx *snib.Tx) error {
			if err := stillHolds(tx); err != nil {
				return err
			}
			return tx.DeleteUser(user.ID)
		})
	})
	if err != nil {
		if f.explain(err) {
			return a.showForm(w, r, p)
		}
		return err
	}
	if err := a.sessions.LogOut(w, r); err != nil { // the session is gone, the cookie is not
		return err
	}
	return done(w, r, "/", "deleted")
}
