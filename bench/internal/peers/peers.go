// Package peers holds the contenders, one file each.
package peers

import (
	"context"

	"github.com/snibdb/snib/bench/internal/peer"
)

// ctx is that of every call: the harness cancels nothing.
var ctx = context.Background()

// Floor is the contender that ratios are taken against.
const Floor = "bbolt"

// All are the contenders of this build, in the order of the tables.
func All() []peer.Peer {
	list := []peer.Peer{bboltFloor, bboltBatch, bboltApp, snibPeer}
	list = append(list, mattn...)
	list = append(list, heavy...)
	return append(list, boltholdPeer, scsBolt, scsMemory, gorillaFiles, gorillaCookie)
}

// mattn and heavy are set in builds that have them: the one needs a C
// compiler, and both are left out of tests with the race detector, for which
// they take minutes to compile.
var mattn, heavy []peer.Peer

// fillOneByOne fills a store that knows neither users nor transactions.
func fillOneByOne(s peer.Store, users []peer.User, sessions int, each func(string)) error {
	for _, u := range users {
		for range sessions {
			token, err := s.CreateSession(u.ID)
			if err != nil {
				return err
			}
			each(token)
		}
	}
	return nil
}
