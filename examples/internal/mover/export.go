package mover

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/snibdb/snib"
)

// sources are the systems of an export, by the names that snib has for their
// ways to hash.
var sources = map[string]string{
	"lucia-auth@0.1.1": "lucia-0.1",
	"lucia-auth@1.8.0": "lucia-1",
	"lucia@3.2.2":      "lucia-3",
}

// maxLine bounds one line, in bytes.
const maxLine = 1 << 20

var errLineTooLong = fmt.Errorf("is longer than %d bytes", maxLine)

// countLines returns how many lines there are and rewinds.
func countLines(r io.ReadSeeker) (n int, err error) {
	buf := make([]byte, 64<<10)
	last := byte('\n')
	for {
		k, err := r.Read(buf)
		n += bytes.Count(buf[:k], []byte{'\n'})
		if k > 0 {
			last = buf[k-1]
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	if last != '\n' {
		n++
	}
	_, err = r.Seek(0, io.SeekStart)
	return n, err
}

// nextLine returns the next line without its end; io.EOF behind the last. The
// bytes are valid until the next call. A line that does not fit into r's
// buffer is passed over: errLineTooLong.
func nextLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = errLineTooLong
		}
		return nil, err
	case errors.Is(err, io.EOF) && len(line) > 0:
		err = nil
	}
	return bytes.TrimSpace(line), err
}

// A record is one line of the export.
type record struct {
	System   string         `json:"system"`
	User     map[string]any `json:"user"`
	Password *string        `json:"password"`
}

// parse reads one line. Its errors name the fault and repeat no password and no
// hash.
func parse(line []byte) (record, error) {
	var r record
	if !utf8.Valid(line) {
		return r, errors.New("is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber() // keep numbers of 64 bits exact
	err := d.Decode(&r)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		kind, _, _ := strings.Cut(wrong.Value, " ")
		return r, fmt.Errorf("%s must not be a JSON %s", orElse(wrong.Field, "the line"), kind)
	}
	if err != nil {
		return r, fmt.Errorf("is not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("has something behind the JSON object")
	}
	if r.User == nil {
		return r, errors.New("user is missing")
	}
	return r, nil
}

// orElse returns text, or instead if that is empty.
func orElse(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}

// user converts the record to an import.
func (r record) user() (snib.UserImport, error) {
	var u snib.UserImport
	source, ok := sources[r.System]
	if !ok {
		return u, fmt.Errorf("system %.40q is none that this program knows", r.System)
	}
	id, err := r.text("id")
	if err != nil {
		return u, err
	}
	identity, err := r.text("provider_id")
	if err != nil {
		return u, err
	}
	provider, identifier, ok := strings.Cut(identity, ":")
	if !ok || id == "" {
		return u, errors.New("needs an id, and a provider_id with a colon in it")
	}
	hash, err := r.text("hashed_password")
	if err != nil {
		return u, err
	}
	attributes, err := r.attributes()
	return snib.UserImport{
		ID: snib.UserID(id), Provider: provider, Identifier: identifier,
		PasswordHash: hash, PasswordSource: source, Attributes: attributes,
	}, err
}

// text returns a field of the user; "" for null and for a missing one.
func (r record) text(name string) (string, error) {
	switch v := r.User[name].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%s must be text", name)
}

// attributes are all other fields.
func (r record) attributes() (snib.Attributes, error) {
	out := snib.Attributes{}
	for name, v := range r.User {
		switch name {
		case "id", "provider_id", "hashed_password":
			continue
		}
		v, err := withNumbers(v)
		if err != nil {
			return nil, fmt.Errorf("%.64q %w", name, err)
		}
		out[name] = v
	}
	return out, nil
}

// withNumbers turns the numbers in a JSON value into int64 where they are
// whole, and float64 where they are not.
func withNumbers(v any) (_ any, err error) {
	switch v := v.(type) {
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			n, err := v.Int64()
			if err != nil {
				return nil, errors.New("has a number of more than 64 bits")
			}
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, errors.New("has a number that is out of range")
		}
		return f, nil
	case []any:
		for i := range v {
			if v[i], err = withNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = withNumbers(v[key]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
