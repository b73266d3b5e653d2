package snib_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// Two users with one owner. Owners are 80 bits of a keyed hash, so that none are
// found; what would be in the file then is forged here: records that name bob
// under the owner of ada.

// A collision is a file with three records of each kind of ada's, between as
// many of bob's in the range of her owner.
type collision struct {
	*checked
	sessions [2][]snib.Session // ada's, bob's
	families [2][]snib.RefreshToken
	links    [2][]snib.OneTimeToken
}

func newCollision(tb testing.TB, o snib.Options) *collision {
	tb.Helper()
	c := &collision{checked: &checked{}}
	c.db = must(snib.Open(tb.TempDir()+"/accounts.db", snibtest.Fast(&o)))(tb)
	tb.Cleanup(func() { c.db.Close() })
	c.b = handle(tb, c.db)
	c.ada, c.bob = nobody(tb, c.db, "ada"), nobody(tb, c.db, "bob")
	for range 3 {
		for i, u := range []snib.User{c.ada, c.bob} {
			// Made for ada, whose owner they get, and given to their user.
			s := session(tb, c.db, c.ada.ID)
			c.editSession(tb, s.ID, func(s *codec.Session) { s.UserID = string(u.ID) })
			_, f, err := c.db.CreateRefreshToken(ctx, asNow(tb, c.db, c.ada.ID), snib.SessionOptions{})
			if err != nil {
				tb.Fatal(err)
			}
			c.family = f
			c.editFamily(tb, func(f *codec.Family) { f.UserID = string(u.ID) })
			c.editSession(tb, f.SessionID, func(s *codec.Session) { s.UserID = string(u.ID) })
			l := must(c.db.Tokens().Create(ctx, c.ada.ID, fmt.Sprint("purpose-", purposes.Add(1)), time.Hour, nil))(tb)
			c.link = l
			c.editLink(tb, func(l *codec.OneTimeToken) { l.UserID, l.CredentialVersion = string(u.ID), u.CredentialVersion })
			c.sessions[i], c.families[i], c.links[i] = append(c.sessions[i], s), append(c.families[i], f), append(c.links[i], l)
		}
	}
	return c
}

// under counts the records in the range of ada's owner, by kind.
func (c *collision) under(tb testing.TB) string {
	tb.Helper()
	owner, n := ownerOf(tb, c.b, c.ada.ID), map[string]int{}
	for key := range dumped(tb, c.b) {
		for _, k := range snib.Kinds() {
			if prefix := k.Space + "/" + string(owner[:]); len(key) > len(prefix) && key[:len(prefix)] == prefix {
				n[k.Space]++
			}
		}
	}
	return fmt.Sprint(n["sessions"], n["refresh_families"], n["one_time_tokens"])
}

