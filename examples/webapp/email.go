package main

import (
	"net/http"

	"github.com/snibdb/snib"
)

func emailPage(user snib.User) page {
	address := emailField()
	address.Label, address.Autocomplete = "New e-mail address", "email"
	address.Missing = "Enter the new address."
	return page{
		Title: "E-mail address", Back: true,
		Intro: "You sign in with it. Now it is " + addressOf(user) + ".",
		Form: &form{Action: "/account/email", Submit: "Change address",
			Account: addressOf(user),
			Fields:  []field{address, passwordField("Your password")}},
	}
}

func (a *app) showEmail(w http.ResponseWriter, r *http.Request) error {
	_, user := signedIn(r)
	return a.showForm(w, r, emailPage(user))
}

// email replaces the identity by which the user signs in. The old address
// stops working at the instant at which the new one begins to, links that were
// sent to it end, and this browser gets another cookie.
//
// A program that sends mail would first send a one-time link to the new
// address, the address being its data, and do this when it comes back.
func (a *app) email(w http.ResponseWriter, r *http.Request) error {
	_, user := signedIn(r)
	p := emailPage(user)
	f := p.Form
	if !f.read(r) {
		return a.showForm(w, r, p)
	}
	err := a.withPassword(r.Context(), user, f.get("password"), func(stillHolds func(*snib.Tx) error) error {
		_, err := a.sessions.ChangeCredentials(w, r, func(tx *snib.Tx, s snib.Session) error {
			if err := stillHolds(tx); err != nil {
				return err
			}
			_, err := tx.UpdateUserProviderID(s.UserID, provider, f.get("email"))
			return err
		})
		return err
	})
	if err != nil {
		if f.explain(err) {
			return a.showForm(w, r, p)
		}
		return err
	}
	return done(w, r, "/account", "email")
}
