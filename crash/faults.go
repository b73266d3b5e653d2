package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/snibdb/snib"
)

// Faults: system calls fail, one here and one there, and the workload goes on
// as a program should. The trace names the failed call, the child reports the
// error and the content of the file; the two are compared.

// kinds are how an operation can end, by its error. An answer that the workload
// could not foresee, such as ErrUserNotFound, is "refused".
const (
	isFull    = "full"    // ErrFull: nothing written, nothing lost
	isUnknown = "unknown" // ErrUnknown, and ErrClosed ever after: may be written
	isPlain   = "plain"   // any other error of the system: nothing written
	isRefused = "refused" // a verdict on the accounts
)

func kindOf(err error) string {
	err = causeOf(err)
	switch {
	case errors.Is(err, snib.ErrUnknown), errors.Is(err, snib.ErrClosed):
		return isUnknown
	case errors.Is(err, snib.ErrFull):
		return isFull
	}
	for _, verdict := range []error{
		errSkip, snib.ErrUserNotFound, snib.ErrUserDisabled, snib.ErrInvalidCredentials, snib.ErrInvalidSession,
		snib.ErrInvalidRefreshToken, snib.ErrRefreshTokenReused, snib.ErrInvalidOneTimeToken, snib.ErrIdentityTaken, snib.ErrAttributeTaken, snib.ErrInvalidInput,
		snib.ErrSecondFactor, snib.ErrFactorNotFound, snib.ErrInvalidPending, snib.ErrInvalidChallenge, snib.ErrPasskeyTaken, snib.ErrPasskeyCloned, snib.ErrNotFresh,
		snib.ErrInvalidAPIKey, snib.ErrAPIKeyLimit, snib.ErrDeviceNotFound, snib.ErrOneTimeTokenLimit, snib.ErrTooMany,
	} {
		if errors.Is(err, verdict) {
			return isRefused
		}
	}
	return isPlain
}

func init() { jobs["faults"] = faults }

// faults runs the workload and retries each failed operation. It says
//
//	fail LANE N KIND      as in child.go, an operation failed
//	found LANE N TEXT     the content of the file then
//	aside                 the logger was told that something was not written in the
//	                      background, or beside the answer, or it was written again
func faults(j job) error {
	w := newWork(j.Seed, false)
	s := &sequence{job: j, work: w}
	w.reopen = s.reopenAnyhow
	say("begin all 0 Open")
	if err := s.openAnyhow(); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return err
	}
	for i := range len(declare) + j.Ops {
		op := operation{}
		if i < len(declare) {
			op = declare[i]
		} else {
			op = w.draw(i - len(declare))
		}
		for _, op := range op.all() {
			w.pass(op)
			if s.n++; op.steps {
				op.name += ", in steps"
			}
			if err := s.insist(op); err != nil {
				return fmt.Errorf("operation %d, %s: %w", s.n, op.name, err)
			}
		}
	}
	return s.lastLook()
}

// tries is how often something is tried while calls fail. They do not fail as
// often as that in a row.
const tries = 50

// insist does an operation until it is done, or refused.
func (s *sequence) insist(op operation) error {
	before, err := s.look()
	if err != nil {
		return err
	}
	for range tries {
		replays, err := s.replays()
		say("begin all %d %s", s.n, op.name)
		if err == nil {
			err = s.work.run(op)
		}
		if err == nil {
			// Replacing a hash is nothing that a log-in fails by.
			var now int64
			if now, err = s.replays(); now > replays {
				say("aside")
			}
		}
		if err == nil || kindOf(err) == isRefused {
			return s.done()
		}
		say("fail all %d %s", s.n, kindOf(err))
		if kindOf(err) == isUnknown {
			if err := s.recover(); err != nil {
				return err
			}
		}
		found, err := s.look()
		if err != nil {
			return err
		}
		say("found all %d %s", s.n, found)
		if found != before && !op.steps {
			return s.done() // it did happen
		}
	}
	return fmt.Errorf("failed %d times", tries)
}

// replays is how often an operation was run again, for example after it shared a
// commit that a background write made fail.
func (s *sequence) replays() (int64, error) {
	stats, err := s.work.db.Stats(ctx)
	return stats.Replays, err
}

