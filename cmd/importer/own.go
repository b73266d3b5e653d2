package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/snibdb/snib"
)

// An ownRow is one line of snib's own form. Times are RFC 3339, bytes base64.
type ownRow struct {
	ID                string               `json:"id"`
	Provider          string               `json:"provider"`
	Identifier        string               `json:"identifier"`
	LinkedAt          time.Time            `json:"linked_at"`
	VerifiedAt        time.Time            `json:"verified_at"`
	Others            []ownIdentity        `json:"others"`
	PasswordHash      string               `json:"password_hash"`
	PasswordSource    string               `json:"password_source"`
	PasswordKey       *ownKey              `json:"password_key"`
	PasswordPepper    string               `json:"password_pepper"`
	PasswordChangedAt time.Time            `json:"password_changed_at"`
	Roles             []string             `json:"roles"`
	Attributes        map[string]rawNumber `json:"attributes"`
	Disabled          bool                 `json:"disabled"`
	DisabledReason    string               `json:"disabled_reason"`
	CreatedAt         time.Time            `json:"created_at"`
}

// rawNumber is any JSON value whose numbers are as they are spelled.
type rawNumber = any

type ownIdentity struct {
	Provider   string    `json:"provider"`
	Identifier string    `json:"identifier"`
	LinkedAt   time.Time `json:"linked_at"`
	VerifiedAt time.Time `json:"verified_at"`
}

type ownKey struct {
	Scheme     string `json:"scheme"`
	Iterations uint64 `json:"iterations"`
	N          uint64 `json:"n"`
	R          uint64 `json:"r"`
	P          uint64 `json:"p"`
	MemoryKiB  uint64 `json:"memory_kib"`
	Salt       []byte `json:"salt"`
	Key        []byte `json:"key"`
}

// openOwn reads UserImport as JSON Lines.
func openOwn(_ context.Context, s *Source, _ time.Time) (*Reader, error) {
	f, err := openText(s.Path)
	if err != nil {
		return nil, err
	}
	return f.reader("line", converted(lines(&f.counted), ownUser)), nil
}

// ownUser decodes a second time, now by the types of the fields.
func ownUser(rec record) Row {
	u := snib.UserImport{Row: rec.row}
	id, _ := scalar(rec.fields["id"])
	u.ID = snib.UserID(id)
	data, err := json.Marshal(rec.fields)
	if err != nil {
		return refusedRow(u, &RowError{Kind: "not JSON"})
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	d.UseNumber()
	var r ownRow
	if err := d.Decode(&r); err != nil {
		return refusedRow(u, ownFault(err, rec.fields))
	}
	u.Provider, u.Identifier, u.LinkedAt, u.VerifiedAt = r.Provider, r.Identifier, r.LinkedAt, r.VerifiedAt
	for _, x := range r.Others {
		u.Others = append(u.Others, snib.Identity(x))
	}
	u.PasswordHash, u.PasswordSource, u.PasswordPepper = r.PasswordHash, r.PasswordSource, r.PasswordPepper
	u.PasswordKey, u.PasswordChangedAt = (*snib.PasswordKey)(r.PasswordKey), r.PasswordChangedAt
	u.Roles, u.Disabled, u.DisabledReason, u.CreatedAt = r.Roles, r.Disabled, r.DisabledReason, r.CreatedAt
	if len(r.Attributes) > 0 {
		u.Attributes = snib.Attributes{}
	}
	for name, v := range r.Attributes {
		v, err := attributeValue(v)
		if err != nil {
			return refusedRow(u, &RowError{Kind: err.Error(), Place: "attribute " + short(name)})
		}
		u.Attributes[name] = v
	}
	return Row{User: u}
}

// ownFault names the field at fault and shows no value.
func ownFault(err error, fields map[string]any) *RowError {
	var of *json.UnmarshalTypeError
	if wrong, ok := err.(*json.UnmarshalTypeError); ok {
		of = wrong
	}
	if of != nil {
		return &RowError{Kind: "of a wrong type", Place: short(of.Field)}
	}
	for _, name := range sortedKeys(fields) {
		one, err := json.Marshal(map[string]any{name: fields[name]})
		if err != nil {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(one))
		d.DisallowUnknownFields()
		if d.Decode(new(ownRow)) != nil {
			return &RowError{Kind: "a field that is unknown or malformed", Place: short(name)}
		}
	}
	return &RowError{Kind: "malformed"}
}
