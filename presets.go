package snib

import "time"

// Policies for the authentication assurance levels of NIST SP 800-63B-4
// (sections 2.1.3, 2.2.3 and 2.3.3), for Options.Sessions and Options.Refresh:
//
//	o.Sessions, o.Refresh = snib.AAL2()
//
// They bound how long a log-in lives, in all and unused, and ask nothing of its
// strength: AAL2 needs two factors, AAL3 a key that cannot be copied. A time-out
// of inactivity holds to a minute, by which uses are written.

// AAL1 returns policies by which a log-in ends after 30 days at the latest. It
// can come back for so long without being used, which that level allows.
func AAL1() (SessionPolicy, RefreshPolicy) { return presets(30*day, 30*day) }

// AAL2 returns policies by which a log-in ends after 24 hours at the latest, and
// after an hour without use.
func AAL2() (SessionPolicy, RefreshPolicy) { return presets(day, time.Hour) }

// AAL3 returns policies by which a log-in ends after 12 hours at the latest, and
// after 15 minutes without use.
func AAL3() (SessionPolicy, RefreshPolicy) { return presets(12*time.Hour, 15*time.Minute) }

// Desktop returns policies for a program on the user's own computer, whose log-in
// is the one that protects: a session ends after a year without use, and in no
// other way by itself. That meets no level of SP 800-63B-4.
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
