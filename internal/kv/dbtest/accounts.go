package dbtest

import (
	"bytes"
	"slices"

	"github.com/snibdb/snib"
)

var accounts = []subtest{
	{"users", (*lab).users},
	{"identities", (*lab).identities},
	{"passwords", (*lab).passwords},
	{"attributes and unique indexes", (*lab).attributes},
	{"roles", (*lab).roles},
	{"merge of two users both ways at once", (*lab).merges},
	{"import", (*lab).imports},
	{"export of a user", (*lab).export},
}

func (l *lab) users() {
	a, b := l.two(nil)
	var want []snib.UserID
	for i := range 25 {
		u := l.user([]*snib.DB{a, b}[i%2])
		want = append(want, u.ID)
	}
	slices.Sort(want)
	for _, db := range []*snib.DB{a, b} {
		if got := ids(l, db.ListUsers(l.ctx, snib.ListOptions{})); !slices.Equal(got, want) {
			l.Errorf("listed %v, want %v", got, want)
		}
	}
	s := l.session(b, snib.User{ID: want[0]})
	l.fine(a.DeleteUser(l.ctx, want[0]))
	_, err := b.GetUser(l.ctx, want[0])
	l.wants(err, snib.ErrUserNotFound)
	_, err = b.ValidateSession(l.ctx, s.Token.Reveal())
	l.wants(err, snib.ErrInvalidSession)

	s = l.session(a, snib.User{ID: want[1]})
	u, err := b.DisableUser(l.ctx, want[1], "test")
	l.fine(err)
	if !u.Disabled() {
		l.Error("is not disabled")
	}
	_, err = a.ValidateSession(l.ctx, s.Token.Reveal())
	l.wants(err, snib.ErrInvalidSession)
	_, err = a.CreateSession(l.ctx, u, snib.SessionOptions{})
	l.wants(err, snib.ErrUserDisabled)
	_, err = a.EnableUser(l.ctx, want[1])
	l.fine(err)
}

func (l *lab) identities() {
	a, b := l.two(nil)
	u, other := l.user(a), l.user(b)
	first := u.Identities[0].Identifier
	_, err := b.LinkIdentity(l.ctx, u.ID, "github", "42")
	l.fine(err)
	_, err = a.LinkIdentity(l.ctx, other.ID, "github", "42")
	l.wants(err, snib.ErrIdentityTaken)
	_, err = b.CreateUser(l.ctx, snib.NewUser{Provider: "email", Identifier: "U1@EXAMPLE.com"})
	l.wants(err, snib.ErrIdentityTaken)
	got, err := a.GetUserByProviderID(l.ctx, "github", "42")
	l.fine(err)
	if got.ID != u.ID {
		l.Errorf("found %v, want %v", got.ID, u.ID)
	}
	_, err = a.UpdateUserProviderID(l.ctx, u.ID, "email", "new@example.com")
	l.fine(err)
	_, err = b.GetUserByProviderID(l.ctx, "email", first)
	l.wants(err, snib.ErrUserNotFound)
	_, err = b.UnlinkIdentity(l.ctx, u.ID, "github", "42")
	l.fine(err)
	_, err = a.LinkIdentity(l.ctx, other.ID, "github", "42")
	l.fine(err)
}

func (l *lab) passwords() {
	a, b := l.two(nil)
	u := l.user(a)
	email := u.Identities[0].Identifier
	s, _, err := b.LogIn(l.ctx, "email", email, password, snib.SessionOptions{})
	l.fine(err)
	_, _, err = a.LogIn(l.ctx, "email", email, "wrong password", snib.SessionOptions{})
	l.wants(err, snib.ErrInvalidCredentials)
	l.discreet(err, "wrong password", email)
	other := l.session(a, u)
	mine, err := a.ChangePassword(l.ctx, s.Token.Reveal(), password, "another long password")
	l.fine(err)
	for _, old := range []snib.Session{s, other} {
		_, err = b.ValidateSession(l.ctx, old.Token.Reveal())
		l.wants(err, snib.ErrInvalidSession)
	}
	_, err = b.ValidateSession(l.ctx, mine.Token.Reveal())
	l.fine(err)
	_, _, err = b.LogIn(l.ctx, "email", email, password, snib.SessionOptions{})
	l.wants(err, snib.ErrInvalidCredentials)
	_, _, err = b.LogIn(l.ctx, "email", email, "another long password", snib.SessionOptions{})
	l.fine(err)
	// The user as the other program has read it proves nothing any more.
	_, err = b.CreateSession(l.ctx, u, snib.SessionOptions{})
	l.wants(err, snib.ErrInvalidCredentials)
}

