package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/snibdb/snib/snibops"
)

// A meter shows how far a long operation has come: a bar with rate and remaining
// time on a terminal, now and then a line elsewhere. A short one shows nothing.
type meter struct {
	a     *app
	title string
	bytes bool

	bar   *progressbar.ProgressBar
	begun time.Time
	last  time.Time // plain line
}

func (a *app) meter(title string, bytes bool) *meter {
	now := time.Now()
	return &meter{a: a, title: title, bytes: bytes, begun: now, last: now}
}

// report is for snibops.Exchange.Progress.
func (m *meter) report(p snibops.Progress) { m.at(p.Done, p.Total) }

// at shows a place. total is 0 as long as it is not known.
func (m *meter) at(done, total int64) {
	if !m.a.errTerminal {
		m.plain(done, total)
		return
	}
	if m.bar == nil {
		m.bar = progressbar.NewOptions64(-1, m.options()...)
	}
	if total > 0 && m.bar.GetMax64() != total {
		m.bar.ChangeMax64(total)
	}
	_ = m.bar.Set64(done) // of a terminal that has gone nothing need be told
}

func (m *meter) options() []progressbar.Option {
	rate := progressbar.OptionShowIts() // of a bar that counts bytes there is one already
	if m.bytes {
		rate = func(*progressbar.ProgressBar) {}
	}
	return []progressbar.Option{
		rate,
		progressbar.OptionSetWriter(m.a.err),
		progressbar.OptionSetDescription(m.title),
		progressbar.OptionShowBytes(m.bytes), progressbar.OptionUseIECUnits(true), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetWidth(24),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionEnableColorCodes(false),
		progressbar.OptionClearOnFinish(),
	}
}

// plain prints a line if the one before is old.
func (m *meter) plain(done, total int64) {
	now := time.Now()
	if now.Sub(m.last) < m.a.plainEvery {
		return
	}
	m.last = now
	rate := int64(float64(done) / max(now.Sub(m.begun).Seconds(), 0.001))
	if total <= 0 {
		fmt.Fprintf(m.a.err, "%s: %s, %s/s\n", m.title, m.amount(done), m.amount(rate))
		return
	}
	line := fmt.Sprintf("%s: %d%% of %s, %s/s", m.title, done*100/total, m.amount(total), m.amount(rate))
	if rate > 0 {
		line += fmt.Sprintf(", %s left", (time.Duration((total-done)/rate) * time.Second).String())
	}
	fmt.Fprintln(m.a.err, line)
}

func (m *meter) amount(n int64) string {
	if m.bytes {
		return size(n)
	}
	return fmt.Sprint(n)
}

// end takes the bar away.
func (m *meter) end() {
	if m.bar != nil {
		_ = m.bar.Clear()
		m.bar = nil
	}
}

// counted counts the bytes that were read.
type counted struct {
	r io.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
