package phc

import "time"

// after returns a channel that says when d has passed, and the function that
// frees it. None ever does for a d of 0.
func after(d time.Duration) (late <-chan time.Time, stop func()) {
	if d <= 0 {
		return nil, func() {}
	}
	timer := time.NewTimer(d)
	return timer.C, func() { timer.Stop() }
}
