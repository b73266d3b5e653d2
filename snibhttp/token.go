package snibhttp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/snibdb/snib"
)

// maxForm bounds the body of a request to the token endpoints, in bytes.
const maxForm = 8 << 10

// TokenHandler returns the endpoint at which a native client exchanges its
// refresh token (RFC 6749, 6): a POST of the form grant_type=refresh_token and
// refresh_token, answered as [WriteTokens] does. The client keeps the new
// refresh token in the place of the old one.
//
// Errors are in JSON as of RFC 6749, 5.2. A refresh token that is unknown,
// expired, ended or was used before is invalid_grant with 400, after which the
// client asks its user to log in; the program hears of the last by
// Options.Reused. With 503 and Retry-After it keeps the token and tries again.
// No cookie and no Authorization header is read, and no cookie set; the Host is
// checked, as of Options.Hosts. Other parameters are ignored, save that each
// may be there once, and that scope, if there is one, is invalid_scope: there
// are no scopes to choose from.
func (m *Manager) TokenHandler() http.Handler { return m.endpoint(m.refresh) }

// RevokeHandler returns the endpoint at which a native client signs out (RFC
// 7009): a POST of the form token, which is a refresh token or a session's. It
// has ended, with all that belongs to it, when 200 is answered, which is also
// the answer for an unknown one. Errors are as of TokenHandler.
func (m *Manager) RevokeHandler() http.Handler { return m.endpoint(m.revoke) }

// WriteTokens answers with the new result of CreateRefreshToken or Refresh, in
// JSON as of RFC 6749, 5.1: access_token, which is the session's and is sent as
// a bearer token; token_type; expires_in, the seconds that the session is still
// valid for; refresh_token. It is for the handler by which a native client logs
// in. An error is that of w.
func WriteTokens(w http.ResponseWriter, s snib.Session, t snib.RefreshToken) error {
	return writeJSON(w, http.StatusOK, struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		ExpiresIn    int64  `json:"expires_in"`
		RefreshToken string `json:"refresh_token"`
	}{s.Token.Reveal(), "Bearer", int64(s.ActiveUntil.Sub(s.ReadAt) / time.Second), t.Token.Reveal()})
}

func (m *Manager) refresh(w http.ResponseWriter, r *http.Request, form url.Values) error {
	r = r.WithContext(m.ClientContext(r))
	token := form.Get("refresh_token")
	switch {
	case form.Get("grant_type") == "":
		return oauthError("invalid_request")
	case form.Get("grant_type") != "refresh_token":
		return oauthError("unsupported_grant_type")
	case token == "":
		return oauthError("invalid_request")
	case form.Get("scope") != "":
		return oauthError("invalid_scope")
	}
	s, t, err := m.db.Refresh(r.Context(), token)
	if e, ok := errors.AsType[*snib.ReuseError](err); ok && m.o.Reused != nil {
		m.o.Reused(r, e)
	}
	switch {
	case errors.Is(err, snib.ErrInvalidRefreshToken), errors.Is(err, snib.ErrRefreshTokenReused):
		return oauthError("invalid_grant")
	case err != nil:
		return err
	}
	if err := WriteTokens(w, s, t); err != nil { // the client will ask again
		m.log.Debug("snibhttp: tokens were not written", "error", err)
	}
	return nil
}

func (m *Manager) revoke(w http.ResponseWriter, r *http.Request, form url.Values) error {
	if form.Get("token") == "" {
		return oauthError("invalid_request")
	}
	// Done even if the client does not wait for the answer.
	if err := m.db.RevokeToken(context.WithoutCancel(r.Context()), form.Get("token")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// oauthError is an error code of RFC 6749, 5.2.
type oauthError string

func (e oauthError) Error() string { return string(e) }

// endpoint is a handler that takes a form. act answers, unless it returns an
// error.
func (m *Manager) endpoint(act func(http.ResponseWriter, *http.Request, url.Values) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noStore(w.Header())
		w.Header().Set("Pragma", "no-cache") // of RFC 6749, 5.1
		form, err := m.form(w, r)
		if err == nil {
			err = act(w, r, form)
		}
		if err != nil {
			m.oauthAnswer(w, r, err)
		}
	})
}

// oauthAnswer answers in JSON why there is nothing else.
func (m *Manager) oauthAnswer(w http.ResponseWriter, r *http.Request, err error) {
	status, code := http.StatusBadRequest, "invalid_request"
	if e, ok := errors.AsType[oauthError](err); ok {
		code = string(e)
	} else {
		status = m.statusOf(r, err)
	}
	switch status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusServiceUnavailable:
		code = "temporarily_unavailable"
		w.Header().Set("Retry-After", retryAfter)
	}
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{code})
}

// form reads the form of a request, which is its whole body and has each
// parameter once. Parameters in the address would be logged, and are refused.
func (m *Manager) form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if err := m.checkHost(r); err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost {
		return nil, ErrMethod
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" {
		return nil, oauthError("invalid_request")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, oauthError("invalid_request")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, oauthError("invalid_request")
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, oauthError("invalid_request")
		}
	}
	return form, nil
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	h := w.Header()
	noStore(h)
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(value)
}
