package snib_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// link makes a one-time token that lives for ttl.
func link(tb testing.TB, db *snib.DB, u snib.User, purpose string, ttl time.Duration) snib.OneTimeToken {
	tb.Helper()
	return must(db.Tokens().Create(ctx, u.ID, purpose, ttl, nil))(tb)
}

// unusable fails the test unless the token is refused for its purpose, and
// nothing is written.
func unusable(tb testing.TB, db *snib.DB, l snib.OneTimeToken) {
	tb.Helper()
	quiet(tb, db, func() {
		tb.Helper()
		_, err := db.Tokens().Use(ctx, l.Purpose, l.Token.Reveal())
		wantErr(tb, err, snib.ErrInvalidOneTimeToken)
	})
}

func TestUseOneTimeTokenOnceForItsPurpose(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	data := []byte("new@example.com")
	l := must(db.Tokens().Create(ctx, u.ID, "verify-email", time.Hour, data))(t)
	if l.UserID != u.ID || l.Purpose != "verify-email" || !l.CreatedAt.Equal(clock.Now()) || !l.ExpiresAt.Equal(clock.Now().Add(time.Hour)) {
		t.Errorf("made %+v", l)
	}
	data[0] = 'X' // is the caller's
	s := newSession(t, db, u)
	quiet(t, db, func() {
		for name, c := range map[string]struct{ purpose, token string }{
			"another purpose": {"password-reset", l.Token.Reveal()},
			"wrong secret":    {"verify-email", forge(t, l.Token, func(b []byte) { b[31] ^= 1 })},
			"a session's":     {"verify-email", s.Token.Reveal()},
			"empty":           {"verify-email", ""},
			"megabytes":       {"verify-email", strings.Repeat("x", 2<<20)},
			"truncated":       {"verify-email", l.Token.Reveal()[1:]},
			"upper case":      {"verify-email", strings.ToUpper(l.Token.Reveal())},
		} {
			if _, err := db.Tokens().Use(ctx, c.purpose, c.token); !errors.Is(err, snib.ErrInvalidOneTimeToken) {
				t.Errorf("%s: %v, want ErrInvalidOneTimeToken", name, err)
			}
		}
	})
	var used snib.OneTimeToken
	commits(t, db, 1, func() { used = must(db.Tokens().Use(ctx, "verify-email", l.Token.Reveal()))(t) })
	if used.ID != l.ID || used.UserID != u.ID || string(used.Data) != "new@example.com" || used.Token.Reveal() != "" {
		t.Errorf("used %+v", used)
	}
	unusable(t, db, l)
	if left := withoutEvents(mentions(t, db, string(l.ID))); len(left) > 0 {
		t.Errorf("a used token is in %q", left)
	}
}

func TestUseOneTimeTokenRefusesAnExpiredOne(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	a, b := link(t, db, u, "reset", time.Second), link(t, db, u, "verify", time.Second)
	clock.Advance(time.Second - tick)
	must(db.Tokens().Use(ctx, "reset", a.Token.Reveal()))(t)
	clock.Advance(tick)
	unusable(t, db, b)
}

func TestCreateOneTimeTokenRefusesWhatIsOutOfBounds(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	quiet(t, db, func() {
		for _, c := range []struct {
			purpose string
			ttl     time.Duration
			data    int
			field   string
		}{
			{"", time.Hour, 0, "Purpose"},
			{"Reset", time.Hour, 0, "Purpose"},
			{strings.Repeat("p", 33), time.Hour, 0, "Purpose"},
			{"reset", 0, 0, "TTL"},
			{"reset", time.Second - 1, 0, "TTL"},
			{"reset", -time.Hour, 0, "TTL"},
			{"reset", 90*24*time.Hour + 1, 0, "TTL"},
			{"reset", time.Hour, 1025, "Data"},
		} {
			_, err := db.Tokens().Create(ctx, u.ID, c.purpose, c.ttl, make([]byte, c.data))
			wantField(t, err, c.field)
		}
		_, err := db.Tokens().Create(ctx, "nobody", "reset", time.Hour, nil)
		wantErr(t, err, snib.ErrUserNotFound)
	})
	l := must(db.Tokens().Create(ctx, u.ID, strings.Repeat("p", 32), 90*24*time.Hour, make([]byte, 1024)))(t)
	if used := must(db.Tokens().Use(ctx, l.Purpose, l.Token.Reveal()))(t); len(used.Data) != 1024 {
		t.Errorf("%d bytes of data", len(used.Data))
	}
}

