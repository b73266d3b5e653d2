package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

// facts are the findings in a file.
type facts struct {
	absent  bool              // there is no file
	problem error             // it does not open, or is not sound
	found   map[string]string // by lane
}

// An oracle knows all operations of a child and, while the trace is read, how many
// have begun and how many are acknowledged.
type oracle struct {
	lanes map[string]*lane
	news  bool // the last line heard makes more states wrong
}

// A lane has done acked operations at least and begun at most. states[n] is its
// part of the file after operation n.
type lane struct {
	acked, begun int
	last         int // acknowledged by the end
	names        map[int]string
	states       map[int]string
	failed       map[int]string // how operations ended that were not acknowledged
}

// newOracle hears the child's whole output in advance, and then resets the progress
// of each lane.
func newOracle(output string) *oracle {
	o := &oracle{lanes: map[string]*lane{}}
	for line := range strings.Lines(output) {
		o.hear(line)
	}
	for _, l := range o.lanes {
		l.last, l.acked, l.begun = l.acked, -1, -1
	}
	return o
}

// unheard is an error if less was heard than the child has said.
func (o *oracle) unheard() error {
	for name, l := range o.lanes {
		if l.acked != l.last {
			return fmt.Errorf("the record ends early: lane %s has acknowledged %d operations, and %d are in it", name, l.last, l.acked)
		}
	}
	return nil
}

// hear takes one line.
func (o *oracle) hear(line string) {
	o.news = false
	words := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
	if len(words) < 3 {
		return
	}
	l := o.lanes[words[1]]
	if l == nil {
		l = &lane{acked: -1, begun: -1, names: map[int]string{}, states: map[int]string{}, failed: map[int]string{}}
		o.lanes[words[1]] = l
	}
	n, err := strconv.Atoi(words[2])
	if err != nil {
		return
	}
	text := strings.Join(words[3:], "")
	switch words[0] {
	case "begin":
		l.begun, l.names[n] = n, text
	case "state":
		l.states[n] = text
	case "ack":
		l.acked, o.news = n, true
	case "fail":
		l.failed[n] = text
	}
}

// judge returns the fault of a file at this moment of the trace.
func (o *oracle) judge(f *facts) error {
	if f.problem != nil {
		return f.problem
	}
	for name, l := range o.lanes {
		if f.absent {
			if l.acked >= 0 {
				return fmt.Errorf("LOST: there is no file, and operation %d was acknowledged", l.acked)
			}
			continue
		}
		if err := l.judge(f.found[name]); err != nil {
			return fmt.Errorf("lane %s: %w", name, err)
		}
	}
	return nil
}

func (l *lane) judge(found string) error {
	for n := max(l.acked, 0); n <= l.begun; n++ {
		if l.states[n] == found || n > 0 && strings.HasSuffix(l.names[n], ", in steps") && between(l.states[n-1], l.states[n], found) && n > l.acked {
			return nil
		}
	}
	for n := l.begun; n >= 0; n-- {
		if l.states[n] == found && n < l.acked {
			return fmt.Errorf("LOST: operation %d was acknowledged, found is the state after %d (%s)", l.acked, n, l.names[n])
		}
	}
	return fmt.Errorf("HALF: found is no state that the file was in; acknowledged is %d (%s), begun is %d (%s)\nwas   %s\nnext  %s",
		l.acked, l.names[l.acked], l.begun, l.names[l.begun], differences(l.states[l.acked], found), differences(l.states[l.begun], found))
}

// between reports whether found is on the way from before to after: each of its records
// is as before or after, and there are all whose keys were there before and after.
func between(before, after, found string) bool {
	was, will, is := recordsOf(before), recordsOf(after), recordsOf(found)
	for key, value := range is {
		if value != was[key] && value != will[key] {
			return false
		}
	}
	for key := range was {
		if will[key] != "" && is[key] == "" {
			return false
		}
	}
	return true
}

// differences tells two contents apart, found from another: the first 20 records.
func differences(other, found string) string {
	was, is := recordsOf(other), recordsOf(found)
	var list []string
	for key, value := range is {
		if was[key] != value {
			list = append(list, "+"+key)
		}
	}
	for key, value := range was {
		if is[key] != value {
			list = append(list, "-"+key)
		}
	}
	slices.Sort(list)
	return fmt.Sprintf("%d differ: %s", len(list), strings.Join(list[:min(len(list), 20)], ", "))
}

// recordsOf returns the records of contents, by bucket and key.
func recordsOf(text string) map[string]string {
	found := map[string]string{}
	for part := range strings.FieldsSeq(text) {
		bucket, list, _ := strings.Cut(part, "=")
		for record := range strings.SplitSeq(list, ",") {
			key := record[:min(8, len(record))]
			found[bucket+" "+key] = record
		}
	}
	return found
}

// An inspector looks into files. The directory should be in memory.
type inspector struct {
	dir   string
	looks map[string]func(*snib.DB) (string, error) // each returns the state of its lane

	// raw asks for the state of the lane "all" before snib opens the file, which
	// changes it.
	raw bool

	mend bool // the file may be damaged, and then Repair must help
}

// inspect opens an image of a file, checks it, reads the state of each lane and
// writes to it.
func (i *inspector) inspect(worker int, image []byte) *facts {
	path := filepath.Join(i.dir, fmt.Sprintf("state-%d.snib", worker))
	used := len(bytes.TrimRight(image, "\x00")) // most of a new file is not
	err := errors.Join(os.WriteFile(path, image[:used], 0o600), os.Truncate(path, int64(len(image))))
	if err != nil {
		panic(err) // unreachable but for want of memory
	}
	return i.look(path)
}

func (i *inspector) look(path string) *facts {
	f := &facts{found: map[string]string{}}
	if i.raw {
		if f.found["all"], f.problem = rawContents(path); f.problem != nil {
			return f
		}
	}
	o := options(func() time.Time { return start })
	o.Keys, o.InsecureNoSync = keys(), true // the file itself is of no worth
	db, err := snib.Open(path, o)
	if err != nil {
		f.problem = fmt.Errorf("does not open: %w", err)
		return f
	}
	defer db.Close()
	if i.mend {
		if _, err := db.Repair(ctx); err != nil {
			f.problem = fmt.Errorf("cannot be repaired: %w", err)
			return f
		}
	}
	if _, err := db.Check(ctx); err != nil {
		f.problem = err
		return f
	}
	for name, look := range i.looks {
		if f.found[name], err = look(db); err != nil {
			f.problem = fmt.Errorf("cannot be read: %w", err)
			return f
		}
	}
	if _, err := db.CreateUser(context.Background(), snib.NewUser{Provider: "later", Identifier: "one more"}); err != nil {
		f.problem = fmt.Errorf("cannot be written: %w", err)
	}
	return f
}

// operations returns how many operations were acknowledged by the end.
func (o *oracle) operations() (n int) {
	for _, l := range o.lanes {
		n += l.acked + 1
	}
	return n
}
