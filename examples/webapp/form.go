package main

import (
	"net/http"
	"net/url"
	"strings"
)

// A field is one input of a form, as it is shown.
type field struct {
	Name         string // of the input, and its id
	Label        string
	Hint         string
	Type         string // of the input, or "textarea"
	Autocomplete string // the hint to browsers and password managers
	Missing      string // the message if it is empty; "" if it may be

	Value string // as sent, or as stored so far; never a password
	Error string // the message at a wrong field
	Focus bool   // it is the first with something wrong
}

// DescribedBy returns the ids of the texts that a screen reader reads after the
// label.
func (f field) DescribedBy() string {
	var ids []string
	if f.Error != "" {
		ids = append(ids, f.Name+"-error")
	}
	if f.Hint != "" {
		ids = append(ids, f.Name+"-hint")
	}
	return strings.Join(ids, " ")
}

// A form is one form of a page.
type form struct {
	Action string
	Submit string // text of the button
	Danger bool   // cannot be undone
	Fields []field
	Hidden map[string]string

	// Account is the address of the signed-in user, so that a password manager
	// knows whose password it is.
	Account string

	sent   url.Values
	failed int // status, once something is wrong
}

// read takes the submitted values. It marks missing fields; ok reports that all
// are there.
func (f *form) read(r *http.Request) (ok bool) {
	if err := r.ParseForm(); err != nil {
		return f.fail(f.Fields[0].Name, "What was sent is too long, or no form.")
	}
	f.sent = r.PostForm
	for i := range f.Fields {
		field := &f.Fields[i]
		if field.Type == "password" {
			continue
		}
		field.Value = f.get(field.Name)
	}
	for _, field := range f.Fields {
		if field.Missing != "" && f.get(field.Name) == "" {
			f.fail(field.Name, field.Missing)
		}
	}
	return f.failed == 0
}

// get returns the submitted value of a field. A password is taken as it is:
// white space at its ends belongs to it. The lines of other text end as is
// usual.
func (f *form) get(name string) string {
	value := f.sent.Get(name)
	if strings.Contains(name, "password") {
		return value
	}
	return strings.TrimSpace(strings.ReplaceAll(value, "\r\n", "\n"))
}

// fail marks a field with a message, and puts the focus on the first such. It
// returns false, as does read then.
func (f *form) fail(name, text string) bool {
	for i := range f.Fields {
		if f.Fields[i].Name == name && f.Fields[i].Error == "" {
			f.Fields[i].Error = text
			f.Fields[i].Focus = f.failed == 0
			f.failed = http.StatusUnprocessableEntity
		}
	}
	return false
}

// has reports whether the form has such a field.
func (f *form) has(name string) bool {
	for _, field := range f.Fields {
		if field.Name == name {
			return true
		}
	}
	return false
}

// Invalid reports whether something is wrong. There need not be a form.
func (f *form) Invalid() bool { return f != nil && f.failed != 0 }

func (f *form) status() int {
	if f.failed != 0 {
		return f.failed
	}
	return http.StatusOK
}