// limited fails the test unless the user gets no token for the purpose before
// until, and nothing is written.
func limited(tb testing.TB, db *snib.DB, u snib.User, purpose string, until time.Time) {
	tb.Helper()
	quiet(tb, db, func() {
		tb.Helper()
		_, err := db.Tokens().Create(ctx, u.ID, purpose, time.Hour, nil)
		wantErr(tb, err, snib.ErrOneTimeTokenLimit)
		if e, ok := errors.AsType[*snib.OneTimeTokenLimitError](err); !ok || e.Purpose != purpose || !e.RetryAt.Equal(until) {
			tb.Errorf("%#v, want until %v", e, until)
		}
	})
}

func TestCreateOneTimeTokenMakesThreeOfAPurposeAMinuteApart(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u, other := user(t, db, "ada"), user(t, db, "bob")
	a := link(t, db, u, "reset", 10*time.Minute)
	limited(t, db, u, "reset", a.CreatedAt.Add(time.Minute))
	all := []snib.OneTimeToken{link(t, db, u, "verify", time.Hour), link(t, db, other, "reset", time.Hour)}
	clock.Advance(time.Minute - tick)
	limited(t, db, u, "reset", a.CreatedAt.Add(time.Minute))
	clock.Advance(tick)
	all = append(all, link(t, db, u, "reset", time.Hour))
	clock.Advance(time.Minute)
	all = append(all, link(t, db, u, "reset", time.Hour))
	limited(t, db, u, "reset", a.ExpiresAt) // later than the minute
	clock.Advance(time.Minute)
	limited(t, db, u, "reset", a.ExpiresAt)
	clock.Set(a.ExpiresAt.Add(-tick))
	limited(t, db, u, "reset", a.ExpiresAt)
	clock.Advance(tick)
	all = append(all, link(t, db, u, "reset", time.Hour))
	for _, l := range all { // none made room
		must(db.Tokens().Use(ctx, l.Purpose, l.Token.Reveal()))(t)
	}
}

// A short life buys no more mail: the minute counts from the last one that is
// stored. One that was used or revoked does not count.
func TestCreateOneTimeTokenCountsTheMinuteOfAnExpiredOne(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	l := link(t, db, u, "reset", time.Second)
	clock.Advance(2 * time.Second)
	limited(t, db, u, "reset", l.CreatedAt.Add(time.Minute))
	clock.Set(l.CreatedAt.Add(time.Minute))
	l = link(t, db, u, "reset", time.Hour)
	must(db.Tokens().Use(ctx, "reset", l.Token.Reveal()))(t)
	l = link(t, db, u, "reset", time.Hour)
	if err := db.Tokens().Revoke(ctx, u.ID, l.ID); err != nil {
		t.Fatal(err)
	}
	link(t, db, u, "reset", time.Hour)
}

func TestCreateOneTimeTokenIsBoundedOverAllPurposes(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	first := link(t, db, u, "first", time.Minute)
	for i := range snib.MaxOneTimeTokens - 1 {
		link(t, db, u, fmt.Sprint("purpose-", i), time.Hour)
	}
	limited(t, db, u, "one-more", first.ExpiresAt)
	clock.Set(first.ExpiresAt)
	link(t, db, u, "one-more", time.Hour)
	if n := len(must(db.Tokens().List(ctx, u.ID, ""))(t)); n != snib.MaxOneTimeTokens {
		t.Errorf("%d live, want %d", n, snib.MaxOneTimeTokens)
	}
}