// look is contents; where calls fail, after opening the file again if a commit in the
// background has been in doubt.
func (s *sequence) look() (string, error) {
	text, err := contents(s.work.db)
	if err == nil || s.Kind != "faults" || kindOf(err) != isUnknown {
		return text, err
	}
	if err := s.recover(); err != nil {
		return "", err
	}
	return contents(s.work.db)
}

// recover opens the file again after ErrUnknown, as a program must: until then
// every call returns ErrClosed.
func (s *sequence) recover() error {
	if _, err := s.work.db.GetUser(ctx, "u"); !errors.Is(err, snib.ErrClosed) {
		return fmt.Errorf("a read after ErrUnknown: %w", err)
	}
	if err := s.work.db.EndEverything(ctx); !errors.Is(err, snib.ErrClosed) {
		return fmt.Errorf("a write after ErrUnknown: %w", err)
	}
	return s.reopenAnyhow(s.work.options())
}

// reopenAnyhow closes the database, ignores the error of Close, and opens it.
func (s *sequence) reopenAnyhow(*snib.Options) error {
	s.work.db.Close()
	return s.openAnyhow()
}

// openAnyhow retries Open while system calls fail. A failed Open leaves no file or
// a whole one.
func (s *sequence) openAnyhow() error {
	for range tries {
		o := s.work.options()
		o.Logger = slog.New(asides{slog.DiscardHandler})
		err := s.open(o)
		if err == nil {
			_, err := s.work.db.Check(ctx)
			return err
		}
		if kindOf(err) == isRefused || errors.Is(err, snib.ErrCorrupt) || errors.Is(err, snib.ErrForeignFile) {
			return err
		}
		say("fail all %d %s", s.n, kindOf(err))
	}
	return fmt.Errorf("could not be opened %d times", tries)
}

// asides reports the failures that only the logger is told.
type asides struct{ slog.Handler }

// Enabled implements slog.Handler.
func (asides) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (asides) Handle(_ context.Context, r slog.Record) error {
	for _, text := range []string{"not stored", "not written", "not upgraded"} {
		if strings.Contains(r.Message, text) {
			say("aside")
		}
	}
	return nil
}

// lastLook checks that the file has the content that the handle showed.
func (s *sequence) lastLook() error {
	before, err := s.look()
	if err != nil {
		return err
	}
	if err := s.reopenAnyhow(nil); err != nil {
		return err
	}
	after, err := contents(s.work.db)
	if err != nil {
		return err
	}
	say("state all %d %s", s.n+1, before)
	say("begin all %d Close and Open at the end", s.n+1)
	say("found all %d %s", s.n+1, after)
	return nil
}

// An injection is the order for strace: every Step-th call fails, from
// the First on, counted for each thread.
type injection struct {
	call, errno string
	first, step int
}

func (i injection) String() string {
	return fmt.Sprintf("%s:error=%s:when=%d+%d", i.call, i.errno, i.first, i.step)
}

// faultRun is the outcome of one run.
type faultRun struct {
	hits     map[string]int // calls that were made to fail, by operation and kind
	outcomes map[string]int // operations that failed, by call and kind
}

// runFaults runs the workload with system calls failing and compares.
func runFaults(j job, in injection) (*faultRun, error) {
	dir, err := tempDir("snib-faults-*", "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	j.Kind, j.Path = "faults", filepath.Join(dir, databaseName)
	log := filepath.Join(dir, "trace")
	output, err := traced(j, log, in.String())
	if err != nil {
		return nil, fmt.Errorf("%v: %w", in, err)
	}
	trace, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer trace.Close()
	a := &audit{oracle: newOracle(output), in: in, run: &faultRun{map[string]int{}, map[string]int{}}, begun: map[string]*event{}}
	a.founds = founds(output)
	if err := readTrace(trace, dir, a.visit); err != nil {
		return nil, fmt.Errorf("%v: %w", in, err)
	}
	if err := errors.Join(a.untold(), a.unread()); err != nil {
		return nil, fmt.Errorf("%v: %w", in, err)
	}
	i := &inspector{looks: map[string]func(*snib.DB) (string, error){}}
	if f := i.look(j.Path); f.problem != nil {
		return nil, fmt.Errorf("%v: afterwards: %w", in, f.problem)
	}
	return a.run, nil
}

// founds returns the contents that the child found after failures, in order.
func founds(output string) (texts []string) {
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "found ") {
			texts = append(texts, strings.SplitN(strings.TrimSpace(line), " ", 4)[3])
		}
	}
	return texts
}

