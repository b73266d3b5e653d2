package load

import (
	"crypto/subtle"
	"fmt"
	"math/rand/v2"
	"runtime"

	"github.com/snibdb/snib/bench/internal/peer"
)

// can reports whether a store has a part.
func can[Part any](s peer.Store) bool { _, ok := s.(Part); return ok }

// Cases returns the cases of a suite. Results of different commits are compared
// by the names of works, so these names stay.
func Cases(suite string, writers []int) []Case {
	switch suite {
	case "read":
		return Reads()
	case "write":
		return Writes(writers)
	case "mixed":
		return Mixed()
	case "contention":
		return Contention()
	case "closures":
		return Beside()
	case "login":
		return Logins()
	}
	return nil
}

// Reads are the cases of validation: by one goroutine, and by as many as run
// at once.
func Reads() []Case {
	var list []Case
	for _, workers := range oneAndAll() {
		list = append(list,
			Case{Suite: "read", Work: "validate", Workers: workers, Reads: true, Prepare: warm, Run: validate},
			Case{Suite: "read", Work: "validate newest 1 %", Workers: workers, Reads: true, Run: validateNewest},
			Case{Suite: "read", Work: "validate+user", Workers: workers, Reads: true, Can: can[peer.UserStore], Prepare: warm, Run: validateUser})
	}
	return append(list, Case{Suite: "read", Work: fmt.Sprintf("list of %d sessions", PerUser), Workers: 1, Reads: true, Can: can[peer.Lister], Run: listing})
}

// oneAndAll are one worker and as many as there are processors.
func oneAndAll() []int {
	if n := runtime.GOMAXPROCS(0); n > 1 {
		return []int{1, n}
	}
	return []int{1}
}

