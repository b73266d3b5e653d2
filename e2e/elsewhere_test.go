package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestAPageOnAnotherPortCanChangeNothing: to a browser, all ports of localhost
// are one site. It sends the cookie along whatever its SameSite, and only the
// program can tell.
func TestAPageOnAnotherPortCanChangeNothing(t *testing.T) {
	needsBrowser(t)
	p := newProgram(t)
	p.warns = "refused a cross-origin request"
	b := newBrowser(p)
	b.signUp()
	var visits atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">
			<form method="post" action="%s/account/delete"><input name="password" value="%s"><button>Win a prize</button></form>`, p.url, password)
	}))
	t.Cleanup(other.Close)
	elsewhere := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)

	b.loads(200, elsewhere+"/", chromedp.Navigate(elsewhere+"/"))
	b.loads(403, "/account/delete", chromedp.Click(chromedp.CSS("button")))
	b.sees("That came from somewhere else")

	// A script does no better, and may not even see the answer.
	b.loads(200, elsewhere+"/", chromedp.Navigate(elsewhere+"/"))
	b.allow("net::ERR_BLOCKED_BY_RESPONSE")
	kind := value(b, chromedp.Evaluate[string](fmt.Sprintf(
		`fetch("%s/account/sessions/end-others", {method: "POST", mode: "no-cors", credentials: "include"}).then(r => r.type, () => "refused")`, p.url),
		chromedp.EvalAwaitPromise))
	if kind != "refused" || visits.Load() < 2 {
		t.Errorf("the answer of the program is %q to the script; %d visits", kind, visits.Load())
	}
	b.open("/account")
	b.sees(address)
}

// TestAnotherPortPlantsCookies of the program's name, each with a good token of
// mallory's: all ports of localhost share cookies. The user is never in
// mallory's account, and not even signed out.
func TestAnotherPortPlantsCookies(t *testing.T) {
	needsBrowser(t)
	p := newProgram(t)
	p.warns = "more than one cookie of our name"
	mallory, b := newBrowser(p), newBrowser(p)
	mallory.open("/sign-up")
	mallory.send(200, "/account", "email", "mallory@example.com", "username", "mallory", "new_password", password)
	token := mallory.cookies()[0].Value
	var attributes []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, a := range attributes {
			w.Header().Add("Set-Cookie", "snib-webapp="+token+"; "+a)
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">`)
	}))
	t.Cleanup(other.Close)
	elsewhere := strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/"
	plant := func(list ...string) {
		attributes = list
		b.loads(200, elsewhere, chromedp.Navigate(elsewhere))
	}

	b.signUp()
	plant("Path=/account", "Path=/account/", "Path=/account/profile", "Path=/account; Domain=localhost")
	b.open("/account/profile") // by way of /sign-in, which finds the user signed in again
	b.open("/account")
	b.sees(address)

	if kept := b.cookies(); len(kept) != 1 {
		t.Errorf("the browser keeps %d cookies", len(kept))
	}
}
