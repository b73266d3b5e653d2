package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestTheLifeOfAnAccount is one person with two browsers, from sign-up to
// leaving.
func TestTheLifeOfAnAccount(t *testing.T) {
	needsBrowser(t)
	p := newProgram(t)
	laptop, phone := newBrowser(p), newBrowser(p)

	laptop.open("/")
	laptop.click(".actions .primary", "/sign-up")
	laptop.send(422, "/sign-up", "email", "ada", "username", "ada", "new_password", password)
	laptop.sees("Enter an address like name@example.com.")
	if at := laptop.focus(); at != "email" {
		t.Errorf("the focus is at %q", at)
	}
	if kept, secret := laptop.inputValue("username"), laptop.inputValue("new_password"); kept != "ada" || secret != "" {
		t.Errorf("the form came back with user name %q, password %q", kept, secret)
	}
	laptop.send(200, "/account", "email", address, "new_password", password)
	laptop.sees("ada", address, "This device", "Chrome on Linux")

	laptop.click(`a[href="/account/profile"]`, "/account/profile")
	laptop.send(200, "/account", "username", "Ada", "name", "Ada Lovelace", "about", "Weaves algebraical patterns.")
	laptop.sees("Your profile is saved.", "Ada Lovelace", "Weaves algebraical patterns.")

	laptop.click(`a[href="/account/email"]`, "/account/email")
	laptop.send(422, "/account/email", "email", "ada@lovelace.example", "password", "a wrong one")
	laptop.sees("That is not your password.")
	laptop.send(200, "/account", "password", password)
	laptop.sees("Your e-mail address is changed.", "ada@lovelace.example")

	phone.open("/sign-in")
	phone.send(422, "/sign-in", "email", address, "password", password)
	phone.sees("The address or the password is wrong.")
	phone.signIn("ada@lovelace.example", password)
	laptop.open("/account")
	laptop.click(`form[action$="/end"] button`, "/account")
	laptop.sees("That device is signed out.")
	phone.openTo("/account/profile", "/sign-in")
	phone.send(200, "/account/profile", "email", "ada@lovelace.example", "password", password) // and back

	laptop.open("/account/password")
	laptop.send(200, "/account", "password", password, "new_password", "a moth in relay 70")
	laptop.sees("Your password is changed")
	phone.openTo("/account", "/sign-in")

	forgetAndReset(t, p, phone)
	laptop.openTo("/account", "/sign-in")
	phone.signIn("ada@lovelace.example", "the third password")
	phone.click(".danger-quiet", "/account/delete")
	phone.send(200, "/", "password", "the third password")
	phone.sees("Your account is deleted")
	phone.open("/sign-in")
	phone.send(422, "/sign-in", "email", "ada@lovelace.example", "password", "the third password")
}

// forgetAndReset sets the third password by the link in the terminal, which is
// good once.
func forgetAndReset(t *testing.T, p *program, b *tab) {
	t.Helper()
	b.open("/sign-in")
	b.click(".aside a", "/forgotten")
	b.send(200, "/forgotten/sent", "email", "ada@lovelace.example")
	link := strings.TrimPrefix(p.prints(`(http://\S+/reset\?token=\S+)`), p.url)
	b.openTo(link, "/reset")
	b.send(200, "/sign-in", "new_password", "the third password")
	b.sees("Your new password is set.")
	b.loads(422, "/reset", chromedp.Navigate(p.url+link))
	b.send(422, "/reset", "new_password", "the fourth password")
	b.sees("This link was used already")
}

func (b *tab) inputValue(id string) string {
	b.t.Helper()
	return eval[string](b, "document.getElementById('"+id+"').value")
}

func TestARestartSignsNobodyOut(t *testing.T) {
	needsBrowser(t)
	p := newProgram(t)
	b := newBrowser(p)
	b.signUp()
	b.allow("ERR_CONNECTION_REFUSED") // browsers take their time with icons
	p.restart()
	b.open("/account")
	b.sees(address)
}
