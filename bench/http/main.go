// Command http measures libraries that keep accounts, each behind the same requests
// over loopback. See README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snibdb/snib/bench/http/internal/drive"
	"github.com/snibdb/snib/bench/internal/report"
)

type config struct {
	rounds, answers int
	limits          drive.Limits
	only, sources   []string
	dir, doc        string
	progress        io.Writer
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "http:", err)
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	c := config{progress: progress}
	flags := flag.NewFlagSet("http", flag.ContinueOnError)
	flags.SetOutput(progress)
	var clients, only, sources string
	flags.IntVar(&c.rounds, "rounds", 3, "rounds")
	flags.StringVar(&clients, "clients", "1,16,64", "clients at once")
	flags.DurationVar(&c.limits.For, "for", 500*time.Millisecond, "how long each work is asked for by each number of clients")
	flags.IntVar(&c.limits.Most, "most", 20_000, "requests of it at most")
	flags.IntVar(&c.answers, "answers", 160, "answers before kill -9")
	flags.StringVar(&only, "only", "", "servers whose names begin so, separated by commas; all")
	flags.StringVar(&sources, "src", "", "checkouts: betterauth=FOLDER,theauth=FOLDER")
	flags.StringVar(&c.dir, "dir", "../../out", "folder for the files, which are removed")
	flags.StringVar(&c.doc, "doc", "", "file into which the tables are put, between their marks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, n := range list(clients) {
		i, err := strconv.Atoi(n)
		if err != nil || i < 1 {
			return fmt.Errorf("-clients %s: not a number", n)
		}
		c.limits.Clients = append(c.limits.Clients, i)
	}
	c.only, c.sources = list(only), list(sources)
	text, err := c.measure()
	if err != nil {
		return err
	}
	if c.doc != "" {
		return update(c.doc, text)
	}
	_, err = io.WriteString(out, text)
	return err
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

// sourcesByName are the checkouts.
func (c *config) sourcesByName() map[string]string {
	m := map[string]string{}
	for _, s := range c.sources {
		name, folder, _ := strings.Cut(s, "=")
		m[name] = folder
	}
	return m
}

// measure builds all servers, checks them, lets them take turns and kills them.
func (c *config) measure() (_ string, err error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(c.dir, "http-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &results{config: c, machine: report.ThisMachine(dir)}
	if err := c.build(r, dir); err != nil {
		return "", err
	}
	meter, began := report.StartMeter(), time.Now()
	for round := range c.rounds {
		for i := range r.servers { // in an order that moves on
			s := &r.servers[(i+round)%len(r.servers)]
			fmt.Fprintf(c.progress, "round %d of %d: %s\n", round+1, c.rounds, s.Name)
			in := filepath.Join(dir, fmt.Sprint("round", round, "-", (i+round)%len(r.servers)))
			got, err := drive.Measure(s.program, s.Contender, in, c.limits)
			if err := errors.Join(err, os.RemoveAll(in)); err != nil {
				return "", err
			}
			s.rounds = append(s.rounds, got)
		}
	}
	for i := range r.servers {
		s := &r.servers[i]
		if s.Lost {
			continue
		}
		fmt.Fprintf(c.progress, "kill -9: %s\n", s.Name)
		s.crash, err = drive.Kill(s.program, s.Contender, filepath.Join(dir, fmt.Sprint("kill-", i)), slices.Max(c.limits.Clients), c.answers)
		if err != nil {
			return "", err
		}
	}
	r.machine.Load, r.took = meter.Others(), time.Since(began)
	return r.String(), nil
}

// build compiles and checks the servers that are asked for.
func (c *config) build(r *results, dir string) error {
	for i, x := range drive.Contenders() {
		if len(c.only) > 0 && !slices.ContainsFunc(c.only, func(s string) bool { return strings.HasPrefix(x.Name, s) }) {
			continue
		}
		fmt.Fprintf(c.progress, "build and check: %s\n", x.Name)
		program, err := drive.Build(".", dir, x, c.sourcesByName())
		if errors.Is(err, drive.ErrNotHere) {
			fmt.Fprintf(c.progress, "%s: %v\n", x.Name, err)
			r.missing = append(r.missing, x.Name)
			continue
		}
		if err == nil {
			err = drive.Check(program, x, filepath.Join(dir, fmt.Sprint("check-", i)))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", x.Name, err)
		}
		r.servers = append(r.servers, measured{Contender: x, program: program, version: drive.Version(program, x, c.sourcesByName())})
	}
	if len(r.servers) == 0 {
		return fmt.Errorf("no server of %v can be built here", c.only)
	}
	return nil
}
