package importer_test

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/cmd/importer"
)

// rows makes TestScale import so many users with synced commits, and print time
// and memory: go test -run TestScale -v -rows 1000000
var rows = flag.Int("rows", 0, "rows that TestScale imports")

// TestScale measures. Its bound is of memory, which must not grow with the rows:
// 150 MB without the pages of the database file.
func TestScale(t *testing.T) {
	if *rows == 0 {
		t.Skip("measures with -rows")
	}
	for _, format := range []string{"csv", "jsonl", "json"} {
		for _, sorted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/sorted=%v", format, sorted), func(t *testing.T) { measure(t, format, sorted) })
		}
	}
}

func measure(t *testing.T, format string, sorted bool) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users."+format)
	if err := generate(path, format, *rows, sorted); err != nil {
		t.Fatal(err)
	}
	file := strings.Replace(mapping, `"csv"`, `"`+format+`"`, 1)
	if format == "json" {
		file = strings.Replace(file, `"id"`, `"records": ["users"], "id"`, 1)
	}
	db, err := snib.Open(filepath.Join(dir, "accounts.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	stop, peak := make(chan struct{}), make(chan int64)
	go watch(stop, peak)
	began := time.Now()
	r := run(t, db, importer.Source{From: format, Path: path, File: write(t, "mapping.json", file)}, importer.Options{})
	took := time.Since(began)
	close(stop)
	most := <-peak
	t.Logf("%d rows in %.1f s, %.0f rows/s, at most %d MB of anonymous memory", r.Rows, took.Seconds(), float64(r.Rows)/took.Seconds(), most>>20)
	if r.Imported != *rows || most > 150<<20 {
		t.Errorf("%d imported, %d bytes", r.Imported, most)
	}
}

// watch samples the anonymous memory of the process, 0 where the system does not
// tell it.
func watch(stop <-chan struct{}, peak chan<- int64) {
	most := int64(0)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			peak <- most
			return
		case <-tick.C:
			data, _ := os.ReadFile("/proc/self/status")
			for line := range strings.Lines(string(data)) {
				var kb int64
				if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kb); err == nil {
					most = max(most, kb<<10)
				}
			}
		}
	}
}

func generate(path, format string, n int, sorted bool) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	r := rand.New(rand.NewPCG(1, 2))
	switch format {
	case "csv":
		fmt.Fprintln(w, "id,email,github,hash,off,name")
	case "json":
		fmt.Fprintln(w, `{"realm": "x", "users": [`)
	}
	for i := range n {
		id := uint64(i) << 32
		if !sorted {
			id = r.Uint64()
		}
		id |= uint64(i)
		email := fmt.Sprintf("user%016x@example.com", id)
		switch format {
		case "csv":
			fmt.Fprintf(w, "%016x,%s,,%s,false,User %d\n", id, email, goodHash, i)
		default:
			fmt.Fprintf(w, `{"id":"%016x","email":%q,"hash":%q,"off":false,"name":"User %d","n":%d}`, id, email, goodHash, i, i)
			if format == "json" && i < n-1 {
				fmt.Fprint(w, ",")
			}
			fmt.Fprintln(w)
		}
	}
	if format == "json" {
		fmt.Fprintln(w, "]}")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
