package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A path names a value of a row: names and places in lists, with points between
// them. "@item" at its beginning is the element of a list that a rule is about;
// "@json" reads text as JSON.
type path []string

const (
	item   = "@item"
	asJSON = "@json"
)

func parsePath(text string) (path, error) {
	p := path(strings.Split(text, "."))
	for i, name := range p {
		switch {
		case name == "" || strings.ContainsAny(name, "{}|"):
			return nil, fmt.Errorf("path %.60q is malformed", text)
		case name == item && i > 0, name == asJSON && i == 0:
			return nil, fmt.Errorf("path %.60q has %s in a wrong place", text, name)
		}
	}
	if len(p) > maxDepth {
		return nil, fmt.Errorf("path %.60q has more than %d parts", text, maxDepth)
	}
	return p, nil
}

func (p path) String() string { return strings.Join(p, ".") }

// UnmarshalJSON reads the text of a path.
func (p *path) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	if err == nil {
		*p, err = parsePath(text)
	}
	return err
}

// An env is what paths and templates of a mapping refer to.
type env struct {
	fields map[string]any
	item   any
	params map[string]string
}

// get returns the value, nil if there is none.
func (e *env) get(p path) (any, *RowError) {
	var v any = e.fields
	if p[0] == item {
		v, p = e.item, p[1:]
	}
	for _, name := range p {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(x) {
				return nil, nil
			}
			v = x[i]
		case string:
			if name != asJSON || x == "" {
				return nil, nil
			}
			parsed, fault := parseJSON([]byte(x), place{1, 1})
			if fault != nil {
				return nil, &RowError{Kind: "text that should be JSON: " + fault.Reason, Place: p.String()}
			}
			v = parsed
		default:
			return nil, nil
		}
	}
	return v, nil
}

// text returns a value as text, "" if there is none.
func (e *env) text(p path) (string, *RowError) {
	v, fault := e.get(p)
	if fault != nil {
		return "", fault
	}
	text, ok := scalar(v)
	if !ok {
		return "", &RowError{Kind: "a list or an object in the place of text", Place: p.String()}
	}
	return text, nil
}

// scalar returns the text of a value that is no list and no object.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case []byte:
		return string(v), true
	}
	return "", false
}

// A template is text with values of a row in it: "auth0|{_id.$oid}". "{$name}" is a
// parameter, "{{" a brace. If one of its values is empty, the whole text is.
type template struct {
	parts []templatePart
}

type templatePart struct {
	literal string
	path    path   // nil in a literal
	param   string // "" unless it is one
}

func parseTemplate(text string) (template, error) {
	var t template
	for text != "" {
		at := strings.IndexByte(text, '{')
		if at < 0 {
			at = len(text)
		}
		if at > 0 {
			t.parts = append(t.parts, templatePart{literal: text[:at]})
			text = text[at:]
			continue
		}
		if rest, ok := strings.CutPrefix(text, "{{"); ok {
			t.parts = append(t.parts, templatePart{literal: "{"})
			text = rest
			continue
		}
		inner, rest, ok := strings.Cut(text[1:], "}")
		if !ok {
			return t, fmt.Errorf("template %.60q has a brace without its end", text)
		}
		text = rest
		part := templatePart{param: strings.TrimPrefix(inner, "$")}
		if !strings.HasPrefix(inner, "$") {
			p, err := parsePath(inner)
			if err != nil {
				return t, err
			}
			part = templatePart{path: p}
		}
		t.parts = append(t.parts, part)
	}
	return t, nil
}

// UnmarshalJSON reads the text of a template.
func (t *template) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	if err == nil {
		*t, err = parseTemplate(text)
	}
	return err
}

func (t *template) empty() bool { return len(t.parts) == 0 }

// errNoParam ends a run: each further row would be refused alike.
var errNoParam = errors.New("the parameter must be given")

// expand returns the text. A parameter that is missing is looked at only if the
// values are there.
func (t *template) expand(e *env) (string, *RowError) {
	var out strings.Builder
	missing := ""
	for _, p := range t.parts {
		switch {
		case p.path != nil:
			text, fault := e.text(p.path)
			if text == "" || fault != nil {
				return "", fault
			}
			out.WriteString(text)
		case p.param != "":
			if e.params[p.param] == "" {
				missing = p.param
			}
			out.WriteString(e.params[p.param])
		default:
			out.WriteString(p.literal)
		}
	}
	if missing != "" {
		return "", &RowError{Kind: errNoParam.Error(), Place: missing}
	}
	return out.String(), nil
}

// A choice is the first of some templates that is not empty.
type choice []template

// UnmarshalJSON reads a text or a list of them.
func (c *choice) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]template)(c))
	}
	*c = make(choice, 1)
	return json.Unmarshal(data, &(*c)[0])
}

func (c choice) expand(e *env) (string, *RowError) {
	for i := range c {
		if text, fault := c[i].expand(e); text != "" || fault != nil {
			return text, fault
		}
	}
	return "", nil
}

// paths calls fn for each path of the template.
func (t *template) paths(fn func(path)) {
	for _, p := range t.parts {
		if p.path != nil {
			fn(p.path)
		}
	}
}
