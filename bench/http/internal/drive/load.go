package drive

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Sample is one work of one round.
type Sample struct {
	PerSecond float64
	P50, P99  time.Duration
	Requests  int
	Refused   int // answered with 503, and asked again after a pause
}

// pause is how long a client waits that was told to come again.
const pause = 50 * time.Millisecond

// together lets clients call do in a loop, each until the time has passed and at
// least once, and until most calls have begun in all. do is given the number of the
// call.
func together(addr string, clients, most int, d time.Duration, do func(c *client, i int) error) (Sample, error) {
	var (
		mu    sync.Mutex
		all   []time.Duration
		s     Sample
		errs  []error
		begun int
		group sync.WaitGroup
	)
	next := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		begun++
		return begun - 1, begun <= most && len(errs) == 0
	}
	start := time.Now()
	for range clients {
		group.Go(func() {
			c := &client{addr: addr}
			defer c.close()
			var times []time.Duration
			refused := 0
			for i, ok := next(); ok; i, ok = next() {
				n, took, err := persist(c, i, do)
				refused += n
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					break
				}
				if times = append(times, took); time.Since(start) >= d {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all, s.Refused = append(all, times...), s.Refused+refused
		})
	}
	group.Wait()
	seconds := time.Since(start).Seconds()
	if len(errs) > 0 {
		return s, errs[0]
	}
	slices.Sort(all)
	s.Requests, s.PerSecond = len(all), float64(len(all))/seconds
	s.P50, s.P99 = quantile(all, 0.5), quantile(all, 0.99)
	return s, nil
}

// persist repeats a call that is refused with 503. The time is that of all tries.
func persist(c *client, i int, do func(c *client, i int) error) (refused int, took time.Duration, err error) {
	start := time.Now()
	for {
		err = do(c, i)
		if s := statusError(0); !errors.As(err, &s) || s != 503 || time.Since(start) > patience {
			return refused, time.Since(start), err
		}
		refused++
		time.Sleep(pause)
	}
}

// quantile is the least time that a part of all, which are sorted, do not exceed.
func quantile(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

// The works, in the order of the tables.
const (
	SignUp = "sign-up"
	LogIn  = "log-in"
	Me     = "who am I"
	LogOut = "log-out"
)

// Works returns all.
func Works() []string { return []string{SignUp, LogIn, Me, LogOut} }

// A Round has the samples of one server in one round.
type Round struct {
	Samples        map[string]map[int]Sample // by work and clients
	RestMB, PeakMB float64                   // of memory: after its start, and of the log-ins by the most clients
}

// Limits bound a round.
type Limits struct {
	Clients []int
	For     time.Duration // of one work by some clients
	Most    int           // requests of it
}

// Measure does all works on a new store, which it leaves behind.
func Measure(program string, c Contender, dir string, l Limits) (r Round, err error) {
	p, err := Start(program, c, dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	m := &measuring{p: p, l: l, round: Round{Samples: map[string]map[int]Sample{}, RestMB: p.ResidentMB()}}
	for _, n := range l.Clients {
		if err := m.with(n); err != nil {
			return r, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return m.round, nil
}

// measuring is a round that is under way.
type measuring struct {
	p     *Process
	l     Limits
	round Round
	users int
}

// with does the works by n clients: sign-ups, a log-in of each user at most, requests
// with their sessions, and the log-out of those.
func (m *measuring) with(n int) error {
	first := m.users
	sample, err := together(m.p.Addr, n, m.l.Most, m.l.For, func(c *client, i int) error {
		_, err := c.enter(signUp(first + i))
		return err
	})
	if err != nil {
		return fmt.Errorf("sign-up: %w", err)
	}
	m.users += sample.Requests
	m.put(SignUp, n, sample)
	sessions, err := m.logIns(n)
	if err != nil {
		return fmt.Errorf("log-in: %w", err)
	}
	requests := requestsOf(sessions, me)
	sample, err = together(m.p.Addr, n, m.l.Most, m.l.For, func(c *client, i int) error {
		_, _, err := c.expect(requests[i%len(requests)])
		return err
	})
	if err != nil {
		return fmt.Errorf("who am I: %w", err)
	}
	m.put(Me, n, sample)
	requests = requestsOf(sessions, logOut)
	sample, err = together(m.p.Addr, n, len(requests), m.l.For, func(c *client, i int) error {
		_, _, err := c.expect(requests[i])
		return err
	})
	if err != nil {
		return fmt.Errorf("log-out: %w", err)
	}
	m.put(LogOut, n, sample)
	return nil
}

// logIns returns the sessions of log-ins by n clients. The peak of memory is that of
// the last call.
func (m *measuring) logIns(n int) (sessions []session, err error) {
	if err := m.p.ResetPeak(); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	sample, err := together(m.p.Addr, n, min(m.users, m.l.Most), m.l.For, func(c *client, i int) error {
		s, err := c.enter(logIn(i))
		mu.Lock()
		defer mu.Unlock()
		sessions = append(sessions, s)
		return err
	})
	m.put(LogIn, n, sample)
	m.round.PeakMB = m.p.PeakMB()
	return slices.DeleteFunc(sessions, func(s session) bool { return s == "" }), err
}

func requestsOf(sessions []session, request func(session) []byte) [][]byte {
	list := make([][]byte, 0, len(sessions))
	for _, s := range sessions {
		list = append(list, request(s))
	}
	return list
}

func (m *measuring) put(work string, clients int, s Sample) {
	if m.round.Samples[work] == nil {
		m.round.Samples[work] = map[int]Sample{}
	}
	m.round.Samples[work][clients] = s
}
