package main

import (
	"net/http"

	"github.com/snibdb/snib"
)

func passwordPage(user snib.User) page {
	return page{
		Title: "Password", Back: true,
		Intro: "Every device but this one will be signed out.",
		Form: &form{Action: "/account/password", Submit: "Change password",
			Account: addressOf(user),
			Fields:  []field{passwordField("Current password"), newPasswordField("New password")}},
	}
}

func (a *app) showPassword(w http.ResponseWriter, r *http.Request) error {
	_, user := signedIn(r)
	return a.showForm(w, r, passwordPage(user))
}

// password changes the password, ends every other session and gives this one
// another cookie, in one transaction.
func (a *app) password(w http.ResponseWriter, r *http.Request) error {
	_, user := signedIn(r)
	p := passwordPage(user)
	f := p.Form
	if !f.read(r) {
		return a.showForm(w, r, p)
	}
	if _, err := a.sessions.ChangePassword(w, r, f.get("password"), f.get("new_password")); err != nil {
		if f.explain(err) {
			return a.showForm(w, r, p)
		}
		return err
	}
	return done(w, r, "/account", "password")
}
