package main

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/snibdb/snib"
)

func signUpPage() page {
	return page{
		Title: "Create your account",
		Form: &form{Action: "/sign-up", Submit: "Create account",
			Fields: []field{emailField(), usernameField(), newPasswordField("Password")}},
	}
}

func (a *app) showSignUp(w http.ResponseWriter, r *http.Request) error {
	return a.showForm(w, r, signUpPage())
}

// signUp makes the account and signs it in.
//
// That an address is taken, it says to anyone. A program that must not would
// answer the same to all, and send the link that goes on to the address.
func (a *app) signUp(w http.ResponseWriter, r *http.Request) error {
	p := signUpPage()
	f := p.Form
	f.read(r)
	checkUsername(f)
	if f.Invalid() {
		return a.showForm(w, r, p)
	}
	user, err := a.db.CreateUser(r.Context(), snib.NewUser{
		Provider: provider, Identifier: f.get("email"), Password: f.get("new_password"),
		Attributes: snib.Attributes{attrUsername: f.get(attrUsername)},
	})
	if err == nil {
		_, err = a.sessions.LogIn(w, r, user, a.sessions.SessionOptions(r))
	}
	if err != nil {
		if f.explain(err) {
			return a.showForm(w, r, p)
		}
		return err
	}
	http.Redirect(w, r, "/account", http.StatusSeeOther)
	return nil
}

// checkUsername adds this program's rules to those of the index: a length, and
// at least one letter or digit, so that a name can be read aloud.
func checkUsername(f *form) {
	name := f.get(attrUsername)
	if n := utf8.RuneCountInString(name); n < 2 || n > 30 {
		f.fail(attrUsername, "Use 2 to 30 characters.")
	}
	if !strings.ContainsFunc(name, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		f.fail(attrUsername, "Use at least one letter or digit.")
	}
}
