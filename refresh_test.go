package snib_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/accounttest"
	"github.com/snibdb/snib/snibtest"
)

// refused fails the test unless r's token is refused with want and nothing is
// written.
func refused(tb testing.TB, db *snib.DB, token string, want error) {
	tb.Helper()
	quiet(tb, db, func() {
		tb.Helper()
		s, r, err := db.Refresh(ctx, token)
		wantErr(tb, err, want)
		if want != snib.ErrRefreshTokenReused && errors.Is(err, snib.ErrRefreshTokenReused) {
			tb.Errorf("%v is both", err)
		}
		if s.Token.Reveal() != "" || r.Token.Reveal() != "" || s.ID != "" || r.ID != "" {
			tb.Error("a refused token gave something")
		}
	})
}

// forge changes the secret part of a token and makes the checksum right: what
// somebody could try who knows the id and the format.
func forge(tb testing.TB, token snib.Token, change func(secret []byte)) string {
	tb.Helper()
	id, rest, _ := strings.Cut(token.Reveal(), ".")
	secret, err := accounttest.Crockford.DecodeString(rest[:len(rest)-7])
	if err != nil {
		tb.Fatal(err)
	}
	change(secret)
	text := id + "." + accounttest.Crockford.EncodeToString(secret)
	crc := binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
	return text + accounttest.Crockford.EncodeToString(crc)
}

func TestRefreshRule1WhatCannotBeUsedIsInvalidAndWritesNothing(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	s, r := family(t, db, u)
	if same := forge(t, r.Token, func([]byte) {}); same != r.Token.Reveal() {
		t.Fatal("this test does not know the format of a token")
	}
	_, gone := family(t, db, u)
	if err := db.RefreshTokens().RevokeByID(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	token := r.Token.Reveal()
	for name, token := range map[string]string{
		"empty": "", "garbage": "garbage", "megabytes": strings.Repeat("x", 2<<20),
		"truncated":            token[:len(token)-1],
		"longer":               token + "0",
		"upper case":           strings.ToUpper(token),
		"a session's":          s.Token.Reveal(),
		"unknown family":       gone.Token.Reveal(),
		"another id":           string(r.ID),
		"wrong F":              forge(t, r.Token, func(secret []byte) { secret[0] ^= 1 }),
		"wrong F, last bit":    forge(t, r.Token, func(secret []byte) { secret[15] ^= 0x80 }),
		"wrong F, wrong s too": forge(t, r.Token, func(secret []byte) { clear(secret) }),
	} {
		t.Run(name, func(t *testing.T) { refused(t, db, token, snib.ErrInvalidRefreshToken) })
	}
	valid(t, db, s) // none of this was reuse

	clock.Set(r.IdleUntil.Add(-tick))
	_, r = refresh(t, db, r)
	clock.Set(r.IdleUntil)
	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
	_, r = family(t, db, u)
	if err := db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)

	_, r = family(t, db, u)
	_, revoked := family(t, db, u)
	reuse(t, db, revoked)
	must(db.DisableUser(ctx, u.ID, ""))(t)
	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
	refused(t, db, revoked.Token.Reveal(), snib.ErrInvalidRefreshToken) // a tombstone of a disabled user
	must(db.EnableUser(ctx, u.ID))(t)
	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
	refused(t, db, revoked.Token.Reveal(), snib.ErrRefreshTokenReused)
	if err := db.DeleteUser(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	refused(t, db, revoked.Token.Reveal(), snib.ErrInvalidRefreshToken)
}

func TestRefreshRule2TheCurrentTokenRotates(t *testing.T) {
	db, clock := clocked(t, snib.Options{Refresh: snib.RefreshPolicy{Idle: 20 * time.Hour, Absolute: 50 * time.Hour}})
	u := user(t, db, "ada")
	began := clock.Now()
	s, r, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{Attributes: snib.Attributes{"device": "phone"}})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{r.Token.Reveal(): true, s.Token.Reveal(): true}
	for i, after := range []time.Duration{19 * time.Hour, 19 * time.Hour, 11 * time.Hour} {
		now := clock.Advance(after)
		var s2 snib.Session
		var r2 snib.RefreshToken
		commits(t, db, 1, func() { s2, r2 = refresh(t, db, r) })
		if s2.ID == s.ID || seen[s2.Token.Reveal()] || seen[r2.Token.Reveal()] {
			t.Fatal("a rotation gave something old")
		}
		seen[s2.Token.Reveal()], seen[r2.Token.Reveal()] = true, true
		invalid(t, db, s)
		valid(t, db, s2)
		idle, end := now.Add(20*time.Hour), began.Add(50*time.Hour)
		if idle.After(end) {
			idle = end
		}
		if r2.ID != r.ID || r2.UserID != u.ID || r2.SessionID != s2.ID || r2.Rotations != uint64(i+1) || !r2.RotatedAt.Equal(now) ||
			!r2.IdleUntil.Equal(idle) || !r2.AbsoluteUntil.Equal(end) || !r2.AuthenticatedAt.Equal(began) || !r2.CreatedAt.Equal(began) {
			t.Errorf("rotation %d at %v: %+v", i+1, now, r2)
		}
		if !s2.AuthenticatedAt.Equal(began) || s2.Attributes()["device"] != "phone" || r2.Attributes()["device"] != "phone" {
			t.Errorf("rotation %d: log-in %v, attributes %v and %v", i+1, s2.AuthenticatedAt, s2.Attributes(), r2.Attributes())
		}
		want := r2
		want.Token = snib.Token{}
		if listed := must(db.RefreshTokens().List(ctx, u.ID))(t); len(listed) != 1 || !reflect.DeepEqual(listed[0], want) {
			t.Errorf("listed %+v, want %+v", listed, want)
		}
		s, r = s2, r2
	}
	clock.Set(began.Add(50 * time.Hour))
	invalid(t, db, s)
	refused(t, db, r.Token.Reveal(), snib.ErrInvalidRefreshToken)
}

