package importer

import (
	"slices"
	"time"

	"github.com/snibdb/snib"
)

// A columnRow reads the columns of one row of a database. The first fault stays.
type columnRow struct {
	fields map[string]any
	at     time.Time // of a verification without a time: that of the user, or of the file
	all    []snib.Identity
	fault  *RowError
}

func (r *columnRow) check(fault *RowError) {
	if r.fault == nil {
		r.fault = fault
	}
}

func (r *columnRow) text(field string) string {
	out, ok := scalar(r.fields[field])
	if !ok {
		r.check(&RowError{Kind: "of a type that is no text", Place: field})
	}
	return out
}

func (r *columnRow) moment(field string) time.Time {
	out, fault := columnTime(field, r.fields[field])
	r.check(fault)
	return out
}

func (r *columnRow) yes(field string) bool {
	f := flag{Field: path{field}}
	out, fault := f.value(&env{fields: r.fields})
	r.check(fault)
	return out
}

// created reads the time of the user, which verifications without a time get.
func (r *columnRow) created(field string) time.Time {
	created := r.moment(field)
	if !created.IsZero() {
		r.at = created
	}
	return created
}

// add adds an identity if its column has a value.
func (r *columnRow) add(provider, field string, verified bool) {
	x := snib.Identity{Provider: provider, Identifier: r.text(field)}
	if verified {
		x.VerifiedAt = r.at
	}
	r.all = addIdentity(r.all, x)
}

// addExternal adds the identity of a row about an account elsewhere, which counts as
// verified since it was linked.
func (r *columnRow) addExternal(fields map[string]any, provider, subject, linked string) {
	other := &columnRow{fields: fields, at: r.at}
	x := snib.Identity{Provider: other.text(provider), Identifier: other.text(subject), LinkedAt: other.created(linked)}
	x.VerifiedAt = other.at
	r.check(other.fault)
	r.all = addIdentity(r.all, x)
}

// row finishes the user.
func (r *columnRow) row(u snib.UserImport, left []string) Row {
	if len(r.all) == 0 {
		r.check(&RowError{Kind: noIdentity})
	}
	if r.fault != nil {
		return refusedRow(u, r.fault)
	}
	setIdentities(&u, r.all)
	return Row{User: u, Left: left}
}

const noIdentity = "no identity: the fields for it are empty"

// attributes are the columns without another meaning.
func (r *columnRow) attributes(known []string) snib.Attributes {
	out := snib.Attributes{}
	for name, v := range r.fields {
		if v := columnAttribute(v); v != nil && !slices.Contains(known, name) {
			out[name] = v
		}
	}
	return out
}

// columnAttribute turns a column into an attribute, nil for one without a value.
func columnAttribute(v any) any {
	switch v := v.(type) {
	case string:
		if v == "" {
			return nil
		}
	case []byte:
		return slices.Clone(v)
	}
	return v
}

// columnTime reads a time as databases hold it: text, seconds or milliseconds.
func columnTime(field string, v any) (time.Time, *RowError) {
	switch v := v.(type) {
	case nil:
		return time.Time{}, nil
	case time.Time:
		return v, nil
	case int64:
		if v > 1<<37 { // the year 6325, in seconds
			return time.UnixMilli(v), nil
		}
		return time.Unix(v, 0), nil
	case string:
		if v == "" {
			return time.Time{}, nil
		}
		for _, form := range []string{"rfc3339", "sql"} {
			if at, ok := parseTime(form, v); ok {
				return at, nil
			}
		}
	}
	return time.Time{}, &RowError{Kind: "a time in a form that is not known", Place: field}
}
