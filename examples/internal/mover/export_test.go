package mover

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/snibdb/snib"
)

// user is a line of an export, of a user without a password. more follows the
// other fields.
func user(n, more string) string {
	return fmt.Sprintf(`{"system":"lucia@3.2.2","user":{"id":"u%s","provider_id":"email:%[1]s@example.com","hashed_password":null,"username":"name-%[1]s"%s},"password":null}`, n, more)
}

// with replaces parts of a good line.
func with(n string, replace ...string) string {
	return strings.NewReplacer(replace...).Replace(user(n, ""))
}

// broken are lines of which each is refused behind two good ones.
var broken = map[string]struct{ line, want string }{
	"not JSON":            {"hello", "is not JSON: invalid character 'h' looking for beginning of value"},
	"cut off":             {user("3", "")[:40], "is not JSON: unexpected EOF"},
	"two objects":         {user("3", "") + user("4", ""), "has something behind the JSON object"},
	"a list":              {"[]", "the line must not be a JSON array"},
	"null":                {"null", "user is missing"},
	"a number for a user": {`{"system":"lucia@3.2.2","user":1}`, "user must not be a JSON number"},
	"not UTF-8":           {with("3", "name-3", "\xff"), "is not valid UTF-8"},
	"too long":            {user("3", `,"bio":"`+strings.Repeat("x", maxLine)+`"`), "is longer than 1048576 bytes"},
	"unknown system":      {with("3", "lucia@3.2.2", `\u001b[31m`), `system "\x1b[31m" is none that this program knows`},
	"no system":           {with("3", `"system":"lucia@3.2.2",`, ""), `system "" is none that this program knows`},
	"no id":               {with("3", `"id":"u3",`, ""), "needs an id, and a provider_id with a colon in it"},
	"a number as id":      {with("3", `"id":"u3"`, `"id":3`), "id must be text"},
	"a malformed id":      {with("3", `"id":"u3"`, `"id":"u 3"`), "id: must be 1–128 of visible ASCII without space"},
	"no colon":            {with("3", "email:", "email"), "needs an id, and a provider_id with a colon in it"},
	"a malformed address": {with("3", "3@example.com", "3"), "provider_id: must be an e-mail address: name@domain in ASCII (RFC 5321), without quotes"},
	"a hash that is none": {with("3", `"hashed_password":null`, `"hashed_password":"secret!"`), "hashed_password: "},
	"a hostile hash": {with("3", `"hashed_password":null`, `"hashed_password":"$argon2id$v=19$m=4294967295,t=4294967295,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`),
		"hashed_password: "},
	"a number as hash":      {with("3", `"hashed_password":null`, `"hashed_password":123456`), "hashed_password must be text"},
	"a number as password":  {with("3", `"password":null}`, `"password":123456}`), "password must not be a JSON number"},
	"an id that is taken":   {with("3", `"id":"u3"`, `"id":"u1"`), "id is taken by line 1"},
	"an address, taken":     {with("3", "3@example.com", "2@EXAMPLE.com"), "provider_id is taken by line 2"},
	"a username, taken":     {with("3", "name-3", "NAME-1"), "username is taken by line 1"},
	"the same line again":   {user("2", ""), "id is taken by line 2"},
	"an attribute too deep": {user("3", `,"deep":`+strings.Repeat("[", 9)+strings.Repeat("]", 9)), "Attributes[deep]: "},
	"an integer too large":  {user("3", `,"n":9223372036854775808`), `"n" has a number of more than 64 bits`},
	"a float too large":     {user("3", `,"n":[{"x":1e999}]`), `"n" has a number that is out of range`},
	"a username of symbols": {with("3", "name-3", `\u0000`), "Attributes[username]: "},
}

