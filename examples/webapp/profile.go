package main

import (
	"net/http"
	"unicode/utf8"

	"github.com/snibdb/snib"
)

func profilePage(user snib.User) page {
	fields := []field{
		usernameField(),
		{Name: attrName, Label: "Name", Type: "text", Autocomplete: "name", Hint: "Optional. What to call you."},
		{Name: attrAbout, Label: "About you", Type: "textarea", Hint: "Optional, up to 300 characters."},
	}
	attributes := user.Attributes()
	for i := range fields {
		fields[i].Value, _ = snib.Attr[string](attributes, fields[i].Name)
	}
	return page{
		Title: "Profile", Back: true,
		Form: &form{Action: "/account/profile", Submit: "Save profile", Fields: fields},
	}
}

func (a *app) showProfile(w http.ResponseWriter, r *http.Request) error {
	_, user := signedIn(r)
	return a.showForm(w, r, profilePage(user))
}

// profile changes the attributes that the form has. Others that the program
// may keep with the user stay as they are.
func (a *app) profile(w http.ResponseWriter, r *http.Request) error {
	_, user := signedIn(r)
	p := profilePage(user)
	f := p.Form
	f.read(r)
	checkUsername(f)
	for name, most := range map[string]int{attrName: 100, attrAbout: 300} {
		if utf8.RuneCountInString(f.get(name)) > most {
			f.fail(name, "This is too long.")
		}
	}
	if f.Invalid() {
		return a.showForm(w, r, p)
	}
	change := snib.Attributes{attrUsername: f.get(attrUsername)}
	for _, name := range []string{attrName, attrAbout} {
		change[name] = snib.Unset // an emptied field is unset
		if value := f.get(name); value != "" {
			change[name] = value
		}
	}
	if _, err := a.db.UpdateUserAttributes(r.Context(), user.ID, change); err != nil {
		if f.explain(err) {
			return a.showForm(w, r, p)
		}
		return err
	}
	return done(w, r, "/account", "profile")
}
