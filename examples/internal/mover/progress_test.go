package mover

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// onTerminal is a progress on a terminal of so many columns, and a screen
// that shows what is on it.
func onTerminal(columns, total int) (p *progress, out *bytes.Buffer, advance func(time.Duration)) {
	out = &bytes.Buffer{}
	now := time.Unix(1_000_000, 0)
	p = &progress{
		out: out, label: "moving in", total: total, began: now,
		width: func() int { return columns },
		now:   func() time.Time { return now },
	}
	return p, out, func(d time.Duration) { now = now.Add(d) }
}

// screen returns the lines that a terminal shows after the output.
func screen(output string) []string {
	var lines []string
	for line := range strings.SplitSeq(output, "\n") {
		var cells []byte
		for part := range strings.SplitSeq(line, "\r") {
			if len(part) > len(cells) {
				cells = append(cells, make([]byte, len(part)-len(cells))...)
			}
			copy(cells, part)
		}
		lines = append(lines, strings.TrimRight(string(cells), " "))
	}
	return lines
}

func TestTheBarIsRedrawnInPlace(t *testing.T) {
	p, out, advance := onTerminal(60, 180)
	for range 180 {
		advance(50 * time.Millisecond)
		p.step()
	}
	p.finish()
	if n := strings.Count(out.String(), "\r"); n < 80 || n > 92 {
		t.Errorf("drawn %d times in 9 s, want about ten times a second", n)
	}
	got := screen(out.String())
	if want := "moving in [======================] 180/180  20/s  0:00 left"; len(got) != 2 || got[0] != want || got[1] != "" {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
	for draw := range strings.SplitSeq(out.String(), "\r") {
		if n := len(strings.TrimSuffix(draw, "\n")); n > 59 {
			t.Errorf("%d columns: %q", n, draw)
		}
	}
}

func TestTheBarShowsCountRateAndTimeLeft(t *testing.T) {
	p, out, advance := onTerminal(60, 1200)
	p.done = 299
	advance(10 * time.Second)
	p.step()
	if got, want := screen(out.String())[0], "moving in [=====               ]  300/1200  30/s  0:30 left"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if line := (&progress{label: "moving in", total: 3}).line(60, time.Time{}); !strings.HasSuffix(line, "0/3  0.0/s  --:-- left") {
		t.Errorf("before the first: %q", line)
	}
}

func TestANarrowTerminalIsNeverOverrun(t *testing.T) {
	for columns := 1; columns <= 100; columns++ {
		p, out, advance := onTerminal(columns, 1000)
		for range 20 {
			advance(time.Second)
			p.step()
		}
		for draw := range strings.SplitSeq(out.String(), "\r") {
			if len(draw) > columns-1 {
				t.Fatalf("%d columns: %q", columns, draw)
			}
		}
	}
}

func TestANoteTakesTheBarsPlace(t *testing.T) {
	p, out, advance := onTerminal(60, 10)
	advance(time.Second)
	p.step()
	p.note(out, "movein: line 1: broken\n")
	p.step() // draws at once, although no time has passed
	got := screen(out.String())
	if len(got) != 2 || got[0] != "movein: line 1: broken" || !strings.HasPrefix(got[1], "moving in [") {
		t.Errorf("the screen shows %q", got)
	}
}

func TestElsewhereEachTenthIsALine(t *testing.T) {
	for total, want := range map[int]int{0: 0, 1: 1, 3: 3, 10: 10, 11: 10, 1000: 10} {
		p, out, _ := onTerminal(0, total)
		for range total {
			p.step()
		}
		p.note(out, "")
		p.finish()
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if total > 0 && (len(lines) != want || !strings.Contains(lines[len(lines)-1], "100 %")) || strings.Contains(out.String(), "\r") {
			t.Errorf("total %d: %q", total, lines)
		}
	}
}

func TestFilesAndTheNullDeviceAreNoTerminals(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if n := terminalWidth(file); n != 0 {
		t.Errorf("a file has %d columns", n)
	}
	if n := terminalWidth(&bytes.Buffer{}); n != 0 {
		t.Errorf("a buffer has %d columns", n)
	}
}
