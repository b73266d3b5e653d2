package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/snibdb/snib"
)

// A link for a forgotten password is good once, and this long.
const (
	purposeReset = "reset-password"
	resetFor     = time.Hour
)

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
	// Counted alike for every address: nobody's mailbox is flooded.
	if err := a.db.Throttle().Begin(r.Context(), purposeReset, p.Form.get("email")); err != nil {
		return err // 429
	}
	a.outbox.sendReset(p.Form.get("email"))
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
	_, err := a.db.Tokens().Peek(r.Context(), purposeReset, token)
	switch {
	case errors.Is(err, snib.ErrInvalidOneTimeToken):
		p.Form.fail("new_password", linkIsOver)
	case err != nil:
		return err
	}
	return a.showForm(w, r, p)
}

// reset sets the password for who has the link.
func (a *app) reset(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	token := r.PostFormValue("token")
	p := resetPage(token)
	f := p.Form
	if !f.read(r) {
		return a.showForm(w, r, p)
	}
	err := a.setByLink(r.Context(), token, f.get("new_password"))
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

// setByLink uses the token and sets the password in one transaction: both happen
// or neither. With it end all sessions, and all other links.
func (a *app) setByLink(ctx context.Context, token, password string) error {
	// A stranger without a link has nothing hashed.
	if _, err := a.db.Tokens().Peek(ctx, purposeReset, token); err != nil {
		return err
	}
	// Takes long, and so comes before the transaction. The token has a turn of
	// its own, whatever strangers have hashed meanwhile.
	hash, err := a.db.HashPassword(snib.WithProof(ctx, token), password)
	if err != nil {
		return err
	}
	var id snib.UserID
	if err := a.db.Update(ctx, func(tx *snib.Tx) error {
		used, err := tx.Tokens().Use(ctx, purposeReset, token)
		if err != nil {
			return err
		}
		id = used.UserID
		_, err = tx.UpdateUserPassword(id, hash)
		return err
	}); err != nil {
		return err
	}
	// The new password must not wait for failures with the old one.
	return a.db.Throttle().Unlock(ctx, id)
}
