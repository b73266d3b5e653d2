package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib/bench/internal/load"
	"github.com/snibdb/snib/bench/internal/peer"
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
	before  *load.Remote // nil: no other commit is measured beside
}

// beforePeer stands for snib of another commit.
var beforePeer = peer.Peer{Name: report.Before, Durability: peer.Synced}

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
	if s.before != nil {
		s.say("filling that of the other commit")
		subject, err := s.before.Subject(beforePeer, filepath.Join(s.dir, fmt.Sprintf("%s-%d", report.Before, n)), n)
		if err != nil {
			return err
		}
		subjects = append(subjects, subject)
	}
	if err := s.figures(subjects, false); err != nil {
		return err
	}
	for _, c := range s.cases(n) {
		if err := s.add(s.runner.Run(c, subjects)); err != nil {
			return err
		}
	}
	return s.figures(subjects, true)
}

// figures takes the figures due before the cases, of the stores as they were
// filled, or the figures due after them.
func (s *session) figures(subjects []*load.Subject, after bool) error {
	for _, f := range load.Figures() {
		if !s.has(f.Suite) || f.After != after {
			continue
		}
		if err := s.add(s.runner.Figures(f, subjects)); err != nil {
			return err
		}
	}
	return nil
}

// add keeps rows.
func (s *session) add(rows []report.Row, err error) error {
	s.rows = append(s.rows, rows...)
	return err
}

// cases returns the cases of the chosen suites. Reads come first, as the other
// cases make the stores larger. A log-in takes the same time at any size, so it
// is measured at the first size alone.
func (s *session) cases(n int) (list []load.Case) {
	for _, suite := range suites {
		if s.has(suite) && (suite != "login" || n == s.sizes[0]) {
			list = append(list, load.Cases(suite, s.writers)...)
		}
	}
	return list
}
