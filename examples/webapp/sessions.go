package main

import (
	"net/http"

	"github.com/snibdb/snib"
)

// endSession signs one device out. That the log-in is this user's is looked at in
// the transaction that ends it.
func (a *app) endSession(w http.ResponseWriter, r *http.Request) error {
	session, user := signedIn(r)
	id := snib.LoginID(r.PostFormValue("session"))
	if id == session.LoginID() {
		return a.signOut(w, r) // this device: its cookie goes too
	}
	if err := a.db.Logins().Revoke(r.Context(), user.ID, id); err != nil {
		return err
	}
	return done(w, r, "/account", "ended")
}

// endOthers signs every device out but this one.
func (a *app) endOthers(w http.ResponseWriter, r *http.Request) error {
	if err := a.sessions.LogOutOthers(w, r); err != nil {
		return err
	}
	return done(w, r, "/account", "others")
}
