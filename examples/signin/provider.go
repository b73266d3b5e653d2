package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// providerName is the provider of identities by the issuer, one name for one issuer.
const providerName = "google"

// provider is an OpenID Connect provider.
type provider struct {
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
}

func newProvider(ctx context.Context, issuer, client, secret, callback string) (*provider, error) {
	p, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	return &provider{
		oauth:    oauth2.Config{ClientID: client, ClientSecret: secret, Endpoint: p.Endpoint(), RedirectURL: callback, Scopes: []string{oidc.ScopeOpenID, "email"}},
		verifier: p.Verifier(&oidc.Config{ClientID: client}),
	}, nil
}

// The cookies of a sign-in that is on its way.
const (
	askedCookie = "__Host-asked" // state, nonce and verifier, in the browser that asked
	linkCookie  = "__Host-link"  // the Pending of a LinkRequiredError
)

// setCookie sets a cookie for ten minutes, or removes it for "". Lax, because the
// provider's redirect comes from another site.
func setCookie(w http.ResponseWriter, name, value string) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: 600, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// toProvider sends the browser to the provider.
func (a *app) toProvider(w http.ResponseWriter, r *http.Request) error {
	if a.provider == nil {
		snibhttp.WriteStatus(w, r, http.StatusNotFound)
		return nil
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	setCookie(w, askedCookie, state+"."+nonce+"."+verifier)
	http.Redirect(w, r, a.provider.oauth.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), http.StatusSeeOther)
	return nil
}

// fromProvider is the callback. The state in it, which is that of the cookie, proves
// that the user of this browser has asked.
func (a *app) fromProvider(w http.ResponseWriter, r *http.Request) error {
	answer, err := a.answer(w, r)
	if err != nil {
		return errors.Join(snibhttp.ErrUnauthenticated, err)
	}
	user, err := a.db.Identities().ResolveExternal(r.Context(), answer)
	if e, ok := errors.AsType[*snib.LinkRequiredError](err); ok {
		setCookie(w, linkCookie, e.Pending.Reveal())
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther) // says that there is an account, and then offers link
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := a.m.LogIn(w, r, user, a.m.SessionOptions(r)); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// answer verifies the answer of the provider.
func (a *app) answer(w http.ResponseWriter, r *http.Request) (snib.External, error) {
	kept, err := r.Cookie(askedCookie)
	if err != nil || a.provider == nil {
		return snib.External{}, errors.New("no sign-in was asked for here")
	}
	setCookie(w, askedCookie, "")
	asked := strings.Split(kept.Value, ".")
	if len(asked) != 3 || r.URL.Query().Get("state") != asked[0] {
		return snib.External{}, errors.New("state of another sign-in")
	}
	token, err := a.provider.oauth.Exchange(r.Context(), r.URL.Query().Get("code"), oauth2.VerifierOption(asked[2]))
	if err != nil {
		return snib.External{}, err
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := a.provider.verifier.Verify(r.Context(), raw)
	if err != nil {
		return snib.External{}, err
	}
	if id.Nonce != asked[1] {
		return snib.External{}, errors.New("nonce of another sign-in")
	}
	var claims struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
	}
	if err := id.Claims(&claims); err != nil {
		return snib.External{}, err
	}
	e := snib.External{Provider: providerName, Subject: id.Subject}
	if claims.Verified {
		e.AddressProvider, e.Address = "email", claims.Email
	}
	return e, nil
}

// link gives the signed-in user the identity that is waiting.
func (a *app) link(w http.ResponseWriter, r *http.Request) error {
	pending, err := r.Cookie(linkCookie)
	if err != nil {
		return snib.ErrInvalidOneTimeToken
	}
	setCookie(w, linkCookie, "")
	_, err = a.m.ChangeCredentials(w, r, func(tx *snib.Tx, s snib.Session) error {
		_, err := tx.Identities().FinishLink(r.Context(), s, pending.Value)
		return err
	})
	return err
}
