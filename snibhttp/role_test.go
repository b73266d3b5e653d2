package snibhttp_test

import (
	"net/http"
	"testing"

	"github.com/snibdb/snib"
)

// TestRequireRole: 401 without a session, 403 without the role, and a role that
// was withdrawn is gone at the next request of the same session.
func TestRequireRole(t *testing.T) {
	s := newSite(t, nil)
	h := s.m.RequireRole("admin", http.NotFoundHandler())
	_, token := s.session()
	get := func(want int) {
		t.Helper()
		res := s.serve(h, s.request("GET", "/", cookie+token))
		if res.StatusCode != want || res.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s, %v; want %d", res.Status, res.Header, want)
		}
	}
	wantStatus(t, s.serve(h, s.request("GET", "/")), http.StatusUnauthorized)
	get(http.StatusForbidden)
	change := func(f func(snib.Roles) error) {
		t.Helper()
		if err := f(s.db.Roles()); err != nil {
			t.Fatal(err)
		}
	}
	grant := func(role string) func(snib.Roles) error {
		return func(r snib.Roles) error { _, err := r.Grant(t.Context(), s.user.ID, role); return err }
	}
	change(grant("administrator"))
	get(http.StatusForbidden)
	change(grant("admin"))
	get(http.StatusNotFound)
	if n := s.clock.count(func() { get(http.StatusNotFound) }); n != 1 {
		t.Errorf("%d looks, want 1", n)
	}
	wantStatus(t, s.serve(h, s.request("GET", "/", bearer+s.key("admin"))), http.StatusUnauthorized)
	change(func(r snib.Roles) error { _, err := r.Withdraw(t.Context(), s.user.ID, "admin"); return err })
	get(http.StatusForbidden)
	other := newSite(t, nil) // whose administrators are none here
	change(grant("admin"))
	wantStatus(t, s.serve(s.m.Optional(other.m.RequireRole("admin", http.NotFoundHandler())), s.request("GET", "/", cookie+token)), http.StatusUnauthorized)
}
