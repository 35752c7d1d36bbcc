// Package sockets reads and writes TCP sockets without telling Go's scheduler
// of each system call.
//
// The scheduler treats a call as one that may block: it wakes its monitor
// thread, which then looks every 20 us until the process is idle again. A
// socket of Go's never blocks, so that is in vain, and on a server that is
// idle for moments thousands of times a second it was two wake-ups of a thread
// for each request. Waiting for a socket is the runtime's poller's, as ever.
// What the monitor is for besides, such as interrupting goroutines that compute
// for more than 10 ms, waits for the next timer or call that may block: a node
// has timers ten times a second.
//
// It must not be used for anything but sockets. A Conn may be used from any
// goroutine, as any net.Conn. Start with Quick.
package sockets

import "net"

// Quick returns a connection that does what c does, quickly where it can: for
// TCP, on Linux, with more than one processor. Otherwise it returns c.
func Quick(c net.Conn) net.Conn { return quick(c) }
