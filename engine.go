package snib

import (
	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/boltkv"
)

// dropTrees removes spaces of an earlier format, by name.
func dropTrees(w kv.Tx, names ...string) error { return boltkv.Drop(w, names...) }
