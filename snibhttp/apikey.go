package snibhttp

import (
	"context"
	"errors"
	"net/http"

	"github.com/snibdb/snib"
)

// RequireKey lets through to next the requests of programs that present an API
// key with this scope; "" is any key. The key is taken from a header
// Authorization: Bearer and from nowhere else: one in a cookie would be sent by
// other sites, one in an address would be logged. Behind it, [KeyFrom] has the
// key and its user. Options.IgnoreAuthorization leaves it no key.
//
// A key is no session: FromContext finds none behind RequireKey, Require and
// RequireFresh refuse a key with 401, and RequireKey refuses the token of a
// session. A route that serves both has two patterns.
//
// Without a key or with one that is not valid it answers 401, without the scope
// 403, with the challenges of RFC 6750, 3.1. The cost is one look into the
// database and no write. Answers are Cache-Control: no-store unless next says
// otherwise. The Host is checked; the origin is not, as a page of another site
// cannot send this header.
func (m *Manager) RequireKey(scope string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := m.ClientContext(r)
		v, known := ctx.Value(keyOf{m}).(keyVisit)
		if !known {
			w.Header().Add("Vary", "Authorization")
			var err error
			if v, err = m.keyOf(ctx, r); err != nil {
				m.Error(w, r, err)
				return
			}
			ctx = context.WithValue(context.WithValue(ctx, keyOf{m}, v), keyOf{}, v)
		}
		if scope != "" && !v.key.HasScope(scope) {
			m.Error(w, r, &ScopeError{Scope: scope})
			return
		}
		noStore(w.Header())
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// KeyFrom returns the API key of a request that went through RequireKey, without
// its Token, and the key's user, as they were then. ok is false, and both are
// zero, for every other request. Of several Managers it is the one whose
// middleware is the innermost: [Manager.KeyFrom] asks a certain one.
func KeyFrom(ctx context.Context) (k snib.APIKey, u snib.User, ok bool) {
	v, ok := ctx.Value(keyOf{}).(keyVisit)
	return v.key, v.user, ok
}

// KeyFrom is the function of this name for the middleware of this Manager.
func (m *Manager) KeyFrom(ctx context.Context) (k snib.APIKey, u snib.User, ok bool) {
	v, ok := ctx.Value(keyOf{m}).(keyVisit)
	return v.key, v.user, ok
}

// keyOf is the key in a context of what RequireKey of a Manager has found; nil
// is the innermost.
type keyOf struct{ m *Manager }

type keyVisit struct {
	key  snib.APIKey
	user snib.User
}

// keyOf returns the key of a request and its user.
func (m *Manager) keyOf(ctx context.Context, r *http.Request) (keyVisit, error) {
	if err := m.checkHost(r); err != nil {
		return keyVisit{}, err
	}
	c, err := m.presented(r)
	switch {
	case err != nil:
		return keyVisit{}, err
	case !c.bearer:
		return keyVisit{}, ErrUnauthenticated
	}
	k, u, err := m.db.APIKeys().Validate(ctx, c.token)
	if errors.Is(err, snib.ErrInvalidAPIKey) {
		err = ErrBearerToken
	}
	return keyVisit{k, u}, err
}