// Anybody can press "forgotten password" for anybody.
func TestCreateOneTimeTokenForAStrangerEndsNone(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	mine := []snib.OneTimeToken{link(t, db, u, "verify", 24*time.Hour), link(t, db, u, "reset", 24*time.Hour)}
	made := 0
	for range 200 {
		clock.Advance(20 * time.Second)
		if second(db.Tokens().Create(ctx, u.ID, "reset", 24*time.Hour, nil)) == nil {
			made++
		}
	}
	if made != 2 {
		t.Errorf("%d mails in an hour, want the 2 that are left", made)
	}
	for _, l := range mine {
		must(db.Tokens().Use(ctx, l.Purpose, l.Token.Reveal()))(t)
	}
}

// A flood of requests at the limit holds up no writer.
func TestCreateOneTimeTokenAtTheLimitDoesNotQueue(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	link(t, db, u, "reset", time.Hour)
	release := holdWriter(t, db, nil)
	defer release()
	soon, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := db.Tokens().Create(soon, u.ID, "reset", time.Hour, nil)
	wantErr(t, err, snib.ErrOneTimeTokenLimit)
}

func TestPeekOneTimeTokenUsesNothing(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	l := must(db.Tokens().Create(ctx, u.ID, "invite", time.Hour, []byte("a team")))(t)
	quiet(t, db, func() { // a mail scanner, many times
		for range 5 {
			got := must(db.Tokens().Peek(ctx, "invite", l.Token.Reveal()))(t)
			if got.ID != l.ID || got.UserID != u.ID || string(got.Data) != "a team" || got.Token.Reveal() != "" || !got.ExpiresAt.Equal(l.ExpiresAt) {
				t.Errorf("%+v", got)
			}
		}
		for purpose, token := range map[string]string{
			"reset": l.Token.Reveal(), "invite": forge(t, l.Token, func(b []byte) { b[31] ^= 1 }), "other": "",
		} {
			_, err := db.Tokens().Peek(ctx, purpose, token)
			wantErr(t, err, snib.ErrInvalidOneTimeToken)
		}
	})
	if err := db.View(ctx, func(tx *snib.Tx) error {
		if _, err := tx.Tokens().Use(ctx, "invite", l.Token.Reveal()); !errors.Is(err, snib.ErrReadOnly) {
			t.Errorf("Use in a View: %v", err)
		}
		return second(tx.Tokens().Peek(ctx, "invite", l.Token.Reveal()))
	}); err != nil {
		t.Error(err)
	}
	m := link(t, db, u, "reset", 2*time.Hour)
	must(db.Tokens().Use(ctx, "invite", l.Token.Reveal()))(t)
	for _, dead := range []snib.OneTimeToken{l, m} { // used, then expired
		_, err := db.Tokens().Peek(ctx, dead.Purpose, dead.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidOneTimeToken)
		clock.Advance(2 * time.Hour)
	}
}

func TestListOneTimeTokens(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u, other := user(t, db, "ada"), user(t, db, "bob")
	ids := func(purpose string) (out []snib.OneTimeTokenID) {
		for _, l := range must(db.Tokens().List(ctx, u.ID, purpose))(t) {
			if l.UserID != u.ID || l.Token.Reveal() != "" {
				t.Errorf("listed %+v", l)
			}
			out = append(out, l.ID)
		}
		return out
	}
	a := link(t, db, u, "reset", time.Hour)
	clock.Advance(time.Minute)
	b := link(t, db, u, "verify", time.Hour)
	c := link(t, db, u, "reset", time.Hour)
	link(t, db, other, "reset", time.Hour)
	if got, want := ids(""), []snib.OneTimeTokenID{a.ID, b.ID, c.ID}; len(got) != 3 || got[0] != a.ID {
		t.Errorf("all: %v, want %v", got, want)
	}
	if got, want := ids("reset"), []snib.OneTimeTokenID{a.ID, c.ID}; !slices.Equal(got, want) {
		t.Errorf("reset: %v, want %v", got, want)
	}
	clock.Set(a.ExpiresAt)
	if got := ids("reset"); !slices.Equal(got, []snib.OneTimeTokenID{c.ID}) {
		t.Errorf("after one has expired: %v", got)
	}
	if l := must(db.Tokens().List(ctx, "nobody", ""))(t); len(l) != 0 {
		t.Errorf("of nobody: %v", l)
	}
	must(db.DisableUser(ctx, u.ID, ""))(t)
	if got := ids(""); got != nil {
		t.Errorf("of a disabled user: %v", got)
	}
}

