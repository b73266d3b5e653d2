package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snibdb/snib/bench/internal/load"
	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/peers"
	"github.com/snibdb/snib/bench/internal/report"
)

// config is the command line.
type config struct {
	suites, peers    []string
	sizes, writers   []int
	rounds           int
	sample           time.Duration
	rate             int
	seed             uint64
	dir              string
	json, html, doc  string
	probe, importing string
	before           string
	serve, alone     bool
	progress, output io.Writer
}

// suites are all there are, in the order they run.
var suites = []string{"limits", "read", "write", "mixed", "contention", "closures", "login", "size", "check", "pages", "sweep", "import"}

func parse(args []string, stdout, stderr io.Writer) (*config, error) {
	c := &config{progress: stderr, output: stdout}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	suite := f.String("suite", "all", "what to measure: all, or some of "+strings.Join(suites, ","))
	contenders := f.String("peers", "all", "who is measured: all, or some of "+strings.Join(names(peers.All()), ",")+"; the floor and "+peers.Checked+" always are")
	sizes := f.String("n", "10000,100000", "sessions in the store, with a tenth as many users; 1000000 and 10000000 take their time")
	writers := f.String("writers", "1,64,512", "writers at once, of the creation of sessions")
	f.IntVar(&c.rounds, "rounds", 3, "rounds, in each of which every contender has its turn")
	f.DurationVar(&c.sample, "sample", 60*time.Millisecond, "about how long one turn takes")
	f.IntVar(&c.rate, "rate", 2000, "operations a second of the works that keep to a rate")
	f.Uint64Var(&c.seed, "seed", 1, "of the random choices")
	f.StringVar(&c.dir, "dir", filepath.Join("..", "out"), "folder for the stores, on the disk to be measured; they are removed")
	f.StringVar(&c.json, "json", "", "write the raw result to this file")
	f.StringVar(&c.html, "html", "", "write a page of plots into this folder")
	f.StringVar(&c.doc, "doc", "", "measure nothing: put the figures of this result into ../docs/PERFORMANCE.md")
	f.StringVar(&c.probe, "probe", "", "measure nothing but the memory of this store; the harness calls itself so")
	f.StringVar(&c.importing, "import", "", "measure nothing but an import of N,DIR; the harness calls itself so")
	f.BoolVar(&c.alone, "alone", false, "leave out the floor and "+peers.Checked+" unless they are named: for figures that need no ratio, of large stores")
	f.StringVar(&c.before, "before", "", "measure snib of this commit too, by turns in the same run, and print the ratio of each row")
	f.BoolVar(&c.serve, "serve", false, "measure what another process of the harness asks for; the harness calls itself so")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var err, err2 error
	c.sizes, err = numbers(*sizes)
	c.writers, err2 = numbers(*writers)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	if c.suites, err = choose("suite", *suite, suites); err != nil {
		return nil, err
	}
	if c.peers, err = choose("contender", *contenders, names(peers.All())); err != nil {
		return nil, err
	}
	if f.NArg() > 0 || c.rounds < 1 || c.sample <= 0 || c.rate < 1 {
		return nil, errors.New("unexpected arguments, see -help")
	}
	return c, nil
}

func names(list []peer.Peer) (out []string) {
	for _, p := range list {
		out = append(out, p.Name)
	}
	return out
}

// choose splits a list of names and checks each.
func choose(kind, list string, known []string) ([]string, error) {
	if list == "all" {
		return known, nil
	}
	chosen := strings.Split(list, ",")
	for _, name := range chosen {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no %s %q; there are %s", kind, name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

func numbers(list string) (out []int, err error) {
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number above 0", text)
		}
		out = append(out, n)
	}
	return out, nil
}

func run(args []string, stdout, stderr io.Writer) error {
	c, err := parse(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case c.probe != "":
		return load.Probe(c.probe, stdout)
	case c.importing != "":
		return load.ImportInto(c.importing, stdout)
	case c.serve:
		return load.Serve(os.Stdin, stdout)
	case c.doc != "":
		return report.UpdateDocument(filepath.Join("..", "docs", "PERFORMANCE.md"), c.doc)
	}
	result, err := c.measure()
	if err != nil {
		return err
	}
	return c.show(result)
}