// warm validates every session once, with its user where there are users. The
// pages of a store just opened come into memory at their first use; the rounds
// do not compare that cost.
func warm(s *Subject, _ Plan) error {
	store, ok := s.Store.(peer.UserStore)
	for i := range s.Tokens.Len() {
		_, err := s.Store.Validate(s.Tokens.At(i))
		if err == nil && ok && i < len(s.Users) { // the first round has one of each
			_, err = store.ValidateUser(s.Tokens.At(i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func validateNewest(s *Subject, p Plan) (Sample, error) {
	op := s.validation()
	op.pick = s.Tokens.pickNewest
	return twice(p, op)
}

// listing lists the sessions of any user, which were made over time. Every user
// has at least as many as after filling.
func listing(s *Subject, p Plan) (Sample, error) {
	store, want := s.Store.(peer.Lister), min(s.Sessions, PerUser)
	return twice(p, operation{s.pickUsers, func(_ int, _ *rand.Rand, user string) error {
		n, err := store.ListSessions(user)
		if err == nil && n < want {
			err = fmt.Errorf("%d sessions are listed, not %d", n, want)
		}
		return err
	}})
}

func validate(s *Subject, p Plan) (Sample, error) { return twice(p, s.validation()) }

// validation is of any session that the store was filled with.
func (s *Subject) validation() operation {
	return operation{s.Tokens.pick, func(_ int, _ *rand.Rand, token string) error {
		_, err := s.Store.Validate(token)
		return err
	}}
}

func validateUser(s *Subject, p Plan) (Sample, error) {
	store := s.Store.(peer.UserStore)
	return twice(p, operation{s.Tokens.pick, func(_ int, _ *rand.Rand, token string) error {
		_, err := store.ValidateUser(token)
		return err
	}})
}

// twice measures the time of a short operation without a clock around each,
// and then, for a third of the time, the distribution with one.
func twice(p Plan, op operation) (Sample, error) {
	sample, err := hotLoop(p, op)
	if err != nil {
		return sample, err
	}
	p.For /= 3
	timed, err := timedLoop(p, op)
	sample.Service = timed.Service
	return sample, err
}

// Writes returns the cases of one durable write each: creation of sessions at
// each number of writers, extension, refresh, and deletion of users.
func Writes(writers []int) []Case {
	var list []Case
	for _, n := range writers {
		list = append(list, Case{Suite: "write", Work: "create", Workers: n, Run: create})
	}
	list = append(list, Case{Suite: "write", Work: "extend", Workers: 1, Can: can[peer.Extender], Run: extend})
	for _, n := range []int{1, 64} {
		list = append(list, Case{Suite: "write", Work: "refresh", Workers: n, Can: can[peer.Refresher], Prepare: startFamilies, Run: refresh})
	}
	for _, sessions := range []int{1, 10, 1000} {
		list = append(list, deletion(sessions))
	}
	return list
}

func create(s *Subject, p Plan) (Sample, error) {
	return timedLoop(p, s.creation())
}

// creation is of a session of any user.
func (s *Subject) creation() operation {
	return operation{s.pickUsers, func(_ int, _ *rand.Rand, user string) error {
		_, err := s.Store.CreateSession(user)
		return err
	}}
}

func extend(s *Subject, p Plan) (Sample, error) {
	store := s.Store.(peer.Extender)
	return timedLoop(p, operation{s.Tokens.pick, func(_ int, _ *rand.Rand, token string) error { return store.Extend(token) }})
}

// familiesEach is how many families a worker rotates in turn.
const familiesEach = 4

// startFamilies gives each worker families of its own, as one device refreshes
// one family.
func startFamilies(s *Subject, p Plan) error {
	store := s.Store.(peer.Refresher)
	tokens := make([][familiesEach]string, p.Workers)
	s.prepared = tokens
	return parallel(p.Workers, func(w int) (err error) {
		rng := p.rng(w)
		for i := range tokens[w] {
			if tokens[w][i], _, err = store.StartFamily(s.Users[rng.IntN(len(s.Users))]); err != nil {
				return err
			}
		}
		return nil
	})
}

func refresh(s *Subject, p Plan) (Sample, error) {
	store, tokens := s.Store.(peer.Refresher), s.prepared.([][familiesEach]string)
	return timedLoop(p, operation{do: func(w int, rng *rand.Rand, _ string) (err error) {
		token := &tokens[w][rng.IntN(familiesEach)]
		*token, _, err = store.Refresh(*token)
		return err
	}})
}

// overTimeName is the name of a work on a user with sessions made over time.
func overTimeName(work string, sessions int) string {
	if sessions == 1 {
		return work + " with 1"
	}
	return fmt.Sprintf("%s with %d made over time", work, sessions)
}

// deletion deletes users with so many sessions, each user made for it.
func deletion(sessions int) Case {
	perRound := 100
	if sessions > 100 {
		perRound = 4
	}
	return Case{
		Suite: "write", Work: overTimeName("delete user", sessions), Workers: 1, Can: can[peer.UserStore],
		Prepare: func(s *Subject, p Plan) error {
			ids, err := s.busyUsers(perRound*p.Rounds, sessions)
			s.prepared = ids
			return err
		},
		Run: func(s *Subject, p Plan) (Sample, error) {
			store, victims := s.Store.(peer.UserStore), s.prepared.([]string)
			s.prepared = victims[perRound:]
			victims = victims[:perRound]
			return timedLoop(p, operation{do: func(int, *rand.Rand, string) error {
				if len(victims) == 0 {
					return errFull
				}
				id := victims[0]
				victims = victims[1:]
				return store.DeleteUser(id)
			}})
		},
	}
}

// Logins are log-ins with a password, by one and by as many as run at once.
// Contenders that have no passwords hash with argon2id of x/crypto, with the
// same parameters, as a program would that uses them.
func Logins() []Case {
	var list []Case
	for _, workers := range oneAndAll() {
		list = append(list, Case{Suite: "login", Work: "login", Workers: workers, Reads: true, Can: can[peer.UserStore], Prepare: logInOnce, Run: logIn})
	}
	return list
}

// loggingIn returns the users of the log-ins, 16 at most.
func (s *Subject) loggingIn() []peer.User { return peer.Users(min(len(s.Users), 16)) }

// logInOnce is before it is measured: a store may replace an imported hash by
// one of its own when it has the password, once.
func logInOnce(s *Subject, _ Plan) error {
	store, ok := s.Store.(peer.LogIner)
	if !ok {
		return nil
	}
	for _, u := range s.loggingIn() {
		if _, err := store.LogIn(u.Identifier, peer.Password); err != nil {
			return err
		}
	}
	return nil
}

func logIn(s *Subject, p Plan) (Sample, error) {
	p.For *= 4 // one takes tens of milliseconds
	users := s.loggingIn()
	want := peer.Hash(peer.Password)
	store, itself := s.Store.(peer.LogIner)
	return counted(func() (Sample, error) {
		return timedLoop(p, operation{do: func(_ int, rng *rand.Rand, _ string) error {
			u := users[rng.IntN(len(users))]
			if itself {
				_, err := store.LogIn(u.Identifier, peer.Password)
				return err
			}
			if subtle.ConstantTimeCompare(peer.Hash(peer.Password), want) != 1 {
				return peer.ErrRefused
			}
			_, err := s.Store.CreateSession(u.ID)
			return err
		}})
	})
}
