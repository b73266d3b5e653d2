// Command betterauth serves better-auth-go on SQLite.
package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"

	betterauth "github.com/eadwinCode/better-auth-go"
	"github.com/eadwinCode/better-auth-go/adapter/sqlite"
	_ "modernc.org/sqlite"

	"github.com/snibdb/snib/bench/http/internal/surface"
)

type mailer struct{}

func (mailer) Send(context.Context, betterauth.Mail) error { return nil }

type nobody struct{}

func (nobody) CanImpersonate(context.Context, betterauth.User, betterauth.User) error {
	return betterauth.ErrNotFound
}

func main() { surface.Main(open) }

func open(o surface.Options) (surface.Server, error) {
	db, err := sql.Open("sqlite", o.SQLite("accounts.sqlite"))
	if err != nil {
		return surface.Server{}, err
	}
	store, err := sqlite.New(db)
	if err != nil {
		return surface.Server{}, err
	}
	passwords, err := betterauth.NewArgon2idVerifier(betterauth.Argon2Params{
		Memory: surface.HashKiB, Iterations: surface.HashPasses, Parallelism: surface.HashThreads, SaltLength: 16, KeyLength: 32,
	}, 128)
	if err != nil {
		return surface.Server{}, err
	}
	auth, err := betterauth.New(betterauth.Config{
		PublicURL: "https://" + surface.Host, TrustedOrigins: []string{"https://" + surface.Host},
		Database: store, Mailer: mailer{}, ImpersonationAuthorizer: nobody{}, Passwords: passwords,
	})
	if err != nil {
		return surface.Server{}, err
	}
	if err := store.Migrate(context.Background(), auth.Schema()); err != nil {
		return surface.Server{}, err
	}
	mux := http.NewServeMux()
	for from, to := range map[string]string{"/signup": "/sign-up/email", "/login": "/sign-in/email", "/logout": "/sign-out"} {
		mux.HandleFunc("POST "+from, func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = "/api/auth" + to
			auth.Handler().ServeHTTP(w, r)
		})
	}
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		who, err := auth.ResolveSession(r.Context(), r)
		switch {
		case errors.Is(err, betterauth.ErrNoSession):
			http.Error(w, "sign in", http.StatusUnauthorized)
		case err != nil:
			http.Error(w, "sorry", http.StatusServiceUnavailable)
		default:
			surface.Write(w, http.StatusOK, map[string]string{"id": who.User.ID, "email": who.User.Email})
		}
	})
	return surface.Server{Handler: mux, Close: db.Close}, nil
}
