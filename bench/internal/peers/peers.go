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

// All are the contenders of this build, in the order of the tables. What needs
// a C compiler or is too large for the race detector adds itself in init.
func All() []peer.Peer {
	return []peer.Peer{bboltFloor, bboltBatch, bboltApp, snibPeer}
}
