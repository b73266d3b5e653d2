package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/bench/internal/peers"
	"github.com/snibdb/snib/bench/internal/report"
)

// Names of figures that the document of the goals looks for.
const (
	WorkImport       = "import of as many users"
	WorkImportMemory = "most memory of an import, without the file's pages"
)

// imported is the result of an import in another process.
type imported struct {
	Took      time.Duration
	MostBytes float64
}

// Import moves as many users as the store has sessions into a file of their own,
// by ImportUsers in another process, for its memory.
func Import(s *Subject, _ Plan) ([]report.Row, error) {
	program, err := os.Executable() // the harness itself
	if err != nil {
		return nil, err
	}
	dir := s.dir + "-import"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-import", strconv.Itoa(s.Sessions)+","+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var found imported
	if err == nil {
		err = json.Unmarshal(out, &found)
	}
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return nil, fmt.Errorf("an import in another process: %w", err)
	}
	return []report.Row{
		s.figure("import", WorkImport, report.Ns, float64(found.Took)),
		s.figure("import", WorkImportMemory, report.Bytes, found.MostBytes),
	}, nil
}

// ImportInto is the other process of Import. to is the number of users and the
// folder, with a comma between.
func ImportInto(to string, out io.Writer) error {
	number, dir, _ := strings.Cut(to, ",")
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	db, err := snib.Open(filepath.Join(dir, peers.SnibFile), peers.SnibOptions())
	if err != nil {
		return err
	}
	most := watchMemory()
	start := time.Now()
	r, err := db.ImportUsers(context.Background(), strangers(n), snib.ImportOptions{})
	found := imported{Took: time.Since(start), MostBytes: most()}
	if err == nil && r.Imported != n {
		err = fmt.Errorf("%d of %d are imported", r.Imported, n)
	}
	return errors.Join(err, json.NewEncoder(out).Encode(found), db.Close())
}

// strangers are users of another system: an address, a bcrypt hash of cost 10
// and an attribute each, in the order of their addresses' hashes.
func strangers(n int) iter.Seq2[snib.UserImport, error] {
	return func(yield func(snib.UserImport, error) bool) {
		for i := range n {
			u := snib.UserImport{
				Provider: "email", Identifier: fmt.Sprintf("%x.%d@example.com", uint32(i)*2654435761, i),
				PasswordHash: "$2b$10$jWR0JbunbcW8Fi5tg6avBu5V3kVRzuZ5pxMc63R8joVdfu7vCldYu",
				Attributes:   snib.Attributes{"name": fmt.Sprintf("User %d", i)},
			}
			if !yield(u, nil) {
				return
			}
		}
	}
}

// watchMemory looks at the memory of the process until the result is called,
// which returns the most.
func watchMemory() func() float64 {
	done := make(chan struct{})
	var most float64
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			m := report.ThisProcess()
			most = max(most, (m.ResidentMB-m.FilesMB)*1e6)
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return func() float64 {
		close(done)
		wait.Wait()
		return most
	}
}
