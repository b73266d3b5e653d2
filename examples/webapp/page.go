package main

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"path"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

//go:embed templates
var templateFiles embed.FS

// templates are the pages by name, each with the layout around it.
var templates = func() map[string]*template.Template {
	pages := map[string]*template.Template{}
	for _, name := range []string{"home", "form", "sent", "account", "refused"} {
		pages[name] = template.Must(template.ParseFS(templateFiles,
			"templates/layout.html", "templates/fields.html", path.Join("templates", name+".html")))
	}
	return pages
}()

// A page is the data of a template.
type page struct {
	Title  string
	Intro  string // one sentence under the title
	Form   *form  // nil for a page without one
	Back   bool   // there is a way back to the account
	Data   any    // of the template's own
	Notice string // the outcome of the last action
	Name   string // of the signed-in user, "" while signed out
}

// notices are the texts at the top of a page, by the parameter "done" of its
// address: fixed words only, so that a link from another site cannot put its
// own there.
var notices = map[string]string{
	"email":      "Your e-mail address is changed.",
	"password":   "Your password is changed, and every other device is signed out.",
	"profile":    "Your profile is saved.",
	"ended":      "That device is signed out.",
	"others":     "Every other device is signed out.",
	"reset":      "Your new password is set. Sign in with it.",
	"signed-out": "You are signed out.",
	"deleted":    "Your account is deleted, with everything that belonged to it.",
}

// done redirects to a page that confirms the action. The browser fetches it by
// GET: reloading it, or going back to it, sends no form again.
func done(w http.ResponseWriter, r *http.Request, to, what string) error {
	http.Redirect(w, r, to+"?done="+url.QueryEscape(what), http.StatusSeeOther)
	return nil
}

// render writes a page. It is made whole before anything of it is sent, so
// that an error is still an answer of its own.
func (a *app) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) error {
	if _, user, ok := snibhttp.FromContext(r.Context()); ok {
		p.Name = displayName(user)
	}
	if site := r.Header.Get("Sec-Fetch-Site"); status == http.StatusOK && (site == "same-origin" || site == "") {
		p.Notice = notices[r.URL.Query().Get("done")]
	}
	var body bytes.Buffer
	if err := templates[name].ExecuteTemplate(&body, "layout", p); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := body.WriteTo(w)
	if err != nil {
		a.log.Debug("a page was not sent whole", "error", err) // the client has gone
	}
	return nil
}

// showForm writes a page with a form: 200 for a new one, and 422, or the form's
// own status, for a submitted one with errors.
func (a *app) showForm(w http.ResponseWriter, r *http.Request, p page) error {
	return a.render(w, r, p.Form.status(), "form", p)
}

// displayName returns the name to greet a user by.
func displayName(u snib.User) string {
	attributes := u.Attributes()
	if name, _ := snib.Attr[string](attributes, attrName); name != "" {
		return name
	}
	name, _ := snib.Attr[string](attributes, attrUsername)
	return name
}