func (l *lab) attributes() {
	a, b := l.two(&snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}, {Name: "team"}}})
	u, other := l.user(a), l.user(b)
	_, err := a.UpdateUserAttributes(l.ctx, u.ID, snib.Attributes{"nick": "Ada", "team": "red", "n": 7, "f": 1.5, "list": []any{"x", nil, true}})
	l.fine(err)
	_, err = b.UpdateUserAttributes(l.ctx, other.ID, snib.Attributes{"nick": "ADA"})
	l.wants(err, snib.ErrAttributeTaken)
	l.discreet(err, "ADA")
	_, err = b.UpdateUserAttributes(l.ctx, other.ID, snib.Attributes{"team": "red"})
	l.fine(err)
	found, err := b.GetUserByAttribute(l.ctx, "nick", "ada")
	l.fine(err)
	if found.ID != u.ID || found.Attributes()["f"] != 1.5 {
		l.Errorf("found %v with %v", found.ID, found.Attributes())
	}
	want := []snib.UserID{u.ID, other.ID}
	slices.Sort(want)
	if got := ids(l, a.ListUsersByAttribute(l.ctx, "team", "red", snib.ListOptions{})); !slices.Equal(got, want) {
		l.Errorf("in the team %v, want %v", got, want)
	}
	_, err = a.UpdateUserAttributes(l.ctx, u.ID, snib.Attributes{"nick": nil})
	l.fine(err)
	_, err = b.UpdateUserAttributes(l.ctx, other.ID, snib.Attributes{"nick": "ADA"})
	l.fine(err)
}

func (l *lab) roles() {
	a, b := l.two(&snib.Options{Roles: snib.RolePolicy{Protected: []string{"admin"}}})
	u, other := l.user(a), l.user(b)
	_, err := a.Roles().Grant(l.ctx, u.ID, "admin")
	l.fine(err)
	_, err = b.Roles().Withdraw(l.ctx, u.ID, "admin")
	l.wants(err, snib.ErrLastHolder)
	l.wants(b.DeleteUser(l.ctx, u.ID), snib.ErrLastHolder)
	_, err = b.Roles().Grant(l.ctx, other.ID, "admin")
	l.fine(err)
	// Both withdraw from the other at once: one of the two stays.
	errs := l.race(
		func() error { _, err := a.Roles().Withdraw(l.ctx, u.ID, "admin"); return err },
		func() error { _, err := b.Roles().Withdraw(l.ctx, other.ID, "admin"); return err },
	)
	if failed := count(errs, snib.ErrLastHolder); failed != 1 || count(errs, nil) != 1 {
		l.Errorf("two withdrawals: %v, want one that fails", errs)
	}
	if got := ids(l, a.Roles().List(l.ctx, "admin", snib.ListOptions{})); len(got) != 1 {
		l.Errorf("%d have the role, want 1", len(got))
	}
}

func (l *lab) merges() {
	a, b := l.two(nil)
	u, other := l.user(a), l.user(b)
	s, err := a.CreateSession(l.ctx, u, snib.SessionOptions{})
	l.fine(err)
	theirs, err := b.CreateSession(l.ctx, other, snib.SessionOptions{})
	l.fine(err)
	errs := l.race(
		func() error {
			_, err := a.Identities().Merge(l.ctx, s.Token.Reveal(), theirs.Token.Reveal())
			return err
		},
		func() error {
			_, err := b.Identities().Merge(l.ctx, theirs.Token.Reveal(), s.Token.Reveal())
			return err
		},
	)
	if failed := count(errs, snib.ErrInvalidSession); failed != 1 || count(errs, nil) != 1 {
		l.Errorf("two merges: %v, want one that fails", errs)
	}
	for _, x := range []snib.Identity{u.Identities[0], other.Identities[0]} {
		found, err := b.GetUserByProviderID(l.ctx, x.Provider, x.Identifier)
		l.fine(err)
		if len(found.Identities) != 2 {
			l.Errorf("%v leads to a user with %d identities, want 2", x, len(found.Identities))
		}
	}
}

func (l *lab) imports() {
	a, b := l.two(nil)
	rows := func(yield func(snib.UserImport, error) bool) {
		for _, id := range []snib.UserID{"one", "two", "three"} {
			if !yield(snib.UserImport{ID: id, Provider: "username", Identifier: "name-" + string(id), Attributes: snib.Attributes{"n": 1}}, nil) {
				return
			}
		}
	}
	dry, err := a.ImportUsers(l.ctx, rows, snib.ImportOptions{DryRun: true})
	l.fine(err)
	_, err = b.GetUser(l.ctx, "one")
	l.wants(err, snib.ErrUserNotFound)
	report, err := a.ImportUsers(l.ctx, rows, snib.ImportOptions{})
	l.fine(err)
	again, err := b.ImportUsers(l.ctx, rows, snib.ImportOptions{})
	l.fine(err)
	if dry.Imported != 3 || report.Imported != 3 || again.Unchanged+again.Kept != 3 {
		l.Errorf("dry %+v, first %+v, again %+v", dry, report, again)
	}
	got, err := b.GetUserByProviderID(l.ctx, "username", "NAME-two")
	l.fine(err)
	if got.ID != "two" {
		l.Errorf("found %v", got.ID)
	}
}

func (l *lab) export() {
	a, b := l.two(nil)
	u := l.user(a)
	s := l.session(b, u)
	var from [2]bytes.Buffer
	l.fine(a.ExportUser(l.ctx, u.ID, &from[0]))
	l.fine(b.ExportUser(l.ctx, u.ID, &from[1]))
	for i := range from {
		if !bytes.Contains(from[i].Bytes(), []byte(u.Identities[0].Identifier)) || !bytes.Contains(from[i].Bytes(), []byte(s.ID)) {
			l.Errorf("program %d exports %s", i, from[i].Bytes())
		}
		if bytes.Contains(from[i].Bytes(), []byte(s.Token.Reveal())) {
			l.Error("the token is in the export")
		}
	}
}
