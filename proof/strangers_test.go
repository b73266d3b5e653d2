package proof_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/accounttest"
	"github.com/snibdb/snib/snibtest"
)

// A presentation is a method to which a stranger can give a token.
type presentation struct {
	name    string
	call    func(token string) error
	refused error
}

func presentations(db *snib.DB) []presentation {
	return []presentation{
		{"ValidateSession", func(s string) error { _, err := db.ValidateSession(ctx, s); return err }, snib.ErrInvalidSession},
		{"ValidateSessionUser", func(s string) error { _, _, err := db.ValidateSessionUser(ctx, s); return err }, snib.ErrInvalidSession},
		{"RenewSession", func(s string) error { _, err := db.RenewSession(ctx, s); return err }, snib.ErrInvalidSession},
		{"ExtendSession", func(s string) error { _, err := db.ExtendSession(ctx, s); return err }, snib.ErrInvalidSession},
		{"Refresh", func(s string) error { _, _, err := db.Refresh(ctx, s); return err }, snib.ErrInvalidRefreshToken},
		{"UseOneTimeToken", func(s string) error { _, err := db.Tokens().Use(ctx, "reset", s); return err }, snib.ErrInvalidOneTimeToken},
		{"ValidateAPIKey", func(s string) error { _, _, err := db.APIKeys().Validate(ctx, s); return err }, snib.ErrInvalidAPIKey},
		{"RevokeToken", func(s string) error { return db.RevokeToken(ctx, s) }, nil},
	}
}

// tokensOf gives a user a session, a family (its session and token), a one-time
// token and an API key, which live an hour.
func tokensOf(tb testing.TB, db *snib.DB, id snib.UserID) []string {
	tb.Helper()
	return tokensFor(tb, db, id, time.Hour)
}

