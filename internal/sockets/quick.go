//go:build linux && !race

package sockets

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// maxCallBytes bounds what one system call copies: for so long it holds the
// runtime's processor.
const maxCallBytes = 128 << 10

func quick(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok || runtime.GOMAXPROCS(0) < 2 {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil { // it is closed already
		return c
	}
	q := &conn{TCPConn: tcp, raw: raw}
	q.in.step, q.out.step, q.out.try = q.in.read, q.out.write, q.out.tryWrite
	return q
}

func readLent(c net.Conn, from Lender) (int, error) {
	q, ok := c.(*conn)
	if !ok {
		return readAtOnce(c, from)
	}
	n, err := q.in.lent(from, q.raw.Read)
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return n, q.fault("read", err)
}

func writeWithin(c net.Conn, p []byte, d time.Duration) (int, error) {
	q, ok := c.(*conn)
	if !ok || len(p) == 0 {
		return writeBy(c, p, d)
	}
	n, err := q.out.run(p, q.out.try, q.raw.Write)
	if err != nil || n == len(p) {
		return n, q.fault("write", err)
	}
	more, err := writeBy(q, p[n:], d)
	if err == nil {
		err = q.SetWriteDeadline(time.Time{}) // else it would end a later write
	}
	return n + more, err
}

// conn is a TCP connection with its own Read and Write.
type conn struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out transfer
}

// transfer is one direction of a connection.
type transfer struct {
	step func(fd uintptr) (done bool) // made once: it would be garbage of every call
	try  func(fd uintptr) (done bool) // a step that does not wait

	mu    sync.Mutex // guards what follows
	from  Lender     // of p, or nil
	p     []byte
	n     int
	errno syscall.Errno
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.TCPConn.Read(p)
	}
	n, err := c.in.run(p, c.in.step, c.raw.Read)
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return n, c.fault("read", err)
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return c.TCPConn.Write(p)
	}
	n, err := c.out.run(p, c.out.step, c.raw.Write)
	return n, c.fault("write", err)
}

// ReadFrom hides TCPConn's, which would not come by here.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// WriteTo hides TCPConn's.
func (c *conn) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

// fault is an error as package net gives it.
func (c *conn) fault(op string, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
	}
	return err
}

// run moves p; wait calls the step whenever the socket may be ready, until it
// is done, and knows of deadlines and of the socket's end.
func (t *transfer) run(p []byte, step func(uintptr) bool, wait func(func(uintptr) bool) error) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p, t.n, t.errno = p, 0, 0
	err := wait(step)
	t.p = nil
	if t.errno != 0 {
		err = t.errno
	}
	return t.n, err
}

// lent is run with memory that is borrowed for each step.
func (t *transfer) lent(from Lender, wait func(func(uintptr) bool) error) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.from, t.n, t.errno = from, 0, 0
	err := wait(t.step)
	t.from = nil
	if t.errno != 0 {
		err = t.errno
	}
	return t.n, err
}

// read takes what has arrived.
func (t *transfer) read(fd uintptr) bool {
	if t.from == nil {
		n, again := t.call(syscall.SYS_READ, fd)
		t.n = n
		return !again
	}
	t.p = t.from.Lend()
	n, again := t.call(syscall.SYS_READ, fd)
	if t.p, t.n = nil, n; n == 0 {
		t.from.TakeBack()
	}
	return !again
}

// tryWrite is write, but for the waiting.
func (t *transfer) tryWrite(fd uintptr) bool {
	t.write(fd)
	return true
}

// write gives as much as the socket takes, until it has taken all.
func (t *transfer) write(fd uintptr) bool {
	for t.n < len(t.p) && t.errno == 0 {
		n, again := t.call(syscall.SYS_WRITE, fd)
		if again {
			return false
		}
		t.n += n
	}
	return true
}

// call makes one system call for what is left of p; again says that the socket
// is not ready.
func (t *transfer) call(trap, fd uintptr) (n int, again bool) {
	left := t.p[t.n:]
	for {
		moved, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(&left[0])), uintptr(min(len(left), maxCallBytes)))
		switch errno {
		case 0:
			return int(moved), false
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, true
		default:
			t.errno = errno
			return 0, false
		}
	}
}
