package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// resident is the account that servers have.
const resident = "ada@example.com"

// serve answers on addr until ctx ends. The first server of a store makes the
// resident.
func serve(ctx context.Context, db *snib.DB, log *slog.Logger, addr string, out io.Writer) error {
	_, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: resident, Password: password})
	if err != nil && !errors.Is(err, snib.ErrIdentityTaken) {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer l.Close()
	// Loopback, as there is no TLS: the manager refuses other hosts.
	m, err := snibhttp.New(db, &snibhttp.Options{
		App: "engines", Profile: snibhttp.Loopback, Hosts: []string{l.Addr().String()}, Logger: log,
	})
	if err != nil {
		return err
	}
	s := &http.Server{Handler: site(db, m), ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { s.Shutdown(context.WithoutCancel(ctx)) })()
	fmt.Fprintf(out, "serving   http://%s for %s, %q\n", l.Addr(), resident, password)
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// site is the three routes: sign-in, the name of the user, sign-out.
func site(db *snib.DB, m *snibhttp.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		session, user, err := db.LogIn(r.Context(), "email", r.PostFormValue("email"), r.PostFormValue("password"), m.SessionOptions(r))
		if err == nil {
			err = m.SetSession(w, r, session)
		}
		if err != nil {
			m.Error(w, r, err)
			return
		}
		fmt.Fprintln(w, "signed in as", user.ID)
	})
	mux.Handle("GET /{$}", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, user, _ := m.FromContext(r.Context())
		fmt.Fprintln(w, "you are", user.ID, "by", session.ID)
	})))
	mux.HandleFunc("POST /sign-out", func(w http.ResponseWriter, r *http.Request) {
		if err := m.LogOut(w, r); err != nil {
			m.Error(w, r, err)
			return
		}
		fmt.Fprintln(w, "signed out")
	})
	return m.Protect(mux)
}
