package snib_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

func loginsOf(tb testing.TB, db *snib.DB, id snib.UserID) []snib.Login {
	tb.Helper()
	return must(db.Logins().List(ctx, id))(tb)
}

// TestLoginsListEachDeviceOnceByLoginID: a browser, a client whose session is active, one
// whose session is over and one whose session is swept; and none that has ended.
func TestLoginsListEachDeviceOnceByLoginID(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	theirs := newSession(t, db, email(t, db, "b@example.com"))
	begun := clock.Now()
	_, gone := family(t, db, u)
	_, ended := family(t, db, u)
	reuse(t, db, ended)
	clock.Advance(time.Minute)
	browser := must(db.CreateSession(ctx, u, snib.SessionOptions{
		Attributes: snib.Attributes{"device": "laptop"}, Methods: snib.MethodTOTP, Persistent: true,
	}))(t)
	clock.Advance(26 * time.Hour) // it is idle
	unswept := loginsOf(t, db, u.ID)
	must(db.Sweep(ctx))(t)
	if swept := loginsOf(t, db, u.ID); len(swept) != 2 || !reflect.DeepEqual(swept, unswept) {
		t.Errorf("dead sessions, before they were swept: %+v, after: %+v", unswept, swept)
	}
	quit := newSession(t, db, u)
	if err := db.RevokeToken(ctx, quit.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	_, phone, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{Attributes: snib.Attributes{"device": "phone"}})
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	s, phone := refresh(t, db, phone)
	s = replaced(t, db, s)

	got := loginsOf(t, db, u.ID)
	if len(got) != 3 {
		t.Fatalf("%d log-ins: %+v", len(got), got)
	}
	old, laptop, tablet := got[0], got[1], got[2]
	if old.ID != snib.LoginID(gone.ID) || old.SessionID != "" || old.State != snib.SessionIdle || !old.CreatedAt.Equal(begun) || !old.IdleUntil.Equal(gone.IdleUntil) || old.UserID != u.ID {
		t.Errorf("the client that is away: %+v", old)
	}
	if laptop.ID != browser.LoginID() || laptop.SessionID != browser.ID || laptop.State != snib.SessionIdle || laptop.Attributes()["device"] != "laptop" ||
		laptop.Methods != snib.MethodTOTP || !laptop.Persistent || !laptop.IdleUntil.Equal(browser.IdleUntil) || !laptop.LastUsedAt.Equal(browser.LastUsedAt) {
		t.Errorf("the browser: %+v", laptop)
	}
	if tablet.ID != s.LoginID() || tablet.ID != snib.LoginID(phone.ID) || tablet.SessionID != s.ID || tablet.State != snib.SessionActive ||
		!tablet.AuthenticatedAt.Equal(clock.Now()) || !tablet.CreatedAt.Equal(phone.CreatedAt) || !tablet.LastUsedAt.Equal(clock.Now()) ||
		!tablet.IdleUntil.Equal(phone.IdleUntil) || !tablet.AbsoluteUntil.Equal(phone.AbsoluteUntil) || tablet.Attributes()["device"] != "phone" || tablet.Methods != snib.MethodPassword {
		t.Errorf("the phone: %+v", tablet)
	}
	if list := loginsOf(t, db, theirs.UserID); len(list) != 1 || list[0].ID != theirs.LoginID() {
		t.Errorf("of another user: %+v", list)
	}
	for _, id := range []snib.UserID{"nobody", "", "a\x00b"} {
		if list := loginsOf(t, db, id); list != nil {
			t.Errorf("of %q: %+v", id, list)
		}
	}
}

// TestLoginsRevokeEndsTheWholeDevice, also one whose session has been refreshed
// or lost since the list was shown; and never one of another user.
func TestLoginsRevokeEndsTheWholeDevice(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Refresh: snib.RefreshPolicy{MaxPerUser: 1}})
	u, stranger := email(t, db, "a@example.com"), email(t, db, "b@example.com")
	revoke := func(user snib.UserID, id snib.LoginID) {
		t.Helper()
		if err := db.Logins().Revoke(ctx, user, id); err != nil {
			t.Fatal(err)
		}
	}
	browser := newSession(t, db, u)
	orphan, _ := family(t, db, u)
	_, r := family(t, db, u) // evicts the family of orphan, not its session
	listed := loginsOf(t, db, u.ID)
	s, r := refresh(t, db, r)
	if len(listed) != 3 {
		t.Fatalf("%d log-ins", len(listed))
	}
	quiet(t, db, func() {
		for _, l := range listed {
			revoke(stranger.ID, l.ID)
		}
		for _, text := range []string{"", browser.Token.Reveal(), r.Token.Reveal(), "usr_x"} {
			wantField(t, db.Logins().Revoke(ctx, u.ID, snib.LoginID(text)), "LoginID")
		}
		wantField(t, db.Logins().Revoke(ctx, "\x00", listed[0].ID), "UserID")
		wantField(t, db.Logins().Revoke(ctx, "\x00", listed[2].ID), "UserID")
	})
	for _, l := range listed {
		before := len(loginsOf(t, db, u.ID))
		revoke(u.ID, l.ID)
		if left := loginsOf(t, db, u.ID); len(left) != before-1 || slices.ContainsFunc(left, func(x snib.Login) bool { return x.ID == l.ID }) {
			t.Errorf("after %s there are %+v", l.ID, left)
		}
	}
	for _, s := range []snib.Session{browser, orphan, s} {
		invalid(t, db, s)
	}
	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
}

// TestRevokeLoginWithDamagedRefreshToken: its session ends, as by RevokeSession.
func TestRevokeLoginWithDamagedRefreshToken(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := email(t, db, "a@example.com")
	s, r := family(t, db, u)
	b := handle(t, db)
	record := rawGet(t, b, "refresh_families", string(r.ID))
	record[len(record)-1] ^= 1
	rawPut(t, b, "refresh_families", string(r.ID), record)
	valid(t, db, s)
	if err := db.Logins().Revoke(ctx, u.ID, s.LoginID()); err != nil {
		t.Error(err)
	}
	invalid(t, db, s)
	rawDelete(t, b, "refresh_families", string(r.ID)) // snibtest checks the file
}

// TestNounsPrintWithoutAttributesAndData, which tell the address of a user, say.
func TestNounsPrintWithoutAttributesAndData(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := email(t, db, "ada@example.com")
	o := snib.SessionOptions{Attributes: snib.Attributes{"at": "192.0.2.7"}}
	s := must(db.CreateSession(ctx, u, o))(t)
	d := must(db.Devices().Remember(ctx, s))(t)
	l := loginsOf(t, db, u.ID)[0]
	_, r, err := db.CreateRefreshToken(ctx, u, o)
	if err != nil {
		t.Fatal(err)
	}
	link := must(db.Tokens().Create(ctx, u.ID, "move", time.Hour, []byte("192.0.2.7")))(t)
	for _, a := range []snib.Attributes{s.Attributes(), d.Attributes(), l.Attributes(), r.Attributes(), {"at": string(link.Data)}} {
		if a["at"] != "192.0.2.7" {
			t.Fatalf("%v: the test shows nothing", a)
		}
	}
	for _, x := range []any{s, d, l, r, link, link.LogValue()} {
		for _, form := range []string{"%v", "%+v", "%#v"} {
			text := fmt.Sprintf(form, x)
			if strings.Contains(text, "192.0.2.7") || strings.Contains(text, "[49 57 50") || !strings.Contains(text, string(u.ID)) {
				t.Errorf("%T prints as %s", x, text)
			}
		}
	}
}
