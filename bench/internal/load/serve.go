package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/snibdb/snib/bench/internal/peers"
)

// Serve is the other process of Remote: it answers requests until there are no
// more.
func Serve(in io.Reader, out io.Writer) error {
	s := &server{}
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q request
		if err := requests.Decode(&q); errors.Is(err, io.EOF) {
			return s.close()
		} else if err != nil {
			return errors.Join(err, s.close())
		}
		a, err := s.answer(q)
		if err != nil {
			a.Err = err.Error()
		}
		if err := replies.Encode(a); err != nil {
			return errors.Join(err, s.close())
		}
	}
}

// server has one store at a time.
type server struct{ subject *Subject }

func (s *server) answer(q request) (a reply, err error) {
	if q.Do == "fill" {
		s.subject, err = NewSubject(peers.Snib(), q.Dir, q.Sessions)
		return a, err
	}
	if s.subject == nil {
		return a, errors.New("there is no store")
	}
	if q.Do == "close" {
		return a, s.close()
	}
	if q.Do == "figures" {
		i := slices.IndexFunc(Figures(), func(f Figure) bool { return f.Suite == q.Suite && f.Name == q.Work })
		if i < 0 {
			return a, nil // not known at this commit
		}
		a.Rows, err = s.subject.figures(Figures()[i], q.Plan)
		return a, err
	}
	return s.work(q)
}

// work does a case. One that is not known at this commit cannot be done.
func (s *server) work(q request) (a reply, err error) {
	list := Cases(q.Suite, []int{q.Workers})
	i := slices.IndexFunc(list, func(c Case) bool { return c.Work == q.Work && c.Workers == q.Workers })
	if i < 0 && q.Do == "can" {
		return a, nil
	}
	if i < 0 {
		return a, fmt.Errorf("no work %q", q.Work)
	}
	switch q.Do {
	case "can":
		a.Able, err = s.subject.can(list[i])
	case "prepare":
		err = s.subject.prepare(list[i], q.Plan)
	case "run":
		var sample Sample
		sample, err = s.subject.run(list[i], q.Plan)
		a.Sample = pack(sample)
	default:
		err = fmt.Errorf("no request %q", q.Do)
	}
	return a, err
}

func (s *server) close() error {
	if s.subject == nil {
		return nil
	}
	subject := s.subject
	s.subject = nil
	return subject.Close()
}
