//go:build !race && !light

package peers

func init() {
	heavy = append(heavy, modernc...)
	heavy = append(heavy, badgerPeer, pebblePeer)
}
