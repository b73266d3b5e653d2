package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// The child that opens damaged files has so much address space and stack, and
// so much time for each file.
const (
	childSpace = 6 << 30 // bytes; the map of a database takes 1 GiB of it
	childStack = 64 << 20
	patience   = 30 * time.Second
)

func init() { jobs["damage"] = damageChild }

// damageChild examines damaged copies j.First, j.First+1, …, j.Ops-1 of the
// file in the directory j.Path.
//
//	begin N WOUND
//	done N VERDICT DETAIL
func damageChild(j job) error {
	debug.SetMaxStack(childStack)
	if !raceDetector { // which reserves more than any limit
		limit := syscall.Rlimit{Cur: childSpace, Max: childSpace}
		if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
			return err
		}
	}
	base, err := os.ReadFile(filepath.Join(j.Path, "base"))
	if err != nil {
		return err
	}
	t, err := loadTruth(filepath.Join(j.Path, "truth"))
	if err != nil {
		return err
	}
	path := filepath.Join(j.Path, databaseName)
	for n := j.First; n < j.Ops; n++ {
		b, w := damage(base, j.Seed, n)
		say("begin %d %s", n, w.name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
		verdict, detail := examine(path, &t, w.older)
		say("done %d %s %q", n, verdict, detail)
	}
	return nil
}

// damages are the outcomes of a series of damaged files.
type damages struct {
	verdicts map[string]map[string]int // wound, verdict, how many
	failures []string                  // WRONG, deaths and hangs, each with its number
	deaths   int
	dir      string // of the file that was damaged, if there are failures
}

// damageFiles examines n damaged copies of a database with so many users.
func damageFiles(seed uint64, n, users int) (*damages, error) {
	dir, err := tempDir("snib-damage-*", "/dev/shm")
	if err != nil {
		return nil, err
	}
	d := &damages{verdicts: map[string]map[string]int{}, dir: dir}
	defer func() {
		if len(d.failures) == 0 {
			os.RemoveAll(dir)
		}
	}()
	t, err := build(filepath.Join(dir, "base"), users, seed)
	if err != nil {
		return nil, err
	}
	if err := trim(filepath.Join(dir, "base")); err != nil {
		return nil, err
	}
	if err := t.save(filepath.Join(dir, "truth")); err != nil {
		return nil, err
	}
	for next := 0; next < n; {
		last, err := d.child(job{Kind: "damage", Path: dir, Seed: seed, First: next, Ops: n})
		if err != nil {
			return nil, err
		}
		next = last + 1
	}
	return d, nil
}

// trim cuts off the unused end of the file, where damage has no effect.
func trim(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	high := max(binary.NativeEndian.Uint64(b[16+40:]), binary.NativeEndian.Uint64(b[pageSize+16+40:])) // of either meta page
	return os.Truncate(path, int64(high)*pageSize)
}

// child runs one child until it ends, and returns the number of the last file
// that it began.
func (d *damages) child(j job) (last int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(j.environ(), "GOTRACEBACK=single", "GOMEMLIMIT=1GiB")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	last = j.First - 1
	wound, done := "", true
	hung := time.AfterFunc(patience, func() { cmd.Process.Signal(syscall.SIGQUIT) })
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		hung.Reset(patience)
		words := strings.SplitN(lines.Text(), " ", 4)
		if words[0] == "begin" {
			last++
			wound, done = strings.Join(words[2:], " "), false
			continue
		}
		done = true
		d.count(last, wound, words[2], words[3])
	}
	stopped := hung.Stop()
	err = cmd.Wait()
	switch {
	case err == nil:
		return last, nil
	case done:
		return 0, fmt.Errorf("child: %w\n%s", err, stderr.Bytes())
	case !stopped:
		d.count(last, wound, "HANG", head(stderr.String()))
	default:
		d.deaths++
		d.count(last, wound, "DEATH", head(stderr.String()))
	}
	return last, nil
}

// count notes a verdict.
func (d *damages) count(n int, wound, verdict, detail string) {
	if d.verdicts[wound] == nil {
		d.verdicts[wound] = map[string]int{}
	}
	d.verdicts[wound][verdict]++
	if verdict == strings.ToUpper(verdict) {
		d.failures = append(d.failures, fmt.Sprintf("file %d, %s: %s: %s", n, wound, verdict, detail))
	}
}

// head is the beginning of a crash, up to its first frames.
func head(text string) string {
	lines := strings.SplitN(text, "\n", 40)
	return strings.Join(lines[:min(len(lines), 30)], "\n")
}
