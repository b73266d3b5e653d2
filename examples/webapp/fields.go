package main

import (
	"errors"
	"net/http"

	"github.com/snibdb/snib"
)

// The fields that more than one form has.
func emailField() field {
	return field{Name: "email", Label: "E-mail address", Type: "email", Autocomplete: "username",
		Missing: "Enter your e-mail address."}
}

func usernameField() field {
	return field{Name: attrUsername, Label: "User name", Type: "text", Autocomplete: "nickname",
		Hint: "2 to 30 characters. Nobody else can have it, in capitals or not.", Missing: "Choose a user name."}
}

// passwordField is for the password that is set.
func passwordField(label string) field {
	return field{Name: "password", Label: label, Type: "password", Autocomplete: "current-password",
		Missing: "Enter your password."}
}

// newPasswordField is for a password to be set. There is one, not two: a user
// who mistypes it can ask for a reset link.
func newPasswordField(label string) field {
	return field{Name: "new_password", Label: label, Type: "password", Autocomplete: "new-password",
		Hint: "At least 8 characters. A few words are easier to keep in mind.", Missing: "Choose a password."}
}

// inputs maps the field that an InputError names to the form's field and its
// message.
var inputs = map[string]struct{ field, text string }{
	"Identifier":                       {"email", "Enter an address like name@example.com."},
	"Password":                         {"new_password", "Use at least 8 characters, and at most 1,000."},
	"Current":                          {"password", "That is not your password."},
	"Attributes[" + attrUsername + "]": {attrUsername, "Use letters, digits, spaces and ordinary punctuation."},
	"Attributes[" + attrName + "]":     {attrName, "Use text only."},
	"Attributes[" + attrAbout + "]":    {attrAbout, "Use text only."},
}

// explain shows an error at the field that it is about, and reports whether
// there is one. All others are not for the person in front of the form.
func (f *form) explain(err error) bool {
	name, text := "", ""
	status := http.StatusUnprocessableEntity
	taken, isTaken := errors.AsType[*snib.AttributeTakenError](err)
	input, isInput := errors.AsType[*snib.InputError](err)
	switch {
	case errors.Is(err, snib.ErrIdentityTaken):
		name, text = "email", "There is an account with this address already."
	case isTaken:
		name, text = taken.Name, "Somebody has this user name already."
	case errors.Is(err, snib.ErrInvalidCredentials):
		name, text = "password", "That is not your password."
		if f.has("email") && f.Account == "" { // a log-in
			text = "The address or the password is wrong."
		}
	case errors.Is(err, errThrottled):
		name, text = "password", "Too many attempts. Wait a few minutes and try again."
		status = http.StatusTooManyRequests
	case isInput:
		name, text = inputs[input.Field].field, inputs[input.Field].text
	}
	if !f.has(name) {
		return false
	}
	f.fail(name, text)
	f.failed = status
	return true
}

// addressOf is the user's address, "" for a user without one: an operator can
// have unlinked it, a repair taken it away.
func addressOf(user snib.User) string {
	for _, x := range user.Identities {
		if x.Provider == provider {
			return x.Identifier
		}
	}
	return ""
}
