package snib_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// asked is a code that a user has asked for, stored.
func asked(tb testing.TB, db *snib.DB, address string) snib.Code {
	tb.Helper()
	c := must(db.Codes().Begin(ctx, "sign-in", "email", address))(tb)
	if err := db.Codes().Store(ctx, c); err != nil {
		tb.Fatal(err)
	}
	return c
}

// typed uses a code to make a session.
func typed(db *snib.DB, handle snib.Token, digits string) (s snib.Session, err error) {
	err = db.Codes().Use(ctx, "sign-in", handle.Reveal(), digits, func(tx *snib.Tx, u snib.User) (err error) {
		s, err = tx.CreateSession(u, snib.SessionOptions{})
		return err
	})
	return s, err
}

// wrong are digits that the code does not have.
func wrong(c snib.Code) string {
	if c.Digits.Reveal() == "00000000" {
		return "00000001"
	}
	return "00000000"
}

func TestCodesUse(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	ada := email(t, db, "ada@example.com")
	c := asked(t, db, "Ada@example.com")
	if d := c.Digits.Reveal(); len(d) != 8 || strings.Trim(d, "0123456789") != "" || c.UserID != ada.ID {
		t.Errorf("%q of %s", d, c.UserID)
	}
	// What do fails for leaves the code as it was.
	own := errors.New("own")
	wantErr(t, db.Codes().Use(ctx, "sign-in", c.Handle.Reveal(), c.Digits.Reveal(), func(*snib.Tx, snib.User) error { return own }), own)
	wantErr(t, second(typed(db, c.Handle, wrong(c))), snib.ErrInvalidCredentials)
	s := must(typed(db, c.Handle, c.Digits.Reveal()))(t)
	if valid(t, db, s); s.UserID != ada.ID {
		t.Errorf("a session of %s", s.UserID)
	}
	wantErr(t, second(typed(db, c.Handle, c.Digits.Reveal())), snib.ErrInvalidOneTimeToken)
	if list := must(db.Tokens().List(ctx, ada.ID, ""))(t); len(list) != 0 {
		t.Errorf("left over: %v", list)
	}
}

