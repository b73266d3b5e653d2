package snibhttp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/answers"
)

// Errors of refused requests, each with the status that [Manager.Error]
// answers.
var (
	// ErrUnauthenticated: the request is not signed in. 401.
	ErrUnauthenticated = errors.New("not signed in")

	// ErrBearerToken: the request has a bearer token that is not valid. 401.
	ErrBearerToken = errors.New("bearer token is not valid")

	// ErrNotFresh: the request is signed in, and its log-in is too long ago for
	// the handler: see [Manager.RequireFresh]. It is the error of package snib
	// of that name. 401, with the challenge of RFC 9470.
	ErrNotFresh = snib.ErrNotFresh

	// ErrRole: the request is signed in, and its user does not have the role that
	// the handler needs: see [Manager.RequireRole]. 403.
	ErrRole = errors.New("user without the role")

	// ErrScope: the request has an API key without the scope that the handler
	// needs. Always a [ScopeError]. 403, with the challenge of RFC 6750.
	ErrScope = errors.New("API key without the scope")

	// ErrCrossOrigin: a request that may change something does not show that
	// a page of this program, or of a trusted origin, has sent it. 403.
	ErrCrossOrigin = errors.New("cross-origin request")

	// ErrHost: the request is for a host that Options.Hosts does not name.
	// 421.
	ErrHost = errors.New("request for another host")

	// ErrAuthorization: more than one Authorization header, or a bearer token
	// in a request that is to get a cookie. 400.
	ErrAuthorization = errors.New("ambiguous authorization")

	// ErrMethod: a request that changes nothing by its method (GET) is to end
	// sessions. 405.
	ErrMethod = errors.New("method is a safe one")
)

// ScopeError names the scope that an API key lacks. It is an [ErrScope].
type ScopeError struct {
	Scope string // as RequireKey was given it
}

// Error names the scope.
func (e *ScopeError) Error() string { return "API key without the scope " + e.Scope }

// Unwrap makes it an ErrScope.
func (e *ScopeError) Unwrap() error { return ErrScope }

// statuses are the answers to errors of this package. Those of package snib have their
// own table.
var statuses = []struct {
	err    error
	status int
}{
	{ErrUnauthenticated, http.StatusUnauthorized},
	{ErrBearerToken, http.StatusUnauthorized},
	{ErrCrossOrigin, http.StatusForbidden},
	{ErrScope, http.StatusForbidden},
	{ErrRole, http.StatusForbidden},
	{ErrHost, http.StatusMisdirectedRequest},
	{ErrAuthorization, http.StatusBadRequest},
	{ErrMethod, http.StatusMethodNotAllowed},
}

// retryAfter is how long a client should wait after a 503, in seconds. Most
// are a busy writer.
const retryAfter = "1"

