package load

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/snibdb/snib/bench/internal/peer"
	"github.com/snibdb/snib/bench/internal/peers"
	"github.com/snibdb/snib/bench/internal/report"
)

// Names of figures that the document of the goals looks for.
const (
	WorkFile      = "file"
	WorkOpen      = "open"
	WorkHeapOpen  = "heap after open"
	WorkHeapUsed  = "heap after 100 k validations"
	WorkRSS       = "resident after 100 k validations, without the file's pages"
	WorkRSSFile   = "resident pages of the file after 100 k validations"
	WorkCheck     = "check of all"
	probeTokens   = "tokens"
	probeSessions = 100_000
)

// Size looks at a store after filling: how large its files are and how long it
// takes to open. The harness must not have worked on it yet.
func Size(s *Subject, _ Plan) (rows []report.Row, err error) {
	if s.Peer.Durability == peer.Memory {
		return nil, nil
	}
	rows = append(rows, s.figure("size", WorkFile, report.Bytes, float64(s.FileSize)))
	if err := s.Store.Close(); err != nil {
		return nil, err
	}
	open, err := s.timed("size", WorkOpen, func() (err error) {
		if s.Store, err = s.Peer.Open(s.dir, peer.Options{}); err != nil {
			return err
		}
		// An open store answers: work put off until the first call counts too.
		_, err = s.Store.Validate(s.Tokens.At(0))
		return err
	})
	return append(rows, open), err
}

// Check verifies every record of the file once.
func Check(s *Subject, _ Plan) ([]report.Row, error) {
	row, err := s.timed("check", WorkCheck, s.Store.(peer.Checker).Check)
	return []report.Row{row}, err
}

// timed is the time of one call, and that of processors.
func (s *Subject) timed(suite, work string, do func() error) (report.Row, error) {
	start, used := time.Now(), processorTime()
	err := do()
	row := s.figure(suite, work, report.Ns, float64(time.Since(start)))
	row.CPUs = []float64{float64(processorTime() - used)}
	return row, err
}

func (s *Subject) figure(suite, work, unit string, values ...float64) report.Row {
	return report.Row{Suite: suite, Work: work, Sessions: s.Sessions, Peer: s.Peer.Name, Unit: unit, Rounds: values}
}

// probed is the memory of another process, after opening and after validations.
type probed struct{ Open, Used report.Memory }

// MemoryOf measures the memory of a process that does nothing but open snib's
// store and validate sessions.
func MemoryOf(s *Subject, _ Plan) ([]report.Row, error) {
	program, err := os.Executable() // the harness itself
	if err != nil {
		return nil, err
	}
	if err := s.writeTokens(); err != nil {
		return nil, err
	}
	if err := s.Store.Close(); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-probe", s.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var found probed
	if err == nil {
		err = json.Unmarshal(out, &found)
	}
	store, err2 := s.Peer.Open(s.dir, peer.Options{})
	if err2 == nil {
		s.Store = store
	}
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("memory of another process: %w", err)
	}
	const mb = 1e6
	return []report.Row{
		s.figure("size", WorkHeapOpen, report.Bytes, found.Open.HeapMB*mb),
		s.figure("size", WorkHeapUsed, report.Bytes, found.Used.HeapMB*mb),
		s.figure("size", WorkRSS, report.Bytes, (found.Used.ResidentMB-found.Used.FilesMB)*mb),
		s.figure("size", WorkRSSFile, report.Bytes, found.Used.FilesMB*mb),
	}, nil
}

// writeTokens leaves tokens from all over the store for the other process.
func (s *Subject) writeTokens() error {
	f, err := os.Create(filepath.Join(s.dir, probeTokens))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	n := min(probeSessions, s.Tokens.Len())
	for i := range n {
		fmt.Fprintln(w, s.Tokens.At(i*(s.Tokens.Len()/n)))
	}
	return errors.Join(w.Flush(), f.Close())
}

// Probe is the other process of MemoryOf. It reads the tokens one by one, to
// keep them out of the measured memory.
func Probe(dir string, out io.Writer) error {
	store, err := peers.Snib().Open(dir, peer.Options{})
	if err != nil {
		return err
	}
	found := probed{Open: report.ThisProcess()}
	f, err := os.Open(filepath.Join(dir, probeTokens))
	if err != nil {
		return err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if _, err := store.Validate(s.Text()); err != nil {
			return err
		}
	}
	found.Used = report.ThisProcess()
	return errors.Join(json.NewEncoder(out).Encode(found), store.Close())
}
