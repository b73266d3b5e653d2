package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	historyCalls    = 40 // of each client
	historyPatience = 20 * time.Second
)

// historyFigures are the outcomes of histories.
type historyFigures struct {
	histories, calls, overlapping, unknown, failed, inconclusive int

	ended map[string]int // calls, by operation and answer
}

func (f historyFigures) String() string {
	return fmt.Sprintf("%d histories, %d calls, %d of them beside others; %d may have happened, %d failed; %d histories not judged in time",
		f.histories, f.calls, f.overlapping, f.unknown, f.failed, f.inconclusive)
}

// count adds a history.
func (f *historyFigures) count(all []*exchange) {
	if f.ended == nil {
		f.ended = map[string]int{}
	}
	f.histories++
	f.calls += len(all)
	for _, x := range all {
		f.ended[x.Op+" "+x.Kind]++
		if x.to > x.from+1 {
			f.overlapping++
		}
		switch x.Kind {
		case answerUnknown:
			f.unknown++
		case answerFailed:
			f.failed++
		}
	}
}

// judge counts a history and returns its fault.
func (f *historyFigures) judge(output string) error {
	all, err := parseHistory(output)
	if err != nil {
		return err
	}
	f.count(all)
	err = linearizable(all, historyPatience)
	if errors.Is(err, errInconclusive) {
		f.inconclusive++
		err = nil
	}
	return err
}

// history lets run have children work on a new database and judges their output.
func (f *historyFigures) history(j job, run func(job) (string, error)) error {
	dir, err := tempDir("snib-history-*", "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	j.Kind, j.Path, j.Lanes, j.Ops = "history", filepath.Join(dir, databaseName), historyClients, historyCalls
	output, err := run(j)
	if err != nil {
		return err
	}
	if err := f.judge(output); err != nil {
		return err
	}
	i := &inspector{}
	return i.look(j.Path).problem
}

// calm runs a child in which nothing fails.
func calm(j job) (string, error) {
	program, err := j.child()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(program)
	cmd.Env = j.environ()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("child: %w\n%s", err, &stderr)
	}
	return stdout.String(), nil
}

// failing runs a child some of whose system calls fail.
func failing(in injection) func(job) (string, error) {
	return func(j job) (string, error) {
		output, err := traced(j, os.DevNull, in.String())
		if err != nil {
			err = fmt.Errorf("%v: %w", in, err)
		}
		return output, err
	}
}

// killing kills two children while they work; a third goes on to its end.
func killing(j job) (string, error) {
	rng := rand.New(rand.NewPCG(j.Seed, 5))
	var said []byte
	for range 2 {
		k := j
		k.Ops = 1 << 20
		if err := k.resume(said); err != nil {
			return "", err
		}
		output, err := runAndKill(k, time.Duration(10+rng.IntN(40))*time.Millisecond)
		if err != nil {
			return "", err
		}
		said = append(said, output[:bytes.LastIndexByte(output, '\n')+1]...)
	}
	j.Ops /= 4
	if err := j.resume(said); err != nil {
		return "", err
	}
	output, err := calm(j)
	return string(said) + output, err
}

// resume lets the job go on where earlier children ended.
func (j *job) resume(said []byte) error {
	if len(said) == 0 {
		return nil
	}
	j.Said = j.Path + ".said"
	return os.WriteFile(j.Said, said, 0o600)
}
