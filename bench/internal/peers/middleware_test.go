package peers

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/alexedwards/scs/v2"
	gorilla "github.com/gorilla/sessions"
	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// discard is a ResponseWriter that keeps nothing, so that its cost is not
// counted.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// A protected handler knows who sent the request, which carries cookie.
type protected struct {
	name    string
	handler http.Handler
	cookie  string
}

func snibHandler(tb testing.TB) protected {
	db, err := snib.Open(filepath.Join(tb.TempDir(), "accounts.db"), &snib.Options{InsecureNoSync: true})
	fatal(tb, err)
	tb.Cleanup(func() { db.Close() })
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com"})
	fatal(tb, err)
	s, err := db.CreateSession(ctx, u, snib.SessionOptions{})
	fatal(tb, err)
	m, err := snibhttp.New(db, &snibhttp.Options{App: "bench", Profile: snibhttp.Loopback, Hosts: []string{"localhost"}})
	fatal(tb, err)
	return protected{"snibhttp", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, user, ok := snibhttp.FromContext(r.Context()); !ok || user.ID != u.ID {
			tb.Error("nobody")
		}
	})), "bench=" + s.Token.Reveal()}
}

func scsHandler(tb testing.TB, name string, store scs.Store) protected {
	m := scs.New()
	if store != nil {
		m.Store = store
	}
	w := httptest.NewRecorder()
	m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		m.Put(r.Context(), "user", "ada")
	})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	c := w.Result().Cookies()[0]
	return protected{name, m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if m.GetString(r.Context(), "user") != "ada" {
			tb.Error("nobody")
		}
	})), c.Name + "=" + c.Value}
}

func scsBoltHandler(tb testing.TB) protected {
	db, err := bolt.Open(filepath.Join(tb.TempDir(), "scs.db"), 0o600, &bolt.Options{NoSync: true})
	fatal(tb, err)
	tb.Cleanup(func() { db.Close() })
	fatal(tb, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket(scsBucket)
		return err
	}))
	return scsHandler(tb, "scs-bbolt", &scsBoltStore{db})
}

func gorillaHandler(tb testing.TB) protected {
	store := gorilla.NewCookieStore(gorillaKey)
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	s, err := store.Get(r, gorillaName)
	fatal(tb, err)
	s.Values["user"] = "ada"
	fatal(tb, s.Save(r, w))
	c := w.Result().Cookies()[0]
	return protected{"gorilla-cookie", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if s, err := store.Get(r, gorillaName); err != nil || s.Values["user"] != "ada" {
			tb.Error(errors.Join(errors.New("nobody"), err))
		}
	}), c.Name + "=" + c.Value}
}

func fatal(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkMiddleware is what a handler pays for knowing who sent a request.
// snibhttp has the whole user, looked up, and refuses requests of other
// origins; scs has a text of the session; gorilla's cookie is believed without
// a look-up.
func BenchmarkMiddleware(b *testing.B) {
	bare := protected{"bare", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "a=b"}
	for _, p := range []protected{bare, snibHandler(b), scsHandler(b, "scs-memory", nil), scsBoltHandler(b), gorillaHandler(b)} {
		b.Run("handler="+p.name, func(b *testing.B) {
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				// A request of its own: gorilla keeps sessions in it.
				r := &http.Request{Method: "GET", Host: "localhost", Header: http.Header{"Cookie": {p.cookie}}}
				p.handler.ServeHTTP(w, r.WithContext(ctx))
			}
		})
	}
}
