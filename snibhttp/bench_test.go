package snibhttp_test

import (
	"context"
	"math"
	"net/http"
	"testing"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
	"github.com/snibdb/snib/snibtest"
)

// nothing is a ResponseWriter that costs nothing but its header.
type nothing struct{ header http.Header }

func (n nothing) Header() http.Header         { return n.header }
func (n nothing) Write(p []byte) (int, error) { return len(p), nil }
func (n nothing) WriteHeader(int)             {}

// handlers returns a bare handler, the same behind Protect and Require, and
// one that does nothing but what Require cannot do without; and a request with
// a session.
func handlers(tb testing.TB) (list map[string]http.Handler, r *http.Request) {
	tb.Helper()
	db := snibtest.NewDB(tb, nil)
	m, err := snibhttp.New(db, &snibhttp.Options{App: "notes"})
	if err != nil {
		tb.Fatal(err)
	}
	u, err := db.CreateUser(context.Background(), snib.NewUser{Provider: "email", Identifier: "ada@example.com"})
	if err != nil {
		tb.Fatal(err)
	}
	session, err := db.CreateSession(context.Background(), u, snib.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	r, err = http.NewRequest("GET", "https://notes.example/", nil)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Cookie", "theme=dark; __Host-notes="+session.Token.Reveal())
	bare := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	look := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, _, err := db.ValidateSessionUser(r.Context(), session.Token.Reveal()); err != nil {
			tb.Error(err)
		}
	})
	return map[string]http.Handler{"bare": bare, "Protect": m.Protect(bare), "look": look, "Require": m.Require(bare)}, r
}

// BenchmarkMiddleware is what a request pays for: a handler that does nothing,
// by itself and behind the middleware.
func BenchmarkMiddleware(b *testing.B) {
	list, r := handlers(b)
	for _, name := range []string{"bare", "Protect", "look", "Require"} {
		b.Run("handler="+name, func(b *testing.B) {
			w := nothing{make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				list[name].ServeHTTP(w, r)
			}
		})
	}
}

// TestMiddlewareAllocations: what Require needs beyond its look into the
// database are the request with its context, the client and the proof in it,
// what it found, the value of the cookie, and two headers.
func TestMiddlewareAllocations(t *testing.T) {
	list, r := handlers(t)
	w := nothing{make(http.Header)}
	// What is counted is the whole process: the least of some rounds is the
	// handler's own.
	count := func(name string) float64 {
		least := math.Inf(1)
		for range 5 {
			least = min(least, testing.AllocsPerRun(200, func() {
				clear(w.header)
				list[name].ServeHTTP(w, r)
			}))
		}
		return least
	}
	if got := count("Protect"); got > 5 {
		t.Errorf("Protect: %v allocations, at most 5", got)
	}
	got := count("Require") - count("look")
	for range 9 { // pools are emptied by collections, and at random by the race detector
		got = min(got, count("Require")-count("look"))
	}
	if got > 10 {
		t.Errorf("Require: %v allocations more than its look, at most 10", got)
	}
}
