//go:build linux && !race

package sockets

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
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
	q.in.step, q.out.step = q.in.read, q.out.write
	return q
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

	mu    sync.Mutex // guards what follows
	p     []byte
	n     int
	errno syscall.Errno
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.TCPConn.Read(p)
	}
	n, err := c.in.run(p, c.raw.Read)
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
	n, err := c.out.run(p, c.raw.Write)
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
func (t *transfer) run(p []byte, wait func(func(uintptr) bool) error) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p, t.n, t.errno = p, 0, 0
	err := wait(t.step)
	t.p = nil
	if t.errno != 0 {
		err = t.errno
	}
	return t.n, err
}

// read takes what has arrived.
func (t *transfer) read(fd uintptr) bool {
	n, again := t.call(syscall.SYS_READ, fd)
	t.n = n
	return !again
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
