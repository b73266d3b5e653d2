package snibhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// browse sends a request as a browser does from a page of the program, prints
// the status, and returns the cookie that was set.
func browse(h http.Handler, method, target string, cookies ...*http.Cookie) []*http.Cookie {
	return send(h, method, target, nil, cookies...)
}

// send is browse with a form.
func send(h http.Handler, method, target string, form url.Values, cookies ...*http.Cookie) []*http.Cookie {
	r := httptest.NewRequest(method, "https://notes.example"+target, strings.NewReader(form.Encode()))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(method, " ", target, " ", w.Code, " ", w.Body)))
	return w.Result().Cookies()
}

// open opens a new database with one user.
func open() (db *snib.DB, user snib.User, done func()) {
	dir, err := os.MkdirTemp("", "snibhttp")
	if err != nil {
		log.Fatal(err)
	}
	db, err = snib.Open(filepath.Join(dir, "accounts.db"), nil)
	if err != nil {
		log.Fatal(err)
	}
	user, err = db.CreateUser(context.Background(), snib.NewUser{
		Provider: "email", Identifier: "ada@example.com", Password: "correct horse battery",
		Attributes: snib.Attributes{"name": "Ada"},
	})
	if err != nil {
		log.Fatal(err)
	}
	return db, user, func() {
		if err := errors.Join(db.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

// A program with a sign-in, a page for users, and a sign-out.
func Example() {
	db, _, done := open()
	defer done()

	sessions, err := snibhttp.New(db, &snibhttp.Options{App: "notes"})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		session, _, err := db.LogIn(r.Context(), "email", r.PostFormValue("email"), r.PostFormValue("password"), sessions.SessionOptions(r))
		if err == nil {
			err = sessions.SetSession(w, r, session)
		}
		if err != nil {
			sessions.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/account", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /sign-out", func(w http.ResponseWriter, r *http.Request) {
		if err := sessions.LogOut(w, r); err != nil {
			sessions.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.Handle("GET /account", sessions.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, user, _ := snibhttp.FromContext(r.Context())
		fmt.Fprintf(w, "Hello %s", user.Attributes()["name"])
	})))
	site := sessions.Optional(mux) // for http.Server.Handler

	browse(site, "GET", "/account")
	send(site, "POST", "/sign-in", url.Values{"email": {"ada@example.com"}, "password": {"wrong"}})
	cookies := send(site, "POST", "/sign-in", url.Values{"email": {"ada@example.com"}, "password": {"correct horse battery"}})
	browse(site, "GET", "/account", cookies...)
	browse(site, "POST", "/sign-out", cookies...)
	browse(site, "GET", "/account", cookies...)
	// Output:
	// GET /account 401 Unauthorized. Sign in to go on.
	// POST /sign-in 401 Unauthorized. Sign in to go on.
	// POST /sign-in 303
	// GET /account 200 Hello Ada
	// POST /sign-out 303
	// GET /account 401 Unauthorized. Sign in to go on.
}

// A user who has proven in another way who they are: here, an OAuth provider
// has said so.
func ExampleManager_LogIn() {
	db, _, done := open()
	defer done()
	sessions, err := snibhttp.New(db, &snibhttp.Options{App: "notes"})
	if err != nil {
		log.Fatal(err)
	}
	callback := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// What the state of the callback and the provider's answer prove:
		user, err := db.GetUserByProviderID(r.Context(), "email", "ada@example.com")
		if err == nil {
			options := sessions.SessionOptions(r)
			options.Methods = snib.MethodProvider
			_, err = sessions.LogIn(w, r, user, options)
		}
		if err != nil {
			sessions.Error(w, r, err)
			return
		}
		io.WriteString(w, "signed in")
	})
	for _, c := range browse(callback, "GET", "/callback") {
		fmt.Println(c.Name, c.Secure, c.HttpOnly, c.MaxAge)
	}
	// Output:
	// GET /callback 200 signed in
	// __Host-notes true true 7776000
	// __Host-notes.device true true 34560000
}

// A log-in with "remember me": the cookie of who does not tick it ends with the
// browser, which is then no known device.
func ExampleManager_SetSession() {
	db, _, done := open()
	defer done()
	sessions, err := snibhttp.New(db, &snibhttp.Options{App: "notes"})
	if err != nil {
		log.Fatal(err)
	}
	signIn := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		options := sessions.SessionOptions(r)
		options.Persistent = r.PostFormValue("remember") == "yes"
		session, _, err := db.LogIn(r.Context(), "email", r.PostFormValue("email"), r.PostFormValue("password"), options)
		if err == nil {
			err = sessions.SetSession(w, r, session)
		}
		if err != nil {
			sessions.Error(w, r, err)
		}
	})
	form := url.Values{"email": {"ada@example.com"}, "password": {"correct horse battery"}}
	for _, remember := range []string{"", "yes"} {
		form.Set("remember", remember)
		for _, c := range send(signIn, "POST", "/sign-in", form) {
			fmt.Println(c.Name, c.MaxAge)
		}
	}
	// Output:
	// POST /sign-in 200
	// __Host-notes 0
	// POST /sign-in 200
	// __Host-notes 7776000
	// __Host-notes.device 34560000
}

