package e2e

import (
	"context"
	_ "embed"
	"flag"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "`folder` to write a picture of each page to")

// views are how each page is looked at.
var views = []struct {
	name          string
	width, height int64
	scheme        string
}{
	{"desktop", 1280, 800, "light"},
	{"phone", 390, 844, "light"},
	{"desktop-dark", 1280, 800, "dark"},
	{"phone-dark", 390, 844, "dark"},
}

// narrowest is the width at which nothing may need scrolling sideways (WCAG
// 2.2, 1.4.10).
const narrowest = 320

// audit is the script that looks a page over; see there.
//
//go:embed audit.js
var audit string

// TestEveryPageCanBeReadByEverybody looks each page over, in light and dark, on
// a desktop and on a phone, and takes its picture if -screenshots says where to.
func TestEveryPageCanBeReadByEverybody(t *testing.T) {
	needsBrowser(t)
	b := newBrowser(newProgram(t))
	b.open("/")
	b.lookOver("home")
	for _, name := range []string{"sign-up", "sign-in", "forgotten"} {
		b.open("/" + name)
		b.lookOver(name)
	}
	b.open("/sign-up")
	b.send(422, "/sign-up", "email", "ada", "username", "", "new_password", "")
	b.lookOver("errors")
	b.loads(422, "/reset", chromedp.Navigate(b.program.url+"/reset"))
	b.lookOver("reset")
	b.loads(404, "/nothing", chromedp.Navigate(b.program.url+"/nothing"))
	b.lookOver("refused")

	b.signUp()
	b.open("/account/profile")
	b.send(200, "/account", "name", "Ada Lovelace", "about", "Weaves algebraical patterns.")
	newBrowser(b.program).signIn(address, password)
	b.open("/account")
	b.lookOver("account")
	for _, name := range []string{"profile", "email", "password", "delete"} {
		b.open("/account/" + name)
		b.lookOver(name)
	}
}

// lookOver audits the page in every view.
func (b *tab) lookOver(name string) {
	b.t.Helper()
	for _, v := range views {
		b.look(v.width, v.height, v.scheme)
		if *screenshots != "" && (v.scheme == "light" || name == "account" || name == "sign-in") {
			b.picture(name+"-"+v.name, v.width < 500)
		}
		for _, flaw := range eval[[]string](b, audit) {
			b.t.Errorf("%s, %s: %s", name, v.name, flaw)
		}
	}
	b.look(narrowest, 640, "light")
	if wide := eval[int](b, "document.documentElement.scrollWidth"); wide > narrowest {
		b.t.Errorf("%s is %d wide in a window of %d", name, wide, narrowest)
	}
}

// look sets the size of the window and whether the person prefers dark.
func (b *tab) look(width, height int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height), func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return chromedp.Void{}, err
	})
}
