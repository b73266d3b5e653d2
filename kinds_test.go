package snib_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// made is a record of some kind: its key, and its use by its bearer.
type made struct {
	key string
	use func(*snib.DB) error
	end func(*snib.DB) error // nil: use ends it
}

// ends uses a record up, or revokes it.
func (m made) ends(db *snib.DB) error {
	if m.end == nil {
		return m.use(db)
	}
	return m.end(db)
}

// makers makes one record of each kind, for life.
var makers = map[string]func(tb testing.TB, db *snib.DB, u snib.User, life time.Duration) made{
	"session": func(tb testing.TB, db *snib.DB, u snib.User, _ time.Duration) made {
		s := must(db.CreateSession(ctx, asNow(tb, db, u.ID), snib.SessionOptions{}))(tb)
		return made{key: string(s.ID), use: func(db *snib.DB) error { return second(db.ValidateSession(ctx, s.Token.Reveal())) }}
	},
	"refresh token": func(tb testing.TB, db *snib.DB, u snib.User, _ time.Duration) made {
		_, r, err := db.CreateRefreshToken(ctx, asNow(tb, db, u.ID), snib.SessionOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		token := r.Token.Reveal()
		return made{key: string(r.ID), use: func(db *snib.DB) error {
			_, next, err := db.Refresh(ctx, token)
			if err == nil {
				token = next.Token.Reveal()
			}
			return err
		}}
	},
	"one-time token": func(tb testing.TB, db *snib.DB, u snib.User, life time.Duration) made {
		// One of each purpose: two of one are a minute apart.
		l := must(db.Tokens().Create(ctx, u.ID, fmt.Sprint("purpose-", purposes.Add(1)), life, nil))(tb)
		return made{key: string(l.ID), use: func(db *snib.DB) error { return second(db.Tokens().Use(ctx, l.Purpose, l.Token.Reveal())) }}
	},
	"second factor": func(tb testing.TB, db *snib.DB, u snib.User, _ time.Duration) made {
		a := enrol(tb, db, snib.FactorNotNeeded(asNow(tb, db, u.ID)))
		return made{key: string(a.id), use: func(db *snib.DB) error {
			_, err := db.CreateSession(ctx, snib.User{ID: u.ID, CredentialVersion: versionOf(db, u.ID)}, snib.SessionOptions{})
			e, ok := errors.AsType[*snib.SecondFactorError](err)
			if !ok {
				return errors.Join(err, errors.New("a session without the factor"))
			}
			_, _, err = db.Factors().FinishLogIn(ctx, e.Pending.Reveal(), a.code(db))
			return err
		}}
	},
	"known device": func(tb testing.TB, db *snib.DB, u snib.User, _ time.Duration) made {
		d := must(db.Devices().Remember(ctx, session(tb, db, u.ID)))(tb)
		return made{key: string(d.ID), use: func(db *snib.DB) error { return second(db.Devices().Current(on(d), u.ID)) }}
	},
	"API key": func(tb testing.TB, db *snib.DB, u snib.User, life time.Duration) made {
		k := must(db.APIKeys().CreateFor(ctx, u.ID, snib.NewAPIKey{Name: "a key", TTL: life}))(tb)
		return made{key: string(k.ID), use: func(db *snib.DB) error { return validKey(db, k) },
			end: func(db *snib.DB) error { return db.APIKeys().RevokeByID(ctx, k.ID) }}
	},
}

func versionOf(db *snib.DB, id snib.UserID) uint64 {
	u, err := db.GetUser(ctx, id)
	if err != nil {
		return 1
	}
	return u.CredentialVersion
}

// refusals try for one more at the bound of a kind that evicts none.
var refusals = map[string]struct {
	try  func(*snib.DB, snib.UserID) error
	want error
}{
	"one-time token": {func(db *snib.DB, u snib.UserID) error {
		return second(db.Tokens().Create(ctx, u, "one-more", time.Hour, nil))
	}, snib.ErrOneTimeTokenLimit},
	"API key": {func(db *snib.DB, u snib.UserID) error {
		return second(db.APIKeys().CreateFor(ctx, u, snib.NewAPIKey{Name: "one more", TTL: time.Hour}))
	}, snib.ErrAPIKeyLimit},
}

var purposes atomic.Int64

func init() { // it lists and makes by the table that it is in
	makers["event"] = func(tb testing.TB, db *snib.DB, u snib.User, _ time.Duration) made {
		if err := db.Throttle().Unlock(ctx, u.ID); err != nil {
			tb.Fatal(err)
		}
		id := must(db.Events().List(ctx, u.ID))(tb)[0].ID
		return made{key: string(id), use: func(db *snib.DB) error {
			for _, e := range must(db.Events().List(ctx, u.ID))(tb) {
				if e.ID == id {
					return nil
				}
			}
			return errors.New("not listed")
		}}
	}
}

// kindOptions give every kind the life of two hours.
func kindOptions(clock *snibtest.Clock) *snib.Options {
	return &snib.Options{
		Now:      clock.Now,
		Keys:     []snib.Key{testKey("k1", 1)},
		Sessions: snib.SessionPolicy{Active: 2 * time.Hour, Idle: -1, KnownDevice: 2 * time.Hour},
		Refresh:  snib.RefreshPolicy{Idle: 2 * time.Hour, Absolute: 2 * time.Hour, Session: time.Hour, Grace: -1},
	}
}

// occasioned does what ends records, by the names of the table.
var occasioned = map[string]func(*snib.DB, snib.User) error{
	"password changed by its user": func(db *snib.DB, u snib.User) error {
		now, err := db.GetUser(ctx, u.ID)
		if err != nil {
			return err
		}
		s, err := db.CreateSession(ctx, snib.FactorNotNeeded(now), snib.SessionOptions{})
		if err != nil {
			return err
		}
		return second(db.ChangePassword(ctx, s.Token.Reveal(), password, "another passphrase"))
	},
	"password set or removed without the old one": func(db *snib.DB, u snib.User) error {
		return second(db.UpdateUserPassword(ctx, u.ID, "another passphrase"))
	},
	"user disabled": func(db *snib.DB, u snib.User) error {
		if _, err := db.DisableUser(ctx, u.ID, ""); err != nil {
			return err
		}
		return second(db.EnableUser(ctx, u.ID)) // nothing comes back with it
	},
	"identity replaced or unlinked": func(db *snib.DB, u snib.User) error {
		return second(db.UpdateUserProviderID(ctx, u.ID, "github", "another"))
	},
	"`RevokeUserSessions`":      func(db *snib.DB, u snib.User) error { return db.RevokeUserSessions(ctx, u.ID) },
	"`RefreshTokens.RevokeAll`": func(db *snib.DB, u snib.User) error { return db.RefreshTokens().RevokeAll(ctx, u.ID) },
	"second factor added or removed": func(db *snib.DB, u snib.User) error {
		proof := snib.FactorNotNeeded(snib.User{ID: u.ID, CredentialVersion: versionOf(db, u.ID)})
		e, err := db.Factors().BeginTOTP(ctx, proof, "Notes", "phone")
		if err != nil {
			return err
		}
		return second(db.Factors().ConfirmTOTP(ctx, proof, e.ID, authenticatorOf(e).code(db)))
	},
	"`Factors.Reset`": func(db *snib.DB, u snib.User) error { return second(db.Factors().Reset(ctx, u.ID)) },
	"`EndEverything`, `ResetClock`, `Restore`": func(db *snib.DB, u snib.User) error {
		return db.EndEverything(ctx)
	},
}

// TestEveryKindLivesAndEnds takes a record of each kind through all that its
// row speaks of.
func TestEveryKindLivesAndEnds(t *testing.T) {
	for _, k := range snib.Kinds() {
		t.Run(k.Title, func(t *testing.T) {
			create := makers[k.Title]
			if create == nil {
				t.Fatalf("makers has no %q: this suite shows nothing of the kind", k.Title)
			}
			steps := map[string]func(*testing.T, kindScene){
				"created": kindCreated, "evicted": kindEvicted, "gone with its user": kindDeleted, "damaged": kindDamaged,
				"exported": kindExported, "swept": kindSwept, "occasions": kindOccasions, "restored": kindRestored,
			}
			if k.History {
				steps["swept"] = historySwept
				delete(steps, "evicted") // by class, see TestEventsAreBoundedByClass
				delete(steps, "damaged") // no damage of one ends a log-in, see TestADamagedEvent
			}
			for name, step := range steps {
				t.Run(name, func(t *testing.T) {
					clock := snibtest.NewClock()
					path := filepath.Join(t.TempDir(), "a.db")
					db := snibtest.OpenDB(t, path, kindOptions(clock))
					s := kindScene{k, clock, db, path, user(t, db, "ada"), nil}
					s.make = func(tb testing.TB) made { tb.Helper(); return create(tb, s.db, s.user, 2*time.Hour) }
					step(t, s)
				})
			}
		})
	}
}

type kindScene struct {
	snib.Kind
	clock *snibtest.Clock
	db    *snib.DB
	path  string
	user  snib.User
	make  func(testing.TB) made
}

// has reports whether the file has the record of a key.
func (s kindScene) has(tb testing.TB, key string) (there bool) {
	tb.Helper()
	rawBucket(tb, handle(tb, s.db), s.Space, func(b *bolt.Bucket) error {
		there = b.Get(rawKey(key)) != nil
		return nil
	})
	return there
}

func kindCreated(t *testing.T, s kindScene) {
	before, counted := must(s.db.Check(ctx))(t).Records[s.Space]
	r := s.make(t)
	if !s.has(t, r.key) {
		t.Error("the record is not in its space")
	}
	if after := must(s.db.Check(ctx))(t).Records; !counted || after[s.Space] <= before || len(after) != len(snib.Kinds()) {
		t.Errorf("Check counts %v, %d before (a number for none: %t)", after, before, counted)
	}
	if err := r.use(s.db); err != nil {
		t.Errorf("it cannot be used: %v", err)
	}
	must(s.db.Check(ctx))(t)
}

// kindEvicted: at the bound the one of another epoch goes first, then those
// that end first.
func kindEvicted(t *testing.T, s kindScene) {
	if s.Refuses {
		kindRefused(t, s)
		return
	}
	old := s.make(t)
	if err := s.db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	var records []made
	for range s.Most - 1 {
		s.clock.Advance(time.Millisecond)
		records = append(records, s.make(t))
	}
	for i := range 3 {
		if !s.has(t, append([]made{old}, records...)[i].key) {
			t.Fatalf("record %d was evicted below the bound", i)
		}
		s.clock.Advance(time.Millisecond)
		s.make(t)
		if s.has(t, append([]made{old}, records...)[i].key) {
			t.Errorf("record %d is still there, though it ends first", i)
		}
	}
	for i, r := range records[2:] {
		if !s.has(t, r.key) {
			t.Fatalf("record %d was evicted before its turn", i+2)
		}
	}
}

// kindRefused: at the bound one more is refused, nothing is written, and all that
// live stay. One of another epoch makes room.
func kindRefused(t *testing.T, s kindScene) {
	if s.Lasts {
		return // see TestBeginTOTPRefusesTheNinth
	}
	old := s.make(t)
	s.clock.Advance(time.Millisecond)
	later := s.make(t)
	if err := s.db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	var records []made
	for i := range s.Most {
		for n, dead := range []made{old, later} { // the older one goes first, and none before its time
			if room := s.Most - 1 + n; s.has(t, dead.key) != (i < room) {
				t.Fatalf("with %d live ones dead one %d is there: %t", i, n, i >= room)
			}
		}
		records = append(records, s.make(t))
	}
	if s.has(t, old.key) || s.has(t, later.key) {
		t.Error("a dead one is still there, above the bound")
	}
	quiet(t, s.db, func() {
		wantErr(t, refusals[s.Title].try(s.db, s.user.ID), refusals[s.Title].want)
	})
	if err := records[0].ends(s.db); err != nil {
		t.Fatal(err)
	}
	s.make(t)
	for _, r := range records[1:] {
		if err := r.use(s.db); err != nil {
			t.Fatalf("one that lived has ended: %v", err)
		}
	}
}

func kindDeleted(t *testing.T, s kindScene) {
	r, theirs := s.make(t), makers[s.Title](t, s.db, user(t, s.db, "bob"), time.Hour)
	if err := s.db.DeleteUser(ctx, s.user.ID); err != nil {
		t.Fatal(err)
	}
	if s.has(t, r.key) || !s.has(t, theirs.key) {
		t.Error("the record outlives its user, or another user's has gone")
	}
	if err := r.use(s.db); err == nil {
		t.Error("it can be used")
	}
	if left := mentions(t, s.db, string(s.user.ID)); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// kindDamaged: Check names a damaged record, nothing accepts it, DeleteUser
// does not need it, Repair ends it.
func kindDamaged(t *testing.T, s kindScene) {
	r, sound := s.make(t), s.make(t)
	b := handle(t, s.db)
	value := rawGet(t, b, s.Space, r.key)
	value[len(value)/2] ^= 1
	rawPut(t, b, s.Space, r.key, value)
	if err := r.use(s.db); err == nil {
		t.Error("a damaged record is accepted")
	}
	report, err := s.db.Check(ctx)
	wantErr(t, err, snib.ErrCorrupt)
	if p := report.Problems[0]; p.Space != s.Space || p.Severity != snib.EndsLogin {
		t.Errorf("Check says %v (%v)", p, p.Severity)
	}
	must(s.db.Repair(ctx))(t)
	must(s.db.Check(ctx))(t)
	if s.has(t, r.key) != s.Lasts { // in the place of which there is a lost one
		t.Error("Repair has left it, or dropped what lasts")
	}
	if err := sound.use(s.db); err != nil {
		t.Errorf("the one beside it: %v", err)
	}
}

// kindExported: what the user is given names the record, and has no byte string of
// it: neither as it is nor in hexadecimal digits, base64 or base32.
func kindExported(t *testing.T, s kindScene) {
	r, theirs := s.make(t), makers[s.Title](t, s.db, user(t, s.db, "bob"), time.Hour)
	out := exported(t, s.db, s.user.ID)
	if !strings.Contains(out, r.key) || strings.Contains(out, theirs.key) || !json.Valid([]byte(out)) {
		t.Errorf("of the user's and another's record: %s", out)
	}
	value := rawGet(t, handle(t, s.db), s.Space, r.key)
	if secret := leaked(out, value); secret != "" {
		t.Errorf("bytes of the record: %s in %s", secret, out)
	}
	value[len(value)/2] ^= 1
	rawPut(t, handle(t, s.db), s.Space, r.key, value)
	if out := exported(t, s.db, s.user.ID); !strings.Contains(out, r.key) || !strings.Contains(out, `"unreadable":true`) {
		t.Errorf("of a damaged record: %s", out)
	}
	must(s.db.Repair(ctx))(t)
}

func kindSwept(t *testing.T, s kindScene) {
	r := s.make(t)
	for _, x := range []struct {
		after time.Duration
		there bool
	}{{time.Hour, true}, {23 * time.Hour, true}, {3 * time.Hour, false}} {
		s.clock.Advance(x.after)
		must(s.db.Sweep(ctx))(t)
		if s.has(t, r.key) != (x.there || s.Lasts) {
			t.Fatalf("after %v more: there %t", x.after, !x.there)
		}
	}
}

// historySwept: a year, and a day to spare.
func historySwept(t *testing.T, s kindScene) {
	r := s.make(t)
	for _, x := range []struct {
		after time.Duration
		there bool
	}{{364 * 24 * time.Hour, true}, {47 * time.Hour, true}, {time.Hour, false}} {
		s.clock.Advance(x.after)
		must(s.db.Sweep(ctx))(t)
		if s.has(t, r.key) != x.there {
			t.Fatalf("after %v more: there %t", x.after, !x.there)
		}
	}
}

func kindOccasions(t *testing.T, s kindScene) {
	for i, name := range snib.Occasions {
		act := occasioned[name]
		if act == nil {
			t.Fatalf("occasioned has no %q", name)
		}
		s.user = must(s.db.CreateUser(ctx, snib.NewUser{Provider: "username", Identifier: fmt.Sprint("user", i), Password: password}))(t)
		r := makers[s.Title](t, s.db, s.user, time.Hour)
		if err := act(s.db, s.user); err != nil {
			t.Fatal(err)
		}
		if err := r.use(s.db); (err != nil) != s.Ends[name] {
			t.Errorf("%s: %v, the row says %t", name, err, s.Ends[name])
		}
		if i == 2 { // free the identity
			if err := s.db.DeleteUser(ctx, s.user.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func kindRestored(t *testing.T, s kindScene) {
	r := s.make(t)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.db.File().BackupFile(ctx, backup, nil); err != nil {
		t.Fatal(err)
	}
	for _, keep := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "restored.db")
		must(snib.Restore(ctx, backup, path, &snib.RestoreOptions{KeepSessions: keep, Options: kindOptions(s.clock)}))(t)
		db := snibtest.OpenDB(t, path, kindOptions(s.clock))
		if s.clock.Advance(90 * time.Second); s.Lasts {
			keep = true
		}
		if err := r.use(db); (err == nil) != (s.History || keep && !s.UsedOnce) {
			t.Errorf("keeping sessions %t: %v; used once %t", keep, err, s.UsedOnce)
		}
	}
}

// TestTablesOfTheDocuments: FORMAT.md names the spaces of the file, and
// INVARIANTS.md what ends what.
func TestTablesOfTheDocuments(t *testing.T) {
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(doc(t, "FORMAT.md"), -1) {
		named[m[1]] = true
	}
	for _, name := range snib.SpaceNames() {
		if !named[name] {
			t.Errorf("FORMAT.md has no row for the space %s", name)
		}
		delete(named, name)
	}
	delete(named, "fixext")
	page := doc(t, "INVARIANTS.md")
	want := "|"
	for _, k := range snib.Kinds() {
		want += " | " + k.Title
		if !strings.Contains(page, fmt.Sprintf("| INV-%d |", k.Invariant)) {
			t.Errorf("INVARIANTS.md has no row INV-%d", k.Invariant)
		}
	}
	for _, name := range snib.Occasions {
		want += " |\n| " + name
		for _, k := range snib.Kinds() {
			if want += " | "; k.Ends[name] {
				want += "ends"
			} else {
				want += "stays"
			}
		}
	}
	want += " |\n| merged into another user"
	for _, k := range snib.Kinds() {
		want += " | " + k.Merge
	}
	want += " |\n"
	if got := regexp.MustCompile(`(?m)^\|[-|]*\|\n`).ReplaceAllString(page, ""); !strings.Contains(got, want) {
		t.Errorf("INVARIANTS.md does not have the table\n%s", want)
	}
}

// doc reads a page of docs/.
func doc(tb testing.TB, name string) string {
	tb.Helper()
	return string(must(os.ReadFile(filepath.Join("docs", name)))(tb))
}
