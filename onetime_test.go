package snib_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// link makes a one-time token that lives for ttl.
func link(tb testing.TB, db *snib.DB, u snib.User, purpose string, ttl time.Duration) snib.OneTimeToken {
	tb.Helper()
	return must(db.CreateOneTimeToken(ctx, u.ID, purpose, ttl, nil))(tb)
}

// unusable fails the test unless the token is refused for its purpose, and
// nothing is written.
func unusable(tb testing.TB, db *snib.DB, l snib.OneTimeToken) {
	tb.Helper()
	quiet(tb, db, func() {
		tb.Helper()
		_, err := db.UseOneTimeToken(ctx, l.Purpose, l.Token.Reveal())
		wantErr(tb, err, snib.ErrInvalidOneTimeToken)
	})
}

func TestUseOneTimeTokenOnceForItsPurpose(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	data := []byte("new@example.com")
	l := must(db.CreateOneTimeToken(ctx, u.ID, "verify-email", time.Hour, data))(t)
	if l.UserID != u.ID || l.Purpose != "verify-email" || !l.CreatedAt.Equal(clock.Now()) || !l.ExpiresAt.Equal(clock.Now().Add(time.Hour)) {
		t.Errorf("made %+v", l)
	}
	data[0] = 'X' // is the caller's
	s := newSession(t, db, u)
	quiet(t, db, func() {
		for name, c := range map[string]struct{ purpose, token string }{
			"another purpose": {"password-reset", l.Token.Reveal()},
			"no purpose":      {"", l.Token.Reveal()},
			"wrong secret":    {"verify-email", forge(t, l.Token, func(b []byte) { b[31] ^= 1 })},
			"a session's":     {"verify-email", s.Token.Reveal()},
			"empty":           {"verify-email", ""},
			"megabytes":       {"verify-email", strings.Repeat("x", 2<<20)},
			"truncated":       {"verify-email", l.Token.Reveal()[1:]},
			"upper case":      {"verify-email", strings.ToUpper(l.Token.Reveal())},
		} {
			if _, err := db.UseOneTimeToken(ctx, c.purpose, c.token); !errors.Is(err, snib.ErrInvalidOneTimeToken) {
				t.Errorf("%s: %v, want ErrInvalidOneTimeToken", name, err)
			}
		}
	})
	var used snib.OneTimeToken
	commits(t, db, 1, func() { used = must(db.UseOneTimeToken(ctx, "verify-email", l.Token.Reveal()))(t) })
	if used.ID != l.ID || used.UserID != u.ID || string(used.Data) != "new@example.com" || used.Token.Reveal() != "" {
		t.Errorf("used %+v", used)
	}
	unusable(t, db, l)
	if left := mentions(t, db, string(l.ID)); left != nil {
		t.Errorf("a used token is in %q", left)
	}
}

func TestUseOneTimeTokenRefusesAnExpiredOne(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	a, b := link(t, db, u, "reset", time.Second), link(t, db, u, "reset", time.Second)
	clock.Advance(time.Second - tick)
	must(db.UseOneTimeToken(ctx, "reset", a.Token.Reveal()))(t)
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
			_, err := db.CreateOneTimeToken(ctx, u.ID, c.purpose, c.ttl, make([]byte, c.data))
			wantField(t, err, c.field)
		}
		_, err := db.CreateOneTimeToken(ctx, "nobody", "reset", time.Hour, nil)
		wantErr(t, err, snib.ErrUserNotFound)
	})
	l := must(db.CreateOneTimeToken(ctx, u.ID, strings.Repeat("p", 32), 90*24*time.Hour, make([]byte, 1024)))(t)
	if used := must(db.UseOneTimeToken(ctx, l.Purpose, l.Token.Reveal()))(t); len(used.Data) != 1024 {
		t.Errorf("%d bytes of data", len(used.Data))
	}
}

func TestCreateOneTimeTokenTheSeventeenthEndsTheFirstToExpire(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	other := link(t, db, user(t, db, "bob"), "reset", time.Second)
	var all []snib.OneTimeToken
	for i := range snib.MaxOneTimeTokens { // the second is the first to expire
		ttl := time.Hour + time.Duration(i)*time.Minute
		if i == 1 {
			ttl = time.Minute
		}
		all = append(all, link(t, db, u, "reset", ttl))
	}
	all = append(all, link(t, db, u, "reset", 3*time.Hour))
	unusable(t, db, all[1])
	clock.Set(all[0].ExpiresAt) // one is dead: nothing that lives makes room
	all = append(all, link(t, db, u, "reset", 3*time.Hour))
	unusable(t, db, all[0])
	for _, l := range all[2:] {
		must(db.UseOneTimeToken(ctx, "reset", l.Token.Reveal()))(t)
	}
	if len(mentions(t, db, string(other.ID))) == 0 {
		t.Error("a token of another user made room")
	}
}

