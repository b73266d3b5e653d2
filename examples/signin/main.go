// Signin is two sign-ins for which another library speaks the protocol: a provider of
// OpenID Connect, such as Google, and passkeys. Handlers and nothing around them: to be
// copied from.
//
//	go run . -origin https://app.example.com -issuer https://accounts.google.com \
//		-client ID -secret-file FILE -db accounts.db -key keys/accounts.key
//
// It listens on loopback, behind a proxy that speaks TLS (docs/DEPLOYMENT.md). The
// answers of the passkey routes are for navigator.credentials in the page.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// app is the program: accounts, and the libraries that speak the protocols.
type app struct {
	db       *snib.DB
	m        *snibhttp.Manager
	provider *provider // nil: passkeys only
	webauthn *webauthn.WebAuthn
}

// open opens the accounts of a site at origin, "https://app.example.com" say.
func open(origin string, path string, opts snib.Options) (*app, error) {
	site, err := url.Parse(origin)
	if err != nil {
		return nil, err
	}
	a := &app{}
	a.webauthn, err = webauthn.New(&webauthn.Config{RPID: site.Hostname(), RPDisplayName: "Example", RPOrigins: []string{origin}})
	if err != nil {
		return nil, err
	}
	if a.db, err = snib.Open(path, &opts); err != nil {
		return nil, err
	}
	a.m, err = snibhttp.New(a.db, &snibhttp.Options{App: "signin", Hosts: []string{site.Host}, Logger: opts.Logger})
	if err != nil {
		return nil, errors.Join(err, a.db.Close())
	}
	return a, nil
}

// handler has all routes.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	fresh := func(h func(http.ResponseWriter, *http.Request) error) http.Handler {
		return a.m.RequireFresh(snib.FreshFor, a.handle(h))
	}
	mux.Handle("POST /sign-in", a.handle(a.signIn))
	mux.Handle("GET /provider", a.handle(a.toProvider))
	mux.Handle("GET /provider/callback", a.handle(a.fromProvider))
	mux.Handle("POST /provider/link", fresh(a.link))
	mux.Handle("POST /passkey/options", fresh(a.passkeyOptions))
	mux.Handle("POST /passkey", fresh(a.addPasskey))
	mux.Handle("POST /passkey/challenge", a.handle(a.passkeyChallenge))
	mux.Handle("POST /passkey/sign-in", a.handle(a.passkeySignIn))
	return a.m.Optional(mux)
}

// handle is a handler that returns its error.
func (a *app) handle(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if err := h(w, r); err != nil {
			a.m.Error(w, r, err)
		}
	})
}

// signIn is the sign-in by password, beside the others.
func (a *app) signIn(w http.ResponseWriter, r *http.Request) error {
	s, _, err := a.db.LogIn(r.Context(), "email", r.PostFormValue("email"), r.PostFormValue("password"), a.m.SessionOptions(r))
	if err != nil {
		return err
	}
	return a.m.SetSession(w, r, s)
}

func main() {
	origin := flag.String("origin", "https://localhost", "`origin` of the site, as browsers write it")
	issuer := flag.String("issuer", "", "`URL` of the provider; without one there are passkeys only")
	client := flag.String("client", "", "`id` of this program at the provider")
	secret := flag.String("secret-file", "", "`file` with its secret there")
	path := flag.String("db", "accounts.db", "the `file` of the accounts")
	key := flag.String("key", "keys/accounts.key", "the key `file`, in a directory that is there")
	flag.Parse()
	if err := serve(*origin, *issuer, *client, *secret, *path, *key); err != nil {
		log.Fatal(err)
	}
}

func serve(origin, issuer, client, secretFile, path, key string) (err error) {
	a, err := open(origin, path, snib.Options{
		Keys:       []snib.Key{snib.KeyFile(key)},
		VouchesFor: map[string][]string{providerName: {"gmail.com"}},
		Logger:     slog.Default(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.db.Close()) }()
	if issuer != "" {
		secret, err := os.ReadFile(secretFile)
		if err != nil {
			return err
		}
		a.provider, err = newProvider(context.Background(), issuer, client, strings.TrimSpace(string(secret)), origin+"/provider/callback")
		if err != nil {
			return err
		}
	}
	s := http.Server{Addr: "127.0.0.1:8080", Handler: a.handler(), ReadHeaderTimeout: 5 * time.Second}
	return s.ListenAndServe()
}