// Error answers a request that got no further because of err, an error of a
// method of this package or of [snib.DB]; the middleware answers by it too. The
// status is the one that the error names, an error of this package first; of the
// database's, 401 for refused credentials, a log-in that is not fresh and a user who is
// gone or disabled, 400
// for an argument out of its bounds or a one-time token that is not good, 404 for a
// factor that is not there, 409 for a taken identity or attribute, for the limit of
// API keys, of invitations and of what a user may have, for a role that is held and for the last holder of one, for accounts that cannot be merged, 403
// for a first factor that nothing but a password proves and for a sign-up that is closed, 429 for too many
// attempts, with Retry-After unless a second step is closed, 429 for the limit of
// one-time tokens (which a stranger must not see: it tells of an account), 401 with
// the problem code [CodeSecondFactor] or [CodeEnrolment] and the cookie of [Manager.SecondStep] for a
// log-in that needs a second factor, and 503 with Retry-After for everything else,
// which is the database's own trouble and is logged. The answer is that of Options.Refuse, or of [WriteStatus]; it
// never says more of err than its status.
//
// A form in which a signed-in user gives the current password, and a page of an
// administrator about a user who is gone, need an answer of their own: a 401
// asks for a sign-in.
//
// If the client has gone (the context of r is canceled), the answer is a 503,
// which is not read, without the hook and without a line in the log.
func (m *Manager) Error(w http.ResponseWriter, r *http.Request, err error) {
	status := m.statusOf(r, err)
	h := w.Header()
	noStore(h)
	code := ""
	if m.SecondStep(w, r, err) {
		code = CodeSecondFactor
		if e, _ := errors.AsType[*snib.SecondFactorError](err); e.Enrol {
			code = CodeEnrolment
		}
	}
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", challenge(err))
	case http.StatusForbidden:
		if e, ok := errors.AsType[*ScopeError](err); ok {
			h.Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope=`+strconv.Quote(e.Scope))
		}
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusTooManyRequests:
		var e *snib.ThrottledError
		if errors.As(err, &e) {
			h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
		}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
		if gone(r) {
			// Answer all the same: without it, a context canceled by another
			// cause than the client would get an empty 200.
			WriteStatus(w, r, status)
			return
		}
	}
	if m.o.Refuse != nil {
		m.o.Refuse(w, r, status, err)
		return
	}
	writeStatus(w, r, status, code)
}

// CodeSecondFactor is the member "code" of the problem in JSON by which
// [Manager.Error] answers snib.ErrSecondFactor.
const CodeSecondFactor = "second_factor_required"

// CodeEnrolment is that code where the user has no second factor and must have one
// ([snib.SecondFactorError].Enrol): see [Manager.BeginTOTP].
const CodeEnrolment = "second_factor_enrolment_required"

// statusOf returns the status for an error and logs those of the database.
func (m *Manager) statusOf(r *http.Request, err error) int {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	for _, a := range answers.All {
		if a.Status != answers.Trouble && errors.Is(err, a.Err) {
			return a.Status
		}
	}
	if !gone(r) {
		kind := lineTrouble
		if errors.Is(err, snib.ErrBusy) || errors.Is(err, context.DeadlineExceeded) {
			kind = lineBusy // which a flood can bring about, and must not hide the others
		}
		m.logLine(kind, slog.LevelError, "snibhttp: answered 503", "method", r.Method, "error", err)
	}
	return http.StatusServiceUnavailable
}

// gone reports whether the client does not wait for an answer.
func gone(r *http.Request) bool { return errors.Is(r.Context().Err(), context.Canceled) }

// challenge tells with a 401 how to authenticate (RFC 9110, 11.6.1; RFC 6750,
// 3). Browsers show no dialog for this scheme.
func challenge(err error) string {
	switch {
	case errors.Is(err, ErrBearerToken), errors.Is(err, snib.ErrInvalidAPIKey):
		return `Bearer error="invalid_token"`
	case errors.Is(err, ErrNotFresh), errors.Is(err, snib.ErrNotFresh), errors.Is(err, snib.ErrSecondFactor):
		return `Bearer error="insufficient_user_authentication"`
	}
	return "Bearer"
}

// details tell the reader of a status how to proceed.
var details = map[int]string{
	http.StatusBadRequest:         "The request cannot be understood, or the link that led here is no longer good.",
	http.StatusUnauthorized:       "Sign in to go on.",
	http.StatusForbidden:          "This is not allowed, or the request came from another site.",
	http.StatusNotFound:           "There is no such thing.",
	http.StatusMethodNotAllowed:   "This needs a POST.",
	http.StatusConflict:           "This is taken, at its limit, or must stay as it is.",
	http.StatusMisdirectedRequest: "This program is not to be reached under this name.",
	http.StatusTooManyRequests:    "Too many attempts. Wait before the next one.",
	http.StatusServiceUnavailable: "The request could not be handled now. Try again.",
}

// WriteStatus answers with a status and a short body that explains it:
// application/problem+json (RFC 9457) if the client's Accept header prefers
// JSON to text, else plain text. Nothing of the request is in it.
func WriteStatus(w http.ResponseWriter, r *http.Request, status int) { writeStatus(w, r, status, "") }

// writeStatus is WriteStatus with a code for programs, or "".
func writeStatus(w http.ResponseWriter, r *http.Request, status int, code string) {
	detail := details[status]
	switch code {
	case CodeSecondFactor:
		detail = "Enter a code of your second factor to go on."
	case CodeEnrolment:
		detail = "Set up a second factor to go on."
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	h.Add("Vary", "Accept")
	if !prefersJSON(r.Header["Accept"]) {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		io.WriteString(w, strings.TrimSpace(http.StatusText(status)+". "+detail)+"\n")
		return
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
		Code   string `json:"code,omitempty"`
	}{http.StatusText(status), status, detail, code})
}

// prefersJSON reports whether an Accept header names JSON, and neither HTML
// nor plain text with the same weight or more.
func prefersJSON(accept []string) bool {
	var ofJSON, ofText float64
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "application/problem+json", "application/json":
				ofJSON = max(ofJSON, weight(parameters))
			case "text/html", "text/plain", "application/xhtml+xml":
				ofText = max(ofText, weight(parameters))
			}
		}
	}
	return ofJSON > ofText
}

// weight returns the q of a media range, 1 if it has no q.
func weight(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		if key, value, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(key), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 0
			}
			return q
		}
	}
	return 1
}
