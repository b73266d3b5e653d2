// Command crash tests databases of snib against crashes, failing disks, killed
// processes and damaged files. See README.md.
//
// It runs everything again and again with other seeds until the time is up or
// something is found:
//
//	go run . -duration 8h
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	childMain()
	seed := flag.Uint64("seed", rand.Uint64(), "seed of the first round; the next has the next")
	duration := flag.Duration("duration", time.Minute, "how long to begin new rounds")
	ops := flag.Int("ops", 200, "operations of each workload")
	flag.Parse()
	if err := rounds(*seed, *ops, time.Now().Add(*duration)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// figures are the totals of all rounds.
type figures struct {
	rounds, operations, states, comparisons, faults, kills, files, cuts, calls int
}

func rounds(seed uint64, ops int, end time.Time) error {
	if err := straceable(); err != nil {
		return err
	}
	var f figures
	for ; time.Now().Before(end); seed++ {
		if err := f.round(seed, ops); err != nil {
			return fmt.Errorf("go run . -seed %d -ops %d: %w", seed, ops, err)
		}
		f.rounds++
		fmt.Printf("seed %d: %d rounds: %d operations, %d crash states, %d comparisons; %d failing calls; %d kills; %d damaged files; %d power cuts; %d calls in histories\n",
			seed, f.rounds, f.operations, f.states, f.comparisons, f.faults, f.kills, f.files, f.cuts, f.calls)
	}
	return nil
}

// round tries each kind of misfortune once.
func (f *figures) round(seed uint64, ops int) error {
	for _, j := range []job{{Kind: "cascades", Seed: seed, Ops: ops}, {Kind: "lanes", Seed: seed, Ops: ops / 8, Lanes: 8}, {Kind: "repairs", Seed: seed, Ops: ops / 20, Only: "Repair"}} {
		x, err := crashStates(crashRun{job: j, sector: 512, full: 5, samples: 8})
		if err != nil {
			return fmt.Errorf("crash states of %s: %w", j.Kind, err)
		}
		f.operations, f.states, f.comparisons = f.operations+x.oracle.operations(), f.states+x.states, f.comparisons+x.judged
	}
	rng := rand.New(rand.NewPCG(seed, 4))
	for _, call := range []string{"pwrite64", "fdatasync", "ftruncate", "fsync"} {
		for _, errno := range []string{"EIO", "ENOSPC"} {
			step := map[bool]int{true: 61, false: 7}[call == "pwrite64"]
			run, err := runFaults(job{Seed: seed, Ops: ops}, injection{call, errno, 1 + rng.IntN(step), step})
			if err != nil {
				return fmt.Errorf("failing calls: %w", err)
			}
			f.faults += run.all()
		}
	}
	var k killed
	for range 20 {
		if err := killOnce(job{Seed: rng.Uint64(), Lanes: 16}, rng, &k); err != nil {
			return fmt.Errorf("kills: %w", err)
		}
	}
	f.kills += k.kills
	const files = 200
	d, err := damageFiles(seed, files, 100)
	if err != nil {
		return err
	}
	f.files += files
	if len(d.failures) > 0 {
		return fmt.Errorf("damaged files: %w", errors.New(d.failures[0]))
	}
	if err := f.histories(seed); err != nil {
		return fmt.Errorf("histories: %w", err)
	}
	return f.powerCuts(seed)
}

func (f *figures) histories(seed uint64) error {
	var h historyFigures
	runs := []func(job) (string, error){
		calm, killing, failing(injection{"fdatasync", "EIO", 5 + int(seed%7), 25}), failing(injection{"pwrite64", "ENOSPC", 20, 23}),
	}
	for n := range uint64(12) {
		if err := h.history(job{Seed: seed + n}, runs[int(n)%len(runs)]); err != nil {
			return err
		}
	}
	f.calls += h.calls
	return nil
}

func (f *figures) powerCuts(seed uint64) error {
	if err := cutsPossible(); err != nil {
		fmt.Printf("!!!! NOT TESTED: power cuts: %v !!!!\n", err)
		return nil
	}
	for _, block := range []string{"1024", "4096"} {
		c, err := powerCuts(cutRun{job: job{Kind: "lanes", Seed: seed, Ops: 30, Lanes: 6}, cuts: 200, mkfs: []string{"-b", block}})
		if err != nil {
			return fmt.Errorf("power cuts, blocks of %s: %w", block, err)
		}
		f.cuts += c.cuts
	}
	return nil
}
