package importer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// conditions are values that fields must have, all of them: by path, the texts of
// which it has one. "*" is any text but "", "" is no value.
type conditions []condition

type condition struct {
	path   path
	values []string
}

// UnmarshalJSON reads an object of lists, in the order of its names.
func (c *conditions) UnmarshalJSON(data []byte) error {
	var byPath map[string][]string
	if err := json.Unmarshal(data, &byPath); err != nil {
		return err
	}
	for _, text := range sortedKeys(byPath) {
		p, err := parsePath(text)
		if err != nil {
			return err
		}
		*c = append(*c, condition{p, byPath[text]})
	}
	return nil
}

func (c conditions) hold(e *env) (bool, *RowError) {
	for _, x := range c {
		text, fault := e.text(x.path)
		if fault != nil {
			return false, fault
		}
		if !slices.Contains(x.values, text) && (text == "" || !slices.Contains(x.values, "*")) {
			return false, nil
		}
	}
	return true, nil
}

// A flag is a field that is true or false. Another text than those it names
// refuses the row: a spelling that was not thought of must not enable a user.
type flag struct {
	Field path     `json:"field"`
	True  []string `json:"true"`  // default: true, t, 1
	False []string `json:"false"` // default: false, f, 0 and no value
}

func (f *flag) value(e *env) (bool, *RowError) {
	text, fault := e.text(f.Field)
	if fault != nil {
		return false, fault
	}
	yes, no := f.True, f.False
	if yes == nil {
		yes = []string{"true", "t", "1", "True", "TRUE"}
	}
	if no == nil {
		no = []string{"false", "f", "0", "False", "FALSE", ""}
	}
	switch {
	case slices.Contains(yes, text):
		return true, nil
	case slices.Contains(no, text):
		return false, nil
	}
	return false, &RowError{Kind: "neither true nor false", Place: f.Field.String()}
}

// A moment is a field with a time, in one of some forms.
type moment struct {
	Field path     `json:"field"`
	As    []string `json:"as"` // rfc3339, sql, unix, unix_ms
}

// value returns the time, zero for an empty field.
func (m *moment) value(e *env) (time.Time, *RowError) {
	if m == nil {
		return time.Time{}, nil
	}
	text, fault := e.text(m.Field)
	if fault != nil || text == "" {
		return time.Time{}, fault
	}
	for _, form := range m.As {
		if at, ok := parseTime(form, text); ok {
			return at, nil
		}
	}
	return time.Time{}, &RowError{Kind: "a time in another form than " + strings.Join(m.As, ", "), Place: m.Field.String()}
}

// timeForms are the names that moment.As takes.
func timeForms() []string { return []string{"rfc3339", "sql", "unix", "unix_ms"} }

// sqlLayouts are the ways in which databases print a time. Without a zone it is
// UTC.
func sqlLayouts() []string {
	return []string{
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05-07", "2006-01-02 15:04:05-0700",
		"2006-01-02 15:04:05 UTC", "2006-01-02 15:04:05", "2006-01-02T15:04:05",
		"2006-01-02 15:04:05 -0700 UTC",
	}
}

func parseTime(form, text string) (time.Time, bool) {
	switch form {
	case "rfc3339":
		at, err := time.Parse(time.RFC3339, text)
		return at, err == nil
	case "sql":
		if strings.HasPrefix(text, "0000-00-00") { // of MySQL: no time
			return time.Time{}, true
		}
		for _, layout := range sqlLayouts() {
			if at, err := time.Parse(layout, text); err == nil {
				return at, true
			}
		}
	case "unix", "unix_ms":
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil || n < 0 || n > 1<<52:
			return time.Time{}, false
		case form == "unix":
			return time.Unix(n, 0), n < 1<<40
		}
		return time.UnixMilli(n), true
	}
	return time.Time{}, false
}

func checkForms(forms []string) error {
	if len(forms) == 0 {
		return fmt.Errorf("a time needs \"as\": %s", strings.Join(timeForms(), ", "))
	}
	for _, form := range forms {
		if !slices.Contains(timeForms(), form) {
			return fmt.Errorf("no form of time %.40q", form)
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