func TestOneOwnerOfTwoUsersKeepsThemApart(t *testing.T) {
	c := newCollision(t, snib.Options{})
	if got := c.under(t); got != "12 6 6" {
		t.Fatalf("under the owner: %s", got)
	}
	listed := must(c.db.ListUserSessions(ctx, c.ada.ID))(t)
	families := must(c.db.RefreshTokens().List(ctx, c.ada.ID))(t)
	if len(listed) != 6 || len(families) != 3 {
		t.Errorf("%d sessions and %d refresh tokens are listed, want 6 and 3", len(listed), len(families))
	}
	for _, s := range listed {
		if s.UserID != c.ada.ID {
			t.Errorf("a session of %s is listed", s.UserID)
		}
	}
	for i, u := range []snib.User{c.ada, c.bob} { // a token is its user's, whose name is in the value
		for n := range 3 {
			s, v, err := c.db.ValidateSessionUser(ctx, c.sessions[i][n].Token.Reveal())
			if err != nil || s.UserID != u.ID || v.ID != u.ID {
				t.Errorf("validated as %s and %s, %v; want %s", s.UserID, v.ID, err, u.ID)
			}
		}
		if l := must(c.db.Tokens().Use(ctx, c.links[i][0].Purpose, c.links[i][0].Token.Reveal()))(t); l.UserID != u.ID {
			t.Errorf("a one-time token of %s, want %s", l.UserID, u.ID)
		}
	}
	export := exported(t, c.db, c.ada.ID)
	if strings.Contains(export, fmt.Sprintf(`"id":%q`, c.sessions[1][0].ID)) || strings.Count(export, `"id":"ses_`) != 6 {
		t.Errorf("exported of ada: %s", export)
	}
	// What ada ends of bob's by its id is nothing.
	for _, err := range []error{
		c.db.RevokeSession(ctx, c.ada.ID, c.sessions[1][0].ID),
		c.db.RefreshTokens().Revoke(ctx, c.ada.ID, c.families[1][0].ID),
		c.db.Tokens().Revoke(ctx, c.ada.ID, c.links[1][1].ID),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	wantField(t, c.db.RevokeUserSessions(ctx, c.ada.ID, c.sessions[1][0].ID), "Except")
	if got := c.under(t); got != "12 6 4" { // two were used
		t.Errorf("under the owner: %s", got)
	}
	valid(t, c.db, c.sessions[1][0])
}

// TestOneOwnerOfTwoUsersEvictsItsOwn: bob's records neither count for ada nor
// make room for her.
func TestOneOwnerOfTwoUsersEvictsItsOwn(t *testing.T) {
	c := newCollision(t, snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 6}, Refresh: snib.RefreshPolicy{MaxPerUser: 3}})
	alive := func(who int, s []snib.Session, want int) {
		t.Helper()
		n := 0
		for _, s := range s {
			if second(c.db.ValidateSession(ctx, s.Token.Reveal())) == nil {
				n++
			}
		}
		if n != want {
			t.Errorf("%d of the sessions of %d live, want %d", n, who, want)
		}
	}
	for i := range 3 { // the first evicts ada's oldest
		session(t, c.db, c.ada.ID)
		alive(1, c.sessions[1], 3)
		if n := len(must(c.db.ListUserSessions(ctx, c.ada.ID))(t)); n != 6 {
			t.Errorf("after %d more ada has %d sessions, want 6", i+1, n)
		}
	}
	if _, _, err := c.db.CreateRefreshToken(ctx, asNow(t, c.db, c.ada.ID), snib.SessionOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(must(c.db.RefreshTokens().List(ctx, c.ada.ID))(t)); n != 3 {
		t.Errorf("ada has %d refresh tokens, want 3", n)
	}
	for _, f := range c.families[1] {
		rawGet(t, c.b, "refresh_families", string(f.ID))
	}
	for i := range snib.MaxOneTimeTokens - 3 {
		must(c.db.Tokens().Create(ctx, c.ada.ID, fmt.Sprint("more-", i), time.Minute, nil))(t)
	}
	_, err := c.db.Tokens().Create(ctx, c.ada.ID, "one-more", time.Minute, nil)
	wantErr(t, err, snib.ErrOneTimeTokenLimit)
	if n := len(must(c.db.Tokens().List(ctx, c.ada.ID, ""))(t)); n != snib.MaxOneTimeTokens {
		t.Errorf("ada has %d one-time tokens", n)
	}
	for _, l := range c.links[1] {
		must(c.db.Tokens().Use(ctx, l.Purpose, l.Token.Reveal()))(t)
	}
}

// TestOneOwnerOfTwoUsersEndsTogether: what ends all of ada's reads nothing and
// takes what is bob's in the range: nobody is let in who should not be. Check
// says that it is not under its user.
func TestOneOwnerOfTwoUsersEndsTogether(t *testing.T) {
	c := newCollision(t, snib.Options{})
	report, err := c.db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if report.Found != 12 { // bob's: 6 sessions, 3 families, 3 one-time tokens
		t.Errorf("Check finds %d, want 12", report.Found)
	}
	if err := c.db.DeleteUser(ctx, c.ada.ID); err != nil {
		t.Fatal(err)
	}
	if got := c.under(t); got != "0 0 0" {
		t.Errorf("under the owner: %s", got)
	}
	for _, s := range c.sessions {
		invalid(t, c.db, s[0])
	}
	must(c.db.GetUser(ctx, c.bob.ID))(t)
	snibtest.CheckAndClose(t, c.db)

	c = newCollision(t, snib.Options{})
	must(c.db.Repair(ctx))(t)
	if got := c.under(t); got != "6 3 3" { // ada's stay
		t.Errorf("after a repair: %s", got)
	}
	valid(t, c.db, c.sessions[0][0])
	invalid(t, c.db, c.sessions[1][0])
	snibtest.CheckAndClose(t, c.db)

	for name, end := range map[string]func(c *collision) error{
		"disabled": func(c *collision) error { return second(c.db.DisableUser(ctx, c.ada.ID, "")) },
		"password": func(c *collision) error { return second(c.db.UpdateUserPassword(ctx, c.ada.ID, password)) },
	} {
		c := newCollision(t, snib.Options{})
		if err := end(c); err != nil {
			t.Fatal(err)
		}
		for _, s := range append(c.sessions[0], c.sessions[1]...) {
			invalid(t, c.db, s)
		}
		if got := c.under(t); got != "0 0 0" {
			t.Errorf("%s: under the owner: %s", name, got)
		}
	}
}
