//go:build !linux || race

package sockets

import "net"

// The race detector learns from the runtime's reads and writes what happens
// before what, also across sockets.
func quick(c net.Conn) net.Conn { return c }
