package main

import "maps"

// The occasions, by their rows in docs/INVARIANTS.md.
const (
	passwordChanged = "password changed by its user"
	userDisabled    = "user disabled"
	identityMoved   = "identity replaced or unlinked"
	sessionsRevoked = "`RevokeUserSessions`"
	familiesRevoked = "`RefreshTokens.RevokeAll`"
	epochRaised     = "`EndEverything`, `ResetClock`, `Restore`"
	passwordReset   = "password set or removed without the old one"
	factorChanged   = "second factor added or removed"
	factorsReset    = "`Factors.Reset`"
	userMerged      = "merged into another user"
)

// endedBy are the kinds that an occasion ends, written from docs/INVARIANTS.md;
// a test compares the two.
var endedBy = map[string][]string{
	passwordChanged: {"session", "refresh token", "one-time token", "known device"},
	userDisabled:    {"session", "refresh token", "one-time token", "known device"},
	identityMoved:   {"one-time token"},
	sessionsRevoked: {"session", "refresh token", "one-time token", "known device"},
	familiesRevoked: {"refresh token", "one-time token"},
	epochRaised:     {"session", "refresh token", "one-time token", "known device", "API key"},
	passwordReset:   {"session", "refresh token", "one-time token", "known device", "API key"},
	factorChanged:   {"session", "refresh token", "one-time token", "known device"},
	factorsReset:    {"session", "refresh token", "one-time token", "known device", "API key", "second factor"},
	userMerged:      {"session", "refresh token", "one-time token", "known device"},
}

// unjudged is a count that a cascade may leave as it likes.
const unjudged = -1

// ends returns the census after an occasion, with changes to it.
func ends(occasion string, changes ...func(c, before census)) func(census) census {
	return func(before census) census {
		c := maps.Clone(before)
		for _, title := range endedBy[occasion] {
			c[title] = 0
		}
		for _, change := range changes {
			change(c, before)
		}
		return c
	}
}

// leaving sets a count.
func leaving(title string, n int) func(c, before census) {
	return func(c, _ census) { c[title] = n }
}

// fewer takes n from a count, or adds them if n is negative.
func fewer(title string, n int) func(c, before census) {
	return func(c, before census) { c[title] = before[title] - n }
}

// bornOfFamilies takes the sessions away that refresh tokens have made.
func bornOfFamilies(c, before census) { c["session"] = before["session"] - before["refresh token"] }

// deletes leaves the rows of which the file does not know that they are the user's.
func deletes(before census) census {
	c := census{}
	for title := range before {
		c[title] = 0
	}
	c[strangeRow] = before[strangeRow]
	return c
}

func deletesRow(before census) census {
	c := deletes(before)
	c[strangeRow] = 0
	return c
}

// repairs is deletes by Repair, which leaves all rows and puts the user's record
// into quarantine.
func repairs(before census) census {
	c := deletes(before)
	c[ownedRow], c["quarantined record"] = before[ownedRow], unjudged
	return c
}

// sweeps removes the dead, and the factor that was not confirmed.
func sweeps(before census) census {
	return ends(epochRaised, fewer("second factor", 1), leaving("quarantined record", 0))(before)
}

// endsOnly ends the records of one kind.
func endsOnly(title string) func(census) census {
	return func(before census) census {
		c := maps.Clone(before)
		c[title] = 0
		return c
	}
}