func TestRefreshRule3TheParentRepeatsWithinTheGrace(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	_, first := family(t, db, u)
	clock.Advance(time.Hour)
	s, second := refresh(t, db, first)
	for range 3 { // a repetition does not make the grace longer
		clock.Advance(10*time.Second - tick)
		quiet(t, db, func() {
			s2, r2 := refresh(t, db, first)
			if s2.ID != s.ID || s2.Token.Reveal() != s.Token.Reveal() || r2.Token.Reveal() != second.Token.Reveal() {
				t.Error("a repetition gave other tokens")
			}
			r2.Token, second.Token = second.Token, r2.Token
			if !reflect.DeepEqual(r2, second) {
				t.Errorf("repeated %+v, first answer %+v", r2, second)
			}
		})
	}
	valid(t, db, s)
	clock.Advance(3 * tick) // 30 s to the millisecond
	_, _, err := db.Refresh(ctx, first.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
	invalid(t, db, s)
}

// An answer that was lost is replaced, however late.
func TestRefreshRule4TheParentReplacesWhatWasNotUsed(t *testing.T) {
	for _, after := range []time.Duration{30 * time.Second, 10 * time.Minute, 8 * time.Hour, 30*24*time.Hour - tick} {
		for _, restart := range []bool{false, true} {
			clock, path := snibtest.NewClock(), filepath.Join(t.TempDir(), "accounts.db")
			db := restarted(t, nil, path, clock)
			_, first := family(t, db, user(t, db, "ada"))
			lostSession, lost := refresh(t, db, first)
			if restart {
				db = restarted(t, db, path, clock)
			}
			now := clock.Advance(after)
			var s snib.Session
			var second snib.RefreshToken
			commits(t, db, 1, func() { s, second = refresh(t, db, first) })
			if second.Token.Reveal() == lost.Token.Reveal() || s.Token.Reveal() == lostSession.Token.Reveal() || s.ID == lostSession.ID {
				t.Errorf("%v: an answer of old", after)
			}
			if second.Rotations != 1 || !second.RotatedAt.Equal(now) || !second.IdleUntil.Equal(now.Add(30*24*time.Hour)) || !s.ActiveUntil.Equal(now.Add(time.Hour)) {
				t.Errorf("%v: %+v, session until %v", after, second, s.ActiveUntil)
			}
			invalid(t, db, lostSession)
			valid(t, db, s)
			clock.Advance(30*time.Second - tick)
			quiet(t, db, func() { // that answer has a grace too
				if s2, r2 := refresh(t, db, first); s2.Token.Reveal() != s.Token.Reveal() || r2.Token.Reveal() != second.Token.Reveal() {
					t.Error("a repetition gave other tokens")
				}
			})
			_, third := refresh(t, db, second)
			refresh(t, db, third)
		}
	}
}

func TestRefreshRule3EndsWhenTheSuccessorWasPresented(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	u := user(t, db, "ada")
	_, first := family(t, db, u)
	_, second := refresh(t, db, first)
	s, third := refresh(t, db, second)
	clock.Advance(time.Second) // well within the grace
	refresh(t, db, second)     // the parent
	_, _, err := db.Refresh(ctx, first.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused) // the grandparent
	invalid(t, db, s)
	refused(t, db, third.Token.Reveal(), snib.ErrRefreshTokenReused)
}

func TestRefreshGraceIsAPolicy(t *testing.T) {
	for _, c := range []struct{ grace, after time.Duration }{
		{-1, 0}, {time.Nanosecond, 0}, {time.Second, time.Second}, {5 * time.Minute, 5 * time.Minute},
	} {
		db, clock := clocked(t, snib.Options{Refresh: snib.RefreshPolicy{Grace: c.grace}})
		_, first := family(t, db, user(t, db, "ada"))
		s, _ := refresh(t, db, first)
		valid(t, db, s)
		if c.after > 0 {
			clock.Advance(c.after - tick)
			refresh(t, db, first)
			clock.Advance(tick)
		}
		_, _, err := db.Refresh(ctx, first.Token.Reveal())
		if !errors.Is(err, snib.ErrRefreshTokenReused) {
			t.Errorf("grace %v, after %v: %v, want ErrRefreshTokenReused", c.grace, c.after, err)
		}
	}
}

// restarted closes db and opens its file again, with another key.
func restarted(tb testing.TB, db *snib.DB, path string, clock *snibtest.Clock) *snib.DB {
	tb.Helper()
	if db != nil {
		if err := db.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return snibtest.OpenDB(tb, path, &snib.Options{Now: clock.Now})
}

// Another process cannot say the same again, so it replaces within the grace
// too.
func TestRefreshAfterARestartMakesTheLostAnswerAnew(t *testing.T) {
	clock, path := snibtest.NewClock(), filepath.Join(t.TempDir(), "accounts.db")
	db := restarted(t, nil, path, clock)
	_, first := family(t, db, user(t, db, "ada"))
	lostSession, lost := refresh(t, db, first)
	valid(t, db, lostSession)

	db = restarted(t, db, path, clock)
	valid(t, db, lostSession)
	var s snib.Session
	var second snib.RefreshToken
	commits(t, db, 1, func() { s, second = refresh(t, db, first) })
	if second.Token.Reveal() == lost.Token.Reveal() || s.Token.Reveal() == lostSession.Token.Reveal() {
		t.Fatal("another process derives the same tokens")
	}
	invalid(t, db, lostSession)
	valid(t, db, s)
	quiet(t, db, func() { // the grace goes on, with this process's key
		if s2, r2 := refresh(t, db, first); s2.Token.Reveal() != s.Token.Reveal() || r2.Token.Reveal() != second.Token.Reveal() {
			t.Error("a repetition gave other tokens")
		}
	})
	s, third := refresh(t, db, second)
	valid(t, db, s)
	refresh(t, db, third)
}

// Under Options.Keys every process that has the key gives the same answer.
func TestRefreshAfterARestartRepeatsUnderAKey(t *testing.T) {
	for name, c := range map[string]struct {
		before, after []snib.Key
		same          bool
	}{
		"the same key":      {[]snib.Key{testKey("k1", 1)}, []snib.Key{testKey("k1", 1)}, true},
		"no longer current": {[]snib.Key{testKey("k1", 1)}, []snib.Key{testKey("k2", 2), testKey("k1", 1)}, true},
		"another key":       {[]snib.Key{testKey("k1", 1)}, []snib.Key{testKey("k2", 2)}, false},
		"none any more":     {[]snib.Key{testKey("k1", 1)}, nil, false},
		"none before":       {nil, []snib.Key{testKey("k1", 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			path, clock := filepath.Join(t.TempDir(), "a.db"), snibtest.NewClock()
			db := openFile(t, path, &snib.Options{Keys: c.before, Now: clock.Now})
			_, r := family(t, db, user(t, db, "ada"))
			s, next, err := db.Refresh(ctx, r.Token.Reveal())
			wantErr(t, err, nil)
			closeDB(t, db)
			db = openFile(t, path, &snib.Options{Keys: c.after, Now: clock.Now})
			clock.Advance(10 * time.Second)
			s2, next2, err := db.Refresh(ctx, r.Token.Reveal())
			wantErr(t, err, nil)
			if same := next2.Token.Reveal() == next.Token.Reveal() && s2.Token.Reveal() == s.Token.Reveal(); same != c.same {
				t.Errorf("the same answer: %t, want %t", same, c.same)
			}
			valid(t, db, s2)
			if !c.same {
				wantErr(t, second(db.ValidateSession(ctx, s.Token.Reveal())), snib.ErrInvalidSession)
			}
		})
	}
}

func TestRefreshAfterARestartKnowsReuse(t *testing.T) {
	clock, path := snibtest.NewClock(), filepath.Join(t.TempDir(), "accounts.db")
	db := restarted(t, nil, path, clock)
	_, first := family(t, db, user(t, db, "ada"))
	_, second := refresh(t, db, first)

	db = restarted(t, db, path, clock)
	s, third := refresh(t, db, second) // the answer had arrived
	_, _, err := db.Refresh(ctx, first.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
	invalid(t, db, s)

	db = restarted(t, db, path, clock) // the revocation is durable
	for _, r := range []snib.RefreshToken{first, second, third} {
		refused(t, db, r.Token.Reveal(), snib.ErrRefreshTokenReused)
	}
}

func TestRefreshRule5AnythingElseRevokesTheFamily(t *testing.T) {
	other := func(secret []byte) { secret[16] ^= 1 }
	for name, present := range map[string]func(t *testing.T, tokens []snib.RefreshToken) string{
		"a grandparent": func(_ *testing.T, x []snib.RefreshToken) string { return x[0].Token.Reveal() },
		"a wrong s":     func(t *testing.T, x []snib.RefreshToken) string { return forge(t, x[2].Token, other) },
		"a zero s": func(t *testing.T, x []snib.RefreshToken) string {
			return forge(t, x[2].Token, func(b []byte) { clear(b[16:]) })
		},
		"a wrong s's old one": func(t *testing.T, x []snib.RefreshToken) string { return forge(t, x[0].Token, other) },
	} {
		t.Run(name, func(t *testing.T) {
			db, clock := clocked(t, snib.Options{Refresh: snib.RefreshPolicy{Idle: time.Hour}})
			u := user(t, db, "ada")
			plain := newSession(t, db, u)
			bystander, _ := family(t, db, u)
			_, first := family(t, db, u)
			_, second := refresh(t, db, first)
			s, third := refresh(t, db, second)
			token := present(t, []snib.RefreshToken{first, second, third})

			commits(t, db, 1, func() {
				_, _, err := db.Refresh(ctx, token)
				wantErr(t, err, snib.ErrRefreshTokenReused)
				if e, ok := errors.AsType[*snib.ReuseError](err); !ok || e.ID != first.ID || e.UserID != u.ID {
					t.Errorf("the error names %+v", e)
				}
			})
			invalid(t, db, s)
			valid(t, db, plain)
			valid(t, db, bystander)
			if got := must(db.RefreshTokens().List(ctx, u.ID))(t); len(got) != 1 {
				t.Errorf("%d tokens are listed, want the bystander's", len(got))
			}
			for _, at := range []time.Time{clock.Now(), third.IdleUntil, third.AbsoluteUntil.Add(-tick)} {
				clock.Set(at) // the tombstone answers longer than the family would have
				for _, r := range []string{first.Token.Reveal(), second.Token.Reveal(), third.Token.Reveal(), token} {
					refused(t, db, r, snib.ErrRefreshTokenReused)
				}
				refused(t, db, forge(t, third.Token, func(b []byte) { b[0] ^= 1 }), snib.ErrInvalidRefreshToken)
			}
			clock.Set(third.AbsoluteUntil)
			refused(t, db, third.Token.Reveal(), snib.ErrInvalidRefreshToken)
		})
	}
}

func TestRefreshGraceEndsAfterTheClockWasReset(t *testing.T) {
	clock := snibtest.NewClock()
	wall := clock.Now()
	clock.Advance(240 * time.Hour) // ahead by mistake
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
	u := email(t, db, "a@example.com")
	clock.Set(wall)
	if err := db.File().ResetClock(ctx); err != nil {
		t.Fatal(err)
	}
	_, spent, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := refresh(t, db, spent)
	valid(t, db, s)
	clock.Advance(time.Minute)
	_, _, err = db.Refresh(ctx, spent.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
}
