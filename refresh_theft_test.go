package snib_test

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/faultkv"
	"github.com/snibdb/snib/snibtest"
)

// What shows, in this process, that an answer has arrived.
func TestRefreshRule4KnowsUse(t *testing.T) {
	rollback := errors.New("rolled back")
	for name, c := range map[string]struct {
		use  func(db *snib.DB, s snib.Session) error
		used bool
	}{
		"ValidateSession": {func(db *snib.DB, s snib.Session) error { return second(db.ValidateSession(ctx, s.Token.Reveal())) }, true},
		"ValidateSessionUser": {func(db *snib.DB, s snib.Session) error {
			_, _, err := db.ValidateSessionUser(ctx, s.Token.Reveal())
			return err
		}, true},
		"ExtendSession": {func(db *snib.DB, s snib.Session) error { return second(db.ExtendSession(ctx, s.Token.Reveal())) }, true},
		"RenewSession": {func(db *snib.DB, s snib.Session) error { // refused, but the token was shown
			if _, err := db.RenewSession(ctx, s.Token.Reveal()); !errors.Is(err, snib.ErrInvalidSession) {
				return errors.New("accepted")
			}
			return nil
		}, true},
		"in a View": {func(db *snib.DB, s snib.Session) error {
			return db.View(ctx, func(tx *snib.Tx) error { return second(tx.ValidateSession(s.Token.Reveal())) })
		}, true},
		"in an Update that is rolled back": {func(db *snib.DB, s snib.Session) error {
			err := db.Update(ctx, func(tx *snib.Tx) error { return errors.Join(rollback, second(tx.ExtendSession(s.Token.Reveal()))) })
			if errors.Is(err, rollback) {
				err = nil
			}
			return err
		}, true},
		"a wrong token": {func(db *snib.DB, s snib.Session) error {
			_, err := db.ValidateSession(ctx, s.Token.Reveal()[:90]+"00000000")
			if !errors.Is(err, snib.ErrInvalidSession) {
				return errors.New("accepted")
			}
			return nil
		}, false},
		"by its id": {func(db *snib.DB, s snib.Session) error {
			_, err := db.GetSession(ctx, s.ID)
			_, err2 := db.ListUserSessions(ctx, s.UserID)
			_, err3 := db.CreateSession(ctx, s, snib.SessionOptions{})
			return errors.Join(err, err2, err3)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			db, clock := clocked(t, snib.Options{})
			_, first := family(t, db, user(t, db, "ada"))
			s, _ := refresh(t, db, first)
			if err := c.use(db, s); err != nil {
				t.Fatal(err)
			}
			clock.Advance(29 * time.Second)
			refresh(t, db, first) // used or not, two tabs may ask
			clock.Advance(time.Second)
			_, _, err := db.Refresh(ctx, first.Token.Reveal())
			if errors.Is(err, snib.ErrRefreshTokenReused) != c.used || !c.used && err != nil {
				t.Errorf("the parent after the grace: %v", err)
			}
		})
	}
	db, clock := clocked(t, snib.Options{}) // an expired session is not accepted, and shows nothing
	_, first := family(t, db, user(t, db, "ada"))
	s, _ := refresh(t, db, first)
	clock.Advance(time.Hour)
	invalid(t, db, s)
	refresh(t, db, first)
}