// A native client logs in, then exchanges its refresh token.
func ExampleManager_TokenHandler() {
	db, user, done := open()
	defer done()
	sessions, err := snibhttp.New(db, &snibhttp.Options{App: "notes"})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/token", sessions.TokenHandler())
	mux.Handle("/revoke", sessions.RevokeHandler())

	_, refresh, err := db.CreateRefreshToken(context.Background(), user, snib.SessionOptions{})
	if err != nil {
		log.Fatal(err)
	}
	form := "grant_type=refresh_token&refresh_token=" + refresh.Token.Reveal()
	r := httptest.NewRequest("POST", "/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Content-Type"), w.Header().Get("Cache-Control"))
	// Output:
	// 200 application/json no-store
}

// A visitor who is not signed in is sent to the sign-in page, and a program that has
// no API key is not.
func ExampleOptions_refuse() {
	db, _, done := open()
	defer done()
	sessions, err := snibhttp.New(db, &snibhttp.Options{
		App: "notes",
		Refuse: func(w http.ResponseWriter, r *http.Request, status int, _ error) {
			if status == http.StatusUnauthorized && r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, "/api/") {
				http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
				return
			}
			snibhttp.WriteStatus(w, r, status)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	account := sessions.Require(http.NotFoundHandler())
	browse(account, "GET", "/account")
	browse(account, "POST", "/account")
	// Output:
	// GET /account 303 <a href="/sign-in">See Other</a>.
	// POST /account 401 Unauthorized. Sign in to go on.
}

// A change of the address asks for the password, unless it was given in the last
// five minutes. The form for it posts to /password.
func ExampleManager_RequireFresh() {
	db, user, done := open()
	defer done()
	m, err := snibhttp.New(db, &snibhttp.Options{App: "notes", Refuse: func(w http.ResponseWriter, r *http.Request, status int, err error) {
		if errors.Is(err, snibhttp.ErrNotFresh) {
			http.Redirect(w, r, "/password", http.StatusSeeOther)
			return
		}
		snibhttp.WriteStatus(w, r, status)
	}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /log-in", func(w http.ResponseWriter, r *http.Request) {
		if _, err := m.LogIn(w, r, user, m.SessionOptions(r)); err != nil {
			m.Error(w, r, err)
		}
	})
	mux.HandleFunc("POST /password", func(w http.ResponseWriter, r *http.Request) {
		if _, err := m.Reauthenticate(w, r, r.PostFormValue("password")); errors.Is(err, snib.ErrInvalidCredentials) {
			http.Error(w, "This is not the password.", http.StatusForbidden)
		} else if err != nil {
			m.Error(w, r, err)
		}
	})
	mux.Handle("POST /address", m.RequireFresh(5*time.Minute, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "changed")
	})))

	cookies := send(mux, "POST", "/log-in", nil)
	send(mux, "POST", "/address", nil, cookies...)
	send(mux, "POST", "/password", url.Values{"password": {"a guess"}}, cookies...)
	again := send(mux, "POST", "/password", url.Values{"password": {"correct horse battery"}}, cookies...)
	send(mux, "POST", "/address", nil, cookies...) // the old cookie, copied by a thief
	send(mux, "POST", "/address", nil, again...)
	// Output:
	// POST /log-in 200
	// POST /address 200 changed
	// POST /password 403 This is not the password.
	// POST /password 200
	// POST /address 401 Unauthorized. Sign in to go on.
	// POST /address 200 changed
}

func ExampleManager_RequireKey() {
	db, user, done := open()
	defer done()
	m, err := snibhttp.New(db, &snibhttp.Options{App: "notes"})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	notes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, user, _ := snibhttp.KeyFrom(r.Context())
		fmt.Fprintln(w, key.Name, "acts for", user.Identities[0].Identifier)
	})
	mux.Handle("GET /api/notes", m.RequireKey("notes:read", notes))
	mux.Handle("POST /api/notes", m.RequireKey("notes:write", notes))

	key, err := db.APIKeys().CreateFor(context.Background(), user.ID, snib.NewAPIKey{
		Name: "the backup", Scopes: []string{"notes:read"}, TTL: snib.Never,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, method := range []string{"GET", "POST"} {
		r := httptest.NewRequest(method, "https://notes.example/api/notes", nil)
		r.Header.Set("Authorization", "Bearer "+key.Token.Reveal())
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"), strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 200  the backup acts for ada@example.com
	// 403 Bearer error="insufficient_scope", scope="notes:write" Forbidden. This is not allowed, or the request came from another site.
}
