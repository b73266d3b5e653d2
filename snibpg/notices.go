package snibpg

import (
	"bytes"

	"github.com/jackc/pgx/v5/pgproto3"
)

// notices tells if the server says something beside its answers, on a connection of
// the program's whose OnNotice is the program's. It is the writer of a trace, which has
// one line for each message. The trace ends by itself with the next answer: afterwards
// a pool may give the connection to others.
type notices struct {
	frontend *pgproto3.Frontend
	heard    bool
}

// listen begins, in the place of a trace of the program's.
func listen(f *pgproto3.Frontend) *notices {
	n := &notices{frontend: f}
	f.Trace(n, pgproto3.TracerOptions{SuppressTimestamps: true})
	return n
}

// Write implements io.Writer. What only looks like a notice does no harm.
func (n *notices) Write(line []byte) (int, error) {
	n.heard = n.heard || bytes.Contains(line, []byte("NoticeResponse"))
	if bytes.Contains(line, []byte("ReadyForQuery")) {
		n.frontend.Untrace()
	}
	return len(line), nil
}
