package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib/bench/internal/load"
	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/peers"
	"github.com/snibdb/snib/bench/internal/report"
)

// session is one run of the chosen suites.
type session struct {
	*config
	dir     string
	chosen  []peer.Peer
	started time.Time
	runner  load.Runner
	rows    []report.Row
}

func newSession(c *config, dir string, list []peer.Peer, started time.Time) *session {
	s := &session{config: c, dir: dir, chosen: list, started: started}
	s.runner = load.Runner{Rounds: c.rounds, For: c.sample, Rate: c.rate, Seed: c.seed, Progress: s.say}
	return s
}

// say shows where the run is, on one line that the next one replaces.
func (s *session) say(text string) {
	const width = 110
	if len(text) > width {
		text = text[:width]
	}
	fmt.Fprintf(s.progress, "\r%4.0f s  %-*s", time.Since(s.started).Seconds(), width, text)
}

func (s *session) clearProgress() { fmt.Fprintf(s.progress, "\r%s\r", strings.Repeat(" ", 120)) }

func (s *session) has(suite string) bool { return slices.Contains(s.suites, suite) }

func (s *session) all() error {
	if s.has("limits") {
		s.say("limits of the machine")
		rows, err := load.Limits(s.dir)
		if err != nil {
			return err
		}
		s.rows = append(s.rows, rows...)
	}
	for _, n := range s.sizes {
		if err := s.size(n); err != nil {
			return err
		}
		runtime.GC()
	}
	return nil
}

// size fills every contender with n sessions and measures all of it there.
func (s *session) size(n int) (err error) {
	var subjects []*load.Subject
	defer func() {
		for _, subject := range subjects {
			err = errors.Join(err, subject.Close())
		}
	}()
	for _, p := range s.chosen {
		if p.MaxSessions > 0 && n > p.MaxSessions {
			continue
		}
		s.say(fmt.Sprintf("filling %s with %s sessions", p.Name, report.Count(n)))
		subject, err := load.NewSubject(p, filepath.Join(s.dir, fmt.Sprintf("%s-%d", p.Name, n)), n)
		if err != nil {
			return err
		}
		subjects = append(subjects, subject)
	}
	if err := s.measured(subjects); err != nil {
		return err
	}
	for _, c := range s.cases(n) {
		if err := s.add(s.runner.Run(c, subjects)); err != nil {
			return err
		}
	}
	return s.after(subjects)
}

// measured are the suites that look at the stores as they were filled, and at
// snib's alone.
func (s *session) measured(subjects []*load.Subject) error {
	for _, subject := range subjects {
		if s.has("size") {
			s.say("size of " + subject.Peer.Name)
			if err := s.add(load.Size(subject)); err != nil {
				return err
			}
		}
		if subject.Peer.Name != peers.Snib().Name {
			continue
		}
		if s.has("size") {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			if err := s.add(load.MemoryOf(subject, program)); err != nil {
				return err
			}
		}
		if s.has("sweep") {
			s.say("sweeping")
			if err := s.add(load.Sweep(subject, load.Plan{Rate: s.rate, Seed: s.seed})); err != nil {
				return err
			}
		}
	}
	return nil
}

// after are the suites that change a store and are not measured in rounds.
func (s *session) after(subjects []*load.Subject) error {
	for _, subject := range subjects {
		if subject.Peer.Name == peers.Snib().Name && s.has("pages") {
			s.say("pages written")
			if err := s.add(load.Pages(subject)); err != nil {
				return err
			}
		}
	}
	return nil
}

// add keeps rows.
func (s *session) add(rows []report.Row, err error) error {
	s.rows = append(s.rows, rows...)
	return err
}

// cases are those of the chosen suites. Those that only read come first, as
// the others make the stores larger. A log-in takes the same time whatever
// the size, so it is measured at the first one alone.
func (s *session) cases(n int) (list []load.Case) {
	for _, suite := range []struct {
		name  string
		cases []load.Case
	}{
		{"read", load.Reads()}, {"write", load.Writes(s.writers)}, {"mixed", load.Mixed()},
		{"contention", load.Contention()}, {"login", load.Logins()},
	} {
		if s.has(suite.name) && (suite.name != "login" || n == s.sizes[0]) {
			list = append(list, suite.cases...)
		}
	}
	return list
}