// Digits are good in the browser that asked and for the purpose, for ten
// minutes, and until the credentials change.
func TestCodesUseRefuses(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	ada := email(t, db, "ada@example.com")
	email(t, db, "bob@example.com")
	bob := asked(t, db, "bob@example.com")
	for name, c := range map[string]struct {
		spoil func()
		use   func(snib.Code) error
		good  bool
	}{
		"as asked":            {good: true},
		"ten minutes":         {spoil: func() { clock.Advance(10 * time.Minute) }},
		"a new password":      {spoil: func() { must(db.UpdateUserPassword(ctx, ada.ID, password))(t) }},
		"everything ended":    {spoil: func() { must(0, db.EndEverything(ctx))(t) }},
		"signed out":          {spoil: func() { must(0, db.RevokeUserSessions(ctx, ada.ID))(t) }},
		"another's handle":    {use: func(x snib.Code) error { return second(typed(db, bob.Handle, x.Digits.Reveal())) }},
		"no handle":           {use: func(x snib.Code) error { return second(typed(db, snib.Token{}, x.Digits.Reveal())) }},
		"as a one-time token": {use: func(x snib.Code) error { return second(db.Tokens().Use(ctx, "sign-in", x.Handle.Reveal())) }},
		"another purpose": {use: func(x snib.Code) error {
			return db.Codes().Use(ctx, "verify", x.Handle.Reveal(), x.Digits.Reveal(), func(*snib.Tx, snib.User) error { return nil })
		}},
	} {
		clock.Advance(time.Minute)
		must(0, db.Tokens().RevokeAll(ctx, ada.ID, ""))(t)
		x := asked(t, db, "ada@example.com")
		if c.spoil != nil {
			c.spoil()
		}
		use := func(x snib.Code) error { return second(typed(db, x.Handle, x.Digits.Reveal())) }
		if c.use != nil {
			use = c.use
		}
		if err := use(x); (err == nil) != c.good || !c.good && !errors.Is(err, snib.ErrInvalidOneTimeToken) && !errors.Is(err, snib.ErrInvalidCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Five tries a code are counted though each fails, and five of the account over
// all of its codes; failed passwords are no part of them, and the reverse.
func TestCodesCountTries(t *testing.T) {
	path := t.TempDir() + "/a.db"
	clock := snibtest.NewClock()
	o := &snib.Options{Now: clock.Now}
	db := openFile(t, path, o)
	email(t, db, "ada@example.com")
	for range 6 {
		db.LogIn(ctx, "email", "ada@example.com", "wrong passphrase", snib.SessionOptions{})
	}
	c := asked(t, db, "ada@example.com")
	for i := range 5 {
		if i == 2 { // as durable as the code
			closeDB(t, db)
			db = openFile(t, path, o)
		}
		wantErr(t, second(typed(db, c.Handle, wrong(c))), snib.ErrInvalidCredentials)
	}
	wantErr(t, second(typed(db, c.Handle, c.Digits.Reveal())), snib.ErrInvalidOneTimeToken)

	clock.Advance(time.Minute)
	c = asked(t, db, "ada@example.com")
	clock.Advance(time.Minute)
	wantErr(t, second(typed(db, c.Handle, wrong(c))), snib.ErrInvalidCredentials) // the sixth
	if _, err := typed(db, c.Handle, c.Digits.Reveal()); !errors.Is(err, snib.ErrThrottled) {
		t.Errorf("after six: %v", err)
	}
	clock.Advance(2 * time.Minute)
	must(typed(db, c.Handle, c.Digits.Reveal()))(t)
	closeDB(t, db)
}

// Somebody who asks for a code learns nothing: not whether there is an account,
// nor whether two addresses lead to one.
func TestCodesBeginTellsNothing(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	ada := email(t, db, "ada@example.com")
	must(db.LinkIdentity(ctx, ada.ID, "email", "ada@example.org"))(t)
	away := must(db.DisableUser(ctx, email(t, db, "away@example.com").ID, ""))(t)
	seen := map[string]bool{}
	quiet(t, db, func() {
		for _, address := range []string{"ada@example.com", "ada@example.org", "away@example.com", "unknown@example.com", "no address"} {
			c := must(db.Codes().Begin(ctx, "sign-in", "email", address))(t)
			text := c.Handle.Reveal()
			if len(text) != len(must(db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com"))(t).Handle.Reveal()) || !strings.HasPrefix(text, "snott_") {
				t.Errorf("%s: a handle of another form", address)
			}
			if owner := text[len("snott_"):][:16]; seen[owner] {
				t.Errorf("%s: the handle begins as another", address)
			} else {
				seen[owner] = true
			}
			if known := strings.HasPrefix(address, "ada@"); known != (c.Digits.Reveal() != "") || known != (c.UserID == ada.ID) {
				t.Errorf("%s: digits %t of %q", address, c.Digits.Reveal() != "", c.UserID)
			}
			if c.UserID == "" {
				wantErr(t, db.Codes().Store(ctx, c), snib.ErrUserNotFound)
			}
			wantErr(t, second(typed(db, c.Handle, "12345678")), snib.ErrInvalidOneTimeToken)
		}
	})
	if must(db.EnableUser(ctx, away.ID))(t); len(seen) != 5 {
		t.Errorf("%d handles", len(seen))
	}
}

func TestCodesStoreKeepsTheBounds(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	ada := email(t, db, "ada@example.com")
	first := asked(t, db, "ada@example.com")
	for range 2 {
		c := must(db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com"))(t)
		wantErr(t, db.Codes().Store(ctx, c), snib.ErrOneTimeTokenLimit)
		clock.Advance(time.Minute)
		asked(t, db, "ada@example.com")
	}
	clock.Advance(time.Minute)
	c := must(db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com"))(t)
	wantErr(t, db.Codes().Store(ctx, c), snib.ErrOneTimeTokenLimit)
	must(typed(db, first.Handle, first.Digits.Reveal()))(t)

	// What has changed since Begin.
	c = must(db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com"))(t)
	must(db.UpdateUserPassword(ctx, ada.ID, "another passphrase"))(t)
	wantErr(t, db.Codes().Store(ctx, c), snib.ErrInvalidOneTimeToken)
	c = must(db.Codes().Begin(ctx, "sign-in", "email", "ada@example.com"))(t)
	must(db.DisableUser(ctx, ada.ID, ""))(t)
	wantErr(t, db.Codes().Store(ctx, c), snib.ErrUserDisabled)
	must(0, db.DeleteUser(ctx, ada.ID))(t)
	wantErr(t, db.Codes().Store(ctx, c), snib.ErrUserNotFound)
}

// Of many that use a code at once, one gets in.
func TestCodesUseOnce(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Throttle: snib.ThrottlePolicy{InsecureOff: true}})
	email(t, db, "ada@example.com")
	c := asked(t, db, "ada@example.com")
	var wait sync.WaitGroup
	var in sync.Map
	for i := range 16 {
		wait.Go(func() {
			if s, err := typed(db, c.Handle, c.Digits.Reveal()); err == nil {
				in.Store(i, s)
			} else if !errors.Is(err, snib.ErrInvalidOneTimeToken) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	n := 0
	in.Range(func(_, _ any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d got in", n)
	}
}
