package snib

import (
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
)

// dropTrees removes spaces of an earlier format, by name.
func dropTrees(w kv.Tx, names ...string) error { return boltkv.Drop(w, names...) }

// swapTrees puts the shadows of users, identities and attributes in their
// place. Nothing has been written to either in this transaction.
func swapTrees(w kv.Tx) error {
	return boltkv.Swap(w, spaces[spaceUsers].Name, spaces[spaceIdentities].Name, spaces[spaceAttributes].Name)
}

// dropShadows removes all that is being built.
func dropShadows(w kv.Tx) error { return boltkv.DropShadows(w) }
