package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// sample is a result with a row of each kind.
func sample() *Result {
	curve := &Latency{Count: 1000, P50: 900, P90: 1100, P99: 2000, P999: 9000, Max: 9100, Curve: [][2]float64{{0, 500}, {50, 900}, {90, 1100}, {99, 2000}, {99.9, 9000}}}
	r := &Result{
		Format: Format, Started: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 12, Commit: "0123456789ab",
		Machine:  Machine{CPU: "A <fast> one", Processors: 2, System: "linux/amd64", Kernel: "6", FileSystem: "ext4", Go: "go1.26"},
		Versions: map[string]string{"example.com/b": "v1", "example.com/a": "v2"},
		Settings: Settings{Sessions: []int{10_000, 100_000}, Writers: []int{1, 64}, Rounds: 3, Floor: "bbolt", Checked: "bbolt-checks"},
		Peers:    []PeerInfo{{"bbolt", "the floor", "fsync"}, {"snib", "this & that", "fsync"}},
	}
	for _, n := range r.Settings.Sessions {
		r.Rows = append(r.Rows, Row{Suite: "read", Work: "validate", Sessions: n, Workers: 1, Peer: "bbolt-checks", Unit: NsPerOp, Rounds: []float64{800, 800, 820}})
		for i, name := range []string{"bbolt", "snib"} {
			v := float64(1000 - 600*i)
			r.Rows = append(r.Rows,
				Row{Suite: "read", Work: "validate", Sessions: n, Workers: 1, Peer: name, Unit: NsPerOp, Rounds: []float64{v, v, v + 10}, CPUs: []float64{v + 50}, Batches: &Batches{9, v - 10, v + 30}, Allocs: 1, Heap: 96, Service: curve},
				Row{Suite: "write", Work: "create", Sessions: n, Workers: 1, Peer: name, Unit: NsPerOp, Rounds: []float64{2e6}, Service: curve},
				Row{Suite: "write", Work: "create", Sessions: n, Workers: 64, Peer: name, Unit: NsPerOp, Rounds: []float64{2e6 / float64(1+19*i)}},
				Row{Suite: "size", Work: "file", Sessions: n, Peer: name, Unit: Bytes, Rounds: []float64{float64(300 * n)}})
		}
	}
	r.Finish()
	return r
}

func TestResultIsReadAsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	want := sample()
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	want.Format++
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil {
		t.Error("a result of another format was read")
	}
}

func TestTableShowsFigures(t *testing.T) {
	var b strings.Builder
	if err := sample().Table(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^validate +10 k +1 +snib +400 ns +1% +390 ns–430 ns +450 ns +0\.40 +0\.50 +- +2\.5 M +1\.0 +900 ns +2 µs +9 µs +fsync$`,
		`(?m)^create +100 k +64 +snib +100 µs +- +- +0\.05 +- +- +10 k +- `,
		`(?m)^file +100 k +- +bbolt +30\.0 MB `,
	} {
		if !regexp.MustCompile(want).MatchString(b.String()) {
			t.Errorf("no line matches %s in\n%s", want, b.String())
		}
	}
}

func TestValues(t *testing.T) {
	for want, got := range map[string]string{
		"12.3 ns": Value(12.34, NsPerOp), "1.5 µs": Value(1500, Ns), "2 ms": Value(2e6, Ns), "3.5s": Value(3.5e9, Ns),
		"297.0 MB": Value(297e6, Bytes), "4.2": Value(4.2, PagesPerOp), "10 k": Count(10_000), "1.25 M": Count(1_250_000), "999": Count(999), "-": Count(0),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestPageNeedsNothingElse: the page is one file that opens offline.
func TestPageNeedsNothingElse(t *testing.T) {
	dir := t.TempDir()
	if err := WriteHTML(dir, sample()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	if found := regexp.MustCompile(`(?i)https?:|//[a-z]|\bsrc=|\bhref=|url\(|@import|<script|<link|<iframe`).FindString(page); found != "" {
		t.Errorf("the page refers to something outside: %q", found)
	}
	for _, want := range []string{"prefers-color-scheme:dark", "Latency: validate, 10 k sessions", "Throughput of create by writers",
		"Throughput of validate by sessions", "Size of the files, 100 k sessions", "A &lt;fast&gt; one", "this &amp; that", "example.com/a v2"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	drawings := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	if len(drawings) < 6 {
		t.Fatalf("%d drawings", len(drawings))
	}
	for _, svg := range drawings {
		wellFormed(t, svg)
		if !regexp.MustCompile(`class="(d|b)1"`).MatchString(svg) || strings.Contains(svg, "-1\"") {
			t.Errorf("snib has no colour of its own: %.300s", svg)
		}
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Errorf("a place that is no number: %.300s", svg)
	}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%v in %.300s", err, svg)
			return
		}
	}
}

func TestGoalsAreJudged(t *testing.T) {
	atMost := part{func(*Result) float64 { return 2 }, 3, false, times}
	over, missing, least, free := atMost, atMost, atMost, atMost
	free.limit = 0
	over.limit = 1
	least.least = true
	missing.figure = func(*Result) float64 { return 0 }
	for name, c := range map[string]struct {
		parts         []part
		measured, say string
	}{
		"reached":         {[]part{atMost}, "2.00×", "yes"},
		"above":           {[]part{atMost, over}, "2.00× / 2.00×", "no"},
		"below the least": {[]part{least}, "2.00×", "no"},
		"no goal":         {[]part{free}, "2.00×", "–"},
		"not measured":    {[]part{atMost, missing}, "2.00× / –", "–"},
	} {
		g := goal{parts: c.parts}
		if got := g.measured(&Result{}); got != c.measured {
			t.Errorf("%s: measured %q, want %q", name, got, c.measured)
		}
		if got := g.reached(&Result{}); got != c.say {
			t.Errorf("%s: reached %q, want %q", name, got, c.say)
		}
		if got := g.reached(&Result{Machine: Machine{Load: 3}}); got != "–" {
			t.Errorf("%s: judged %q on a machine with other work", name, got)
		}
	}
}

func TestGoalsFindTheirFigures(t *testing.T) {
	r := sample()
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"ratio to the floor", toFloor("validate", 10_000, 1)(r), 0.4},
		{"allocations at 100 k", allocated("validate")(r), 1},
		{"times as fast", faster("create", 64, "bbolt")(r), 20},
		{"a size that was not measured", toFloor("validate", 1_000_000, 1)(r), 0},
		{"a contender that was not measured", faster("create", 64, "sqlite-full")(r), 0},
		{"ratio to the same checks", toChecks("validate", 10_000, 1)(r), 0.5},
		{"a value", figure("file", 10_000, 0)(r), 3e6},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}
