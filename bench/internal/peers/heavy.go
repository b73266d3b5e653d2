//go:build !race

package peers

func init() {
	heavy = append(heavy, modernc...)
	heavy = append(heavy, badgerPeer, pebblePeer)
}