func (c *config) show(result *report.Result) error {
	if c.json != "" {
		if err := result.Write(c.json); err != nil {
			return err
		}
	}
	if c.html != "" {
		if err := report.WriteHTML(c.html, result); err != nil {
			return err
		}
	}
	m := result.Machine
	fmt.Fprintf(c.output, "%s, %d processors, %s, kernel %s, %s, commit %s\n\n", m.CPU, m.Processors, m.Go, m.Kernel, m.FileSystem, result.Commit)
	return result.Table(c.output)
}

// measure runs everything that was asked for.
func (c *config) measure() (_ *report.Result, err error) {
	dir, err := c.workDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	machine, meter, started := report.ThisMachine(dir), report.StartMeter(), time.Now()
	time.Sleep(time.Second) // all work until then is that of others
	machine.Load = meter.Others()
	chosen, err := c.contenders(dir)
	if err != nil {
		return nil, err
	}
	if machine.Busy() {
		fmt.Fprintf(c.progress, "bench: the machine has other work (load %.1f): figures will be worth little\n", machine.Load)
	}
	r := &report.Result{
		Format: report.Format, Started: started.UTC().Truncate(time.Second),
		Commit: report.Commit(), Machine: machine, Versions: versions(chosen),
		Settings: report.Settings{
			Suites: c.suites, Sessions: c.sizes, Writers: c.writers, Rounds: c.rounds, Millis: c.sample.Milliseconds(),
			Rate: c.rate, Seed: c.seed, Floor: peers.Floor, Checked: peers.Checked,
		},
	}
	for _, p := range chosen {
		r.Peers = append(r.Peers, report.PeerInfo{Name: p.Name, Note: p.Note, Durability: string(p.Durability)})
	}
	s := newSession(c, dir, chosen, started)
	if c.before != "" {
		other, end, err := c.startBefore(dir)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, end()) }()
		s.before, r.Settings.Before = other.Remote, other.commit
		r.Peers = append(r.Peers, report.PeerInfo{Name: report.Before, Note: "snib at commit " + other.commit + ", " + other.harness, Durability: string(peer.Synced)})
	}
	if err := s.all(); err != nil {
		return nil, err
	}
	s.clearProgress()
	if c.before == "" { // else a child works, too
		r.Machine.Load = meter.Others()
	}
	r.Rows = s.rows
	r.Finish()
	r.Seconds = time.Since(started).Round(time.Second / 10).Seconds()
	return r, nil
}

// workDir makes an empty folder on the disk that is measured.
func (c *config) workDir() (string, error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(c.dir, "stores-")
	if err != nil {
		return "", err
	}
	if fs := report.ThisMachine(dir).FileSystem; fs == "tmpfs" {
		fmt.Fprintln(c.progress, "bench: the stores are in memory (tmpfs), where a sync costs nothing: choose a disk with -dir")
	}
	return dir, nil
}

// contenders returns the chosen ones, each of which has passed the check.
func (c *config) contenders(dir string) ([]peer.Peer, error) {
	var list []peer.Peer
	for _, p := range peers.All() {
		always := !c.alone && (p.Name == peers.Floor || p.Name == peers.Checked)
		if !always && !slices.Contains(c.peers, p.Name) {
			continue
		}
		check := filepath.Join(dir, "check-"+p.Name)
		if err := errors.Join(peer.Conform(p, check), os.RemoveAll(check)); err != nil {
			return nil, fmt.Errorf("not measured, its check fails: %w", err)
		}
		list = append(list, p)
	}
	runtime.GC()
	return list, nil
}

func versions(list []peer.Peer) map[string]string {
	known := report.ModuleVersions()
	out := map[string]string{}
	for _, p := range list {
		for _, m := range p.Modules {
			out[m] = known[m]
		}
	}
	return out
}
