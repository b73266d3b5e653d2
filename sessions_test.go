package snib_test

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
	"github.com/snibdb/snib/snibtest"
)

func TestValidateSessionActiveThenIdleThenDead(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: time.Hour, Idle: 2 * time.Hour}})
	s := newSession(t, db, user(t, db, "ada"))
	now := clock.Now()
	if !s.ActiveUntil.Equal(now.Add(time.Hour)) || !s.IdleUntil.Equal(now.Add(3*time.Hour)) ||
		!s.AbsoluteUntil.Equal(now.Add(90*24*time.Hour)) || !s.CreatedAt.Equal(now) || !s.AuthenticatedAt.Equal(now) {
		t.Fatalf("a session made at %v is %+v", now, s)
	}
	if s.State != snib.SessionActive || s.State.String() != "active" {
		t.Fatalf("a new session is %v", s.State)
	}
	clock.Set(s.ActiveUntil.Add(-tick))
	valid(t, db, s)

	for _, at := range []time.Time{s.ActiveUntil, s.IdleUntil.Add(-tick)} {
		clock.Set(at)
		invalid(t, db, s)
		_, _, err := db.ValidateSessionUser(ctx, s.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidSession)
		if got := must(db.GetSession(ctx, s.ID))(t); got.State != snib.SessionIdle || got.State.String() != "idle" {
			t.Errorf("at %v it is %v, want idle", at, got.State)
		}
	}
	clock.Set(s.IdleUntil)
	quiet(t, db, func() {
		invalid(t, db, s)
		_, err := db.GetSession(ctx, s.ID)
		wantErr(t, err, snib.ErrInvalidSession)
		_, err = db.RenewSession(ctx, s.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidSession)
		_, err = db.ExtendSession(ctx, s.Token.Reveal())
		wantErr(t, err, snib.ErrInvalidSession)
		if got := sessionIDs(t, db, s.UserID); got != nil {
			t.Errorf("a dead session is listed: %v", got)
		}
	})
}

func TestRenewSessionReplacesTheOldAndKeepsTheLogIn(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	first := must(db.CreateSession(ctx, u, snib.SessionOptions{Attributes: snib.Attributes{"device": "laptop"}}))(t)
	old := first
	for _, after := range []time.Duration{time.Hour, 48 * time.Hour} { // active, then idle
		now := clock.Advance(after)
		next := must(db.RenewSession(ctx, old.Token.Reveal()))(t)
		if next.ID == old.ID || next.Token.Reveal() == old.Token.Reveal() {
			t.Fatal("the renewed session is the old one")
		}
		if !next.AuthenticatedAt.Equal(first.AuthenticatedAt) || !next.AbsoluteUntil.Equal(first.AbsoluteUntil) {
			t.Errorf("log-in %v, end %v; want %v and %v", next.AuthenticatedAt, next.AbsoluteUntil, first.AuthenticatedAt, first.AbsoluteUntil)
		}
		if !next.CreatedAt.Equal(now) || !next.LastUsedAt.Equal(now) || !next.ActiveUntil.Equal(now.Add(24*time.Hour)) {
			t.Errorf("renewed at %v: %+v", now, next)
		}
		if got := next.Attributes()["device"]; got != "laptop" || next.State != snib.SessionActive {
			t.Errorf("attribute %v, state %v", got, next.State)
		}
		valid(t, db, next)
		quiet(t, db, func() {
			invalid(t, db, old)
			_, err := db.RenewSession(ctx, old.Token.Reveal())
			wantErr(t, err, snib.ErrInvalidSession)
			_, err = db.ExtendSession(ctx, old.Token.Reveal())
			wantErr(t, err, snib.ErrInvalidSession)
		})
		if got := sessionIDs(t, db, u.ID); !reflect.DeepEqual(got, []snib.SessionID{next.ID}) {
			t.Errorf("sessions %v, want only %v", got, next.ID)
		}
		old = next
	}
}

