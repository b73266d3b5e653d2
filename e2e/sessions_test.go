package e2e

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// cookies returns what the browser keeps for the page.
func (b *tab) cookies() []*network.Cookie {
	return slices.DeleteFunc(b.allCookies(), isDevice)
}

// isDevice reports whether a cookie says that the browser is a known device.
func isDevice(c *network.Cookie) bool { return strings.HasSuffix(c.Name, ".device") }

func (b *tab) allCookies() []*network.Cookie {
	b.t.Helper()
	return value(b, func(ctx context.Context, t *chromedp.Target) ([]*network.Cookie, error) {
		r, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{})
		return r.Cookies, err
	})
}

func TestTheCookieAsTheBrowserKeepsIt(t *testing.T) {
	needsBrowser(t)
	b := newBrowser(newProgram(t))
	b.open("/sign-in")
	if c := b.cookies(); len(c) != 0 {
		t.Errorf("before signing in there are %d cookies", len(c))
	}
	b.signUp()
	kept := b.cookies()
	if len(kept) != 1 {
		t.Fatalf("the browser keeps %d cookies, want 1", len(kept))
	}
	c := kept[0]
	// The browser counts from its own clock, and rounds.
	days := time.Until(time.Unix(int64(c.Expires), 0)).Hours() / 24
	if c.Name != "snib-webapp" || c.Domain != "localhost" || c.Path != "/" || !c.HTTPOnly || c.Session ||
		c.SameSite != network.CookieSameSiteLax || c.Secure || math.Abs(days-90) > 0.1 {
		t.Errorf("the cookie is %+v, for %.1f days", c, days)
	}
	if seen := eval[string](b, "document.cookie"); seen != "" {
		t.Error("a script can read the cookie")
	}
	b.open("/account")
	if again := b.cookies(); len(again) != 1 || again[0].Value != c.Value {
		t.Error("the cookie did not stay as it was")
	}
	b.click(".bar button", "/")
	if c := b.cookies(); len(c) != 0 {
		t.Errorf("after signing out there are %d cookies", len(c))
	}
	if left := b.allCookies(); len(left) != 1 || !isDevice(left[0]) || !left[0].HTTPOnly || left[0].Path != "/" {
		t.Errorf("of the known device there is %+v", left)
	}
}

// TestTwoTabsAcrossTheEndOfActivity: both come back at the same time after the
// session went idle. Where it may be extended, both go on, with the cookie that
// they have; where it may not, the same wait signs both out, which shows that it
// was long enough.
func TestTwoTabsAcrossTheEndOfActivity(t *testing.T) {
	needsBrowser(t)
	for idle, want := range map[string]string{"1h": "/account", "-1s": "/sign-in"} {
		t.Run("idle "+idle, func(t *testing.T) {
			active, first := time.Second, (*tab)(nil) // the least there is
			for {
				first = newBrowser(newProgram(t, "-active", active.String(), "-idle", idle))
				if first.signsUpInTime() {
					break
				} else if active *= 3; active > patience {
					t.Fatal("no page comes in time")
				}
			}
			last := time.Now() // the session is active for less than that from here
			token := first.cookies()[0].Value
			second := first.another()
			// This is what the test is about, not a way to wait for something.
			time.Sleep(time.Until(last.Add(active + 200*time.Millisecond)))
			if err := errors.Join(both(first, second, "/account")...); err != nil {
				t.Fatal(err)
			}
			for _, b := range []*tab{first, second} {
				if at := b.program.path(value(b, chromedp.Location())); at != want {
					t.Errorf("a tab is at %s, want %s", at, want)
				}
			}
			if got := first.cookies()[0].Value; got != token {
				t.Error("the cookie has changed")
			}
		})
	}
}

// both goes to a page in two tabs at once.
func both(a, b *tab, path string) []error {
	errs := make(chan error, 2)
	for _, b := range []*tab{a, b} {
		go func() {
			ctx, cancel := context.WithTimeout(b.ctx, patience)
			defer cancel()
			errs <- chromedp.Do(ctx, chromedp.Navigate(b.program.url+path))
		}()
	}
	return []error{<-errs, <-errs}
}

// TestGoingBackAfterSigningOutShowsNothing: neither the cache nor the page that
// the browser keeps in memory for going back shows the account once more.
func TestGoingBackAfterSigningOutShowsNothing(t *testing.T) {
	needsBrowser(t)
	b := newBrowser(newProgram(t))
	b.signUp()
	b.sees(address)
	b.click(".bar button", "/")
	b.back()
	if at := b.program.path(value(b, chromedp.Location())); at != "/sign-in" || strings.Contains(b.text(), address) {
		t.Errorf("going back leads to %s:\n%s", at, b.text())
	}
}

// back goes back from the first page. chromedp.NavigateBack would wait for a
// load, which a page that was kept in memory does not have.
func (b *tab) back() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void]("history.back()"))
	for at := "/"; err == nil && at == "/"; {
		if address, failed := chromedp.Run(ctx, chromedp.Location()); failed == nil { // else it is between two pages
			at = b.program.path(address)
		}
		err = ctx.Err()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.WaitReady(chromedp.CSS("main")))
}
