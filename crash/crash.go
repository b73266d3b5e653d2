package main

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/snibdb/snib"
)

const databaseName = "accounts.snib"

// crashRun is one run of the crash-state generator.
type crashRun struct {
	job
	sector, full, samples int

	// leaveOut, if it is not nil, takes events out of the trace: a mistake to
	// be found.
	leaveOut func(*event) bool
}

// crashStates runs the workload in a traced child and looks at every state
// that a crash could have left. It returns the failure of the child or the trace,
// or the first state that breaks a promise.
func crashStates(r crashRun) (*explorer, error) {
	dir, err := tempDir("snib-crash-*", "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	memory, err := tempDir("snib-states-*", "/dev/shm")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(memory)
	r.Path = filepath.Join(dir, databaseName)
	golden, err := r.lay()
	if err != nil {
		return nil, err
	}
	log := filepath.Join(memory, "trace")
	output, err := traced(r.job, log)
	if err != nil {
		return nil, err
	}
	trace, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer trace.Close()
	in := r.inspector()
	in.dir = memory
	disk := newDisk(dir)
	if r.Golden != "" {
		disk.place(r.Path, golden)
	}
	x := &explorer{
		disk: disk, path: r.Path, oracle: newOracle(output), rng: rand.New(rand.NewPCG(r.Seed, 2)),
		sector: r.sector, full: r.full, samples: r.samples, inspect: in.inspect,
		hashes: maphash.MakeSeed(), known: map[uint64]*facts{},
	}
	visit := x.visit
	if r.leaveOut != nil {
		visit = func(e *event) error {
			if r.leaveOut(e) {
				return nil
			}
			return x.visit(e)
		}
	}
	if err := readTrace(trace, dir, visit); err != nil {
		return x, err
	}
	if x.states == 0 {
		return x, fmt.Errorf("the trace has no state to look at")
	}
	return x, x.oracle.unheard()
}

// inspector returns the inspector for the database of a job.
func (j job) inspector() *inspector {
	in := &inspector{looks: map[string]func(*snib.DB) (string, error){}}
	switch j.Kind {
	case "cascades":
		in.raw, in.looks["shadow"] = true, noShadow
	case "repairs":
		in.raw, in.mend = true, true
	case "upgrade":
		in.raw = true
		in.looks["kept"] = keptContents
	default:
		for i := range j.Lanes {
			in.looks[laneName(i)] = func(db *snib.DB) (string, error) { return summary(db, laneName(i)) }
		}
	}
	return in
}

// tempDir makes a directory, in preferred if that exists, and returns its path
// without symbolic links, as it stands in a trace.
func tempDir(pattern, preferred string) (string, error) {
	if _, err := os.Stat(preferred); err != nil {
		preferred = ""
	}
	dir, err := os.MkdirTemp(preferred, pattern)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}
