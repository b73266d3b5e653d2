package main

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// refusals are the pages of requests that got no further.
var refusals = map[int]page{
	http.StatusUnauthorized:       {Title: "You are signed out", Intro: "Your session has ended, so nothing was changed. Sign in and do it again."},
	http.StatusForbidden:          {Title: "That came from somewhere else", Intro: "The request was sent by another site, so nothing was changed."},
	http.StatusNotFound:           {Title: "There is no such page", Intro: "The address may be mistyped, or the page may have moved."},
	http.StatusServiceUnavailable: {Title: "That did not work", Intro: "Nothing is lost. Try again in a moment."},
}

// refuse writes the session manager's refusals. A signed-out GET is redirected
// to the sign-in page, and back to the page afterwards.
func (a *app) refuse(w http.ResponseWriter, r *http.Request, status int, _ error) {
	if status == http.StatusUnauthorized && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(r.URL.Path), http.StatusSeeOther)
		return
	}
	p, ok := refusals[status]
	if !ok {
		p = page{Title: http.StatusText(status), Intro: "Nothing was changed."}
	}
	if err := a.render(w, r, status, "refused", p); err != nil {
		a.log.Error("the page for a refused request", "error", err)
		http.Error(w, http.StatusText(status), status)
	}
}

// next returns where to go after signing in: always a page of the account. An
// address taken from a link could lead anywhere.
func next(wanted string) string {
	if wanted = path.Clean(wanted); strings.HasPrefix(wanted, "/account/") {
		u := url.URL{Path: wanted} // escaped: no query, no host
		return u.EscapedPath()
	}
	return "/account"
}