// tokensFor is tokensOf with another life of the last two.
func tokensFor(tb testing.TB, db *snib.DB, id snib.UserID, ttl time.Duration) []string {
	tb.Helper()
	s := must(db.CreateSession(ctx, asNow(tb, db, id), snib.SessionOptions{}))(tb)
	born, family, err := db.CreateRefreshToken(ctx, asNow(tb, db, id), snib.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	link := must(db.Tokens().Create(ctx, id, "reset", ttl, nil))(tb)
	key := must(db.APIKeys().CreateFor(ctx, id, snib.NewAPIKey{Name: "n", TTL: ttl}))(tb)
	return []string{s.Token.Reveal(), born.Token.Reveal(), family.Token.Reveal(), link.Token.Reveal(), key.Token.Reveal()}
}

// madeUp returns tokens that were never issued: malformed ones, and with a
// right checksum those of unknown ids and with wrong secrets.
func madeUp(tb testing.TB, real []string) []string {
	tb.Helper()
	out := []string{"", "x", "sn", "null", "\x00", strings.Repeat("9", 92), strings.Repeat("a", 1<<20), "Bearer x"}
	for _, s := range real {
		secret := secretOf(tb, s)
		id := s[2:32]
		out = append(out, s[:len(s)-1], s+"0", strings.ToUpper(s), s[:40]+"\x00"+s[41:],
			makeToken(id[:4]+strings.Repeat("7", 32), secret), makeToken(id, make([]byte, len(secret))),
			makeToken(id, append([]byte{secret[0] ^ 1}, secret[1:]...)))
	}
	return out
}

// ended opens a database with tokens of every kind that are over, each for
// another reason. dead still have a record; RevokeToken may remove that.
func ended(tb testing.TB, path string, clock *snibtest.Clock) (db *snib.DB, gone, dead []string) {
	tb.Helper()
	// Nothing but the epoch ends these: they would live for years.
	const long = 1000 * 24 * time.Hour
	db = must(snib.Open(path, snibtest.Fast(&snib.Options{
		Now:      clock.Now,
		Sessions: snib.SessionPolicy{Active: long, Absolute: -1},
		Refresh:  snib.RefreshPolicy{Idle: long, Session: long, Absolute: -1},
	})))(tb)
	u := email(tb, db, "user@example.com")
	dead = tokensFor(tb, db, u.ID, 90*24*time.Hour)
	if err := errors.Join(db.EndEverything(ctx), db.Close()); err != nil {
		tb.Fatal(err)
	}

	db = snibtest.OpenDB(tb, path, &snib.Options{Now: clock.Now})
	dead = append(dead, tokensOf(tb, db, u.ID)...) // these end by the clock
	clock.Advance(60 * 24 * time.Hour)

	deleted, disabled := email(tb, db, "deleted@example.com"), email(tb, db, "disabled@example.com")
	gone = append(tokensOf(tb, db, deleted.ID), tokensOf(tb, db, disabled.ID)...)
	must(db.DisableUser(ctx, disabled.ID, ""))(tb)
	spent := tokensOf(tb, db, u.ID)
	must(db.Tokens().Use(ctx, "reset", spent[3]))(tb)
	err := errors.Join(db.DeleteUser(ctx, deleted.ID), db.RevokeToken(ctx, spent[0]), db.RevokeToken(ctx, spent[2]),
		db.APIKeys().RevokeByID(ctx, snib.APIKeyID(spent[4][2:38])))
	if err != nil {
		tb.Fatal(err)
	}
	gone = append(gone, spent...)
	renewed := must(db.CreateSession(ctx, u, snib.SessionOptions{}))(tb)
	must(db.RenewSession(ctx, renewed.Token.Reveal()))(tb)
	gone = append(gone, renewed.Token.Reveal())

	other := snibtest.NewDB(tb, nil)
	return db, append(gone, tokensOf(tb, other, email(tb, other, "user@example.com").ID)...), dead
}

func TestFloodOfTokensWritesNothing(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	db, gone, dead := ended(t, path, clock)
	live := tokensOf(t, db, email(t, db, "live@example.com").ID)
	made := madeUp(t, live)

	before := traceOf(t, db, path)
	for range 3 {
		for i, token := range append(append(made, gone...), dead...) {
			for _, p := range presentations(db) {
				if i >= len(made)+len(gone) && p.name == "RevokeToken" {
					continue
				}
				if err := p.call(token); !errors.Is(err, p.refused) {
					t.Fatalf("%s of token %d: got %v, want %v", p.name, i, err, p.refused)
				}
			}
		}
		if _, err := db.Tokens().Use(ctx, "other", live[3]); !errors.Is(err, snib.ErrInvalidOneTimeToken) {
			t.Fatalf("a one-time token for another purpose: %v", err)
		}
		// A live session is validated, and extended once an hour at most.
		for _, p := range presentations(db)[:2] {
			if err := p.call(live[0]); err != nil {
				t.Fatalf("%s of a live token: %v", p.name, err)
			}
		}
		must(db.ExtendSession(ctx, live[0]))(t)
	}
	if got := traceOf(t, db, path); got != before {
		t.Errorf("strangers have written: %+v, was %+v", got, before)
	}

	// Signing out with a dead token removes its record, once.
	for range 3 {
		for _, token := range dead {
			if err := db.RevokeToken(ctx, token); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := traceOf(t, db, path); got.txid-before.txid > len(dead) {
		t.Errorf("%d commits for %d dead tokens", got.txid-before.txid, len(dead))
	}
	for _, p := range presentations(db)[:2] {
		if err := p.call(live[0]); err != nil {
			t.Errorf("%s of a live token: %v", p.name, err)
		}
	}
}

func TestRefreshReusedIsOneCommitEach(t *testing.T) {
	clock := snibtest.NewClock()
	path := filepath.Join(t.TempDir(), "a.db")
	db := snibtest.OpenDB(t, path, &snib.Options{Now: clock.Now})
	u := email(t, db, "a@example.com")
	const families = 5
	var chains [families][]string
	for i := range chains {
		_, r, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
		for range 4 {
			if err != nil {
				t.Fatal(err)
			}
			chains[i] = append(chains[i], r.Token.Reveal())
			_, r, err = db.Refresh(ctx, r.Token.Reveal())
		}
		chains[i] = append(chains[i], r.Token.Reveal())
	}
	clock.Advance(time.Second)
	quiet := traceOf(t, db, path)
	for range 5 { // retries within the grace
		for _, chain := range chains {
			if _, r, err := db.Refresh(ctx, chain[3]); err != nil || r.Token.Reveal() != chain[4] {
				t.Fatalf("a retry: %v", err)
			}
		}
	}
	if got := traceOf(t, db, path); got != quiet {
		t.Errorf("retries have written: %+v, was %+v", got, quiet)
	}
	for i, chain := range chains {
		before := traceOf(t, db, path)
		for range 4 {
			for _, j := range []int{i % 3, 0, 1, 2, 3, 4} {
				_, _, err := db.Refresh(ctx, chain[j])
				wantErr(t, err, snib.ErrRefreshTokenReused)
			}
			// Made of the constant part and anything: whoever has that has
			// held a token.
			x := secretOf(t, chain[0])
			_, _, err := db.Refresh(ctx, makeToken(chain[0][2:38], append(x[:16:16], make([]byte, 32)...)))
			wantErr(t, err, snib.ErrRefreshTokenReused)
			if err := db.RevokeToken(ctx, chain[4]); err != nil {
				t.Fatal(err)
			}
		}
		got := traceOf(t, db, path)
		if n := got.txid - before.txid; n != 1 {
			t.Errorf("family %d: %d commits for its reuse, want 1", i, n)
		}
		if n := got.commits - before.commits; n > 1 {
			t.Errorf("family %d: Stats counts %d commits for its reuse", i, n)
		}
	}
}

func TestLogInFloodWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := snibtest.OpenDB(t, path, &snib.Options{Now: snibtest.NewClock().Now, Indexes: []snib.Index{{Name: "nick", Unique: true}}})
	accounttest.Populate(t, db, accounttest.StoreHash)
	logIn(t, db, "active@example.com")
	before := traceOf(t, db, path)
	for i := range 50 {
		for _, l := range accounttest.Logins {
			for _, name := range []string{"active", "disabled", "none", "corrupt", "huge", fmt.Sprint("stranger", i)} {
				err := l.Call(db, "email", name+"@example.com", "wrong")
				if !errors.Is(err, snib.ErrInvalidCredentials) && !errors.Is(err, snib.ErrThrottled) {
					t.Fatal(err)
				}
			}
			if err := l.Call(db, "email", "active@example.com", "\x00"); !errors.Is(err, snib.ErrInvalidCredentials) && !errors.Is(err, snib.ErrThrottled) {
				t.Fatal(err)
			}
		}
		_, err := db.GetUserByProviderID(ctx, "email", fmt.Sprintf("stranger%d@example.com", i))
		wantErr(t, err, snib.ErrUserNotFound)
		_, err = db.GetUserByProviderID(ctx, "no such\x00", "\xff")
		wantErr(t, err, snib.ErrUserNotFound)
		_, err = db.GetUser(ctx, snib.UserID(fmt.Sprint("usr_", i)))
		wantErr(t, err, snib.ErrUserNotFound)
		_, err = db.GetUserByAttribute(ctx, "nick", fmt.Sprint(i))
		wantErr(t, err, snib.ErrUserNotFound)
		_, err = db.GetSession(ctx, snib.SessionID("ses_"+strings.Repeat("0", 32)))
		wantErr(t, err, snib.ErrInvalidSession)
		_, err = db.GetSession(ctx, "\x00")
		wantErr(t, err, snib.ErrInvalidSession)
	}
	if got := traceOf(t, db, path); got != before {
		t.Errorf("strangers have written: %+v, was %+v", got, before)
	}
}

// The trace itself must see one small write.
func TestTraceSeesAWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := snibtest.OpenDB(t, path, nil)
	u := email(t, db, "a@example.com")
	before := traceOf(t, db, path)
	must(db.CreateSession(ctx, u, snib.SessionOptions{}))(t)
	if got := traceOf(t, db, path); got.txid == before.txid || got.file == before.file {
		t.Errorf("a session was created and the trace is the same: %+v", got)
	}
}

// A number that a form sends must not reach another user's session.
func TestRevokeSessionOfAnotherUserIsOutOfReach(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	victim, attacker := email(t, db, "victim@example.com"), email(t, db, "attacker@example.com")
	theirs, own := logIn(t, db, "victim@example.com"), logIn(t, db, "attacker@example.com")
	born, family, err := db.CreateRefreshToken(ctx, victim, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []snib.SessionID{theirs.ID, born.ID} {
		for _, user := range []snib.UserID{attacker.ID, victim.ID[:len(victim.ID)-1], snib.UserID(own.ID)} {
			if err := db.RevokeSession(ctx, user, id); err != nil {
				t.Errorf("another user's session: %v, want nil as for an unknown one", err)
			}
		}
		for _, user := range []snib.UserID{"", "* *", "\x00", victim.ID + "\x00"} {
			wantField(t, db.RevokeSession(ctx, user, id), "UserID")
		}
		err := db.RevokeUserSessions(ctx, attacker.ID, own.ID, id)
		wantField(t, err, "Except")
	}
	for _, id := range []snib.SessionID{snib.SessionID(family.ID), "", "ses_", theirs.ID + "\x00", theirs.ID[:35], snib.SessionID(strings.ToUpper(string(theirs.ID)))} {
		wantField(t, db.RevokeSessionByID(ctx, id), "SessionID")
		wantField(t, db.RevokeSession(ctx, victim.ID, id), "SessionID")
	}
	valid(t, db, theirs)
	valid(t, db, born)
	valid(t, db, own)
	if _, _, err := db.Refresh(ctx, family.Token.Reveal()); err != nil {
		t.Errorf("the family: %v", err)
	}
	if err := db.RevokeSession(ctx, victim.ID, theirs.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, db, theirs)
}

// What two databases of one process made is not exchanged, whatever is equal.
func TestTokenOfAnotherDatabaseIsRefused(t *testing.T) {
	dbs := []*snib.DB{snibtest.NewDB(t, nil), snibtest.NewDB(t, nil)}
	var tokens [2][]string
	for i, db := range dbs {
		u := must(db.ImportUser(ctx, snib.UserImport{ID: "same", Provider: "email", Identifier: "same@example.com"}))(t)
		tokens[i] = tokensOf(t, db, u.ID)
	}
	for i, db := range dbs {
		for _, token := range tokens[1-i] {
			for _, p := range presentations(db) {
				if err := p.call(token); !errors.Is(err, p.refused) {
					t.Errorf("%s: got %v, want %v", p.name, err, p.refused)
				}
			}
		}
	}
	for i, db := range dbs {
		if _, err := db.ValidateSession(ctx, tokens[i][0]); err != nil {
			t.Errorf("database %d: its own token: %v", i, err)
		}
	}
}
