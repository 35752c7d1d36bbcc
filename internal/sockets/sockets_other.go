//go:build !linux

package sockets

import "net"

func quick(c net.Conn) net.Conn { return c }
