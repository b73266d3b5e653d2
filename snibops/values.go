package snibops

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// exact decodes one JSON value without unknown names: a misspelt field of an
// operator must not pass as one that was left out. Numbers stay text, of which
// snib makes an int64 where it is written as one.
func exact(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text behind the JSON value")
	}
	return nil
}

// loose decodes an answer: names that this version does not know are left out, so
// that a newer server may tell more.
func loose(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(into)
}

// utc is the form of all times in the protocol: the clock of a server's zone says
// nothing to a client.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}
