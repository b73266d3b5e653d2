package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/records"
	bolt "go.etcd.io/bbolt"
)

// The child process runs a workload and announces each operation and each
// acknowledgement on its standard output, one line and one write each. In a trace
// of its system calls the lines stand among the writes and syncs of the database,
// so the trace proves their order.
//
//	begin LANE N NAME    operation N of a lane is about to be called
//	state LANE N TEXT    the lane's part of the file once N is done
//	ack LANE N           it has returned nil
//	fail LANE N ERROR    it has returned an error of this kind
//
// A lane is a sequence of operations that no other lane disturbs: "all" is the
// whole file, a byte of it; others are one user each.

// A job is the order for a child.
type job struct {
	Kind   string // a key of jobs
	Path   string // of the database
	Seed   uint64
	Ops    int    // operations, of each lane
	First  int    // number of the first damaged file
	Lanes  int    // users worked on at once
	Mutant string // a mistake to be found: "nosync", "ackfirst", "half", "plain", or the name of a plant
	Golden string // the file of format 1 to begin with
	Only   string // the one operation of the workload to do, if not all
	Said   string // the file with the output of earlier children

	program string // that is the child; "" is this one
}

var jobs = map[string]func(job) error{}

// jobVariable holds the child's job in its environment.
const jobVariable = "SNIB_CRASH_JOB"

// plantVariable names the mistake for a library that has several planted.
const plantVariable = "SNIB_CRASH_PLANT"

// childMain does the job in the environment, if there is one, and ends the
// process. Programs and tests that start children call it first.
func childMain() {
	text := os.Getenv(jobVariable)
	if text == "" {
		return
	}
	var j job
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		err = jobs[j.Kind](j)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child returns the program that does j.
func (j job) child() (string, error) {
	if j.program != "" {
		return j.program, nil
	}
	return os.Executable()
}

// environ returns the environment of a child that does j.
func (j job) environ() []string {
	text, err := json.Marshal(j)
	if err != nil {
		panic(err) // unreachable: plain fields
	}
	return append(os.Environ(), jobVariable+"="+string(text), plantVariable+"="+j.Mutant)
}

// say writes a line with one system call.
func say(format string, args ...any) {
	if _, err := os.Stdout.WriteString(fmt.Sprintf(format, args...) + "\n"); err != nil {
		os.Exit(2) // the parent no longer listens
	}
}

func init() { jobs["cascades"] = cascades }

// cascades runs the workload alone, each operation to its end.
func cascades(j job) error {
	w := newWork(j.Seed, j.Mutant == "half")
	s := &sequence{job: j, work: w}
	w.reopen = s.reopen
	say("begin all 0 Open")
	if err := s.open(w.options()); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return err
	}
	for _, op := range append(declare, j.chosen().needs...) {
		if err := s.step(op); err != nil {
			return err
		}
	}
	for i := range j.Ops {
		s.first = i < len(operations)
		op := w.draw(i)
		if j.Only != "" {
			op = j.chosen()
		}
		if err := s.step(op); err != nil {
			return err
		}
	}
	if err := s.step(closeAndOpen); err != nil { // so that Close has nothing to store
		return err
	}
	return w.db.Close()
}

// chosen is the one operation to do, if not all.
func (j job) chosen() operation {
	if j.Only == "" {
		return operation{}
	}
	return operationOf(j.Only)
}

// sequence is the lane "all".
type sequence struct {
	job
	work  *work
	n     int  // operations so far
	first bool // the next is the first of its kind
	bolt  *bolt.DB
}

// open opens the database as the workload wants it, or with the mistake that
// nothing is synced.
func (s *sequence) open(o *snib.Options) (err error) {
	if s.Mutant != "nosync" {
		s.work.db, err = snib.Open(s.Path, o)
		return err
	}
	if s.bolt == nil {
		db, err := snib.Open(s.Path, o) // the mistake is in commits, not in creating
		if err != nil {
			return err
		}
		if err := db.Close(); err != nil {
			return err
		}
		if s.bolt, err = bolt.Open(s.Path, 0o600, &bolt.Options{NoSync: true}); err != nil {
			return err
		}
	}
	o.InsecureNoSync = true
	s.work.db, err = snib.New(s.bolt, o)
	return err
}

