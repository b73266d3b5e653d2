package snib

import "sync"

// maxFailed is how many users have failed log-ins that are not stored yet. The
// count of one more is lost: the throttle has it, the user's list has not.
const maxFailed = 512

// failedLogIns are those of users, until they are stored. Nothing is kept
// for names without a user, which anybody can make up.
type failedLogIns struct {
	mu sync.Mutex
	of map[string]failure // by user
}

// A failure is those of one user.
type failure struct {
	n    uint32
	last int64    // Unix milliseconds
	from [16]byte // the last client
}

func (f *failedLogIns) add(user string, from [16]byte, now int64) {
	if user == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addLocked(user, failure{1, now, from})
}

// addLocked adds x to a user's. The caller holds mu.
func (f *failedLogIns) addLocked(user string, x failure) {
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
	f.of[user] = x
}

// take returns and forgets all.
func (f *failedLogIns) take() map[string]failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.of
	f.of = nil
	return out
}

// back gives back those that were not stored.
func (f *failedLogIns) back(of map[string]failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for user, x := range of {
		f.addLocked(user, x)
	}
}

func (f *failedLogIns) some() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.of) > 0
}
