package main

import (
	"errors"
	"net/http"
	"time"

	"github.com/snibdb/snib"
)

// resetFor is how long a link for a forgotten password is good.
const resetFor = time.Hour

func forgottenPage() page {
	return page{
		Title: "Forgotten password",
		Intro: "Get a link with which you can set a new one.",
		Form:  &form{Action: "/forgotten", Submit: "Send the link", Fields: []field{emailField()}},
	}
}

func (a *app) showForgotten(w http.ResponseWriter, r *http.Request) error {
	return a.showForm(w, r, forgottenPage())
}

// forgotten asks the outbox to send a link. The answer and its timing are the
// same whether there is such an account or not.
func (a *app) forgotten(w http.ResponseWriter, r *http.Request) error {
	p := forgottenPage()
	if !p.Form.read(r) {
		return a.showForm(w, r, p)
	}
	request, err := a.db.Tokens().BeginReset(r.Context(), provider, p.Form.get("email"), resetFor)
	if err != nil {
		return err // 429, alike for every address: nobody's mailbox is flooded
	}
	a.outbox.sendReset(request)
	http.Redirect(w, r, "/forgotten/sent", http.StatusSeeOther)
	return nil
}

func (a *app) showSent(w http.ResponseWriter, r *http.Request) error {
	return a.render(w, r, http.StatusOK, "sent", page{
		Title: "Look at the terminal",
		Intro: "If there is an account with this address, its link is printed where this program runs.",
	})
}

func resetPage(token string) page {
	return page{
		Title: "Set a new password",
		Intro: "Every device that is signed in to your account will be signed out.",
		Form: &form{Action: "/reset", Submit: "Set password",
			Fields: []field{newPasswordField("New password")},
			Hidden: map[string]string{"token": token}},
	}
}

const linkIsOver = "This link was used already, or is too old. Ask for another one."

// showReset is where the link leads. It only looks at the token: mail scanners
// follow links too.
func (a *app) showReset(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store") // the token is in the page
	token := r.URL.Query().Get("token")
	p := resetPage(token)
	_, err := a.db.Tokens().PeekReset(r.Context(), token)
	switch {
	case errors.Is(err, snib.ErrInvalidOneTimeToken):
		p.Form.fail("new_password", linkIsOver)
	case err != nil:
		return err
	}
	return a.showForm(w, r, p)
}

// reset sets the password for who has the link. With it end all sessions, and all
// other links.
func (a *app) reset(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	token := r.PostFormValue("token")
	p := resetPage(token)
	f := p.Form
	if !f.read(r) {
		return a.showForm(w, r, p)
	}
	_, err := a.db.Tokens().FinishReset(r.Context(), token, f.get("new_password"))
	switch {
	case errors.Is(err, snib.ErrInvalidOneTimeToken):
		f.fail("new_password", linkIsOver)
		return a.showForm(w, r, p)
	case err != nil && f.explain(err):
		return a.showForm(w, r, p)
	case err != nil:
		return err
	}
	return done(w, r, "/sign-in", "reset")
}
