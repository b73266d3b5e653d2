package snibhttp

import "net/http"

// RequireRole does the work of Require, and refuses with [ErrRole] a request
// whose user does not have the role ([snib.Roles]). It costs no further look-up,
// and a role that was withdrawn is gone at the next request. An API key has no
// roles: see [Manager.RequireKey].
func (m *Manager) RequireRole(role string, next http.Handler) http.Handler {
	return m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, u, ok := m.FromContext(r.Context()); !ok || !u.HasRole(role) {
			m.Error(w, r, ErrRole)
			return
		}
		next.ServeHTTP(w, r)
	}))
}
