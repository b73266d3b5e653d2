package snib_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/snibtest"
)

// A record is as large as its bounds allow, all at once, and everything can
// still be done to the user.
func TestTheLargestUserCanBeChangedAndShutOut(t *testing.T) {
	indexes := make([]snib.Index, 64)
	attributes := snib.Attributes{}
	for i := range indexes {
		indexes[i] = snib.Index{Name: fmt.Sprintf("%064d", i), Unique: i%2 == 0}
		attributes[indexes[i].Name] = strings.Repeat("x", 509)
	}
	attributes[indexes[0].Name] = strings.Repeat("y", 64<<10-64*(66+512)) // the rest of 64 KiB, not indexed
	db := snibtest.NewDB(t, &snib.Options{Indexes: indexes[1:]})
	id := must(db.ImportUser(ctx, snib.UserImport{
		ID: snib.UserID(strings.Repeat("u", 64)), Provider: strings.Repeat("p", 32), Identifier: strings.Repeat("i", 256),
		PasswordHash: "$2b$06$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu", Attributes: attributes,
	}))(t).ID
	for i := range snib.MaxIdentities - 1 {
		must(db.LinkIdentity(ctx, id, strings.Repeat("p", 32), fmt.Sprintf("%0256d", i)))(t)
	}
	_, err := db.LinkIdentity(ctx, id, "github", "one more")
	wantErr(t, err, snib.ErrTooLarge)
	if _, _, err := db.LogIn(ctx, strings.Repeat("p", 32), strings.Repeat("i", 256), "pässwörd-1", snib.SessionOptions{}); err != nil {
		t.Fatal(err) // with a better hash, which is longer
	}
	fillUp(t, db, id)
	must(db.UpdateUserPassword(ctx, id, password))(t)
	fillUp(t, db, id)
	must(db.DisableUser(ctx, id, strings.Repeat("r", 256)))(t)
	must(db.EnableUser(ctx, id))(t)
	fillUp(t, db, id)
	commits(t, db, 1, func() {
		if err := db.DeleteUser(ctx, id); err != nil {
			t.Fatal(err)
		}
	})
	if left := mentions(t, db, string(id)); len(left) > 0 {
		t.Errorf("%d live keys or records mention the user", len(left))
	}
}

