// Package peers holds the contenders, one file each.
package peers

import (
	"context"

	"github.com/snibdb/snib/bench/internal/peer"
)

// ctx is that of every call: the harness cancels nothing.
var ctx = context.Background()

// Floor and Checked are the contenders that ratios are taken against; both
// always take part.
const (
	Floor   = "bbolt"
	Checked = "bbolt-checks"
)

// All are the contenders of this build, in the order of the tables.
func All() []peer.Peer {
	list := []peer.Peer{bboltFloor, bboltChecks, snibPeer, bboltBatch}
	list = append(list, mattn...)
	list = append(list, heavy...)
	return append(list, boltholdPeer, scsBolt, scsMemory, gorillaFiles, gorillaCookie)
}

// mattn and heavy are set in builds that have them: the one needs a C
// compiler, and both are left out of tests with the race detector, for which
// they take minutes to compile.
var mattn, heavy []peer.Peer

// createEach fills a store that knows no transactions.
func createEach(s peer.Store, userIDs []string, each func(string)) error {
	for _, id := range userIDs {
		token, err := s.CreateSession(id)
		if err != nil {
			return err
		}
		each(token)
	}
	return nil
}

// inParts calls do for the parts of 0 to n, each a transaction.
func inParts(n int, do func(from, to int) error) error {
	const part = 1000
	for from := 0; from < n; from += part {
		if err := do(from, min(n, from+part)); err != nil {
			return err
		}
	}
	return nil
}

// addSessions makes a session for each user, a part in a transaction, which
// may run its closure more than once.
func addSessions[Tx any](userIDs []string, each func(string), update func(func(Tx) error) error, add func(Tx, string) (string, error)) error {
	return inParts(len(userIDs), func(from, to int) error {
		tokens := make([]string, to-from)
		err := update(func(tx Tx) (err error) {
			for i := range tokens {
				if tokens[i], err = add(tx, userIDs[from+i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, token := range tokens {
			each(token)
		}
		return nil
	})
}

// addUsers adds users, a part in a transaction.
func addUsers[Tx any](list []peer.User, update func(func(Tx) error) error, add func(Tx, peer.User) error) error {
	return inParts(len(list), func(from, to int) error {
		return update(func(tx Tx) error {
			for _, u := range list[from:to] {
				if err := add(tx, u); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
