package load

import (
	"errors"
	"math/rand/v2"

	"github.com/snibdb/snib/bench/internal/peer"
)

// reading are short reads while some other transaction stays open.
func reading() (list []Case) {
	closures := can[peer.Closures]
	add := func(work string, open opener) {
		list = append(list, Case{Suite: "closures", Work: work, Workers: 1, Reads: true, Can: closures, Run: whileOpen(open, view)})
	}
	beside := func(what string, open opener) {
		list = append(list, Case{Suite: "closures", Work: "validate while " + what + " is open", Workers: 1, Reads: true, Can: closures,
			Run: whileOpen(open, validate)})
	}
	add(WorkView, nil)
	beside("nothing", nil) // here again: the machine is no longer as it was in the suite read
	for _, o := range openers {
		beside(o.name, o.open)
		add("view while "+o.name+" is open", o.open)
	}
	return list
}

// view gets one user in a closure that reads.
func view(s *Subject, p Plan) (Sample, error) {
	store := s.Store.(peer.Closures)
	return hotLoop(p, operation{s.pickUsers, func(_ int, _ *rand.Rand, user string) error { return store.ViewUser(user) }})
}

// An opener holds a transaction open: it calls hold inside.
type opener func(s peer.Closures, hold func()) error

var openers = []struct {
	name string
	open opener
}{
	{"a View", func(s peer.Closures, hold func()) error { return s.View(func() error { hold(); return nil }) }},
	{"an Update", func(s peer.Closures, hold func()) error {
		return s.Update(func(write func() error) error { err := write(); hold(); return err })
	}},
	{"a Backup", func(s peer.Closures, hold func()) error { return s.Backup(holding{hold}) }},
}

// holding is a writer that takes nothing more until it may.
type holding struct{ hold func() }

func (h holding) Write(p []byte) (int, error) { h.hold(); return len(p), nil }

// whileOpen does a work with a transaction open; a nil opener opens no transaction.
func whileOpen(open opener, work func(*Subject, Plan) (Sample, error)) func(*Subject, Plan) (Sample, error) {
	if open == nil {
		return work
	}
	return func(s *Subject, p Plan) (Sample, error) {
		opened, release, closed := make(chan bool, 1), make(chan bool), make(chan error, 1)
		go func() {
			err := open(s.Store.(peer.Closures), func() {
				select {
				case opened <- true:
				default: // a second Write of a backup
				}
				<-release
			})
			closed <- err
		}()
		select {
		case err := <-closed:
			return Sample{}, errors.Join(errors.New("nothing stayed open"), err)
		case <-opened:
		}
		sample, err := work(s, p)
		close(release)
		return sample, errors.Join(err, <-closed)
	}
}
