package main

import (
	"net/http"
	"time"

	"github.com/snibdb/snib"
)

// accountData is the data of the account page.
type accountData struct {
	Email, Username, FullName, About string
	PasswordChanged                  moment
	Devices                          []device
	Others                           int // devices but this one
}

func (a *app) account(w http.ResponseWriter, r *http.Request) error {
	session, user := signedIn(r)
	list, err := a.db.Logins().List(r.Context(), user.ID)
	if err != nil {
		return err
	}
	now := time.Now()
	data := accountData{
		Email:           addressOf(user),
		PasswordChanged: momentOf(now, user.PasswordChangedAt),
		Devices:         devicesOf(now, list, session.LoginID()),
	}
	data.Others = len(data.Devices) - 1
	attributes := user.Attributes()
	data.Username, _ = snib.Attr[string](attributes, attrUsername)
	data.FullName, _ = snib.Attr[string](attributes, attrName)
	data.About, _ = snib.Attr[string](attributes, attrAbout)
	return a.render(w, r, http.StatusOK, "account", page{Title: "Your account", Data: data})
}