func TestRenewSessionAndExtendSessionStayWithinTheAbsoluteLife(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{
		Active: 2 * time.Hour, Idle: 10 * time.Hour, Absolute: 3 * time.Hour, ExtendEvery: -1,
	}})
	s := newSession(t, db, user(t, db, "ada"))
	end := clock.Now().Add(3 * time.Hour)
	if !s.IdleUntil.Equal(end) {
		t.Errorf("idle until %v, want %v", s.IdleUntil, end)
	}
	clock.Advance(90 * time.Minute)
	s = must(db.RenewSession(ctx, s.Token.Reveal()))(t)
	clock.Advance(60 * time.Minute)
	extended := must(db.ExtendSession(ctx, s.Token.Reveal()))(t)
	for _, got := range []snib.Session{s, extended} {
		if !got.ActiveUntil.Equal(end) || !got.IdleUntil.Equal(end) || !got.AbsoluteUntil.Equal(end) {
			t.Errorf("deadlines %v %v %v, want all %v", got.ActiveUntil, got.IdleUntil, got.AbsoluteUntil, end)
		}
	}
	clock.Set(end.Add(-tick))
	valid(t, db, s)
	clock.Set(end)
	_, err := db.RenewSession(ctx, s.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidSession)
}

func TestNegativeSessionPoliciesAreNone(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{
		Active: time.Hour, Idle: -1, Absolute: -1, ExtendEvery: -1,
	}})
	u := user(t, db, "ada")
	s := newSession(t, db, u)
	if !s.IdleUntil.Equal(s.ActiveUntil) || !s.AbsoluteUntil.IsZero() {
		t.Errorf("active until %v, idle until %v, end %v", s.ActiveUntil, s.IdleUntil, s.AbsoluteUntil)
	}
	for range 3 { // each extension writes
		clock.Advance(tick)
		commits(t, db, 1, func() { s = extend(t, db, s) })
		if want := clock.Now().Add(time.Hour); !s.ActiveUntil.Equal(want) {
			t.Errorf("active until %v, want %v", s.ActiveUntil, want)
		}
	}
	for range 3000 { // a hundred days and more
		clock.Advance(50 * time.Minute)
		s = extend(t, db, s)
	}
	renewed := must(db.RenewSession(ctx, s.Token.Reveal()))(t)
	if !renewed.AbsoluteUntil.IsZero() {
		t.Errorf("the renewed one ends at %v", renewed.AbsoluteUntil)
	}
	clock.Set(renewed.ActiveUntil)
	_, err := db.GetSession(ctx, renewed.ID)
	wantErr(t, err, snib.ErrInvalidSession)
}

func TestExtendSessionWritesOncePerExtendEvery(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: 5 * time.Hour, ExtendEvery: 2 * time.Hour}})
	s := newSession(t, db, user(t, db, "ada"))
	first := s
	clock.Advance(2*time.Hour - tick)
	quiet(t, db, func() {
		for range 10 {
			if got := extend(t, db, s); !got.ActiveUntil.Equal(first.ActiveUntil) || !got.LastUsedAt.Equal(first.LastUsedAt) {
				t.Fatalf("extended too early, to %v", got.ActiveUntil)
			}
		}
	})
	now := clock.Advance(tick)
	commits(t, db, 1, func() {
		for range 10 {
			s = extend(t, db, s)
		}
	})
	if !s.ActiveUntil.Equal(now.Add(5*time.Hour)) || !s.LastUsedAt.Equal(now) || !s.CreatedAt.Equal(first.CreatedAt) {
		t.Errorf("extended at %v: %+v", now, s)
	}
	if read := must(db.ValidateSession(ctx, s.Token.Reveal()))(t); !read.ActiveUntil.Equal(s.ActiveUntil) {
		t.Errorf("read back %v, want %v", read.ActiveUntil, s.ActiveUntil)
	}
}

