//go:build !light

// Command scs serves accounts as a program keeps them that is written by hand:
// sessions of alexedwards/scs and a table of users in SQLite, passwords by
// alexedwards/argon2id.
package main

import (
	"database/sql"
	"errors"
	"net/http"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"
	_ "modernc.org/sqlite"

	"github.com/snibdb/snib/bench/http/internal/surface"
)

// schema is that of the documentation of sqlite3store, and of the users.
const schema = `
CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL);
CREATE INDEX IF NOT EXISTS sessions_expiry_idx ON sessions(expiry);
CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE COLLATE NOCASE, hash TEXT NOT NULL);`

// key is that of the user's id in a session.
const key = "user"

var parameters = argon2id.Params{
	Memory: surface.HashKiB, Iterations: surface.HashPasses, Parallelism: surface.HashThreads, SaltLength: 16, KeyLength: 32,
}

type server struct {
	db       *sql.DB
	sessions *scs.SessionManager
}

func main() { surface.Main(open) }

func open(o surface.Options) (surface.Server, error) {
	db, err := sql.Open("sqlite", o.SQLite("accounts.sqlite"))
	if err != nil {
		return surface.Server{}, err
	}
	if _, err := db.Exec(schema); err != nil {
		return surface.Server{}, errors.Join(err, db.Close())
	}
	store := sqlite3store.New(db)
	s := &server{db, scs.New()}
	s.sessions.Store, s.sessions.Lifetime, s.sessions.HashTokenInStore = store, 30*24*time.Hour, true
	s.sessions.Cookie.Secure = true
	mux := http.NewServeMux()
	mux.HandleFunc("POST /signup", s.signUp)
	mux.HandleFunc("POST /login", s.logIn)
	mux.HandleFunc("GET /me", s.me)
	mux.HandleFunc("POST /logout", s.logOut)
	protect := http.NewCrossOriginProtection().Handler
	return surface.Server{Handler: protect(s.sessions.LoadAndSave(mux)), Close: func() error {
		store.StopCleanup()
		return db.Close()
	}}, nil
}

func (s *server) signUp(w http.ResponseWriter, r *http.Request) {
	c, err := surface.Read(w, r)
	if err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	hash, err := argon2id.CreateHash(c.Password, &parameters)
	if err != nil {
		http.Error(w, "sorry", http.StatusInternalServerError)
		return
	}
	result, err := s.db.ExecContext(r.Context(), "INSERT INTO users (email, hash) VALUES (?, ?)", c.Email, hash)
	if err != nil {
		http.Error(w, "sorry", http.StatusConflict)
		return
	}
	id, err := result.LastInsertId()
	s.enter(w, r, http.StatusCreated, id, err)
}

func (s *server) logIn(w http.ResponseWriter, r *http.Request) {
	c, err := surface.Read(w, r)
	if err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	var id int64
	var hash string
	if err := s.db.QueryRowContext(r.Context(), "SELECT id, hash FROM users WHERE email = ?", c.Email).Scan(&id, &hash); err != nil {
		http.Error(w, "wrong address or password", http.StatusUnauthorized)
		return
	}
	if ok, err := argon2id.ComparePasswordAndHash(c.Password, hash); err != nil || !ok {
		http.Error(w, "wrong address or password", http.StatusUnauthorized)
		return
	}
	s.enter(w, r, http.StatusOK, id, nil)
}

// enter signs in under a new token, which LoadAndSave stores.
func (s *server) enter(w http.ResponseWriter, r *http.Request, status int, id int64, err error) {
	if err == nil {
		err = s.sessions.RenewToken(r.Context())
	}
	if err != nil {
		http.Error(w, "sorry", http.StatusInternalServerError)
		return
	}
	s.sessions.Put(r.Context(), key, id)
	surface.Write(w, status, map[string]bool{"ok": true})
}

func (s *server) me(w http.ResponseWriter, r *http.Request) {
	id := s.sessions.GetInt64(r.Context(), key)
	var email string
	if id == 0 || s.db.QueryRowContext(r.Context(), "SELECT email FROM users WHERE id = ?", id).Scan(&email) != nil {
		http.Error(w, "sign in", http.StatusUnauthorized)
		return
	}
	surface.Write(w, http.StatusOK, map[string]any{"id": id, "email": email})
}

func (s *server) logOut(w http.ResponseWriter, r *http.Request) {
	if err := s.sessions.Destroy(r.Context()); err != nil {
		http.Error(w, "sorry", http.StatusInternalServerError)
		return
	}
	surface.Write(w, http.StatusOK, map[string]bool{"ok": true})
}