func TestCreateOneTimeTokenEvictsOneOfAnEarlierEpochFirst(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	link(t, db, u, "reset", 24*time.Hour)
	if err := db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	var all []snib.OneTimeToken
	for range snib.MaxOneTimeTokens {
		all = append(all, link(t, db, u, "reset", time.Hour))
	}
	for _, l := range all {
		must(db.UseOneTimeToken(ctx, "reset", l.Token.Reveal()))(t)
	}
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
	{"ChangePassword, session kept", true, func(db *snib.DB, id snib.UserID, s snib.Session) error {
		_, err := db.ChangePassword(ctx, id, password, password, s.ID)
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
	{"RevokeUserSessions", false, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		return db.RevokeUserSessions(ctx, id)
	}},
	{"RevokeUserRefreshTokens", false, func(db *snib.DB, id snib.UserID, _ snib.Session) error {
		return db.RevokeUserRefreshTokens(ctx, id)
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
				must(db.UseOneTimeToken(ctx, "reset", l.Token.Reveal()))(t)
			}
			if c.name != "EndEverything" {
				must(db.UseOneTimeToken(ctx, "reset", theirs.Token.Reveal()))(t)
			}
		})
	}
}

func TestCreateOneTimeTokenRefusesADisabledUser(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := user(t, db, "ada")
	must(db.DisableUser(ctx, u.ID, ""))(t)
	quiet(t, db, func() {
		_, err := db.CreateOneTimeToken(ctx, u.ID, "reset", time.Hour, nil)
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
			used, err := tx.UseOneTimeToken("reset", l.Token.Reveal())
			if err != nil {
				return err
			}
			if _, err := tx.UseOneTimeToken("reset", l.Token.Reveal()); !errors.Is(err, snib.ErrInvalidOneTimeToken) {
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
		return must(db.CreateOneTimeToken(ctx, u.ID, purpose, time.Hour, nil))(t)
	}
	gone, kept, theirs := link(u, "reset"), link(u, "reset"), link(other, "reset")
	for _, id := range []snib.OneTimeTokenID{"", "ott_", snib.OneTimeTokenID(gone.Token.Reveal())} {
		wantField(t, db.RevokeOneTimeToken(ctx, u.ID, id), "OneTimeTokenID")
	}
	wantField(t, db.RevokeOneTimeToken(ctx, "", gone.ID), "UserID")
	for _, id := range []snib.OneTimeTokenID{gone.ID, gone.ID, theirs.ID} {
		if err := db.RevokeOneTimeToken(ctx, u.ID, id); err != nil {
			t.Fatal(err)
		}
	}
	_, err := db.UseOneTimeToken(ctx, "reset", gone.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidOneTimeToken)
	for _, l := range []snib.OneTimeToken{kept, theirs} {
		must(db.UseOneTimeToken(ctx, "reset", l.Token.Reveal()))(t)
	}
}

func TestRevokeUserOneTimeTokens(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u, other := user(t, db, "ada"), user(t, db, "bob")
	link := func(u snib.User, purpose string) snib.OneTimeToken {
		return must(db.CreateOneTimeToken(ctx, u.ID, purpose, time.Hour, nil))(t)
	}
	gone := []snib.OneTimeToken{link(u, "reset"), link(u, "reset")}
	kept := []snib.OneTimeToken{link(u, "verify"), link(other, "reset")}
	wantField(t, db.RevokeUserOneTimeTokens(ctx, u.ID, ""), "Purpose")
	wantErr(t, db.RevokeUserOneTimeTokens(ctx, "nobody", "reset"), snib.ErrUserNotFound)
	if err := db.RevokeUserOneTimeTokens(ctx, u.ID, "reset"); err != nil {
		t.Fatal(err)
	}
	for _, l := range gone {
		_, err := db.UseOneTimeToken(ctx, l.Purpose, l.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidOneTimeToken)
	}
	for _, l := range kept {
		must(db.UseOneTimeToken(ctx, l.Purpose, l.Token.Reveal()))(t)
	}
}
