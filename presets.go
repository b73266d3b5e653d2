package snib

import "time"

// AAL1 returns policies, for Options.Sessions and Options.Refresh, by which a
// log-in ends after 30 days at the latest, by NIST SP 800-63B-4 (2.1.3) the bound
// of authentication assurance level 1. It can come back for so long without being
// used.
//
// This and the other levels bound how long a log-in lives and ask nothing of its
// strength: AAL2 needs two factors, AAL3 a key that cannot be copied. Inactivity
// is measured to a minute, in which a use need not be written.
func AAL1() (SessionPolicy, RefreshPolicy) { return presets(30*day, 30*day) }

// AAL2 returns policies by which a log-in ends after 24 hours at the latest, and
// after an hour without use (SP 800-63B-4, 2.2.3).
//
//	o.Sessions, o.Refresh = snib.AAL2()
func AAL2() (SessionPolicy, RefreshPolicy) { return presets(day, time.Hour) }

// AAL3 returns policies by which a log-in ends after 12 hours at the latest, and
// after 15 minutes without use (SP 800-63B-4, 2.3.3).
func AAL3() (SessionPolicy, RefreshPolicy) { return presets(12*time.Hour, 15*time.Minute) }

// Desktop returns policies for a program on the user's own computer, which is
// protected by its own log-in: a session ends by itself after a year without use
// alone. That meets no level of SP 800-63B-4.
func Desktop() (SessionPolicy, RefreshPolicy) {
	return SessionPolicy{Active: 30 * day, Idle: 335 * day, Absolute: -1, ExtendEvery: day},
		RefreshPolicy{Idle: 365 * day, Absolute: -1}
}

// presets are policies for a log-in that ends after so long, and after so long
// without use.
func presets(absolute, unused time.Duration) (SessionPolicy, RefreshPolicy) {
	s := SessionPolicy{Active: unused, Idle: -1, Absolute: absolute, ExtendEvery: time.Minute}
	if active := day; unused > active {
		s.Active, s.Idle, s.ExtendEvery = active, unused-active, time.Hour
	}
	return s, RefreshPolicy{Idle: unused, Absolute: absolute, Session: min(unused, time.Hour)}
}