func TestOneTimeTokensRefuseThePurposesOfTheLibrary(t *testing.T) {
	c := newChecked(t)
	c.editLink(t, func(l *codec.OneTimeToken) { l.Purpose = "snib:reset" }) // a later library's
	tokens := c.db.Tokens()
	quiet(t, c.db, func() {
		for _, purpose := range []string{"snib:reset", "snib:", "Reset", "a b", strings.Repeat("p", 33)} {
			for _, err := range []error{
				second(tokens.Create(ctx, c.ada.ID, purpose, time.Hour, nil)),
				second(tokens.Use(ctx, purpose, c.link.Token.Reveal())),
				second(tokens.Peek(ctx, purpose, c.link.Token.Reveal())),
				second(tokens.List(ctx, c.ada.ID, purpose)),
				tokens.RevokeAll(ctx, c.ada.ID, purpose),
			} {
				wantField(t, err, "Purpose")
			}
		}
		for _, err := range []error{
			second(tokens.Create(ctx, c.ada.ID, "", time.Hour, nil)),
			second(tokens.Use(ctx, "", c.link.Token.Reveal())), second(tokens.Peek(ctx, "", c.link.Token.Reveal())),
		} {
			wantField(t, err, "Purpose")
		}
	})
}

// The version decides alone, should a record have survived what ends it.
func TestUseOneTimeTokenComparesTheCredentialVersion(t *testing.T) {
	c := newChecked(t)
	record := rawGet(t, c.b, "one_time_tokens", string(c.link.ID))
	if err := c.db.RevokeUserSessions(ctx, c.ada.ID); err != nil {
		t.Fatal(err)
	}
	rawPut(t, c.b, "one_time_tokens", string(c.link.ID), record)
	unusable(t, c.db, c.link)
	_, err := c.db.Tokens().Peek(ctx, c.link.Purpose, c.link.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidOneTimeToken)
	if l := must(c.db.Tokens().List(ctx, c.ada.ID, ""))(t); len(l) != 0 {
		t.Errorf("listed %v", l)
	}
	link(t, c.db, c.ada, c.link.Purpose, time.Hour) // it takes no place either
}

