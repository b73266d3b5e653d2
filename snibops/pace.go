package snibops

import (
	"context"
	"net"
	"time"
)

// Times of a connection.
const (
	helloTime  = 5 * time.Second  // the handshake
	idleTime   = 2 * time.Minute  // of the server, between requests and between rows of an import
	clientIdle = time.Minute      // of the client, below that of the server
	writeTime  = 10 * time.Minute // one write of a list, which holds nothing but its connection: a pager may stop it
	heldTime   = 10 * time.Second // one write while a snapshot is held
	followTime = time.Second      // between two looks for new events

	progressTime = 500 * time.Millisecond // between two reports
)

// heldRate is the least pace, in bytes a second over the whole, of a stream that
// holds a snapshot: a reader that takes one byte before each deadline does not
// pin it for longer than heldGrace and the size of the stream by this rate.
const (
	heldRate  = 1 << 20
	heldGrace = 30 * time.Second
)

// bufferSize is that of a writer: a write of the connection has so many bytes.
const bufferSize = 64 << 10

// deadline lets reads and writes of conn fail after d; 0 takes the deadline away.
func deadline(conn net.Conn, d time.Duration) { _ = conn.SetDeadline(after(d)) }

func readDeadline(conn net.Conn, d time.Duration) { _ = conn.SetReadDeadline(after(d)) }

func writeDeadline(conn net.Conn, d time.Duration) { _ = conn.SetWriteDeadline(after(d)) }

func after(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// A stopwatch measures since it was started.
type stopwatch struct{ at time.Time }

func started() stopwatch { return stopwatch{time.Now()} }

func (s stopwatch) elapsed() time.Duration { return time.Since(s.at) }

// rest waits for d or the end of ctx, which it returns.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restOr waits for d, and reports whether ended came first.
func restOr(d time.Duration, ended <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-ended:
		return true
	}
}

// A paced writer bounds how long a client may take. While hold is set, a snapshot
// of the database is held, and the whole must keep a pace.
type paced struct {
	conn  net.Conn
	hold  bool
	spent time.Duration // in writes since then
	bytes int64         // written since then
}

// held sets hold.
func (p *paced) held(hold bool) { p.hold, p.spent, p.bytes = hold, 0, 0 }

func (p *paced) Write(b []byte) (int, error) {
	limit := writeTime
	if p.hold {
		owed := heldGrace + time.Duration(p.bytes/heldRate)*time.Second - p.spent
		limit = max(min(heldTime, owed), time.Millisecond)
	}
	writeDeadline(p.conn, limit)
	watch := started()
	n, err := p.conn.Write(b)
	p.bytes, p.spent = p.bytes+int64(n), p.spent+watch.elapsed()
	return n, err
}
