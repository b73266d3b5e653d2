package load

import (
	"slices"

	"github.com/snibdb/snib/bench/internal/peers"
	"github.com/snibdb/snib/bench/internal/report"
)

// A Figure is a measurement of a store as a whole, not of one operation at a time.
type Figure struct {
	Suite  string
	Name   string
	Once   bool // in the first round alone: it takes long, or is the same
	After  bool // the cases: it changes the store
	Ours   bool // snib's alone
	Most   int  // sessions at which it is taken; 0 is any
	figure func(*Subject, Plan) ([]report.Row, error)
}

// Figures are all there are, in the order they are taken.
func Figures() []Figure {
	return []Figure{
		{Suite: "size", Name: "file and open", figure: Size},
		{Suite: "size", Name: "memory", Once: true, Ours: true, figure: MemoryOf},
		{Suite: "check", Name: "check", Ours: true, figure: Check},
		{Suite: "sweep", Name: "sweep", Once: true, Ours: true, Most: 100_000, figure: Sweep},
		{Suite: "import", Name: "import", Once: true, Ours: true, figure: Import},
		{Suite: "pages", Name: "pages", Once: true, Ours: true, After: true, figure: Pages},
	}
}

// Figures takes figures of subjects, by turns as Run does.
func (r *Runner) Figures(f Figure, subjects []*Subject) (rows []report.Row, err error) {
	rounds := min(3, r.Rounds)
	if f.Once {
		rounds = 1
	}
	for round := range rounds {
		for k := range subjects {
			s := subjects[(k+round)%len(subjects)]
			if f.Ours && !s.ours() || f.Most > 0 && s.Sessions > f.Most {
				continue
			}
			r.say("%s of %s", f.Suite, s.Peer.Name)
			more, err := s.figures(f, Plan{Rate: r.Rate, Seed: r.Seed})
			if err != nil {
				return nil, err
			}
			rows = join(rows, more)
		}
	}
	return rows, nil
}

// ours reports whether a subject is snib, of this commit or another.
func (s *Subject) ours() bool { return s.remote != nil || s.Peer.Name == peers.Snib().Name }

func (s *Subject) figures(f Figure, p Plan) ([]report.Row, error) {
	if s.remote == nil {
		return f.figure(s, p)
	}
	return s.remote.figures(f, p)
}

// join puts the rounds of rows that are there already behind theirs.
func join(rows, more []report.Row) []report.Row {
	for _, row := range more {
		i := slices.IndexFunc(rows, func(r report.Row) bool {
			return r.Work == row.Work && r.Workers == row.Workers && r.Peer == row.Peer
		})
		if i < 0 {
			rows = append(rows, row)
			continue
		}
		rows[i].Rounds = append(rows[i].Rounds, row.Rounds...)
		rows[i].CPUs = append(rows[i].CPUs, row.CPUs...)
	}
	return rows
}

// asOf is rows under another contender's name.
func asOf(rows []report.Row, name string) []report.Row {
	for i := range rows {
		rows[i].Peer = name
	}
	return rows
}
