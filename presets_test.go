package snib_test

import (
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// TestPresetsHoldTheTimesOfTheStandard: SP 800-63B-4 says how long a log-in may
// live in all and unused, for browsers and native clients alike.
func TestPresetsHoldTheTimesOfTheStandard(t *testing.T) {
	const hour, forever = time.Hour, 400 * 24 * time.Hour
	for name, c := range map[string]struct {
		preset           func() (snib.SessionPolicy, snib.RefreshPolicy)
		absolute, unused time.Duration
		steps            time.Duration
	}{
		"AAL1":    {snib.AAL1, 30 * 24 * hour, 30 * 24 * hour, 10 * hour},
		"AAL2":    {snib.AAL2, 24 * hour, hour, 50 * time.Minute},
		"AAL3":    {snib.AAL3, 12 * hour, 15 * time.Minute, 13 * time.Minute},
		"Desktop": {snib.Desktop, forever, 365 * 24 * hour, 360 * 24 * hour},
	} {
		t.Run(name, func(t *testing.T) {
			clock := snibtest.NewClock()
			o := &snib.Options{Now: clock.Now}
			o.Sessions, o.Refresh = c.preset()
			db := snibtest.NewDB(t, o)
			u := email(t, db, "a@example.com")
			alive := func(s snib.Session, r *snib.RefreshToken) bool {
				_, err := db.ExtendSession(ctx, s.Token.Reveal())
				_, next, err2 := db.Refresh(ctx, r.Token.Reveal())
				*r = next
				if (err == nil) != (err2 == nil) {
					t.Errorf("the session says %v, the refresh token %v", err, err2)
				}
				return err == nil
			}
			begin := func() (snib.Session, *snib.RefreshToken) {
				_, r := family(t, db, u)
				return newSession(t, db, u), &r
			}
			// Unused.
			s, r := begin()
			clock.Advance(c.unused)
			if alive(s, r) {
				t.Errorf("good after %v without use", c.unused)
			}
			s, r = begin()
			clock.Advance(min(c.unused, c.absolute) - 2*time.Minute)
			if !alive(s, r) {
				t.Errorf("ended before %v without use", c.unused)
			}
			// In use.
			s, r = begin()
			for used := c.steps; used < c.absolute; used += c.steps {
				clock.Advance(c.steps)
				if !alive(s, r) {
					t.Fatalf("in use it ended after %v, before %v", used, c.absolute)
				}
			}
			if clock.Advance(c.steps); c.absolute != forever && alive(s, r) {
				t.Errorf("in use it is good after more than %v", c.absolute)
			}
		})
	}
}
