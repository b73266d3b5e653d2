// Command snib serves the accounts of a snib file, behind snibhttp, with the
// defaults of both.
package main

import (
	"net/http"
	"path/filepath"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/bench/http/internal/surface"
	"github.com/snibdb/snib/snibhttp"
)

const provider = "email"

type server struct {
	db       *snib.DB
	sessions *snibhttp.Manager
}

func main() { surface.Main(open) }

func open(o surface.Options) (surface.Server, error) {
	db, err := snib.Open(filepath.Join(o.Dir, "accounts.db"), nil)
	if err != nil {
		return surface.Server{}, err
	}
	sessions, err := snibhttp.New(db, &snibhttp.Options{App: "bench"})
	if err != nil {
		return surface.Server{}, err
	}
	s := &server{db, sessions}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /signup", s.signUp)
	mux.HandleFunc("POST /login", s.logIn)
	mux.Handle("GET /me", sessions.Require(http.HandlerFunc(me)))
	mux.HandleFunc("POST /logout", s.logOut)
	return surface.Server{Handler: sessions.Protect(mux), Close: db.Close}, nil
}

func (s *server) signUp(w http.ResponseWriter, r *http.Request) {
	c, err := surface.Read(w, r)
	if err != nil {
		snibhttp.WriteStatus(w, r, http.StatusBadRequest)
		return
	}
	user, err := s.db.CreateUser(r.Context(), snib.NewUser{Provider: provider, Identifier: c.Email, Password: c.Password})
	if err == nil {
		_, err = s.sessions.LogIn(w, r, user, s.sessions.SessionOptions(r))
	}
	s.answer(w, r, http.StatusCreated, err)
}

func (s *server) logIn(w http.ResponseWriter, r *http.Request) {
	c, err := surface.Read(w, r)
	if err != nil {
		snibhttp.WriteStatus(w, r, http.StatusBadRequest)
		return
	}
	session, _, err := s.db.LogIn(r.Context(), provider, c.Email, c.Password, s.sessions.SessionOptions(r))
	if err == nil {
		err = s.sessions.SetSession(w, r, session)
	}
	s.answer(w, r, http.StatusOK, err)
}

func me(w http.ResponseWriter, r *http.Request) {
	_, user, _ := snibhttp.FromContext(r.Context())
	surface.Write(w, http.StatusOK, map[string]string{"id": string(user.ID), "email": user.Identities[0].Identifier})
}

func (s *server) logOut(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, http.StatusOK, s.sessions.LogOut(w, r))
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, status int, err error) {
	if err != nil {
		s.sessions.Error(w, r, err)
		return
	}
	surface.Write(w, status, map[string]bool{"ok": true})
}
