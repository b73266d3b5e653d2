package snibhttp

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestLinesAMinute: the next minute has room again, its first line tells how
// many were left out, and a clock that is set back ends the minute.
func TestLinesAMinute(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	m := &Manager{log: slog.New(slog.NewTextHandler(&log, nil)), lines: limiter{now: func() time.Time { return now }}}
	lines := func(kind lineKind, n int) int {
		log.Reset()
		for range n {
			m.logLine(kind, slog.LevelWarn, "x")
		}
		return strings.Count(log.String(), "\n")
	}
	if got := lines(lineHost, 100); got != linesAMinute {
		t.Errorf("%d lines", got)
	}
	if got := lines(lineOrigin, 1); got != 1 {
		t.Error("another kind is held up")
	}
	now = now.Add(time.Minute - 1)
	if got := lines(lineHost, 5); got != 0 {
		t.Errorf("%d lines in the same minute", got)
	}
	now = now.Add(1)
	if got := lines(lineHost, 2); got != 2 || strings.Count(log.String(), "left_out=85") != 1 {
		t.Errorf("%d lines in the next: %s", got, log.String())
	}
	lines(lineHost, 100)
	now = now.Add(-time.Hour)
	if got := lines(lineHost, 1); got != 1 {
		t.Error("nothing after the clock was set back")
	}
}
