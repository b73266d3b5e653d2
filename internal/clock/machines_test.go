package clock

import (
	"testing"
	"time"
)

func TestMachinesAgreeWithinAMinute(t *testing.T) {
	h := newHandClock()
	c := New(h.reading)
	c.Join()
	begun := h.wall.UnixMilli()
	if now, ok := c.Agree(1, begun); !ok || now != begun {
		t.Fatalf("%d and %v at first, want %d", now, ok, begun)
	}
	step := func(what string, wall, mono time.Duration, floor time.Duration, want time.Duration, agreed bool) {
		t.Helper()
		h.step(wall, mono)
		now, ok := c.Agree(1, begun+floor.Milliseconds())
		if got := time.Duration(now-begun) * time.Millisecond; got != want || ok != agreed {
			t.Errorf("%s: %v and %v, want %v and %v", what, got, ok, want, agreed)
		}
		if latest := c.Latest(); latest < now || latest > now+1 {
			t.Errorf("%s: the latest is %d, want %d", what, latest, now)
		}
	}
	step("an hour later", time.Hour, time.Hour, time.Hour, time.Hour, true)
	step("the floor of another, half a minute ahead", 0, 0, time.Hour+30*time.Second, time.Hour+30*time.Second, true)
	step("the wall is set a day ahead", 25*time.Hour, 0, time.Hour, time.Hour+30*time.Second, false)
	step("a minute later", time.Minute, time.Minute, time.Hour, time.Hour+90*time.Second, false)
	if !c.Ahead() {
		t.Error("the wall is not ahead")
	}
	step("the wall is set back", -25*time.Hour, 0, time.Hour, time.Hour+90*time.Second, true)
	step("the floor of another, a day ahead", 0, 0, 26*time.Hour, time.Hour+90*time.Second, false)
	step("the wall is set an hour back", -time.Hour, 0, time.Hour, time.Hour+90*time.Second, false)
	step("and again to the time", time.Hour, 0, time.Hour, time.Hour+90*time.Second, true)
	// Asleep: the monotonic clock has stood, the others have gone on.
	step("asleep for 8 h", 8*time.Hour, 0, 9*time.Hour, 9*time.Hour+time.Minute, true)
	step("asleep for 8 h, alone", 8*time.Hour, 0, 9*time.Hour, 9*time.Hour+time.Minute, false)
	c.Trust()
	step("trusted", 0, 0, 9*time.Hour, 17*time.Hour+time.Minute, true)
}

func TestClockOfAStoreIgnoresTheWall(t *testing.T) {
	c := New(func() time.Time { return time.Unix(0, 0) })
	c.Follow()
	at := time.Now().Add(25 * time.Hour).UnixMilli()
	c.Saw(at)
	for what, got := range map[string]int64{"Latest": c.Latest(), "Wall": c.Wall().UnixMilli(), "Now": c.Now(7, at+int64(time.Hour))} {
		if off := got - at; off < 0 || off > 60_000 {
			t.Errorf("%s is %d ms from the time of the store", what, off)
		}
	}
	c.Saw(at - 3600_000) // the store's clock was set
	if off := c.Latest() - (at - 3600_000); off < 0 || off > 60_000 {
		t.Errorf("%d ms from the time of the store, that was set back", off)
	}
	if c.Behind() != 0 {
		t.Error("is behind")
	}
}
