package mover

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// redrawEvery is how often a bar is drawn anew at most.
const redrawEvery = 100 * time.Millisecond

// A progress tells how far something is: on a terminal a bar that is redrawn
// in place, elsewhere a line for each tenth. It is safe for concurrent use.
type progress struct {
	out   io.Writer
	label string
	total int
	width func() int // columns of the terminal; 0: no terminal
	now   func() time.Time
	began time.Time

	mu    sync.Mutex
	done  int
	drawn time.Time // when the bar was
	shown int       // columns that are not blank now; elsewhere, tenths told
}

func newProgress(out io.Writer, label string, total int) *progress {
	return &progress{
		out: out, label: label, total: total,
		width: func() int { return terminalWidth(out) },
		now:   time.Now, began: time.Now(),
	}
}

// terminalWidth returns the columns of the terminal that w is, or 0.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return 0
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return 0
	}
	return columns(f)
}

// usualColumns is the width where the system does not tell it.
func usualColumns() int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return 80
}

// step says that one more is done.
func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	width := p.width()
	if width == 0 {
		p.tell()
		return
	}
	if now := p.now(); now.Sub(p.drawn) >= redrawEvery {
		p.draw(width, now)
	}
}

// firstFigures is after how many a long run tells its first figures.
const firstFigures = 10_000

// tell prints a line for each tenth that is full, and an early one.
func (p *progress) tell() {
	tenths := p.done * 10 / max(1, p.total)
	if tenths > p.shown || tenths == 0 && p.done == firstFigures {
		p.shown = tenths
		fmt.Fprintf(p.out, "%-10s %3d %%  %d of %d\n", p.label, tenths*10, p.done, p.total)
	}
}

// draw draws the bar over the last one.
func (p *progress) draw(width int, now time.Time) {
	line := p.line(width-1, now)
	blank := strings.Repeat(" ", max(0, min(p.shown, width-1)-len(line)))
	fmt.Fprint(p.out, "\r", line, blank)
	p.shown, p.drawn = len(line), now
}

// line is the bar in at most so many columns; it leaves out parts that do not
// fit, the bar itself first.
func (p *progress) line(columns int, now time.Time) string {
	elapsed := now.Sub(p.began).Seconds()
	rate := float64(p.done) / max(elapsed, 1e-3)
	left := "--:--"
	if p.done > 0 {
		s := int(float64(p.total-p.done)/rate + 0.5)
		left = fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	digits := 0
	if rate < 10 {
		digits = 1
	}
	tail := fmt.Sprintf("%*d/%d  %.*f/s  %s left", len(strconv.Itoa(p.total)), p.done, p.total, digits, rate, left)
	cells := columns - len(p.label) - len(tail) - 4
	if cells < 5 {
		line := p.label + " " + tail
		return line[:max(0, min(len(line), columns))]
	}
	full := cells * p.done / max(1, p.total)
	return fmt.Sprintf("%s [%s%s] %s", p.label, strings.Repeat("=", full), strings.Repeat(" ", cells-full), tail)
}

// note writes a line to w, which may be the same terminal, in place of the
// bar; the bar comes again below it.
func (p *progress) note(w io.Writer, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width() > 0 && p.shown > 0 {
		fmt.Fprint(p.out, "\r", strings.Repeat(" ", p.shown), "\r")
		p.shown, p.drawn = 0, time.Time{}
	}
	fmt.Fprint(w, line)
}

// finish draws the bar as it stands, for good.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if width := p.width(); width > 0 {
		p.draw(width, p.now())
		fmt.Fprintln(p.out)
	}
}

// printable replaces characters that a terminal could take for more than text.
func printable(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
