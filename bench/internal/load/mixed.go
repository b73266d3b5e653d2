package load

import (
	"math/rand/v2"

	"github.com/snibdb/snib/bench/internal/peer"
)

// A mixed day: of 1,000 operations 950 validate, 30 refresh, 15 create and 5
// sign out. Users come by a Zipf distribution: few are busy, most are not.
const (
	ofRefresh  = 30
	ofCreate   = 15
	ofEnd      = 5
	ofAll      = 1000
	zipfS      = 1.1
	mixWorkers = 16
)

// WorkMixedFree is the mixed day without its validations, as with a cache of
// sessions that costs nothing.
const WorkMixedFree = "mixed day, validations free"

// Mixed are the mixed day, as fast as it goes with and without its validations
// and at a fixed rate, of which the response times count.
func Mixed() []Case {
	able := func(s peer.Store) bool { return can[peer.Refresher](s) && can[peer.Ender](s) }
	return []Case{
		{Suite: "mixed", Work: "mixed day", Workers: mixWorkers, Can: able, Prepare: prepareMixed, Run: mixed},
		{Suite: "mixed", Work: WorkMixedFree, Workers: mixWorkers, Can: able, Prepare: prepareMixed, Run: mixedFree},
		{Suite: "mixed", Work: "mixed day at a rate, p99", Workers: mixWorkers, Can: able, Prepare: prepareMixed, Run: mixedAtRate, Quantile: 99},
	}
}

// mixWorker is one client of the mixed day. It owns every mixWorkers-th user,
// so that no other client ends the sessions it counts on.
type mixWorker struct {
	s        *Subject
	w        int
	users    int // that it owns
	tokens   map[int]string
	families map[int]string
}

func prepareMixed(s *Subject, p Plan) error {
	list := make([]*mixWorker, p.Workers)
	// Users of its own: sessions that earlier works ended do not matter.
	ids, err := s.moreUsers(max(p.Workers, min(len(s.Users), 20_000)))
	if err != nil {
		return err
	}
	var tokens Tokens
	if err := s.Store.AddSessions(ids, tokens.Add); err != nil {
		return err
	}
	for w := range list {
		list[w] = &mixWorker{s: s, w: w, users: len(ids) / p.Workers, tokens: map[int]string{}, families: map[int]string{}}
		for i := range list[w].users {
			list[w].tokens[i] = tokens.At(i*p.Workers + w)
		}
	}
	s.prepared = &mixState{list, ids, p.Workers}
	return nil
}

type mixState struct {
	workers []*mixWorker
	ids     []string
	stride  int
}

func (m *mixState) operation(p Plan, free bool) operation {
	zipf := make([]*rand.Zipf, len(m.workers))
	for w := range zipf {
		zipf[w] = rand.NewZipf(p.rng(w), zipfS, 1, uint64(m.workers[w].users-1))
	}
	return operation{do: func(w int, rng *rand.Rand, _ string) error {
		user := int(zipf[w].Uint64())
		return m.workers[w].step(m.ids[user*m.stride+w], user, rng.IntN(ofAll), free)
	}}
}

// step does one operation for a user. A signed-out user signs in instead of
// validating or signing out.
func (m *mixWorker) step(id string, user, dice int, free bool) (err error) {
	store := m.s.Store
	token, signedIn := m.tokens[user]
	switch {
	case dice < ofRefresh:
		f := store.(peer.Refresher)
		if refresh, ok := m.families[user]; ok {
			m.families[user], _, err = f.Refresh(refresh)
		} else {
			m.families[user], _, err = f.StartFamily(id)
		}
	case dice < ofRefresh+ofCreate || !signedIn:
		m.tokens[user], err = store.CreateSession(id)
	case dice < ofRefresh+ofCreate+ofEnd:
		delete(m.tokens, user)
		err = store.(peer.Ender).EndSession(token)
	case !free:
		_, err = store.Validate(token)
	}
	return err
}

func mixed(s *Subject, p Plan) (Sample, error) { return timedLoop(p, s.mix(p, false)) }

func mixedFree(s *Subject, p Plan) (Sample, error) { return timedLoop(p, s.mix(p, true)) }

func mixedAtRate(s *Subject, p Plan) (Sample, error) {
	p.For *= 4
	return openLoop(p, s.mix(p, false))
}

func (s *Subject) mix(p Plan, free bool) operation { return s.prepared.(*mixState).operation(p, free) }
