package report

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestOthers: a process that spins is others' work while it runs, and this one's
// own work is not.
func TestOthers(t *testing.T) {
	all, ours := ticks()
	if all == 0 {
		t.Skip("no /proc here")
	}
	until(t, "own work is not seen as own", func() bool {
		_, now := ticks()
		return now-ours >= 20
	})
	c := exec.Command(os.Args[0], "-test.run=^TestSpin$")
	c.Env = append(os.Environ(), "SPIN=1")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	m := StartMeter()
	until(t, "a process that spins is not seen", func() bool {
		all, ours := ticks()
		return all-m.all-(ours-m.ours) >= 20 && m.Others() > 0
	})
}

// until spins until a condition holds.
func until(t *testing.T, text string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(limit) {
			t.Fatal(text)
		}
	}
}

func TestSpin(t *testing.T) {
	for end := time.Now().Add(time.Minute); os.Getenv("SPIN") != "" && time.Now().Before(end); {
	}
}
