package snibops

import (
	"context"
	"net"
	"os"
	"strconv"

	"github.com/snibdb/snib"
)

// Local returns a client of a database in this program: the same server over a
// pipe in memory, so that every verb answers as a live program would, except
// that VerbRepair is not refused. Close it before db. opts may be nil.
func Local(db *snib.DB, opts *Options) *Client {
	o := opts.clean()
	s := newServer(db, o, false)
	dial := func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		s.start(there, actorOf(os.Getuid()))
		return here, nil
	}
	return newClient(dial, o.Name, s.close)
}

// actorOf names a peer by its uid; -1 where the system does not tell.
func actorOf(uid int) string {
	if uid < 0 {
		return "cli"
	}
	return "cli:" + strconv.Itoa(uid)
}
