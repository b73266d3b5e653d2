package snibhttp_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// openWithKey is open with a key, which second factors need, in a directory of its own.
func openWithKey() (db *snib.DB, done func()) {
	dir, err := os.MkdirTemp("", "snibhttp")
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"data", "keys"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			log.Fatal(err)
		}
	}
	db, err = snib.Open(filepath.Join(dir, "data", "accounts.db"), &snib.Options{
		Keys: []snib.Key{snib.KeyFile(filepath.Join(dir, "keys", "accounts.key"))},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = db.CreateUser(context.Background(), snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: "correct horse battery"})
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := errors.Join(db.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

// codeOf is the code that an authenticator shows now, or so many steps of 30 s
// later (RFC 6238).
func codeOf(phone snib.TOTPEnrolment, later int64) string {
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(phone.Secret.Reveal())
	if err != nil {
		log.Fatal(err)
	}
	h := hmac.New(sha1.New, seed)
	binary.Write(h, binary.BigEndian, time.Now().Unix()/30+later)
	sum := h.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}

// A user turns a second factor on, and is asked for it at the next sign-in.
func ExampleManager_FinishLogIn() {
	db, done := openWithKey()
	defer done()
	m, err := snibhttp.New(db, &snibhttp.Options{App: "notes"})
	if err != nil {
		log.Fatal(err)
	}
	var phone snib.TOTPEnrolment // what its user has scanned
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		session, _, err := db.LogIn(r.Context(), "email", r.PostFormValue("email"), r.PostFormValue("password"), m.SessionOptions(r))
		if m.SecondStep(w, r, err) {
			http.Redirect(w, r, "/code", http.StatusSeeOther)
			return
		}
		if err == nil {
			err = m.SetSession(w, r, session)
		}
		if err != nil {
			m.Error(w, r, err)
		}
	})
	mux.HandleFunc("POST /code", func(w http.ResponseWriter, r *http.Request) {
		_, err := m.FinishLogIn(w, r, r.PostFormValue("code"))
		if errors.Is(err, snib.ErrInvalidCredentials) {
			http.Error(w, "This is not the code.", http.StatusUnprocessableEntity)
		} else if err != nil {
			m.Error(w, r, err)
		}
	})
	mux.Handle("POST /factor", m.RequireFresh(snib.FreshFor, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, _, _ := snibhttp.FromContext(r.Context())
		if phone, err = db.Factors().BeginTOTP(r.Context(), session, "Notes", "my phone"); err != nil {
			m.Error(w, r, err)
			return
		}
		fmt.Fprint(w, "show phone.URI as a QR code, and a form with phone.ID for the code")
	})))
	mux.Handle("POST /factor/confirm", m.RequireFresh(snib.FreshFor, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := snib.FactorID(r.PostFormValue("id"))
		var codes []snib.Token
		_, err := m.ChangeCredentials(w, r, func(tx *snib.Tx, s snib.Session) (err error) {
			if _, err = tx.Factors().ConfirmTOTP(r.Context(), s, id, r.PostFormValue("code")); err == nil {
				codes, err = tx.Factors().CreateRecoveryCodes(r.Context(), s)
			}
			return err
		})
		if err != nil {
			m.Error(w, r, err)
			return
		}
		fmt.Fprint(w, "show ", len(codes), " recovery codes once")
	})))

	form := url.Values{"email": {"ada@example.com"}, "password": {"correct horse battery"}}
	cookies := send(mux, "POST", "/sign-in", form)
	send(mux, "POST", "/factor", nil, cookies...)
	send(mux, "POST", "/factor/confirm", url.Values{"id": {string(phone.ID)}, "code": {codeOf(phone, 0)}}, cookies...)

	half := send(mux, "POST", "/sign-in", form) // in another browser
	send(mux, "POST", "/code", url.Values{"code": {"a guess"}}, half...)
	send(mux, "POST", "/code", url.Values{"code": {codeOf(phone, 1)}}, half...)
	// Output:
	// POST /sign-in 200
	// POST /factor 200 show phone.URI as a QR code, and a form with phone.ID for the code
	// POST /factor/confirm 200 show 10 recovery codes once
	// POST /sign-in 303
	// POST /code 422 This is not the code.
	// POST /code 200
}

// A page for administrators.
func ExampleManager_RequireRole() {
	db, user, done := open()
	defer done()
	m, err := snibhttp.New(db, &snibhttp.Options{App: "notes"})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /log-in", func(w http.ResponseWriter, r *http.Request) {
		if _, err := m.LogIn(w, r, user, m.SessionOptions(r)); err != nil {
			m.Error(w, r, err)
		}
	})
	mux.Handle("GET /users", m.RequireRole("admin", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for u, err := range db.ListUsers(r.Context(), snib.ListOptions{Limit: 50}) {
			if err != nil {
				m.Error(w, r, err)
				return
			}
			fmt.Fprintln(w, u.Identities[0].Identifier)
		}
	})))

	cookies := send(mux, "POST", "/log-in", nil)
	browse(mux, "GET", "/users", cookies...)
	if _, err := db.Roles().Grant(context.Background(), user.ID, "admin"); err != nil {
		log.Fatal(err)
	}
	browse(mux, "GET", "/users", cookies...)
	// Output:
	// POST /log-in 200
	// GET /users 403 Forbidden. This is not allowed, or the request came from another site.
	// GET /users 200 ada@example.com
}
