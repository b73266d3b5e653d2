package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of one row.
const (
	maxRow   = 1 << 20 // bytes
	maxDepth = 32      // of arrays and objects in one another
)

// parseObject decodes one JSON object, numbers as they are spelled. at is the place
// where data begins. The error shows nothing of the data.
func parseObject(data []byte, at place) (map[string]any, *SyntaxError) {
	v, fault := parseJSON(data, at)
	if fault != nil {
		return nil, fault
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, &SyntaxError{at.Line, at.Column, "not a JSON object"}
	}
	return object, nil
}

func parseJSON(data []byte, at place) (any, *SyntaxError) {
	fault := func(offset int, reason string) *SyntaxError {
		p := at.after(data, offset)
		return &SyntaxError{p.Line, p.Column, reason}
	}
	if len(data) > maxRow {
		return nil, fault(0, fmt.Sprintf("longer than %d bytes", maxRow))
	}
	if offset := deepest(data); offset >= 0 {
		return nil, fault(offset, fmt.Sprintf("JSON nests deeper than %d", maxDepth))
	}
	if !utf8.Valid(data) {
		return nil, fault(validPrefix(data), "not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		offset := len(data)
		if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = int(wrong.Offset) - 1
		}
		return nil, fault(offset, "not JSON: "+jsonReason(err))
	}
	end := int(d.InputOffset())
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault(end, "more behind the JSON value")
	}
	return v, nil
}

// jsonReason is the decoder's own text without the character, which may belong to
// a hash.
func jsonReason(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "' "); ok && strings.HasPrefix(text, "invalid character") {
		return "unexpected character " + after
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(text, "unexpected end") {
		return "unexpected end"
	}
	return "malformed"
}

// deepest returns the offset at which JSON nests too deep, or -1.
func deepest(data []byte) int {
	depth, inText := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return i
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return -1
}

func validPrefix(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// attributeValue turns the numbers in a JSON value into int64 where they are
// whole, and float64 where they are not.
func attributeValue(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			n, err := v.Int64()
			if err != nil {
				return nil, errors.New("a number of more than 64 bits")
			}
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, errors.New("a number out of range")
		}
		return f, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			x, err := attributeValue(v[i])
			if err != nil {
				return nil, err
			}
			out[i] = x
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key := range v {
			x, err := attributeValue(v[key])
			if err != nil {
				return nil, err
			}
			out[key] = x
		}
		return out, nil
	}
	return v, nil
}
