package importer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// document reads the users of one JSON document, which is an array of them or an
// object with such an array under one of the names in lists; "" allows the array
// alone. The rest of the document is passed over. A fault of the syntax ends it.
func document(in io.Reader, lists []string) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		s := &splitter{r: bufio.NewReaderSize(withoutBOM(in), readAhead), at: place{1, 1}}
		stop := errors.New("stop") // yield has returned false
		err := s.document(lists, func(data []byte, at place, n int) error {
			rec := parseRecord(data, at, n)
			if rec.err != nil && !json.Valid(data) {
				return splitFault(data, at)
			}
			if !yield(rec, nil) {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield(record{}, err)
		}
	}
}

// splitFault is the fault of an element that is not JSON.
func splitFault(data []byte, at place) error {
	if _, fault := parseJSON(data, at); fault != nil {
		return fault
	}
	return &SyntaxError{at.Line, at.Column, "not JSON"}
}

// A splitter cuts a JSON document into the elements of one array. It follows
// brackets and texts only; the elements are parsed by themselves.
type splitter struct {
	r  *bufio.Reader
	at place // of the next byte
}

func (s *splitter) next() (byte, error) {
	c, err := s.r.ReadByte()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return 0, s.fault("unexpected end")
		}
		return 0, err
	}
	s.at.Column++
	if c == '\n' {
		s.at = place{s.at.Line + 1, 1}
	}
	return c, nil
}

func (s *splitter) fault(reason string) error {
	return &SyntaxError{s.at.Line, s.at.Column, reason}
}

// peek returns the next byte that is no space, without taking it.
func (s *splitter) peek() (byte, error) {
	for {
		head, err := s.r.Peek(1)
		if err != nil {
			_, err = s.next() // tells the end
			return 0, err
		}
		if !isSpace(head[0]) {
			return head[0], nil
		}
		if _, err := s.next(); err != nil {
			return 0, err
		}
	}
}

// want takes the next byte, which is one of some.
func (s *splitter) want(some string) (byte, error) {
	c, err := s.peek()
	if err != nil {
		return 0, err
	}
	for i := range len(some) {
		if c == some[i] {
			return s.next()
		}
	}
	return 0, s.fault(fmt.Sprintf("not JSON: one of %q is expected", some))
}

type elementFunc func(data []byte, at place, n int) error

func (s *splitter) document(lists []string, element elementFunc) error {
	c, err := s.want("[{")
	if err != nil {
		return err
	}
	found := false
	if c == '[' {
		if !slices.Contains(lists, "") {
			return s.fault(fmt.Sprintf("a list, where an object with %q is expected", lists))
		}
		found, err = true, s.array(element)
	} else {
		found, err = s.object(lists, element)
	}
	if err != nil {
		return err
	}
	if !found {
		return s.fault(fmt.Sprintf("the document has none of the lists %q", lists))
	}
	return s.end()
}

// end reports anything but space behind the document.
func (s *splitter) end() error {
	for {
		head, err := s.r.Peek(1)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case !isSpace(head[0]):
			return s.fault("more behind the document")
		}
		if _, err := s.next(); err != nil {
			return err
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// object reads the members of the document behind its brace.
func (s *splitter) object(lists []string, element elementFunc) (found bool, err error) {
	if c, err := s.peek(); err != nil || c == '}' {
		_, end := s.want("}")
		return false, errors.Join(err, end)
	}
	for {
		if c, err := s.peek(); err != nil || c != '"' {
			_, err = s.want(`"`)
			return false, err
		}
		name, err := s.value(true)
		if err == nil {
			_, err = s.want(":")
		}
		if err != nil {
			return false, err
		}
		var key string
		if json.Unmarshal(name, &key) != nil {
			return false, s.fault("not JSON: a malformed name")
		}
		c, err := s.peek()
		switch {
		case err != nil:
		case key != "" && slices.Contains(lists, key) && c == '[':
			if found {
				return false, s.fault(fmt.Sprintf("a second list of %.40q", key))
			}
			found = true
			if _, err = s.next(); err == nil {
				err = s.array(element)
			}
		default:
			_, err = s.value(false)
		}
		if err != nil {
			return false, err
		}
		if c, err = s.want(",}"); err != nil || c == '}' {
			return found, err
		}
	}
}

// array reads elements behind the bracket.
func (s *splitter) array(element elementFunc) error {
	if c, err := s.peek(); err != nil || c == ']' {
		_, end := s.want("]")
		return errors.Join(err, end)
	}
	for n := 1; ; n++ {
		if _, err := s.peek(); err != nil {
			return err
		}
		at := s.at
		data, err := s.value(true)
		if err != nil {
			return err
		}
		if err := element(data, at, n); err != nil {
			return err
		}
		if c, err := s.want(",]"); err != nil || c == ']' {
			return err
		}
	}
}

// value takes one value and returns its bytes if they are kept.
func (s *splitter) value(keep bool) (out []byte, err error) {
	began, depth, inText := s.at, 0, false
	for first := true; ; first = false {
		head, err := s.r.Peek(1)
		if err != nil {
			_, err = s.next()
			return nil, err
		}
		c := head[0]
		if !inText && depth == 0 && !first && endsValue(c) {
			return out, nil // of a number or a name
		}
		if _, err := s.next(); err != nil {
			return nil, err
		}
		if keep {
			if out = append(out, c); len(out) > maxRow {
				return nil, &SyntaxError{began.Line, began.Column, "a value " + errTooLong.Error()}
			}
		}
		switch {
		case inText && c == '\\':
			escaped, err := s.next()
			if err != nil {
				return nil, err
			}
			if keep {
				out = append(out, escaped)
			}
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if !inText && depth == 0 && (c == '"' || c == '}' || c == ']') {
			return out, nil
		}
		if depth < 0 {
			return nil, s.fault("not JSON: a bracket too many")
		}
	}
}

func endsValue(c byte) bool {
	return isSpace(c) || c == ',' || c == ']' || c == '}' || c == ':'
}