// An audit compares a trace with the lines of the child.
type audit struct {
	oracle *oracle
	in     injection
	run    *faultRun
	founds []string
	begun  map[string]*event // calls, by process
	failed []string          // calls made to fail since the last line
	kind   string            // how the last operation failed
	asides int               // since the last operation ended
	unsaid []unsaid          // failures that no operation has reported; an aside may come
}

// unsaid is a failure that its operation has not reported.
type unsaid struct {
	n   int // of the operation
	err error
}

// late is for how many operations more an aside may come.
const late = 2

func (a *audit) visit(e *event) error {
	if e.begin {
		a.begun[e.pid] = e
	}
	b := a.begun[e.pid]
	if e.end && e.injected && b != nil {
		a.failed = append(a.failed, b.call)
		l := a.lane()
		a.run.hits[fmt.Sprintf("%s in %s", b.call, l.names[l.begun])]++
	}
	if e.begin && e.call == "write" && strings.HasPrefix(e.args[0], "1<") {
		return a.hear(e.args[1])
	}
	return nil
}

func (a *audit) lane() *lane { return a.oracle.lanes["all"] }

// hear takes a line, of which the trace has the beginning.
func (a *audit) hear(line string) error {
	words := strings.Fields(line)
	l := a.lane()
	switch words[0] {
	case "begin":
		a.oracle.hear(line)
	case "fail":
		a.kind = words[3]
		return a.judgeKind(l.names[l.begun], a.kind)
	case "found":
		found := a.founds[0]
		a.founds = a.founds[1:]
		return a.judgeFound(found)
	case "ack":
		a.oracle.hear(line)
		// A call that fails at Open is tried again.
		if len(a.failed) > 0 && a.asides == 0 && !strings.Contains(l.names[l.begun], "Open") {
			a.unsaid = append(a.unsaid, unsaid{l.begun, fmt.Errorf("%s failed in operation %d, %s, and nothing was said", a.failed, l.begun, l.names[l.begun])})
		}
		a.failed, a.asides = nil, 0
	case "aside":
		// The goroutine of a background write may tell it later than an operation ends.
		if last := len(a.unsaid) - 1; last >= 0 && l.begun <= a.unsaid[last].n+late {
			a.unsaid = a.unsaid[:last]
		} else {
			a.asides++
		}
	}
	return nil
}

// judgeKind compares an error with the call that failed.
func (a *audit) judgeKind(name, kind string) error {
	want := isPlain
	switch {
	case len(a.failed) == 0:
		return fmt.Errorf("%s failed (%s) without a reason", name, kind)
	case slices.ContainsFunc(a.failed, func(call string) bool { return strings.HasSuffix(call, "sync") }):
		want = isUnknown
	case a.in.errno == "ENOSPC":
		want = isFull
	}
	if strings.Contains(name, "Open") { // which has no handle yet that could be in doubt
		want = kind
	}
	if kind != want {
		return fmt.Errorf("%s failed by %s of %s: said is %s, want %s", name, a.in.errno, a.failed, kind, want)
	}
	a.run.outcomes[fmt.Sprintf("%s %s: %s", a.in.errno, a.failed[0], kind)]++
	a.failed, a.asides = nil, 0
	return nil
}

// judgeFound compares the content of the file after a failure.
func (a *audit) judgeFound(found string) error {
	a.failed = nil // of opening it again, which was tried until it did
	l := a.lane()
	n := l.begun
	before, after := l.states[n-1], l.states[n]
	switch {
	case found == before, a.kind == isUnknown && found == after:
		return nil
	case strings.HasSuffix(l.names[n], ", in steps") && between(before, after, found):
		return nil
	}
	return fmt.Errorf("operation %d, %s, failed (%s) and left another file: %s", n, l.names[n], a.kind, differences(before, found))
}

// untold is an error if a call failed and neither the operation nor the logger said so.
func (a *audit) untold() error {
	if len(a.unsaid) == 0 {
		return nil
	}
	return a.unsaid[0].err
}

// unread is an error if the trace ended early.
func (a *audit) unread() error {
	if len(a.founds) > 0 {
		return fmt.Errorf("%d lines of the child are not in the trace", len(a.founds))
	}
	return nil
}

// all is how many calls were made to fail.
func (r *faultRun) all() (n int) {
	for _, hits := range r.hits {
		n += hits
	}
	return n
}