// fillUp gives a user as many sessions, families and one-time tokens as may be.
func fillUp(tb testing.TB, db *snib.DB, id snib.UserID) {
	tb.Helper()
	device := snib.SessionOptions{Attributes: snib.Attributes{"agent": strings.Repeat("a", 4000)}}
	for range 10 { // a transaction holds 1 MiB
		if err := db.Update(ctx, func(tx *snib.Tx) error {
			for range 10 {
				if _, _, err := tx.CreateRefreshToken(id, device); err != nil {
					return err
				}
			}
			for range 90 {
				if _, err := tx.CreateSession(id, device); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			tb.Fatal(err)
		}
	}
	for range snib.MaxOneTimeTokens {
		must(db.CreateOneTimeToken(ctx, id, "reset", time.Hour, make([]byte, 1<<10)))(tb)
	}
	sessions, families := must(db.ListUserSessions(ctx, id))(tb), must(db.ListUserRefreshTokens(ctx, id))(tb)
	if len(sessions) != snib.MaxSessions || len(families) != snib.MaxRefreshTokens {
		tb.Fatalf("%d sessions, %d families", len(sessions), len(families))
	}
	// Those of families first: their records are written again.
	slices.SortStableFunc(sessions, func(a, b snib.Session) int {
		return strings.Compare(string(b.RefreshTokenID), string(a.RefreshTokenID))
	})
	var keep []snib.SessionID
	for _, s := range sessions[:101] {
		keep = append(keep, s.ID)
	}
	_, err := db.UpdateUserPassword(ctx, id, password, keep...)
	wantField(tb, err, "Keep")
	must(db.UpdateUserPassword(ctx, id, password, keep[:100]...))(tb)
	fill := func(tx *snib.Tx) error { // again, for the next cascade
		for range 100 {
			if _, _, err := tx.CreateRefreshToken(id, snib.SessionOptions{}); err != nil {
				return err
			}
		}
		for range 800 {
			if _, err := tx.CreateSession(id, snib.SessionOptions{}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := db.Update(ctx, fill); err != nil {
		tb.Fatal(err)
	}
}

func TestGraceEndsAfterTheClockWasReset(t *testing.T) {
	clock := snibtest.NewClock()
	wall := clock.Now()
	clock.Advance(240 * time.Hour) // ahead by mistake
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now})
	u := email(t, db, "a@example.com")
	clock.Set(wall)
	if err := db.ResetClock(ctx); err != nil {
		t.Fatal(err)
	}
	_, spent, err := db.CreateRefreshToken(ctx, u.ID, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Refresh(ctx, spent.Token.Reveal()); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	_, _, err = db.Refresh(ctx, spent.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
}

// Who lost the answer to a refresh around a restart comes late with the token
// that was replaced, and is told so; nobody is logged out for it.
func TestATokenReplacedAfterARestartRevokesNothingLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := snibtest.OpenDB(t, path, nil)
	u := email(t, db, "a@example.com")
	_, parent, err := db.CreateRefreshToken(ctx, u.ID, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, lost, err := db.Refresh(ctx, parent.Token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	snibtest.CheckAndClose(t, db)
	db = snibtest.OpenDB(t, path, nil)
	_, current, err := db.Refresh(ctx, parent.Token.Reveal()) // made anew
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := db.Refresh(ctx, current.Token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = db.Refresh(ctx, lost.Token.Reveal())
	wantErr(t, err, snib.ErrInvalidRefreshToken)
	valid(t, db, s)
}

func TestCloseInsideAClosureDoesNothing(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{SweepEvery: time.Hour})
	err := db.View(ctx, func(*snib.Tx) error { return db.Close() })
	wantErr(t, err, snib.ErrNested)
	email(t, db, "a@example.com")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = db.GetUser(ctx, "nobody")
	wantErr(t, err, snib.ErrClosed)
}

// dry is a source of randomness that fails when it is told to.
type dry struct{ empty atomic.Bool }

var errDry = errors.New("no randomness")

func (d *dry) Read(p []byte) (int, error) {
	if d.empty.Load() {
		return 0, errDry
	}
	return io.ReadFull(zeros{}, p)
}

type zeros struct{}

var counter atomic.Uint64

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(counter.Add(1) * 0x9E3779B97F4A7C15 >> 56)
	}
	return len(p), nil
}

func TestAMethodThatFailsHasWrittenNothing(t *testing.T) {
	random := &dry{}
	db := snibtest.NewDB(t, &snib.Options{Rand: random, Sessions: snib.SessionPolicy{MaxPerUser: 2}, Refresh: snib.RefreshPolicy{MaxPerUser: 1}})
	u := email(t, db, "a@example.com")
	s := must(db.CreateSession(ctx, u.ID, snib.SessionOptions{}))(t)
	_, r, err := db.CreateRefreshToken(ctx, u.ID, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	random.empty.Store(true)
	before, _ := content(t, db)
	if err := db.Update(ctx, func(tx *snib.Tx) error {
		for name, err := range map[string]error{
			"RenewSession":  second(tx.RenewSession(s.Token.Reveal())),
			"CreateSession": second(tx.CreateSession(u.ID, snib.SessionOptions{})),
			"CreateRefreshToken": func() error {
				_, _, err := tx.CreateRefreshToken(u.ID, snib.SessionOptions{})
				return err
			}(),
			"CreateOneTimeToken": second(tx.CreateOneTimeToken(u.ID, "x", time.Hour, nil)),
			"CreateUser":         second(tx.CreateUser(snib.NewUser{Provider: "github", Identifier: "1"})),
		} {
			if !errors.Is(err, errDry) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil // and commit
	}); err != nil {
		t.Fatal(err)
	}
	_, _, err = db.Refresh(ctx, r.Token.Reveal())
	wantErr(t, err, errDry)
	after, _ := content(t, db)
	for key := range after {
		if before[key] != after[key] {
			t.Errorf("%s was changed", key)
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d records, were %d", len(after), len(before))
	}
}

// Damage to one record keeps nobody in who should be out.
func TestDamageKeepsNoSessionAlive(t *testing.T) {
	for name, shut := range map[string]func(c *checked) error{
		"DisableUser":             func(c *checked) error { return second(c.db.DisableUser(ctx, c.ada.ID, "")) },
		"UpdateUserPassword":      func(c *checked) error { return second(c.db.UpdateUserPassword(ctx, c.ada.ID, "a new passphrase")) },
		"InvalidateUserSessions":  func(c *checked) error { return c.db.InvalidateUserSessions(ctx, c.ada.ID) },
		"DeleteUser":              func(c *checked) error { return c.db.DeleteUser(ctx, c.ada.ID) },
		"RevokeUserRefreshTokens": func(c *checked) error { return c.db.RevokeUserRefreshTokens(ctx, c.ada.ID) },
		"InvalidateSession":       func(c *checked) error { return c.db.InvalidateSession(ctx, c.famSession.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newChecked(t)
			for space, key := range map[string]string{"refresh_families": string(c.family.ID), "one_time_tokens": string(c.link.ID)} {
				rawPut(t, c.b, space, key, flip(rawGet(t, c.b, space, key), 40))
			}
			if err := shut(c); err != nil {
				t.Fatal(err)
			}
			invalid(t, c.db, c.famSession)
			if name != "RevokeUserRefreshTokens" && name != "InvalidateSession" {
				invalid(t, c.db, c.session)
			}
		})
	}
}

func TestDeleteUserDeletesADamagedUser(t *testing.T) {
	c := newChecked(t)
	imported := must(c.db.ImportUser(ctx, snib.UserImport{
		Provider: "username", Identifier: "grace", PasswordHash: "$2b$06$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu",
	}))(t)
	rawPut(t, c.b, "users", string(imported.ID), flip(rawGet(t, c.b, "users", string(imported.ID)), 60))
	if err := c.db.DeleteUser(ctx, imported.ID); err != nil {
		t.Fatal(err)
	}
	must(c.db.Check(ctx))(t) // the number of imported hashes too
	rawPut(t, c.b, "users", string(c.ada.ID), flip(rawGet(t, c.b, "users", string(c.ada.ID)), 30))
	if err := c.db.DeleteUser(ctx, c.ada.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, c.db, c.session)
	if left := mentions(t, c.db, string(c.ada.ID)); len(left) > 0 {
		t.Errorf("live keys or records mention the user: %q", left)
	}
	email(t, c.db, "ada@example.com") // is free
	must(c.db.Check(ctx))(t)
}

func TestASessionAtItsBoundIsMadeRoomForByADamagedOne(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Sessions: snib.SessionPolicy{MaxPerUser: 2}})
	u := email(t, db, "a@example.com")
	s := must(db.CreateSession(ctx, u.ID, snib.SessionOptions{}))(t)
	kept := must(db.CreateSession(ctx, u.ID, snib.SessionOptions{}))(t)
	b := handle(t, db)
	rawPut(t, b, "sessions", string(s.ID), flip(rawGet(t, b, "sessions", string(s.ID)), 50))
	logIn(t, db, "a@example.com")
	valid(t, db, kept)
	must(db.Check(ctx))(t)
}

func TestASessionInUseDoesNotEndBetweenExtensions(t *testing.T) {
	clock := snibtest.NewClock()
	db := snibtest.NewDB(t, &snib.Options{Now: clock.Now, Sessions: snib.SessionPolicy{Active: 30 * time.Minute, Idle: -1}})
	u := email(t, db, "a@example.com")
	s := must(db.CreateSession(ctx, u.ID, snib.SessionOptions{}))(t)
	for range 120 {
		clock.Advance(time.Minute)
		must(db.ExtendSession(ctx, s.Token.Reveal()))(t)
	}
}

func TestASecondTxOfOneTransactionCountsOn(t *testing.T) {
	b, err := bolt.Open(filepath.Join(t.TempDir(), "app.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	db := must(snib.New(b, snibtest.Fast(nil)))(t)
	defer snibtest.CheckAndClose(t, db)
	if err := b.Update(func(btx *bolt.Tx) error {
		one, two := must(db.Join(btx))(t), must(db.Join(btx))(t)
		for i, tx := range []*snib.Tx{one, two, one} {
			must(tx.ImportUser(snib.UserImport{
				Provider: "github", Identifier: fmt.Sprint(i),
				PasswordHash: "$2b$06$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu",
			}))(t)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n := must(db.Stats(ctx))(t).ForeignHashes; n != 3 {
		t.Errorf("%d foreign hashes, want 3", n)
	}
}

func TestRevokingAllRefreshTokensEndsTheSessionsOfEvictedOnes(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Refresh: snib.RefreshPolicy{MaxPerUser: 1}})
	u := email(t, db, "a@example.com")
	evicted, _, err := db.CreateRefreshToken(ctx, u.ID, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.CreateRefreshToken(ctx, u.ID, snib.SessionOptions{}); err != nil {
		t.Fatal(err)
	}
	valid(t, db, evicted)
	plain := logIn(t, db, "a@example.com")
	if err := db.RevokeUserRefreshTokens(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	invalid(t, db, evicted)
	valid(t, db, plain)
}

func TestChangePasswordIsThrottledAsALogInIs(t *testing.T) {
	var asked, told []string
	stop := errors.New("slow down")
	db := snibtest.NewDB(t, &snib.Options{
		BeforeAuth: func(_ context.Context, p, i string) error {
			asked = append(asked, p+":"+i)
			if len(asked) > 2 {
				return stop
			}
			return nil
		},
		AfterAuth: func(_ context.Context, p, i string, ok bool) { told = append(told, fmt.Sprint(p, ":", i, " ", ok)) },
	})
	u := email(t, db, "A@example.com")
	_, err := db.ChangePassword(ctx, u.ID, "wrong password", "a new passphrase")
	wantErr(t, err, snib.ErrInvalidCredentials)
	must(db.ChangePassword(ctx, u.ID, password, "a new passphrase"))(t)
	_, err = db.ChangePassword(ctx, u.ID, "a new passphrase", password)
	wantErr(t, err, stop)
	if got := fmt.Sprint(told); got != "[email:a@example.com false email:a@example.com true]" || len(asked) != 3 {
		t.Errorf("told %v, asked %v", told, asked)
	}
}

func TestALookUpOfWhatNobodyCanHaveFindsNobody(t *testing.T) {
	db := snibtest.NewDB(t, &snib.Options{Indexes: []snib.Index{{Name: "nick", Unique: true, Fold: true}}})
	for _, v := range []any{strings.Repeat("x", 1<<20), strings.Repeat("\ufdfa", 1<<18), []any{1}, nil, "a\x00b", make(chan int)} {
		_, err := db.GetUserByAttribute(ctx, "nick", v)
		wantErr(t, err, snib.ErrUserNotFound)
		if got := ids(t, db.ListUsersByAttribute(ctx, "nick", v, snib.ListOptions{})); len(got) != 0 {
			t.Errorf("found %v", got)
		}
	}
}

func TestAnUpdateThatChangesNothingCommitsNothing(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	quiet(t, db, func() {
		for name, f := range map[string]func() (snib.User, error){
			"EnableUser":           func() (snib.User, error) { return db.EnableUser(ctx, u.ID) },
			"LinkIdentity":         func() (snib.User, error) { return db.LinkIdentity(ctx, u.ID, "email", "A@example.com") },
			"UnlinkIdentity":       func() (snib.User, error) { return db.UnlinkIdentity(ctx, u.ID, "github", "1") },
			"UpdateUserAttributes": func() (snib.User, error) { return db.UpdateUserAttributes(ctx, u.ID, nil) },
		} {
			if got := must(f())(t); !got.UpdatedAt.Equal(u.UpdatedAt) {
				t.Errorf("%s moved UpdatedAt", name)
			}
		}
	})
}

func TestAnotherProgramsBucketIsForeign(t *testing.T) {
	b, err := bolt.Open(filepath.Join(t.TempDir(), "app.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("snib")); return err }); err != nil {
		t.Fatal(err)
	}
	_, err = snib.New(b, snibtest.Fast(nil))
	wantErr(t, err, snib.ErrForeignFile)
}

func TestInputErrorsReadWell(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	_, err := db.HashPassword(ctx, "short")
	_, err2 := db.ImportUser(ctx, snib.UserImport{Provider: "github", Identifier: "1", PasswordHash: "nonsense"})
	_, err3 := snib.Open("unused.db", &snib.Options{Passwords: snib.PasswordPolicy{MaxHashMemory: 1 << 20}})
	for _, c := range []struct {
		err  error
		want string
	}{
		{err, "snib: hash password: invalid input: Password is shorter than 8 characters"},
		{err2, "snib: import user: invalid input: PasswordHash malformed password hash"},
		{err3, "snib: open: invalid input: Options.Passwords.MemoryKiB is 19456, above MaxHashMemory"},
	} {
		if c.err == nil || !strings.HasPrefix(c.err.Error(), c.want) {
			t.Errorf("got %q, want %q", c.err, c.want)
		}
	}
}

// The old identity stops finding the user at the instant at which the new one
// begins to: no snapshot has both, or neither.
func TestAnIdentityMovesAtOneInstant(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "0@example.com")
	stop := make(chan bool)
	done := make(chan error, 1)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			found := 0
			if err := db.View(ctx, func(tx *snib.Tx) error {
				found = 0
				for _, address := range []string{"0@example.com", "1@example.com"} {
					if _, err := tx.GetUserByProviderID("email", address); err == nil {
						found++
					}
				}
				return nil
			}); err != nil || found != 1 {
				done <- fmt.Errorf("found by %d identities, %v", found, err)
				return
			}
		}
	}()
	for i := range 200 {
		must(db.UpdateUserProviderID(ctx, u.ID, "email", fmt.Sprintf("%d@example.com", (i+1)%2)))(t)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The upgrade of a hash is not worth waiting for.
func TestAuthenticateUserDoesNotWaitToUpgradeAHash(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	must(db.ImportUser(ctx, snib.UserImport{
		Provider: "email", Identifier: "a@example.com", PasswordHash: "$2b$06$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu",
	}))(t)
	release := holdWriter(t, db, nil)
	must(db.AuthenticateUser(ctx, "email", "a@example.com", "pässwörd-1"))(t) // while the writer is held
	release()
	if n := must(db.Stats(ctx))(t).ForeignHashes; n != 1 {
		t.Errorf("%d foreign hashes", n)
	}
	must(db.AuthenticateUser(ctx, "email", "a@example.com", "pässwörd-1"))(t)
	if n := must(db.Stats(ctx))(t).ForeignHashes; n != 0 {
		t.Errorf("%d foreign hashes after the next log-in", n)
	}
}

// A file that was folded with other Unicode tables is sound, said so once at
// each Open, and folded anew when other indexes are declared.
func TestOtherUnicodeTablesAreAnEventUntilARebuild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db := snibtest.OpenDB(t, path, nil)
	must(db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: "Ada"}))(t)
	b := handle(t, db)
	format := must(codec.DecodeFormat(rawGet(t, b, "meta", codec.KeyFormat)))(t)
	format.Unicode = "1.0.0"
	rawPut(t, b, "meta", codec.KeyFormat, format.Append(nil))
	snibtest.CheckAndClose(t, db)
	for i, c := range []struct {
		indexes []snib.Index
		told    bool
	}{{nil, true}, {nil, true}, {[]snib.Index{{Name: "nick"}}, true}, {nil, false}} {
		var log strings.Builder
		o := &snib.Options{Indexes: c.indexes, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		snibtest.CheckAndClose(t, snibtest.OpenDB(t, path, o))
		if told := strings.Contains(log.String(), "other Unicode tables"); told != c.told {
			t.Errorf("open %d: told %t, want %t: %s", i, told, c.told, log.String())
		}
	}
}

func TestWhatIsNotGivenToOpenIsNamed(t *testing.T) {
	_, err := snib.Open("", nil)
	wantField(t, err, "path")
	_, err = snib.New(nil, nil)
	wantField(t, err, "b")
}