// TestABrokenLineIsReportedWithItsNumberAndLeavesNothing puts each between
// good lines.
func TestABrokenLineIsReportedWithItsNumberAndLeavesNothing(t *testing.T) {
	for name, c := range broken {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "accounts.db")
			code, out, errs := moveIn(ctx, "-db", path, written(t, user("1", ""), user("2", ""), c.line, user("9", "")))
			if code != 1 || !strings.HasPrefix(errs, "movein: line 3: "+c.want) || strings.Count(errs, "\n") != 1 {
				t.Errorf("exit code %d, stderr\n%.200s, want line 3: %s", code, errs, c.want)
			}
			for _, secret := range []string{"secret!", "123456", "4294967295", "\x1b"} {
				if strings.Contains(errs, secret) {
					t.Errorf("stderr repeats %q: %s", secret, errs)
				}
			}
			wantLines(t, out, `users moved in +3 .*`, `lines reported +1 .*`, `users in the file +3 .* 0 problems`)
			within(t, path, nil, func(db *snib.DB) {
				var got []snib.UserID
				for u, err := range db.ListUsers(ctx, snib.ListOptions{}) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, u.ID)
				}
				if want := []snib.UserID{"u1", "u2", "u9"}; !reflect.DeepEqual(got, want) {
					t.Errorf("users %v, want %v", got, want)
				}
				// Nothing of the line: what it wanted is free.
				if _, err := db.CreateUser(ctx, snib.NewUser{
					Provider: "email", Identifier: "3@example.com", Attributes: snib.Attributes{"username": "name-3"},
				}); err != nil {
					t.Errorf("half of the line was moved in: %v", err)
				}
			})
		})
	}
}

func TestAPasswordThatIsRefusedIsReported(t *testing.T) {
	hashed := strings.Replace(strings.SplitN(string(builtin), "\n", 2)[0], `"password":"`, `"password":"not `, 1)
	code, out, errs := moveIn(ctx, written(t, user("1", ""), hashed))
	if code != 1 || errs != "movein: line 2: the password in the export is refused\n" {
		t.Errorf("exit code %d, stderr %q", code, errs)
	}
	wantLines(t, out, `with a password +1   0 logged in with it, of 1 .*`, `imported hashes +1   left, of 1 .*`)
}

func TestEmptyLinesAndLineEndsOfOtherSystemsAreNoErrors(t *testing.T) {
	code, out, errs := moveIn(ctx, written(t, "", user("1", "")+"\r", "  \t", user("2", ""), "", ""))
	if code != 0 || errs != "" {
		t.Errorf("exit code %d, stderr %q", code, errs)
	}
	wantLines(t, out, `moving in  100 %  5 of 5`, `users moved in +2 .*`)
	code, out, errs = moveIn(ctx, written(t))
	if code != 0 || errs != "" {
		t.Errorf("an empty export: exit code %d, stderr %q", code, errs)
	}
	wantLines(t, out, `users moved in +0 .*`)
}

func TestNumbersOfAttributesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	line := user("1", `,"max":9223372036854775807,"float":1.0,"exp":1e3,"neg":-1,"in":[1,{"x":2.5}],"no":null`)
	if code, _, errs := moveIn(ctx, "-db", path, written(t, line)); code != 0 {
		t.Fatal(errs)
	}
	within(t, path, nil, func(db *snib.DB) {
		u, err := db.GetUser(ctx, "u1")
		want := snib.Attributes{
			"username": "name-1", "max": int64(9223372036854775807), "float": 1.0, "exp": 1000.0, "neg": int64(-1),
			"in": []any{int64(1), map[string]any{"x": 2.5}}, "no": nil,
		}
		if err != nil || !reflect.DeepEqual(u.Attributes(), want) {
			t.Errorf("got %#v, %v, want %#v", u.Attributes(), err, want)
		}
	})
}

func TestLinesAreCountedAsTheyAreRead(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "a": 1, "a\n": 1, "a\nb": 2, "\n\n": 2, strings.Repeat("x", 200<<10) + "\ny": 2,
	} {
		source := strings.NewReader(text)
		if n, err := countLines(source); n != want || err != nil || source.Len() != len(text) {
			t.Errorf("%.20q: %d lines, %v, %d bytes left; want %d", text, n, err, source.Len(), want)
		}
		r, n := bufio.NewReaderSize(source, 64), 0
		for {
			_, err := nextLine(r)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil && !errors.Is(err, errLineTooLong) {
				t.Fatal(err)
			}
			n++
		}
		if n != want {
			t.Errorf("%.20q: %d lines read, want %d", text, n, want)
		}
	}
}