func (s *sequence) reopen(o *snib.Options) error {
	if err := s.work.db.Close(); err != nil {
		return err
	}
	return s.open(o)
}

// step does the operations that must precede op, then op.
func (s *sequence) step(op operation) error {
	for _, op := range op.all() {
		if err := s.one(op); err != nil {
			return err
		}
	}
	return nil
}

// one does one operation, unless there is nothing to do it with.
func (s *sequence) one(op operation) error {
	if !op.still && op.name != closeAndOpen.name {
		s.work.pass(op)
	}
	s.n++
	name := op.name
	if op.steps {
		name += ", in steps"
	}
	say("begin all %d %s", s.n, name)
	if s.Mutant == "ackfirst" {
		say("ack all %d", s.n)
	}
	do := s.work.run
	if op.leaves != nil {
		do = s.work.cascade
	}
	err := do(op)
	switch {
	case errors.Is(err, errSkip) && !s.first: // the first of each kind has something to work on
		err = nil
	case err == nil && s.Mutant == "": // a mistake may write an event twice
		err = s.work.told(op)
	}
	if err != nil {
		return fmt.Errorf("operation %d, %s: %w", s.n, op.name, err)
	}
	return s.done()
}

// done reports the content of the file and acknowledges the operation.
func (s *sequence) done() error {
	text, err := s.look()
	if err != nil {
		return err
	}
	say("state all %d %s", s.n, text)
	if s.Mutant != "ackfirst" || s.n == 0 {
		say("ack all %d", s.n)
	}
	return nil
}

// contents sums up every byte that db holds, the application's rows too:
// "name=record,record…" of each bucket that has some, in order, where a record is 8
// digits of the hash of its key and 8 of that of its value.
func contents(db *snib.DB) (text string, err error) {
	err = db.View(ctx, func(tx *snib.Tx) error {
		text, err = contentsOf(tx.Bolt())
		return err
	})
	return text, err
}

func contentsOf(tx *bolt.Tx) (string, error) {
	var parts []string
	err := tx.ForEach(func(name []byte, b *bolt.Bucket) error {
		return sums(string(name), b, &parts)
	})
	slices.Sort(parts)
	return strings.Join(parts, " "), err
}

// shadow is where indexes are built for other declarations.
const shadow = "shadow"

// guesses is where failed guesses are counted. They are stored in the background, a
// second or a minute after they were made.
const guesses = codec.SpaceThrottle

// noShadow returns an error if Open has not removed the remains of an index build.
func noShadow(db *snib.DB) (string, error) {
	return "", db.View(ctx, func(tx *snib.Tx) error {
		if tx.Bolt().Bucket([]byte(records.Bucket)).Bucket([]byte(shadow)) != nil {
			return errors.New("the remains of a build of indexes are there")
		}
		return nil
	})
}

// sums adds the records of a bucket, and those of the buckets in it.
func sums(name string, b *bolt.Bucket, parts *[]string) error {
	var list []string
	err := b.ForEach(func(k, v []byte) error {
		if v == nil {
			if name == records.Bucket && (string(k) == shadow || string(k) == guesses) {
				return nil // Open removes the one, the other belongs to no operation
			}
			return sums(name+"/"+string(k), b.Bucket(k), parts)
		}
		if name == records.Bucket+"/"+codec.SpaceMeta && string(k) == codec.KeyState {
			v = timeless(v)
		}
		key, value := sha256.Sum256(k), sha256.Sum256(v)
		list = append(list, fmt.Sprintf("%x%x", key[:4], value[:4]))
		return nil
	})
	if len(list) > 0 {
		*parts = append(*parts, name+"="+strings.Join(list, ","))
	}
	return err
}

// timeless is the state of a file without the floor of its clock, which a commit in
// the background, and Close, move on.
func timeless(value []byte) []byte {
	s, err := codec.DecodeState(value)
	if err != nil {
		return value // of format 1, or damaged
	}
	s.Floor = 0
	return s.Append(nil)
}
