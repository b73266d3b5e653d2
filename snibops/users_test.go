package snibops

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// crowd makes users u00…u29: every third is disabled, every fifth has the role
// staff, and each has its number in an indexed attribute.
func crowd(t *testing.T) *Client {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, Indexes: []snib.Index{{Name: "team"}}})
	for i := range 30 {
		clock.Advance(time.Second) // ids rise
		name := fmt.Sprintf("u%02d", i)
		u := must(db.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: name,
			Attributes: snib.Attributes{"team": int64(i % 4), "bio": map[string]any{"lines": []any{"Likes " + name, 7}}}}))(t)
		if i%3 == 0 {
			must(db.DisableUser(t.Context(), u.ID, ""))(t)
		}
		if i%5 == 0 {
			must(db.Roles().Grant(t.Context(), u.ID, "staff"))(t)
		}
	}
	return local(t, db, nil)
}

// names lists all that conditions choose, page by page.
func names(t *testing.T, c *Client, args UsersArgs) (all []string, calls int) {
	t.Helper()
	for {
		calls++
		r, err := VerbUsers.Do(t.Context(), c, args, func(u User) error {
			all = append(all, u.Identities[0].Identifier)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.Next == "" {
			return all, calls
		}
		args.Cursor = r.Next
	}
}

// TestUsersAreChosenAndPaged: the same users in the same order, however small the
// pages and the bound of a look are.
func TestUsersAreChosenAndPaged(t *testing.T) {
	c := crowd(t)
	yes, no := true, false
	chosen := func(has func(i int) bool) (want []string) {
		for i := range 30 {
			if has(i) {
				want = append(want, fmt.Sprintf("u%02d", i))
			}
		}
		return want
	}
	for name, c2 := range map[string]struct {
		args UsersArgs
		has  func(i int) bool
	}{
		"all":          {UsersArgs{}, func(int) bool { return true }},
		"disabled":     {UsersArgs{Disabled: &yes}, func(i int) bool { return i%3 == 0 }},
		"enabled":      {UsersArgs{Disabled: &no}, func(i int) bool { return i%3 != 0 }},
		"role":         {UsersArgs{Role: "staff"}, func(i int) bool { return i%5 == 0 }},
		"no role":      {UsersArgs{HasRole: &no}, func(i int) bool { return i%5 != 0 }},
		"passwords":    {UsersArgs{HasPassword: &yes}, func(int) bool { return false }},
		"prefix":       {UsersArgs{Provider: "username", Prefix: "U1"}, func(i int) bool { return i/10 == 1 }},
		"prefix, role": {UsersArgs{Provider: "username", Prefix: "u1", Role: "staff"}, func(i int) bool { return i == 10 || i == 15 }},
		"index":        {UsersArgs{Attribute: "team", Value: 2}, func(i int) bool { return i%4 == 2 }},
		"index, part":  {UsersArgs{Attribute: "team", Value: 2, Contains: "u1"}, func(i int) bool { return i%4 == 2 && i/10 == 1 }},
		"part":         {UsersArgs{Contains: "LIKES U2"}, func(i int) bool { return i/10 == 2 }},
		"nothing":      {UsersArgs{Contains: "zzz"}, func(int) bool { return false }},
	} {
		want := chosen(c2.has)
		for _, bounds := range [][2]int{{0, 0}, {1, 0}, {3, 0}, {0, 1}, {2, 5}, {7, 7}, {30, 30}} {
			args := c2.args
			args.Limit, args.Scan = bounds[0], bounds[1]
			if got, calls := names(t, c, args); !slices.Equal(got, want) {
				t.Errorf("%s, at most %d of %d in %d calls: %q, want %q", name, bounds[0], bounds[1], calls, got, want)
			}
		}
	}
}

// TestAPageIsBounded: no call returns or looks at more than it was told.
func TestAPageIsBounded(t *testing.T) {
	c := crowd(t)
	for _, x := range []struct {
		args UsersArgs
		want UsersResult
	}{
		{UsersArgs{Limit: 4}, UsersResult{Shown: 4, Scanned: 4}},
		{UsersArgs{Scan: 6, Contains: "zzz"}, UsersResult{Shown: 0, Scanned: 6}},
		{UsersArgs{Scan: 30}, UsersResult{Shown: 30, Scanned: 30}},
	} {
		r := must(VerbUsers.Do(t.Context(), c, x.args, nil))(t)
		if r.Next == "" {
			t.Errorf("%+v: no cursor", x.args)
		}
		if r.Next = ""; r != x.want {
			t.Errorf("%+v: %+v", x.args, r)
		}
	}
	for _, args := range []UsersArgs{{Limit: -1}, {Limit: maxLimit + 1}, {Scan: -1}, {Scan: maxScan + 1}, {Attribute: "team", Value: 1, Prefix: "u"}, {Attribute: "bio"}} {
		if _, err := VerbUsers.Do(t.Context(), c, args, nil); !errors.Is(err, snib.ErrInvalidInput) {
			t.Errorf("%+v: %v", args, err)
		}
	}
}

// TestANameIsOneUser: an identifier that reads like the id, or the identity, of
// another user names neither.
func TestANameIsOneUser(t *testing.T) {
	db := open(t, dbPath(t), snib.Options{})
	c := local(t, db, nil)
	create := func(provider, identifier string) string {
		return string(must(db.CreateUser(t.Context(), snib.NewUser{Provider: provider, Identifier: identifier}))(t).ID)
	}
	ada := create("email", "ada@example.com")
	thief := create("username", ada)
	grace := create("github", "42")
	create("username", "github=42")
	for text, want := range map[string]string{
		"ada@example.com": ada, "ADA@example.com": ada, "email=ada@example.com": ada, "id=" + ada: ada,
		thief: thief, "username=" + ada: thief, "id=" + grace: grace,
		ada: "", "github=42": "", // two each
	} {
		d, err := VerbUserShow.Do(t.Context(), c, UserArgs{text}, nil)
		if want == "" {
			if e, ok := errors.AsType[*snib.InputError](err); !ok || e.Code != snib.CodeAmbiguous {
				t.Errorf("%s: %s %v", text, d.User.ID, err)
			}
		} else if err != nil || d.User.ID != want {
			t.Errorf("%s: %s %v, want %s", text, d.User.ID, err, want)
		}
	}
	for _, text := range []string{"nobody", "id=ada@example.com", "email=", "=", "a=b=c", "id="} {
		if _, err := VerbUserShow.Do(t.Context(), c, UserArgs{text}, nil); !errors.Is(err, snib.ErrUserNotFound) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestOneSessionEnds and the others go on.
func TestOneSessionEnds(t *testing.T) {
	db := open(t, dbPath(t), snib.Options{})
	c := local(t, db, nil)
	u := must(db.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: "grace"}))(t)
	lone := must(db.CreateSession(t.Context(), u, snib.SessionOptions{}))(t)
	must(db.CreateSession(t.Context(), u, snib.SessionOptions{}))(t)
	_, family, err := db.CreateRefreshToken(t.Context(), u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		id                 string
		sessions, families int
	}{{string(lone.ID), 1, 0}, {string(lone.ID), 0, 0}, {string(family.ID), 1, 1}, {"", 1, 0}} {
		r, err := VerbUserEndSessions.Do(t.Context(), c, EndSessionsArgs{"grace", x.id}, nil)
		if want := (EndSessionsCount{string(u.ID), x.sessions, x.families}); err != nil || r != want {
			t.Errorf("%q: %+v %v, want %+v", x.id, r, err, want)
		}
	}
	for _, id := range []string{lone.Token.Reveal(), family.Token.Reveal(), "x"} {
		if _, err := VerbUserEndSessions.Do(t.Context(), c, EndSessionsArgs{"grace", id}, nil); !errors.Is(err, snib.ErrInvalidInput) {
			t.Errorf("a text that is no id: %v", err)
		}
	}
}

// TestAResetLinkSetsThePassword of a program that says no purpose.
func TestAResetLinkSetsThePassword(t *testing.T) {
	db := open(t, dbPath(t), snib.Options{})
	c := local(t, db, nil)
	must(db.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: "grace"}))(t)
	link := must(VerbUserResetLink.Do(t.Context(), c, ResetLinkArgs{User: "grace"}, nil))(t)
	if link.Purpose != "snib:reset" {
		t.Errorf("purpose %q", link.Purpose)
	}
	if u := must(db.Tokens().FinishReset(t.Context(), link.Token, "a new passphrase"))(t); !u.HasPassword {
		t.Errorf("%+v", u)
	}
}

