//go:build !linux

package snibops

import "net"

// maxPath is the longest path of a socket, in bytes: the least of the systems.
const maxPath = 103

// peerUID does not know: the standard library has no call for it here. The modes
// of socket and folder are what keeps others out.
func peerUID(*net.UnixConn) (int, error) { return -1, nil }
