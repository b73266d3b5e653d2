package snibops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/snibdb/snib"
)

func mustJSON(t *testing.T, v any) []byte { return must(json.Marshal(v))(t) }

func mustText(t *testing.T, v any) string { return string(mustJSON(t, v)) }

// everyFieldIsSet fails for a field that a test has forgotten.
func everyFieldIsSet(t *testing.T, v any) {
	t.Helper()
	for i, s := 0, reflect.ValueOf(v); i < s.NumField(); i++ {
		if s.Type().Field(i).IsExported() && s.Field(i).IsZero() {
			t.Errorf("%s.%s is not set", s.Type(), s.Type().Field(i).Name)
		}
	}
}

// TestResultsHaveEveryField of the values of snib, but for those that must not
// leave and those that are elsewhere.
func TestResultsHaveEveryField(t *testing.T) {
	for _, x := range []struct {
		of, has any
		without string
	}{
		{snib.User{}, User{}, "CredentialVersion"},
		{snib.Identity{}, Identity{}, ""},
		{snib.Session{}, Session{}, "UserID Token RefreshTokenID ReadAt ExtendDue"},
		{snib.RefreshToken{}, Family{}, "UserID SessionID Token"},
		{snib.APIKey{}, APIKey{}, "Token"},
		{snib.Factor{}, Factor{}, "UserID"},
		{snib.OneTimeToken{}, OneTimeToken{}, "UserID Token Data"},
		{snib.Event{}, Event{}, "UserID Position"},
		{snib.CheckReport{}, CheckCount{}, "Orphans Problems"},
		{snib.Problem{}, Problem{}, ""},
		{snib.Stats{}, Stats{}, ""},
		{snib.Latencies{}, Latencies{}, ""},
		{snib.MoveReport{}, RecordsResult{}, ""},
		{snib.ResealReport{}, ResealResult{}, ""},
		{snib.ImportReport{}, ImportCount{}, "Refusals"},
		{snib.ImportedRow{}, ImportedRow{}, "Err"},
		{snib.UserImport{}, ImportRow{}, ""},
	} {
		from, to := reflect.TypeOf(x.of), reflect.TypeOf(x.has)
		for i := range from.NumField() {
			f := from.Field(i)
			_, there := to.FieldByName(f.Name)
			if f.IsExported() && there == strings.Contains(" "+x.without+" ", " "+f.Name+" ") {
				t.Errorf("%s.%s: in the result: %v", from, f.Name, there)
			}
		}
	}
}

// TestEveryCountCrosses: each number of a report is the one of its name in the
// result, so that a kind of records which CountOf leaves out is none that looks
// empty.
func TestEveryCountCrosses(t *testing.T) {
	var report snib.CheckReport
	from := reflect.ValueOf(&report).Elem()
	for i := range from.NumField() {
		switch f := from.Field(i); f.Kind() {
		case reflect.Int:
			f.SetInt(int64(i + 1))
		case reflect.Map:
			f.Set(reflect.ValueOf(map[string]int{"sessions": i + 1}))
		}
	}
	to := reflect.ValueOf(CountOf(report))
	for i := range to.NumField() {
		name := to.Type().Field(i).Name
		if got, want := fmt.Sprint(to.Field(i)), fmt.Sprint(from.FieldByName(name)); got != want && name != "Newest" {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// TestEveryErrorCrosses: each error of snib, and each typed one that a client can
// act on, is the same at the client.
func TestEveryErrorCrosses(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range codes {
		if seen[c.name] {
			t.Errorf("%s twice", c.name)
		}
		seen[c.name] = true
	}
	tree := must(parser.ParseFile(token.NewFileSet(), "../errors.go", nil, 0))(t)
	n := 0
	ast.Inspect(tree, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Err") {
			return true
		}
		n++
		if name := snake(spec.Names[0].Name[3:]); !seen[name] {
			t.Errorf("%s has no code %s: give it an answer in internal/answers", spec.Names[0].Name, name)
		}
		return true
	})
	if n < 30 {
		t.Errorf("%d errors of snib: the test reads nothing", n)
	}
}

// TestTheFirstCodeIsOfTheLibrary: the log names a failure by its first code, and a
// read-only file is one, not the permission that is its cause.
func TestTheFirstCodeIsOfTheLibrary(t *testing.T) {
	for want, err := range map[string]error{
		"read_only": fmt.Errorf("%w: %w", snib.ErrReadOnly, fs.ErrPermission),
		"file_gone": fmt.Errorf("%w: %w", fs.ErrNotExist, snib.ErrFileGone),
		"unknown":   fmt.Errorf("%w: %w", snib.ErrUnknown, context.Canceled),
		"stalled":   errors.Join(os.ErrDeadlineExceeded, context.DeadlineExceeded, ErrStalled),
		"canceled":  context.Canceled,
	} {
		if got := faultOf(err).Codes; len(got) == 0 || got[0] != want {
			t.Errorf("%v crosses as %v, first of all %s is wanted", err, got, want)
		}
	}
}

// snake is a name as codes are spelt: ErrInvalidAPIKey is invalid_api_key.
func snake(name string) string {
	var b strings.Builder
	upper := func(i int) bool { return i >= 0 && i < len(name) && name[i] >= 'A' && name[i] <= 'Z' }
	for i := range len(name) {
		if upper(i) && i > 0 && (!upper(i-1) || i+1 < len(name) && !upper(i+1)) {
			b.WriteByte('_')
		}
		b.WriteByte(name[i])
	}
	return strings.ToLower(b.String())
}