func TestExtendSessionExtendsAnIdleOneAtOnce(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: time.Hour, ExtendEvery: 10 * time.Hour}})
	s := newSession(t, db, user(t, db, "ada"))
	clock.Set(s.ActiveUntil)
	invalid(t, db, s)
	commits(t, db, 1, func() { s = extend(t, db, s) })
	valid(t, db, s)
	if s.State != snib.SessionActive {
		t.Errorf("it is %v", s.State)
	}
}

// TestExtendSessionWritesWhenExtendDue, at every moment of a life.
func TestExtendSessionWritesWhenExtendDue(t *testing.T) {
	for _, every := range []time.Duration{0, -1, 20 * time.Minute, 10 * time.Hour} {
		db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: time.Hour, Idle: time.Hour, ExtendEvery: every}})
		ada := user(t, db, "ada")
		for after := time.Duration(0); after < 2*time.Hour; after += 10 * time.Minute {
			s := newSession(t, db, ada)
			clock.Advance(after)
			due, n := must(db.GetSession(ctx, s.ID))(t).ExtendDue, 0
			if due {
				n = 1
			}
			commits(t, db, n, func() { extend(t, db, s) })
		}
		born, _, err := db.CreateRefreshToken(ctx, ada, snib.SessionOptions{})
		if err != nil || born.ExtendDue {
			t.Errorf("a session born of a refresh token: %v, due %v", err, born.ExtendDue)
		}
	}
}

func TestListUserSessionsShowsWhatLivesWithAttributes(t *testing.T) {
	db, clock := clocked(t, snib.Options{Sessions: snib.SessionPolicy{Active: time.Hour, Idle: time.Hour}})
	ada, bob := user(t, db, "ada"), user(t, db, "bob")
	newSession(t, db, ada) // will be dead
	newSession(t, db, bob)
	clock.Advance(time.Hour)
	idle := must(db.CreateSession(ctx, ada, snib.SessionOptions{Attributes: snib.Attributes{"address": "192.0.2.7", "port": 7}}))(t)
	clock.Advance(time.Hour)
	active := must(db.CreateSession(ctx, ada, snib.SessionOptions{Attributes: snib.Attributes{"device": "phone"}}))(t)

	got := must(db.ListUserSessions(ctx, ada.ID))(t)
	if len(got) != 2 || got[0].ID != idle.ID || got[1].ID != active.ID {
		t.Fatalf("listed %v, want the idle and the active one", got)
	}
	if got[0].State != snib.SessionIdle || got[1].State != snib.SessionActive {
		t.Errorf("states %v and %v", got[0].State, got[1].State)
	}
	if want := (snib.Attributes{"address": "192.0.2.7", "port": int64(7)}); !reflect.DeepEqual(got[0].Attributes(), want) {
		t.Errorf("attributes %v, want %v", got[0].Attributes(), want)
	}
	for i, s := range got {
		if s.Token.Reveal() != "" {
			t.Error("a list gives a token")
		}
		if one := must(db.GetSession(ctx, s.ID))(t); !reflect.DeepEqual(one, got[i]) {
			t.Errorf("GetSession %+v, listed %+v", one, got[i])
		}
	}
	got[0].Attributes()["address"] = "changed"
	if got[0].Attributes()["address"] != "192.0.2.7" {
		t.Error("the attributes can be changed from outside")
	}
	for _, id := range []snib.UserID{"nobody", "", "a\x00b"} {
		if got := must(db.ListUserSessions(ctx, id))(t); got != nil {
			t.Errorf("%q has sessions %v", id, got)
		}
	}
}

