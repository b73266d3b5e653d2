package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is the browser process of all tests, started by the first.
var chromium struct {
	once sync.Once
	ctx  context.Context
	stop []context.CancelFunc
	err  error
}

func startChromium() {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, chromium.err = exec.LookPath(name); chromium.err == nil {
			break
		}
	}
	if chromium.err != nil {
		chromium.err = fmt.Errorf("there is no Chromium, which scripts/e2e.sh installs: %w", chromium.err)
		return
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WSURLReadTimeout(patience))
	if os.Getuid() == 0 {
		// The sandbox does not work for root. The pages are ours.
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stopBrowser := chromedp.NewContext(allocator)
	chromium.ctx, chromium.stop = ctx, []context.CancelFunc{stopBrowser, stop}
	chromium.err = chromedp.Do(ctx)
}

func closeChromium() {
	for _, stop := range chromium.stop {
		stop()
	}
}

// A tab is one page of a browser that somebody uses on the web application.
type tab struct {
	t       *testing.T
	program *program
	ctx     context.Context

	mu      sync.Mutex
	errors  []string // in the console
	allowed []string // of these, what a step has caused by intent
}

// newBrowser opens a browser without any cookies.
func newBrowser(p *program) *tab {
	p.t.Helper()
	chromium.once.Do(startChromium)
	if chromium.err != nil {
		p.t.Fatal(chromium.err)
	}
	return newTab(p, chromium.ctx, chromedp.WithNewBrowserContext())
}

// another opens another tab of the same browser.
func (b *tab) another() *tab { return newTab(b.program, b.ctx) }

func newTab(p *program, parent context.Context, options ...chromedp.ContextOption) *tab {
	p.t.Helper()
	b := &tab{t: p.t, program: p}
	ctx, closeTab := chromedp.NewContext(parent, append(options, chromedp.WithListener(b.listen))...)
	b.ctx = ctx
	if err := chromedp.Do(ctx); err != nil {
		closeTab()
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		closeTab()
		b.complain()
	})
	return b
}

// listen notes what the browser complains about: a script that failed, a
// policy that was violated, a request that was refused.
func (b *tab) listen(event any) {
	text := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			text = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprintf("console.%s", e.Type)
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.errors = append(b.errors, text)
	}
}

// complain fails the test for errors in the console that no step announced.
func (b *tab) complain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.errors {
		known := false
		for _, allowed := range b.allowed {
			known = known || strings.Contains(text, allowed)
		}
		if !known {
			b.t.Errorf("the console of the browser: %s", text)
		}
	}
}

// allow announces an error in the console by a part of it.
func (b *tab) allow(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = append(b.allowed, text)
}

// do performs actions.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// value performs an action that has a result.
func value[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// eval returns the value of an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return value(b, chromedp.Evaluate[T](expression))
}

// loads performs actions that load a page, and fails the test unless that has
// the status and, after redirects, the path.
func (b *tab) loads(status int64, path string, actions ...chromedp.Action[chromedp.Void]) *network.Response {
	b.t.Helper()
	if status >= 400 {
		b.allow(fmt.Sprintf("status of %d", status))
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	res, err := chromedp.RunResponse(ctx, actions...)
	if err != nil {
		b.t.Fatal(err)
	}
	if got := b.program.path(res.URL); res.Status != status || got != path {
		b.t.Fatalf("got %s with %d, want %s with %d", got, res.Status, path, status)
	}
	return res
}

// open goes to a page of the program, and expects to get there.
func (b *tab) open(path string) {
	b.t.Helper()
	b.openTo(path, path)
}

// openTo goes to a page and is led to another one.
func (b *tab) openTo(path, to string) {
	b.t.Helper()
	b.loads(200, b.program.path(b.program.url+to), chromedp.Navigate(b.program.url+path))
}

// click clicks on what leads to another page.
func (b *tab) click(selector, to string) {
	b.t.Helper()
	b.loads(200, to, chromedp.Click(chromedp.CSS(selector)))
}

const sending = "form.stack > button"

// send fills the form of the page, in pairs of name and value, and sends it.
func (b *tab) send(status int64, to string, pairs ...string) {
	b.t.Helper()
	b.fill(pairs...)
	b.loads(status, to, chromedp.Click(chromedp.CSS(sending)))
}

// fill types into the form of the page.
func (b *tab) fill(pairs ...string) {
	b.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		eval[chromedp.Void](b, "document.getElementById('"+pairs[i]+"').select()") // to be typed over
		b.do(chromedp.SendKeys(chromedp.CSS("#"+pairs[i]), pairs[i+1]))
	}
}

// text returns what can be read on the page.
func (b *tab) text() string {
	b.t.Helper()
	return eval[string](b, "document.body.innerText")
}

// sees fails the test unless all of this can be read on the page.
func (b *tab) sees(texts ...string) {
	b.t.Helper()
	page := b.text()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			b.t.Fatalf("no %q on the page:\n%s", text, page)
		}
	}
}

// focus returns the id, or else the text, of what has the focus.
func (b *tab) focus() string {
	b.t.Helper()
	return eval[string](b, "document.activeElement.id || document.activeElement.innerText")
}

const (
	address  = "ada@example.com"
	password = "correct horse battery"
)

// signsUpInTime makes an account whose session may be over before its page comes,
// and reports whether it was not.
func (b *tab) signsUpInTime() bool {
	b.t.Helper()
	b.open("/sign-up")
	b.fill("email", address, "username", "ada", "new_password", password)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	page, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(sending)))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.program.path(page.URL) == "/account"
}

// signUp makes an account and is signed in to it then.
func (b *tab) signUp() {
	b.t.Helper()
	b.open("/sign-up")
	b.send(200, "/account", "email", address, "username", "ada", "new_password", password)
}

// signIn signs in to the account.
func (b *tab) signIn(address, password string) {
	b.t.Helper()
	b.open("/sign-in")
	b.send(200, "/account", "email", address, "password", password)
}

// needsBrowser skips the test unless it was asked for.
func needsBrowser(t *testing.T) {
	t.Helper()
	if os.Getenv("SNIB_E2E") != "1" {
		t.Skip("drives a browser: run scripts/e2e.sh, or set SNIB_E2E=1")
	}
}