// TestAResetLinkWorksOnce for the purpose of the program.
func TestAResetLinkWorksOnce(t *testing.T) {
	db := open(t, dbPath(t), snib.Options{})
	c := local(t, db, &Options{ResetPurpose: "new-password", ResetURL: "https://example.com/reset#"})
	u := must(db.CreateUser(t.Context(), snib.NewUser{Provider: "username", Identifier: "grace"}))(t)
	link := must(VerbUserResetLink.Do(t.Context(), c, ResetLinkArgs{User: "grace"}, nil))(t)
	if link.Link != "https://example.com/reset#"+link.Token || link.UserID != string(u.ID) {
		t.Errorf("link %+v", link)
	}
	_, err := VerbUserResetLink.Do(t.Context(), c, ResetLinkArgs{User: "grace"}, nil)
	if e, ok := errors.AsType[*snib.OneTimeTokenLimitError](err); !ok || e.Purpose != "new-password" || e.RetryAt.IsZero() {
		t.Errorf("the next at once: %v", err)
	}
	used := must(db.Tokens().Use(t.Context(), "new-password", link.Token))(t)
	if string(used.ID) != link.ID || used.UserID != u.ID || !used.ExpiresAt.Equal(link.ExpiresAt) {
		t.Errorf("used %+v", used)
	}
}