func TestCreateSessionRefusesAttributesOutOfBounds(t *testing.T) {
	db, _ := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	many := func(n int) snib.Attributes {
		a := snib.Attributes{}
		for i := range n {
			a[fmt.Sprint("k", i)] = i
		}
		return a
	}
	quiet(t, db, func() {
		for name, a := range map[string]snib.Attributes{
			"17 names":  many(17),
			"4 KiB":     {"big": strings.Repeat("x", 4<<10)},
			"NaN":       {"nan": math.NaN()},
			"long name": {strings.Repeat("n", 65): 1},
			"not UTF-8": {"t": "\xff"},
		} {
			_, err := db.CreateSession(ctx, u, snib.SessionOptions{Attributes: a})
			if !errors.Is(err, snib.ErrInvalidInput) {
				t.Errorf("CreateSession with %s: %v", name, err)
			}
			wantField(t, err, "Attributes")
			_, _, err = db.CreateRefreshToken(ctx, u, snib.SessionOptions{Attributes: a})
			wantField(t, err, "Attributes")
		}
	})
	big := many(15)
	big["big"] = strings.Repeat("x", 3900)
	s := must(db.CreateSession(ctx, u, snib.SessionOptions{Attributes: big}))(t)
	if got := must(db.GetSession(ctx, s.ID))(t).Attributes(); len(got) != 16 {
		t.Errorf("%d attributes, want 16", len(got))
	}
}

func TestExtendSessionKeepsASessionInUse(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, Sessions: snib.SessionPolicy{Active: 30 * time.Minute, Idle: -1}})
	u := email(t, db, "a@example.com")
	s := must(db.CreateSession(ctx, u, snib.SessionOptions{}))(t)
	for range 120 {
		clock.Advance(time.Minute)
		must(db.ExtendSession(ctx, s.Token.Reveal()))(t)
	}
}

// TestValidateSessionAllocations: what a validation allocates is the text that
// it returns, and for the user the list of identities too. A View allocates what
// its closure is given, fewer than bbolt's own View.
func TestValidateSessionAllocations(t *testing.T) {
	if bits.UintSize < 64 {
		t.Skip("on 32 bits a read begins its own transaction")
	}
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "team"}}})
	u := email(t, db, "a@example.com")
	must(db.UpdateUserAttributes(ctx, u.ID, snib.Attributes{"team": "red", "theme": "dark"}))(t)
	must(db.LinkIdentity(ctx, u.ID, "username", "ada"))(t)
	device := snib.Attributes{"address": "192.0.2.7", "agent": "Mozilla/5.0 (X11; Linux x86_64)"}
	token := must(db.CreateSession(ctx, u, snib.SessionOptions{Attributes: device}))(t).Token.Reveal()
	for _, tt := range []struct {
		name string
		most float64
		call func() error
	}{
		{"ValidateSession", 1, func() error { _, err := db.ValidateSession(ctx, token); return err }},
		{"ValidateSessionUser", 3, func() error { _, _, err := db.ValidateSessionUser(ctx, token); return err }},
		{"GetUser", 2, func() error { _, err := db.GetUser(ctx, u.ID); return err }},
		{"View", 3, func() error { return db.View(ctx, func(*snib.Tx) error { return nil }) }},
		{"View of a user", 9, func() error {
			return db.View(ctx, func(tx *snib.Tx) error { _, err := tx.GetUser(u.ID); return err })
		}},
	} {
		if err := tt.call(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		// Over so many calls, a transaction begun anew because the last was
		// kept long enough is below one allocation a call.
		got := leastAllocs(5000, tt.most, func() { tt.call() })
		t.Logf("%s: %v allocations", tt.name, got)
		if got > tt.most && !raceDetector {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, got, tt.most)
		}
	}
}

// TestValidateSessionUserReadsAgain: an engine may ask for a read to be run
// anew at any of its steps, and the answer is that of the last run.
func TestValidateSessionUserReadsAgain(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	for n := int64(0); ; n++ {
		var faulty *faultkv.Store
		restore := db.WrapStore(func(inner kv.Store) kv.Store {
			faulty = faultkv.Wrap(inner, faultkv.Faults{Fail: n, Again: true})
			return faulty
		})
		got, who, err := db.ValidateSessionUser(ctx, s.Token.Reveal())
		restore()
		if err != nil || got.ID != s.ID || who.ID != u.ID {
			t.Fatalf("again at operation %d: %v, %v, %v", n, got.ID, who.ID, err)
		}
		if !faulty.Failed() {
			if n < 2 {
				t.Errorf("only %d operations", n)
			}
			return
		}
	}
}
