package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestSigningInByKeyboardAlone goes from field to field as somebody does who
// uses no mouse, and looks that the focus can be seen at each stop.
func TestSigningInByKeyboardAlone(t *testing.T) {
	needsBrowser(t)
	p := newProgram(t)
	newBrowser(p).signUp()
	b := newBrowser(p)
	b.open("/sign-in")
	for _, want := range []string{"Skip to the content", "snib", "Sign in", "Sign up"} {
		b.tabTo(want)
	}
	b.open("/sign-in")
	b.tabTo("Skip to the content")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.tabTo("email")
	b.do(chromedp.KeyEvent(address))
	b.tabTo("password")
	b.do(chromedp.KeyEvent("a wrong one"))
	b.loads(422, "/sign-in", chromedp.KeyEvent(kb.Enter))
	if at := b.focus(); at != "password" {
		t.Fatalf("after an error the focus is at %q", at)
	}
	b.do(chromedp.KeyEvent(password))
	b.tabTo("Sign in")
	b.loads(200, "/account", chromedp.KeyEvent(kb.Enter))
	b.sees(address)
}

// tabTo presses the tabulator, which must lead to an element by its id or text.
func (b *tab) tabTo(want string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(kb.Tab))
	if at := b.focus(); at != want {
		b.t.Fatalf("the focus went to %q, want %q", at, want)
	}
	if !eval[bool](b, `(s => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(document.activeElement))`) {
		b.t.Errorf("nobody sees that the focus is at %q", want)
	}
	if !eval[bool](b, `(r => r.top >= 0 && r.left >= 0 && r.bottom <= innerHeight)(document.activeElement.getBoundingClientRect())`) {
		b.t.Errorf("what has the focus is not in view: %q", want)
	}
}
