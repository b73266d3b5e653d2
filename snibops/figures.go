package snibops

import (
	"time"

	"github.com/snibdb/snib"
)

// Stats is the result of VerbStats: snib.Stats, with its fields' meaning.
// Counters begin when the database was opened, so of a file they are small.
type Stats struct {
	FileBytes     int64 `json:"file_bytes"`     // size of the file
	FreeBytes     int64 `json:"free_bytes"`     // of it, pages free to be used
	Commits       int64 `json:"commits"`        // durable ones
	Operations    int64 `json:"operations"`     // writes in them
	Replays       int64 `json:"replays"`        // groups run again
	Largest       int64 `json:"largest"`        // most writes in one commit
	Busy          int64 `json:"busy"`           // writes that gave up
	WaitingWrites int64 `json:"waiting_writes"` // now
	OpenReaders   int64 `json:"open_readers"`   // now
	Trips         int64 `json:"trips"`          // to the server of a store; 0 of a file
	Sweeps        int64 `json:"sweeps"`         // that have finished
	Swept         int64 `json:"swept"`          // records removed

	Users         int64 `json:"users"`          // records; estimated above about 50,000
	Sessions      int64 `json:"sessions"`       // likewise, dead ones too
	RefreshTokens int64 `json:"refresh_tokens"` // likewise

	PasswordsRight int64 `json:"passwords_right"` // tried
	PasswordsWrong int64 `json:"passwords_wrong"` // tried
	CodesRight     int64 `json:"codes_right"`     // of second factors
	CodesWrong     int64 `json:"codes_wrong"`     // of second factors
	Throttled      int64 `json:"throttled"`       // refused as too many
	Reuses         int64 `json:"reuses"`          // refresh tokens presented again

	WriteTime Latencies `json:"write_time"` // of each write
	HashWait  Latencies `json:"hash_wait"`  // of each password hash, for its turn
	HashTime  Latencies `json:"hash_time"`  // likewise, computing

	HashesRunning int      `json:"hashes_running"` // now
	HashesWaiting int      `json:"hashes_waiting"` // now
	HashesRefused uint64   `json:"hashes_refused"` // the queue was full
	ClockBehind   Duration `json:"clock_behind"`   // the wall clock, behind the file
}

// Latencies is a histogram of durations, as snib.Latencies.
type Latencies struct {
	Count int64    `json:"count"` // operations
	Sum   Duration `json:"sum"`   // of all of them
	UpTo  []int64  `json:"up_to"` // how many took at most each of snib.LatencyBounds
}

// Within returns the least of snib.LatencyBounds within which that part of the
// operations ended, of 0.99 say; zero without operations. more says that it took
// longer than the largest bound, which is returned then.
func (l Latencies) Within(part float64) (d time.Duration, more bool) {
	if l.Count == 0 {
		return 0, false
	}
	bounds := snib.LatencyBounds()
	for i, n := range l.UpTo {
		if i < len(bounds) && float64(n) >= part*float64(l.Count) {
			return bounds[i], false
		}
	}
	return bounds[len(bounds)-1], true
}

func latenciesOf(l snib.Latencies) Latencies { return Latencies{l.Count, Duration(l.Sum), l.UpTo} }

func statsOf(s snib.Stats) Stats {
	return Stats{
		FileBytes: s.FileBytes, FreeBytes: s.FreeBytes, Commits: s.Commits, Operations: s.Operations,
		Replays: s.Replays, Largest: s.Largest, Busy: s.Busy, WaitingWrites: s.WaitingWrites,
		OpenReaders: s.OpenReaders, Trips: s.Trips, Sweeps: s.Sweeps, Swept: s.Swept,
		Users: s.Users, Sessions: s.Sessions, RefreshTokens: s.RefreshTokens,
		PasswordsRight: s.PasswordsRight, PasswordsWrong: s.PasswordsWrong,
		CodesRight: s.CodesRight, CodesWrong: s.CodesWrong, Throttled: s.Throttled, Reuses: s.Reuses,
		WriteTime: latenciesOf(s.WriteTime), HashWait: latenciesOf(s.HashWait), HashTime: latenciesOf(s.HashTime),
		HashesRunning: s.HashesRunning, HashesWaiting: s.HashesWaiting, HashesRefused: s.HashesRefused,
		ClockBehind: Duration(s.ClockBehind),
	}
}
