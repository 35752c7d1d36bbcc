package front

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// inputBytes is the size of an input's memory: the largest head fits.
const inputBytes = MaxHeadBytes

type inputMemory [inputBytes]byte

var inputMemories = sync.Pool{New: func() any { return new(inputMemory) }}

// input is what a client of HTTP/1 has sent and nobody has taken yet: mem[r:w].
// It has no memory while that is nothing, so that an idle connection holds none.
// It belongs to its connection's goroutine.
//
// The head of a request stays where it was read while the request is worked on:
// all below floor, which keep sets and finish forgets.
type input struct {
	conn *conn
	nc   net.Conn // conn, or TLS on it

	mem   *inputMemory
	r, w  int
	floor int
	kept  *inputMemory // where the head is when more than the head did not fit

	armed time.Time // the read deadline that is set; zero when it is not known
}

// Lend implements sockets.Lender.
func (in *input) Lend() []byte {
	if in.mem == nil {
		in.mem = inputMemories.Get().(*inputMemory)
	}
	return in.mem[in.w:]
}

// TakeBack implements sockets.Lender.
func (in *input) TakeBack() {
	if in.mem != nil && in.w == 0 {
		inputMemories.Put(in.mem)
		in.mem = nil
	}
}

// waiting is what has been read and not been taken.
func (in *input) waiting() []byte {
	if in.mem == nil {
		return nil
	}
	return in.mem[in.r:in.w]
}

// take takes the first n bytes of what is waiting.
func (in *input) take(n int) []byte {
	b := in.mem[in.r : in.r+n : in.r+n]
	in.r += n
	return b
}

// keep says that what was taken stays in use until finish.
func (in *input) keep() { in.floor = in.r }

// finish says that nothing that was taken is in use any more.
func (in *input) finish() {
	in.floor = 0
	if in.kept != nil {
		inputMemories.Put(in.kept)
		in.kept = nil
	}
	if in.r == in.w {
		in.r, in.w = 0, 0
		in.TakeBack()
	}
}

// makeRoom moves what is waiting so that n bytes of it, and what follows them,
// have room; false when they cannot have.
func (in *input) makeRoom(n int) bool {
	if in.mem == nil || in.r+n <= inputBytes && in.w < inputBytes {
		return n <= inputBytes
	}
	waiting := in.waiting()
	switch {
	case len(waiting) >= inputBytes || n > inputBytes:
		return false
	case in.floor+max(n, len(waiting)+1) <= inputBytes:
		copy(in.mem[in.floor:], waiting)
		in.r, in.w = in.floor, in.floor+len(waiting)
	case in.kept != nil: // what follows the head needs no more than one
		return false
	default:
		next := inputMemories.Get().(*inputMemory)
		copy(next[:], waiting)
		in.kept, in.mem = in.mem, next
		in.r, in.w, in.floor = 0, len(waiting), 0
	}
	return true
}

// arm sets the read deadline.
func (in *input) arm(by time.Time) {
	if in.armed.Equal(by) {
		return
	}
	in.armed = by
	_ = in.nc.SetReadDeadline(by) // a failure shows in the next read
}

// disarmed says that somebody else has set the read deadline.
func (in *input) disarmed() { in.armed = time.Time{} }

// await reads more, for which there must be room, until by.
//
// A deadline is a timer of the runtime: one that is set for an earlier request
// stays until it is met, and is moved then.
func (in *input) await(by time.Time) error {
	for {
		if in.armed.IsZero() || in.armed.After(by) {
			in.arm(by)
		}
		err := in.read()
		if err == nil || !isTimeout(err) || !in.armed.Before(by) {
			return err
		}
		in.arm(by)
	}
}

func (in *input) read() error {
	var n int
	var err error
	if in.nc == net.Conn(in.conn) {
		n, err = in.conn.readLent(in)
	} else {
		n, err = in.nc.Read(in.Lend())
	}
	if n > 0 {
		in.w += n
		return nil // an error comes again
	}
	in.TakeBack()
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// readInto takes what is waiting, or reads past the input when nothing is,
// under the deadline that is set.
func (in *input) readInto(p []byte) (int, error) {
	if waiting := in.waiting(); len(waiting) > 0 {
		n := copy(p, waiting)
		in.r += n
		return n, nil
	}
	return in.nc.Read(p)
}

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
