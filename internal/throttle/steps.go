package throttle

import "time"

// Limits of a run of failures.
const (
	Free  = 5   // failures without a wait
	Daily = 50  // from here on one guess a day
	Close = 100 // from here on no guess, where the caller closes

	firstStep = 30 * time.Second
	hour      = time.Hour
	Day       = 24 * time.Hour
)

// FadeEvery is how long it takes each count to fall by one.
const FadeEvery = 48 * time.Hour

// Step is how long after the last of a run of failures the next guess may be
// made.
func Step(failures int) time.Duration {
	switch {
	case failures < Free:
		return 0
	case failures >= Daily:
		return Day
	case failures-Free > 7: // 30 s · 2⁷ is over an hour
		return hour
	}
	return min(firstStep<<(failures-Free), hour)
}