// Who has signed out everywhere gets a new link at once.
func TestCreateOneTimeTokenAfterASignOutEverywhere(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	old := link(t, db, u, "reset", time.Hour)
	if err := db.RevokeUserSessions(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	if left := withoutEvents(mentions(t, db, string(old.ID))); len(left) > 0 {
		t.Errorf("the dead one is in %q", left)
	}
	l := link(t, db, u, "reset", time.Hour)
	unusable(t, db, old)
	must(db.Tokens().Use(ctx, "reset", l.Token.Reveal()))(t)
}

// In a transaction a handle ends with it, and the context of a call counts.
func TestTokensOfATransaction(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	var kept snib.OneTimeTokens
	var l snib.OneTimeToken
	if err := db.Update(ctx, func(tx *snib.Tx) (err error) {
		kept = tx.Tokens()
		if l, err = kept.Create(ctx, u.ID, "reset", time.Hour, nil); err != nil {
			return err
		}
		if n := len(must(kept.List(ctx, u.ID, ""))(t)); n != 1 {
			t.Errorf("%d listed in the transaction", n)
		}
		_, err = kept.Use(cancelled, "reset", l.Token.Reveal())
		wantErr(t, err, context.Canceled)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, err := kept.Use(ctx, "reset", l.Token.Reveal())
	wantErr(t, err, snib.ErrTxClosed)
	must(db.Tokens().Use(ctx, "reset", l.Token.Reveal()))(t)
}

// forOneTimeTokens are operations on a user with the identities email
// a@example.com and github 1, who has a session s.
var forOneTimeTokens = []struct {
	name string
	ends bool
	op   func(db *snib.DB, id snib.UserID, s snib.Session) error
}{
	{"UpdateUserPassword", true, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.UpdateUserPassword(ctx, id, password)
		return err
	}},
	{"ChangePassword", true, func(db *snib.DB, _ snib.UserID, s snib.Session) error {
		_, err := db.ChangePassword(ctx, s.Token.Reveal(), password, password)
		return err
	}},
	{"RemoveUserPassword", true, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.RemoveUserPassword(ctx, id)
		return err
	}},
	{"DisableUser and EnableUser", true, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.DisableUser(ctx, id, "")
		_, err2 := db.EnableUser(ctx, id)
		return errors.Join(err, err2)
	}},
	{"UpdateUserProviderID", true, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.UpdateUserProviderID(ctx, id, "email", "b@example.com")
		return err
	}},
	{"UpdateUserProviderID of another provider", true, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.UpdateUserProviderID(ctx, id, "github", "2")
		return err
	}},
	{"UnlinkIdentity", true, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.UnlinkIdentity(ctx, id, "github", "1")
		return err
	}},
	{"DeleteUser", true, func(db *snib.DB, id snib.UserID, _ snib.Session) error { return db.DeleteUser(ctx, id) }},
	{"EndEverything", true, func(db *snib.DB, _ snib.UserID, _ snib.Session) error { return db.EndEverything(ctx) }},
	{"UpdateUserProviderID, spelling only", false, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.UpdateUserProviderID(ctx, id, "email", "A@EXAMPLE.com")
		return err
	}},
	{"LinkIdentity", false, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.LinkIdentity(ctx, id, "github", "2")
		return err
	}},
	{"UnlinkIdentity of what is not linked", false, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.UnlinkIdentity(ctx, id, "github", "2")
		return err
	}},
	{"UpdateUserAttributes", false, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		_, err := db.UpdateUserAttributes(ctx, id, snib.Attributes{"a": 1})
		return err
	}},
	{"RevokeUserSessions", true, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		return db.RevokeUserSessions(ctx, id)
	}},
	{"RevokeUserSessions, session kept", true, func(db *snib.DB, id snib.UserID, s snib.Session) error {
		return db.RevokeUserSessions(ctx, id, s.ID)
	}},
	{"RefreshTokens.RevokeAll", true, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		return db.RefreshTokens().RevokeAll(ctx, id)
	}},
	{"RevokeSessionByID", false, func(db *snib.DB, _ snib.UserID, s snib.Session) error {
		return db.RevokeSessionByID(ctx, s.ID)
	}},
	{"LogIn", false, func(db *snib.DB, _ snib.UserID, _ snib.Session) error {
		_, _, err := db.LogIn(ctx, "email", "a@example.com", password, snib.SessionOptions{})
		return err
	}},
}

func TestWhatEndsOneTimeTokens(t *testing.T) {
	for _, c := range forOneTimeTokens {
		t.Run(c.name, func(t *testing.T) {
			db := snibtest.NewDB(t, nil)
			u := email(t, db, "a@example.com")
			must(db.LinkIdentity(ctx, u.ID, "github", "1"))(t)
			l := link(t, db, u, "reset", time.Hour)
			theirs := link(t, db, user(t, db, "bob"), "reset", time.Hour)
			if err := c.op(db, u.ID, newSession(t, db, u)); err != nil {
				t.Fatal(err)
			}
			if c.ends {
				unusable(t, db, l)
			} else {
				must(db.Tokens().Use(ctx, "reset", l.Token.Reveal()))(t)
			}
			if c.name != "EndEverything" {
				must(db.Tokens().Use(ctx, "reset", theirs.Token.Reveal()))(t)
			}
		})
	}
}

