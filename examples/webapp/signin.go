package main

import (
	"net/http"

	"github.com/snibdb/snib/snibhttp"
)

func signInPage(goOn string) page {
	return page{
		Title: "Sign in",
		Form: &form{Action: "/sign-in", Submit: "Sign in",
			Fields: []field{emailField(), passwordField("Password")},
			Hidden: map[string]string{"next": next(goOn)}},
		Data: "sign-in",
	}
}

func (a *app) showLogIn(w http.ResponseWriter, r *http.Request) error {
	goOn := r.URL.Query().Get("next")
	if _, _, ok := snibhttp.FromContext(r.Context()); ok {
		http.Redirect(w, r, next(goOn), http.StatusSeeOther)
		return nil
	}
	return a.showForm(w, r, signInPage(goOn))
}

// signIn verifies the password and makes the session in one transaction, and
// then sets the cookie.
func (a *app) signIn(w http.ResponseWriter, r *http.Request) error {
	p := signInPage(r.PostFormValue("next"))
	f := p.Form
	if !f.read(r) {
		return a.showForm(w, r, p)
	}
	session, _, err := a.db.LogIn(r.Context(), provider, f.get("email"), f.get("password"), a.sessions.SessionOptions(r))
	if err != nil {
		if f.explain(err) {
			return a.showForm(w, r, p)
		}
		return err
	}
	if err := a.sessions.SetSession(w, r, session); err != nil {
		return err
	}
	http.Redirect(w, r, f.Hidden["next"], http.StatusSeeOther)
	return nil
}

func (a *app) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := a.sessions.LogOut(w, r); err != nil {
		return err
	}
	return done(w, r, "/", "signed-out")
}
