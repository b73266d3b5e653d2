package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// killed counts the kills of a series and their acknowledged operations.
type killed struct {
	kills, acked int
}

// killOnce starts a child that works on j.Lanes users at once, kills it at a
// random moment and compares the file with the child's output. A kill leaves
// the page cache as it is: this tests locks, files and unfinished commits, not syncs.
func killOnce(j job, rng *rand.Rand, to *killed) error {
	dir, err := tempDir("snib-kill-*", "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	j.Kind, j.Path, j.Ops = "lanes", filepath.Join(dir, databaseName), 0
	output, err := runAndKill(j, time.Duration(rng.Int64N(int64(120*time.Millisecond))))
	if err != nil {
		return err
	}
	whole := output[:bytes.LastIndexByte(output, '\n')+1]
	o := newOracle(string(whole))
	for line := range bytes.Lines(whole) {
		o.hear(string(line))
	}
	to.kills++
	to.acked += o.operations()
	in := j.inspector()
	if _, err := os.Stat(j.Path); err != nil {
		return o.judge(&facts{absent: true})
	}
	return o.judge(in.look(j.Path))
}

// runAndKill kills a child a while after its first output, and returns its output.
func runAndKill(j job, after time.Duration) ([]byte, error) {
	program, err := j.child()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program)
	cmd.Env = j.environ()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	// The output is read all the time, or the child would wait for the pipe
	// and nothing would be in the works when it is killed.
	first := make([]byte, 1)
	_, err = io.ReadFull(pipe, first)
	timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
	rest, err2 := io.ReadAll(pipe)
	stopped := timer.Stop()
	cmd.Wait()
	if err != nil || err2 != nil || stopped {
		return nil, fmt.Errorf("child ended by itself: %v %v\n%s", err, err2, stderr.Bytes())
	}
	return append(first, rest...), nil
}