func TestCreateOneTimeTokenRefusesADisabledUser(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	must(db.DisableUser(ctx, u.ID, ""))(t)
	quiet(t, db, func() {
		_, err := db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil)
		wantErr(t, err, snib.ErrUserDisabled)
	})
}

func TestUseOneTimeTokenRolledBackStaysUsable(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	l := link(t, db, u, "reset", time.Hour)
	hash := must(db.HashPassword(ctx, "a new passphrase"))(t)
	undo := errors.New("undo")
	reset := func(verdict error) error {
		return db.Update(ctx, func(tx *snib.Tx) error {
			used, err := tx.Tokens().Use(ctx, "reset", l.Token.Reveal())
			if err != nil {
				return err
			}
			if _, err := tx.Tokens().Use(ctx, "reset", l.Token.Reveal()); !errors.Is(err, snib.ErrInvalidOneTimeToken) {
				t.Errorf("used twice in one transaction: %v", err)
			}
			if _, err := tx.UpdateUserPassword(used.UserID, hash); err != nil {
				return err
			}
			return verdict
		})
	}
	before, _ := content(t, db)
	wantErr(t, reset(undo), undo)
	if after, _ := content(t, db); !maps.Equal(before, after) {
		t.Error("the rolled back transaction has written")
	}
	logIn(t, db, "a@example.com")
	if err := reset(nil); err != nil {
		t.Fatal(err)
	}
	wantErr(t, reset(nil), snib.ErrInvalidOneTimeToken)
	must(db.AuthenticateUser(ctx, "email", "a@example.com", "a new passphrase"))(t)
}

func TestRevokeOneTimeToken(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u, other := user(t, db, "ada"), user(t, db, "bob")
	link := func(u snib.User, purpose string) snib.OneTimeToken {
		return must(db.Tokens().Create(ctx, u.ID, purpose, time.Hour, nil))(t)
	}
	gone, kept, theirs := link(u, "reset"), link(u, "verify"), link(other, "reset")
	for _, id := range []snib.OneTimeTokenID{"", "ott_", snib.OneTimeTokenID(gone.Token.Reveal())} {
		wantField(t, db.Tokens().Revoke(ctx, u.ID, id), "OneTimeTokenID")
	}
	wantField(t, db.Tokens().Revoke(ctx, "", gone.ID), "UserID")
	for _, id := range []snib.OneTimeTokenID{gone.ID, gone.ID, theirs.ID} {
		if err := db.Tokens().Revoke(ctx, u.ID, id); err != nil {
			t.Fatal(err)
		}
	}
	_, err := db.Tokens().Use(ctx, "reset", gone.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidOneTimeToken)
	for _, l := range []snib.OneTimeToken{kept, theirs} {
		must(db.Tokens().Use(ctx, l.Purpose, l.Token.Reveal()))(t)
	}
}

func TestRevokeAllOneTimeTokens(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u, other := user(t, db, "ada"), user(t, db, "bob")
	gone := []snib.OneTimeToken{link(t, db, u, "reset", time.Hour)}
	clock.Advance(time.Minute)
	gone = append(gone, link(t, db, u, "reset", time.Hour))
	kept, theirs := link(t, db, u, "verify", time.Hour), link(t, db, other, "reset", time.Hour)
	wantErr(t, db.Tokens().RevokeAll(ctx, "nobody", "reset"), snib.ErrUserNotFound)
	if err := db.Tokens().RevokeAll(ctx, u.ID, "reset"); err != nil {
		t.Fatal(err)
	}
	for _, l := range gone {
		unusable(t, db, l)
	}
	must(db.Tokens().Peek(ctx, "verify", kept.Token.Reveal()))(t)
	if err := db.Tokens().RevokeAll(ctx, u.ID, ""); err != nil {
		t.Fatal(err)
	}
	unusable(t, db, kept)
	must(db.Tokens().Use(ctx, "reset", theirs.Token.Reveal()))(t)
}
