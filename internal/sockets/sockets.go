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

import (
	"net"
	"time"
)

// Quick returns a connection that does what c does, quickly where it can: for
// TCP, on Linux, with more than one processor. Otherwise it returns c.
func Quick(c net.Conn) net.Conn { return quick(c) }

// Lender lends the memory that ReadLent reads into.
type Lender interface {
	// Lend returns some memory, more than none.
	Lend() []byte
	// TakeBack says that nothing was read into what was lent last.
	TakeBack()
}

// ReadLent reads once from c. Where c is quick, memory is borrowed only while
// a read is tried: a connection that waits for its next bytes holds none.
func ReadLent(c net.Conn, from Lender) (int, error) { return readLent(c, from) }

func readAtOnce(c net.Conn, from Lender) (int, error) {
	n, err := c.Read(from.Lend())
	if n == 0 {
		from.TakeBack()
	}
	return n, err
}

// WriteWithin writes p, and waits no longer than d for the other side to take
// it. Where c is quick, a deadline is set, which is a timer, only when the
// socket has no room for all of p. c's write deadline is not what it was before.
func WriteWithin(c net.Conn, p []byte, d time.Duration) (int, error) { return writeWithin(c, p, d) }

func writeBy(c net.Conn, p []byte, d time.Duration) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return 0, err
	}
	return c.Write(p)
}