// A token that was spent days ago is no way in that its owner does not learn
// of: not after days in which nothing was written, a kill and an Open.
func TestRefreshSpentTokenAfterAKillIsNoticed(t *testing.T) {
	for _, killed := range []bool{false, true} {
		clock, dir := snibtest.NewClock(), t.TempDir()
		path := filepath.Join(dir, "accounts.db")
		db := restarted(t, nil, path, clock)
		_, spent := family(t, db, user(t, db, "ada"))
		s, current := refresh(t, db, spent)
		for range 5 * 24 {
			clock.Advance(time.Hour)
			db.ValidateSession(ctx, s.Token.Reveal()) // reads only
		}
		if killed { // the file as it is left
			left := must(os.ReadFile(path))(t)
			path = filepath.Join(dir, "killed.db")
			if err := os.WriteFile(path, left, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		db = restarted(t, db, path, clock)
		clock.Advance(5 * time.Second)
		s, thief := refresh(t, db, spent) // nobody here knows that the other was used
		clock.Advance(time.Hour)
		_, _, err := db.Refresh(ctx, current.Token.Reveal())
		wantErr(t, err, snib.ErrRefreshTokenReused)
		invalid(t, db, s)
		refused(t, db, thief.Token.Reveal(), snib.ErrRefreshTokenReused)
	}
	db, clock := clocked(t, snib.Options{}) // and the process that knows refuses it
	_, spent := family(t, db, user(t, db, "ada"))
	s, _ := refresh(t, db, spent)
	valid(t, db, s)
	clock.Advance(5 * 24 * time.Hour)
	_, _, err := db.Refresh(ctx, spent.Token.Reveal())
	wantErr(t, err, snib.ErrRefreshTokenReused)
}

// A token that was replaced shows two holders, whenever it comes.
func TestRefreshReplacedTokenIsReuseAtAnyTime(t *testing.T) {
	for _, later := range []time.Duration{0, time.Second, time.Hour, 60 * 24 * time.Hour} {
		for rotations := range 3 {
			db, clock := clocked(t, snib.Options{})
			_, first := family(t, db, user(t, db, "ada"))
			_, lost := refresh(t, db, first)
			clock.Advance(time.Minute)
			s, r := refresh(t, db, first)
			for range rotations {
				s, r = refresh(t, db, r)
			}
			for clock.Advance(later % (20 * 24 * time.Hour)); later > 20*24*time.Hour; later -= 20 * 24 * time.Hour {
				clock.Advance(20 * 24 * time.Hour)
				s, r = refresh(t, db, r) // it lives on
			}
			_, _, err := db.Refresh(ctx, lost.Token.Reveal())
			wantErr(t, err, snib.ErrRefreshTokenReused)
			invalid(t, db, s)
			refused(t, db, r.Token.Reveal(), snib.ErrRefreshTokenReused)
		}
	}
}

// Two tabs that refresh on one timer repeat in every generation.
func TestRefreshTwoTabsOnOneTimerStayIn(t *testing.T) {
	for name, addr := range map[string][2]netip.Addr{
		"unknown":        {},
		"one network":    {netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("198.51.100.250")},
		"one is unknown": {netip.MustParseAddr("198.51.100.7"), {}},
	} {
		db, clock := clocked(t, snib.Options{})
		_, r := family(t, db, user(t, db, "ada"))
		tabs := [2]snib.RefreshToken{r, r}
		for generation := range 50 {
			clock.Advance(55 * time.Minute)
			var tokens [2]string
			for i := range tabs {
				tab := (i + generation) % 2
				s, next, err := db.Refresh(snib.WithClient(ctx, addr[tab]), tabs[tab].Token.Reveal())
				if err != nil {
					t.Fatalf("%s, generation %d, tab %d: %v", name, generation, tab, err)
				}
				valid(t, db, s)
				tabs[tab], tokens[tab] = next, next.Token.Reveal()
				clock.Advance(10 * time.Second)
			}
			if tokens[0] != tokens[1] {
				t.Fatal("the tabs hold two tokens")
			}
		}
		_, r = refresh(t, db, tabs[0])
		if r.Repeats != 50 || r.Rotations != 51 {
			t.Errorf("%s: %d repeats, %d rotations", name, r.Repeats, r.Rotations)
		}
	}
}

// Three generations in a row that go to two networks are reuse; one between
// that does not begins anew.
func TestRefreshInStepFromAnotherNetworkIsReuse(t *testing.T) {
	const home, abroad = "192.0.2.10", "203.0.113.10"
	for _, c := range []struct {
		pairs string // of each generation: rotation and repetition
		reuse int    // the generation that is, 0 for none
	}{
		{"ha ha ha", 3}, {"ah ha ah", 3}, {"ha hh ha ha", 0}, {"ha ha hh ha ha ha", 6}, {"ha ha h? ha ha", 0}, {"?a ?a ?a ?a", 0}, {"ha ha h- ha", 0},
	} {
		db, clock := clocked(t, snib.Options{})
		_, r := family(t, db, user(t, db, "ada"))
		at := map[byte]netip.Addr{'h': netip.MustParseAddr(home), 'a': netip.MustParseAddr(abroad)}
		got := 0
		for i, pair := range strings.Fields(c.pairs) {
			clock.Advance(time.Hour)
			_, next, err := db.Refresh(snib.WithClient(ctx, at[pair[0]]), r.Token.Reveal())
			for range 3 { // a generation counts once
				if err == nil && pair[1] != '-' {
					clock.Advance(time.Second)
					_, _, err = db.Refresh(snib.WithClient(ctx, at[pair[1]]), r.Token.Reveal())
				}
			}
			if errors.Is(err, snib.ErrRefreshTokenReused) {
				got = i + 1
				break
			} else if err != nil {
				t.Fatal(err)
			}
			r = next
		}
		if got != c.reuse {
			t.Errorf("%s: reuse at %d, want %d", c.pairs, got, c.reuse)
		}
	}
}

// A repetition that is counted writes, and its answer is that of the first, in memory
// that the engine has taken back.
func TestACountedRepetitionKeepsNoSliceOfBefore(t *testing.T) {
	db, clock := clocked(t, snib.Options{})
	ada := user(t, db, "ada")
	_, r, err := db.CreateRefreshToken(ctx, ada, snib.SessionOptions{Attributes: snib.Attributes{"device": "phone"}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.WrapStore(func(inner kv.Store) kv.Store {
		return faultkv.Wrap(inner, faultkv.Faults{Fail: faultkv.Never, Overwrite: true})
	})()
	home, abroad := snib.WithClient(ctx, netip.MustParseAddr("192.0.2.10")), snib.WithClient(ctx, netip.MustParseAddr("203.0.113.10"))
	clock.Advance(time.Hour)
	first, _, err := db.Refresh(home, r.Token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	var again snib.Session
	commits(t, db, 1, func() { // it counts
		if again, _, err = db.Refresh(abroad, r.Token.Reveal()); err != nil {
			t.Fatal(err)
		}
	})
	if again.ID != first.ID || again.UserID != ada.ID || again.State != snib.SessionActive || again.Token.Reveal() != first.Token.Reveal() ||
		!again.ActiveUntil.Equal(first.ActiveUntil) || !again.AbsoluteUntil.Equal(first.AbsoluteUntil) || !maps.Equal(again.Attributes(), first.Attributes()) {
		t.Errorf("%+v\n%+v", again, first)
	}
}

// The run of such generations is in the file.
func TestRefreshInStepIsRememberedThroughARestart(t *testing.T) {
	home, abroad := snib.WithClient(ctx, netip.MustParseAddr("192.0.2.10")), snib.WithClient(ctx, netip.MustParseAddr("203.0.113.10"))
	clock, path := snibtest.NewClock(), filepath.Join(t.TempDir(), "accounts.db")
	db := restarted(t, nil, path, clock)
	_, r := family(t, db, user(t, db, "ada"))
	for i := range 3 {
		if i > 0 {
			clock.Advance(time.Hour)
			db = restarted(t, db, path, clock)
		}
		_, next, err := db.Refresh(home, r.Token.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = db.Refresh(abroad, r.Token.Reveal())
		if errors.Is(err, snib.ErrRefreshTokenReused) != (i == 2) {
			t.Fatalf("generation %d: %v", i+1, err)
		}
		r = next
	}
}

// TestWithClientComparesNetworks: which two addresses are two clients.
func TestWithClientComparesNetworks(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		other bool
	}{
		{"192.0.2.0", "192.0.2.255", false}, {"192.0.2.255", "192.0.3.0", true},
		{"192.0.2.1", "::ffff:192.0.2.9", false}, {"192.0.2.1", "64:ff9b::192.0.2.9", false}, {"64:ff9b::192.0.2.9", "64:ff9b::192.0.3.9", true},
		{"2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff", false}, {"2001:db8:1::", "2001:db8:2::", true},
		{"fe80::1%eth0", "fe80::2%wlan0", false}, {"192.0.2.1", "2001:db8::1", true},
		{"192.0.2.1", "::", false},                                                                      // no address: not known
		{"10.0.1.5", "10.0.2.5", false}, {"127.0.0.1", "::1", false}, {"fd00:1::1", "fd00:2::1", false}, // proxies
		{"192.168.1.9", "192.0.2.1", false},
	} {
		db := snibtest.NewDB(t, nil)
		_, r := family(t, db, user(t, db, "ada"))
		var err error
		for range 3 {
			var next snib.RefreshToken
			if _, next, err = db.Refresh(snib.WithClient(ctx, netip.MustParseAddr(c.a)), r.Token.Reveal()); err != nil {
				t.Fatal(err)
			}
			_, _, err = db.Refresh(snib.WithClient(ctx, netip.MustParseAddr(c.b)), r.Token.Reveal())
			r = next
		}
		if errors.Is(err, snib.ErrRefreshTokenReused) != c.other {
			t.Errorf("%s and %s: %v", c.a, c.b, err)
		}
	}
}

// A theft is one family with an owner and a thief who once had a token of it.
type theft struct {
	t      *testing.T
	db     *snib.DB
	clock  *snibtest.Clock
	tokens map[byte]string // by O and T
	opened map[byte]string // sessions, by o and t

	noticed   bool
	thiefIn   bool // the thief has got something
	afterward bool // the owner has refreshed since
}

// act is done by the owner (O refreshes, o uses its session), by the thief (T,
// t), or by nobody: w lets the grace pass, r restarts the process.
func (x *theft) act(a byte) {
	switch a {
	case 'w':
		x.clock.Advance(31 * time.Second)
	case 'r':
		snib.Forget(x.db)
	case 'o', 't':
		x.db.ValidateSession(ctx, x.opened[a])
	case 'O', 'T':
		s, r, err := x.db.Refresh(ctx, x.tokens[a])
		switch {
		case err == nil:
			x.tokens[a], x.opened[a|0x20] = r.Token.Reveal(), s.Token.Reveal()
			x.thiefIn = x.thiefIn || a == 'T'
		case errors.Is(err, snib.ErrRefreshTokenReused):
			x.noticed = true
		default:
			x.t.Fatalf("%c: %v", a, err)
		}
		x.afterward = x.afterward || a == 'O' && x.thiefIn
	}
}

// schedules are all of five acts; shorter ones are their beginnings. Those in
// which an act changes nothing (it is done twice, or the thief uses a session
// that it has not) are those of other schedules.
func schedules() (all []string) {
	all = []string{""}
	for range 5 {
		var longer []string
		for _, s := range all {
			for _, a := range []byte("OTotwr") {
				idle := a == 't' && !strings.Contains(s, "T") || s != "" && s[len(s)-1] == a && a != 'O' && a != 'T'
				if !idle {
					longer = append(longer, s+string(a))
				}
			}
		}
		all = longer
	}
	return all
}

// Every schedule of up to five acts. A thief who has got in by a spent token,
// later than the grace, is noticed when the owner refreshes next. A thief who
// has the current one can stay in step with its owner within the grace; out of
// step, it is noticed when each has refreshed once more.
func TestRefreshTheftIsNoticedInEverySchedule(t *testing.T) {
	db, clock := clocked(t, snib.Options{InsecureNoSync: true, Refresh: snib.RefreshPolicy{Absolute: -1}})
	u := user(t, db, "ada")
	all, got := schedules(), 0
	some := raceDetector || testing.Short() // of each length; there are no races in acts one after the other
	if some {
		for i := range len(all) / 10 {
			all[i] = all[i*10]
		}
		all = all[:len(all)/10]
	}
	for _, schedule := range all {
		for _, current := range []bool{false, true} {
			_, first := family(t, db, u)
			s, r := refresh(t, db, first)
			x := &theft{
				t: t, db: db, clock: clock,
				tokens: map[byte]string{'O': r.Token.Reveal(), 'T': first.Token.Reveal()}, opened: map[byte]string{'o': s.Token.Reveal()},
			}
			clock.Advance(time.Minute)
			if current {
				x.tokens['T'] = x.tokens['O']
			}
			for i := 0; i < len(schedule) && !x.noticed; i++ {
				x.act(schedule[i])
				if !current && x.afterward && !x.noticed {
					t.Fatalf("%s: not noticed though the owner has refreshed", schedule[:i+1])
				}
			}
			for _, a := range []byte("wOwTwO") {
				if x.thiefIn && !x.noticed {
					x.act(a)
				}
			}
			if x.thiefIn {
				if got++; !x.noticed {
					t.Fatalf("%s, the current token stolen %t: never noticed", schedule, current)
				}
			}
			if err := db.RefreshTokens().RevokeByID(ctx, first.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d schedules with each of two tokens stolen, the thief got in in %d", len(all), got)
	if len(all) != 2897 && !some || got < len(all)/2 || got < len(all) && !some {
		t.Error("there are more")
	}
}
