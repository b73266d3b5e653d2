package importer

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

// openLucia reads rows of Lucia: the user's columns, with "provider_id" and
// "hashed_password" of 0.1, or "keys", a list of the rows of the key table of 1 and
// 2, or the columns that programs on Lucia 3 chose themselves: "email",
// "username", "password_hash". A row may stand under "user", beside "system", the
// npm package and its version.
func openLucia(_ context.Context, s *Source, _ time.Time) (*Reader, error) {
	f, err := openText(s.Path)
	if err != nil {
		return nil, err
	}
	version := s.Params["version"]
	return f.reader("line", converted(lines(&f.counted), func(rec record) Row {
		return luciaRow(rec, version)
	})), nil
}

// converted makes rows of records.
func converted(records iter.Seq2[record, error], row func(record) Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for rec, err := range records {
			if err != nil {
				yield(Row{}, err)
				return
			}
			out := refusedRow(snib.UserImport{Row: rec.row}, rec.err)
			if rec.err == nil {
				out = row(rec)
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

// luciaSource returns the name of a version's way to hash.
func luciaSource(system, version string) (string, bool) {
	if system != "" {
		_, version, _ = strings.Cut(system, "@")
	}
	switch major, rest, _ := strings.Cut(version, "."); {
	case major == "0" && strings.HasPrefix(rest, "1"):
		return "lucia-0.1", true
	case major == "1" || major == "2" || major == "3":
		return "lucia-" + major, true
	}
	return "", false
}

func luciaRow(rec record, version string) Row {
	u := snib.UserImport{Row: rec.row}
	fields := rec.fields
	system, _ := scalar(fields["system"])
	if inner, ok := fields["user"].(map[string]any); ok {
		fields = inner
	} else if system != "" {
		return refusedRow(u, &RowError{Kind: "\"system\" without \"user\""})
	}
	source, ok := luciaSource(system, version)
	if !ok {
		return refusedRow(u, &RowError{Kind: "the version of Lucia is not known: \"system\", or parameter version", Place: "system"})
	}
	l := luciaUser{fields: fields, used: map[string]bool{}}
	u.ID = snib.UserID(l.text("id", "user_id"))
	hash, left := l.identities()
	if hash == "" {
		hash = l.text("hashed_password", "password_hash")
	}
	if len(l.all) == 0 && l.fault == nil {
		l.fault = &RowError{Kind: noIdentity}
	}
	if l.fault != nil {
		return refusedRow(u, l.fault)
	}
	setIdentities(&u, l.all)
	if hash != "" {
		u.PasswordHash, u.PasswordSource = hash, source
	}
	u.Attributes = snib.Attributes{}
	for name, v := range fields {
		if l.used[name] {
			continue
		}
		v, err := attributeValue(v)
		if err != nil {
			return refusedRow(u, &RowError{Kind: err.Error(), Place: "attribute " + short(name)})
		}
		u.Attributes[name] = v
	}
	return Row{User: u, Left: left}
}

// A luciaUser is read field by field; the first fault stays.
type luciaUser struct {
	fields map[string]any
	used   map[string]bool
	all    []snib.Identity
	fault  *RowError
}

// text returns the first of some fields that has a value.
func (l *luciaUser) text(names ...string) (out string) {
	for _, name := range names {
		l.used[name] = true
		text, ok := scalar(l.fields[name])
		if !ok && l.fault == nil {
			l.fault = &RowError{Kind: "a list or an object in the place of text", Place: name}
		}
		if out == "" {
			out = text
		}
	}
	return out
}

// identities reads all of them, and the hash of a key if there are keys.
func (l *luciaUser) identities() (hash string, left []string) {
	l.key(l.text("provider_id"), "provider_id")
	l.used["keys"] = true
	keys, ok := l.fields["keys"].([]any)
	if !ok && l.fields["keys"] != nil {
		l.fault = &RowError{Kind: "no list", Place: "keys"}
	}
	for _, v := range keys {
		fields, ok := v.(map[string]any)
		if !ok {
			l.fault = &RowError{Kind: "not a list of objects", Place: "keys"}
			return "", nil
		}
		key := luciaUser{fields: fields, used: map[string]bool{}}
		l.key(key.text("id"), "keys")
		if key.fault != nil {
			l.fault = key.fault
		}
		switch of := key.text("hashed_password"); {
		case hash == "":
			hash = of
		case of != "" && of != hash:
			left = []string{"password of a second key"}
		}
	}
	if len(l.all) == 0 && l.fault == nil {
		for _, provider := range []string{"email", "username"} {
			l.all = addIdentity(l.all, snib.Identity{Provider: provider, Identifier: l.text(provider)})
		}
	}
	return hash, left
}

// key adds the identity that "provider:identifier" names.
func (l *luciaUser) key(text, field string) {
	if text == "" {
		return
	}
	provider, identifier, ok := strings.Cut(text, ":")
	if (!ok || provider == "" || identifier == "") && l.fault == nil {
		l.fault = &RowError{Kind: "not of the form provider:identifier", Place: field}
	}
	l.all = addIdentity(l.all, snib.Identity{Provider: provider, Identifier: identifier})
}
