package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/report"
)

// A Remote is another process of the harness, built on another commit of snib,
// with a store of its own: so one run measures both commits, by turns. Requests
// and replies are lines of JSON.
type Remote struct {
	cmd  *exec.Cmd
	ask  io.WriteCloser
	in   *json.Encoder
	out  *json.Decoder
	dead error
}

// A request names an action, and a case by its suite, work and number of
// workers, which therefore keep their meaning from commit to commit.
type request struct {
	Do          string // fill, can, prepare, run, figures or close
	Dir         string
	Sessions    int
	Suite, Work string
	Workers     int
	Plan        Plan
}

type reply struct {
	Err    string
	Able   bool
	Sample *wireSample
	Rows   []report.Row
}

// wireSample is a Sample that can be sent.
type wireSample struct {
	Sample
	Service, Response *hdrhistogram.Snapshot
}

func pack(s Sample) *wireSample {
	w := &wireSample{Sample: s}
	if s.Service != nil {
		w.Service = s.Service.Export()
	}
	if s.Response != nil {
		w.Response = s.Response.Export()
	}
	w.Sample.Service, w.Sample.Response = nil, nil
	return w
}

func (w *wireSample) unpack() Sample {
	s := w.Sample
	if w.Service != nil {
		s.Service = hdrhistogram.Import(w.Service)
	}
	if w.Response != nil {
		s.Response = hdrhistogram.Import(w.Response)
	}
	return s
}

// NewRemote starts a program that serves.
func NewRemote(program string) (*Remote, error) {
	cmd := exec.Command(program, "-serve")
	cmd.Stderr = os.Stderr
	ask, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answer, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r := &Remote{cmd: cmd, ask: ask, in: json.NewEncoder(ask), out: json.NewDecoder(answer)}
	return r, cmd.Start()
}

// Close ends the process.
func (r *Remote) Close() error { return errors.Join(r.ask.Close(), r.cmd.Wait()) }

// Subject fills a store in the other process.
func (r *Remote) Subject(p peer.Peer, dir string, n int) (*Subject, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	_, err = r.call(request{Do: "fill", Dir: dir, Sessions: n})
	return &Subject{Peer: p, Sessions: n, remote: r}, err
}

func (r *Remote) call(q request) (a reply, err error) {
	if r.dead != nil {
		return a, r.dead
	}
	if err := errors.Join(r.in.Encode(q), r.out.Decode(&a)); err != nil {
		r.dead = fmt.Errorf("the process of the other commit: %w", err)
		return a, r.dead
	}
	if a.Err != "" {
		err = errors.New("the other commit: " + a.Err)
	}
	return a, err
}

func (c Case) request(do string, p Plan) request {
	return request{Do: do, Suite: c.Suite, Work: c.Work, Workers: c.Workers, Plan: p}
}

func (r *Remote) can(c Case) (bool, error) {
	a, err := r.call(c.request("can", Plan{}))
	return a.Able, err
}

func (r *Remote) prepare(c Case, p Plan) error {
	_, err := r.call(c.request("prepare", p))
	return err
}

func (r *Remote) run(c Case, p Plan) (Sample, error) {
	a, err := r.call(c.request("run", p))
	if err != nil {
		return Sample{}, err
	}
	return a.Sample.unpack(), nil
}

func (r *Remote) figures(f Figure, p Plan) ([]report.Row, error) {
	a, err := r.call(request{Do: "figures", Suite: f.Suite, Work: f.Name, Plan: p})
	return asOf(a.Rows, report.Before), err
}

func (r *Remote) closeStore() error {
	_, err := r.call(request{Do: "close"})
	return err
}
