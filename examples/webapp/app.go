package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// config holds the arguments of open.
type config struct {
	path     string       // of the accounts
	hosts    []string     // by which browsers reach it, the one to show first
	options  snib.Options // of the database: how long sessions live
	terminal io.Writer    // where the one-time links go
	log      io.Writer    // for the operator
}

// An app is the application. Its handlers are called concurrently.
type app struct {
	db       *snib.DB
	sessions *snibhttp.Manager
	origin   string // "http://localhost:8080"
	outbox   *outbox
	log      *slog.Logger
}

// The identity by which people sign in, and the attributes of their profile.
const (
	provider     = "email"
	attrUsername = "username" // unique; case and width are ignored
	attrName     = "name"
	attrAbout    = "about"
)

// open opens the accounts, and makes the file if it is missing. The caller
// closes the app's db.
func open(c config) (*app, error) {
	a := &app{
		// Links are made of the program's own address. The client chooses the
		// Host header: a link made of it would lead anywhere.
		origin: "http://" + c.hosts[0],
		log:    slog.New(slog.NewTextHandler(c.log, nil)),
	}
	o := c.options
	o.Indexes = []snib.Index{{Name: attrUsername, Unique: true, Fold: true}}
	o.Sessions.ExtendEvery = time.Minute // so that the list shows when each was used
	o.SweepEvery = time.Hour
	o.Logger = a.log
	var err error
	if a.db, err = snib.Open(c.path, &o); err != nil {
		return nil, err
	}
	a.outbox = newOutbox(a, c.terminal)
	a.sessions, err = snibhttp.New(a.db, &snibhttp.Options{
		App:     "snib-webapp",
		Profile: snibhttp.Loopback,
		Hosts:   anyPort(c.hosts),
		Refuse:  a.refuse,
		Logger:  a.log,
	})
	if err != nil {
		a.db.Close() // nothing has been written
		return nil, err
	}
	return a, nil
}

// anyPort returns hosts without their ports, which stand for all: a forwarded
// port (ssh -L, docker -p) reaches the program by another number.
func anyPort(hosts []string) (names []string) {
	for _, h := range hosts {
		u := url.URL{Host: h}
		names = append(names, strings.TrimSuffix(h, ":"+u.Port()))
	}
	return names
}

// handler returns everything that the program serves.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", static())
	mux.HandleFunc("GET /forget.css", forget)
	mux.Handle("/", a.sessions.Optional(limitBody(a.routes())))
	return securityHeaders(mux)
}

// routes are the pages. GET shows a page and changes nothing; POST submits it,
// and ends in a redirect or shows the errors.
func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	anyone := func(pattern string, h handler) { mux.Handle(pattern, a.handle(h)) }
	member := func(pattern string, h handler) { mux.Handle(pattern, a.sessions.Require(a.handle(h))) }

	anyone("GET /{$}", a.home)
	anyone("GET /sign-up", a.showSignUp)
	anyone("POST /sign-up", a.signUp)
	anyone("GET /sign-in", a.showLogIn)
	anyone("POST /sign-in", a.signIn)
	anyone("POST /sign-out", a.signOut)
	anyone("GET /forgotten", a.showForgotten)
	anyone("POST /forgotten", a.forgotten)
	anyone("GET /forgotten/sent", a.showSent)
	anyone("GET /reset", a.showReset)
	anyone("POST /reset", a.reset)

	member("GET /account", a.account)
	member("GET /account/profile", a.showProfile)
	member("POST /account/profile", a.profile)
	member("GET /account/email", a.showEmail)
	member("POST /account/email", a.email)
	member("GET /account/password", a.showPassword)
	member("POST /account/password", a.password)
	member("GET /account/delete", a.showDelete)
	member("POST /account/delete", a.delete)
	member("POST /account/sessions/end", a.endSession)
	member("POST /account/sessions/end-others", a.endOthers)

	anyone("GET /", func(w http.ResponseWriter, r *http.Request) error {
		a.refuse(w, r, http.StatusNotFound, nil)
		return nil
	})
	return mux
}

// A handler answers a request, or returns why it could not: an error of the
// database or of the session manager, nothing having been written to w.
type handler func(w http.ResponseWriter, r *http.Request) error

func (a *app) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.sessions.Error(w, r, err) // tells errors apart, and calls refuse
		}
	})
}

func (a *app) home(w http.ResponseWriter, r *http.Request) error {
	return a.render(w, r, http.StatusOK, "home", page{Title: "Accounts in one file"})
}

// signedIn returns the session and user of a request behind Require.
func signedIn(r *http.Request) (snib.Session, snib.User) {
	session, user, _ := snibhttp.FromContext(r.Context())
	return session, user
}
