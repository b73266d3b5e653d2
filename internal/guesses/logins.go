package guesses

import (
	"slices"
	"sync"

	"github.com/snibdb/snib/internal/records"
)

// maxFailed is how many users have failed log-ins that are not stored yet. The
// count of one more is lost: the throttle has it, the user's list has not.
const maxFailed = 512

// LogIns are failed ones of users, until they are stored. Nothing is kept
// for names without a user, which anybody can make up.
type LogIns struct {
	mu sync.Mutex
	of map[string]failure // by user
}

// A failure is those of one user.
type failure struct {
	n    uint32
	last int64    // Unix milliseconds
	from [16]byte // the last client

	notes []Note // events of transactions that have come to nothing
}

// Add notes a failed log-in of a user.
func (f *LogIns) Add(user string, from [16]byte, now int64) {
	if user == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addLocked(user, failure{n: 1, last: now, from: from})
}

// A Note is an event that is written in the background.
type Note struct {
	Kind  records.EventKind
	About records.About
}

// Note adds an event of a call that has failed in a transaction of the program:
// one of a kind and user at a time.
func (f *LogIns) Note(user string, now int64, n Note) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addLocked(user, failure{last: now, notes: []Note{n}})
}

// addLocked adds x to a user's. The caller holds mu.
func (f *LogIns) addLocked(user string, x failure) {
	have, known := f.of[user]
	if !known && len(f.of) >= maxFailed {
		return
	}
	if f.of == nil {
		f.of = make(map[string]failure)
	}
	if have.last > x.last {
		have, x = x, have
	}
	x.n += have.n
	for _, n := range have.notes {
		if !slices.ContainsFunc(x.notes, func(m Note) bool { return m.Kind == n.Kind }) {
			x.notes = append(slices.Clone(x.notes), n)
		}
	}
	f.of[user] = x
}

// take returns and forgets all.
func (f *LogIns) take() map[string]failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.of
	f.of = nil
	return out
}

// back gives back log-ins that were not stored.
func (f *LogIns) back(of map[string]failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for user, x := range of {
		f.addLocked(user, x)
	}
}

// Users returns how many users have failed log-ins that are not stored.
func (f *LogIns) Users() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.of)
}
