package snibhttp

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// linesAMinute bounds the lines of one kind in the log: strangers can cause
// most of them, and must not fill a disk or hide a line that matters.
const linesAMinute = 20

// A lineKind is a kind of log line with a counter of its own.
type lineKind int

const (
	lineOrigin    lineKind = iota // a refused origin
	lineHost                      // a refused host
	lineCookies                   // two cookies of our name
	lineBusy                      // 503, for want of a turn
	lineTrouble                   // 503, for any other reason
	lineUnwritten                 // a session whose use was not written
	lineOrphan                    // a session without a holder
	lineDevice                    // a device that was not remembered
	lineKinds
)

// A limiter counts the lines of each kind by the minute.
type limiter struct {
	now func() time.Time

	mu    sync.Mutex
	kinds [lineKinds]struct {
		start   time.Time // of the minute
		lines   int
		leftOut int
	}
}

// next reports whether there is room for a line of a kind, and then how many
// were left out since the last one.
func (l *limiter) next(kind lineKind) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, now := &l.kinds[kind], l.now()
	if d := now.Sub(k.start); d < 0 || d >= time.Minute { // before it, if the clock was set back
		k.start, k.lines = now, 0
	}
	if k.lines == linesAMinute {
		k.leftOut++
		return 0, false
	}
	k.lines++
	leftOut, k.leftOut = k.leftOut, 0
	return leftOut, true
}

// logLine is how this package logs all that a request can cause.
func (m *Manager) logLine(kind lineKind, level slog.Level, text string, args ...any) {
	leftOut, ok := m.lines.next(kind)
	if !ok {
		return
	}
	if leftOut > 0 {
		args = append(args, "left_out", leftOut)
	}
	m.log.Log(context.Background(), level, text, args...)
}

// logHost says why a request was refused for its host.
func (m *Manager) logHost(r *http.Request) {
	m.logLine(lineHost, slog.LevelWarn, "snibhttp: refused a request for another host",
		"host", shown(r.Host), "address", m.address(r),
		"remedy", "if it is a name of this program, add it to Options.Hosts")
}

// logOrigin says why a request was refused for its origin.
func (m *Manager) logOrigin(r *http.Request) {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	m.logLine(lineOrigin, slog.LevelWarn, "snibhttp: refused a cross-origin request", "method", shown(r.Method),
		"origin", shown(origin), "host", shown(r.Host), "sec_fetch_site", shown(site), "address", m.address(r),
		"remedy", m.remedy(r, origin, site))
}

// remedy names the setting that lets a refused request through, should it be an
// honest one.
func (m *Manager) remedy(r *http.Request, origin, site string) string {
	scheme, host, _ := strings.Cut(origin, "://")
	switch {
	case origin == "" && site == "":
		return "browsers send Origin or Sec-Fetch-Site: pass them on in a proxy; give other clients a bearer token, or an endpoint outside of this middleware"
	case origin == "null":
		return "if it is a page of this program, serve it with Referrer-Policy: same-origin and not in a sandbox"
	case origin == "":
		return "pass the header Origin on in a proxy; if another site is to send this, name it in Options.TrustedOrigins"
	case host == m.hosts.canonical(r.Host) && scheme+"://" != m.origin:
		return "if browsers reach this program by " + shown(scheme) + ", Options.Profile must be another one than " + m.o.Profile.String()
	}
	return "if it is the address of this program, or of a site to be trusted with its users, name it in Options.TrustedOrigins"
}

// shown is text of a stranger's as a line of the log has it.
func shown(text string) string { return printable(text, 128) }
