package report

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// A Meter measures how many processors the rest of the machine keeps busy. The
// zero Meter, of a system without /proc, measures 0.
type Meter struct {
	began     time.Time
	all, ours int64 // ticks of processors
}

// ticksPerSecond is USER_HZ, the unit of /proc on every architecture of Linux.
const ticksPerSecond = 100

// StartMeter returns a meter that measures from now on.
func StartMeter() Meter {
	all, ours := ticks()
	return Meter{time.Now(), all, ours}
}

// Others returns the mean number of processors that others kept busy since the
// start, the system included. Work of a child counts as theirs until it has
// ended.
func (m Meter) Others() float64 {
	all, ours := ticks()
	seconds := time.Since(m.began).Seconds()
	return max(0, float64((all-m.all)-(ours-m.ours))/ticksPerSecond/seconds)
}

// ticks returns how long all processors were busy, and how long with this
// process and its ended children.
func ticks() (all, ours int64) {
	var user, nice, system, idle, wait, irq, soft, steal int64
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	if _, err := fmt.Sscanf(string(b), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &soft, &steal); err != nil {
		return 0, 0
	}
	if b, err = os.ReadFile("/proc/self/stat"); err != nil {
		return 0, 0
	}
	_, rest, _ := strings.Cut(string(b), ") ") // behind the name, which may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return 0, 0
	}
	var own int64
	for _, f := range fields[11:15] { // user and system, own and of ended children
		var n int64
		_, _ = fmt.Sscan(f, &n)
		own += n
	}
	return user + nice + system + irq + soft + steal, own
}
