package front

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"weir.dev/weir/internal/awsapi"
)

const (
	// firstBody is the size of a pooled body buffer: most requests fit.
	firstBody = 4 << 10
	// maxPooledBody bounds what the pool keeps.
	maxPooledBody = 64 << 10
	// prefetched is how much of a body must come in the time for the head.
	prefetched = 8 << 10
	// bodyStep is how much of a body each BodyTimeout is for.
	bodyStep = 1 << 20
)

var bodies = sync.Pool{New: func() any {
	b := make([]byte, 0, firstBody)
	return &b
}}

// What can be wrong with a body. errGoneMidway is seen only by clients that
// close one direction of the connection too early.
var (
	errGoneMidway  = frontError(400, "IncompleteBody", "The connection ended before the whole request had arrived.")
	errBodyTimeout = frontError(408, "RequestTimeout", "The request's body did not arrive in time.")
	errBadBody     = frontError(400, "IncompleteBody", "The request's body is not in the form that its headers say.")
)

// readBody reads the whole body into memory that grows with what has arrived,
// never with what was declared. release gives it back. After an error the
// connection is of no more use.
func (x *exchange) readBody() *awsapi.Error {
	stream, declared := x.via.body()
	if declared == 0 || stream == nil {
		return nil
	}
	limit := x.srv.limits.MaxBodyBytes
	if declared > limit {
		return awsapi.ErrTooLarge
	}
	if short, fault := x.via.beginBody(); short != nil || fault != nil {
		x.short = short
		return fault
	}
	x.body = bodies.Get().(*[]byte)
	b := (*x.body)[:0]
	due := 0
	if declared < 0 || declared > prefetched {
		due = 1
	}
	for declared < 0 || len(b) < declared {
		if due > 0 && len(b) >= (due-1)*bodyStep {
			due++
			x.via.setReadDeadline(time.Now().Add(x.srv.limits.BodyTimeout))
		}
		if len(b) == cap(b) {
			var fault *awsapi.Error
			if b, fault = x.grow(b, declared); fault != nil {
				return fault
			}
		}
		n, err := stream.Read(b[len(b):min(cap(b), limit+1)])
		b = b[:len(b)+n]
		*x.body = b
		switch {
		case len(b) > limit:
			return awsapi.ErrTooLarge
		case errors.Is(err, io.EOF) && (declared < 0 || len(b) == declared):
			return nil
		case err != nil:
			return bodyFault(err)
		}
	}
	return nil
}

// grow doubles the buffer, within what is still to come and what the server
// has to give.
func (x *exchange) grow(b []byte, declared int) ([]byte, *awsapi.Error) {
	size := max(2*cap(b), firstBody)
	if declared >= 0 {
		size = min(size, declared)
	}
	more := int64(size)
	if x.srv.bodyBytes.Add(more) > x.srv.limits.MaxBodyMemory {
		x.srv.bodyBytes.Add(-more)
		return nil, awsapi.ErrOverloaded
	}
	x.srv.bodyBytes.Add(-x.reserved)
	x.reserved = more
	grown := make([]byte, len(b), size)
	copy(grown, b)
	return grown, nil
}

func (x *exchange) releaseBody() {
	if x.reserved > 0 {
		x.srv.bodyBytes.Add(-x.reserved)
		x.reserved = 0
	}
	if x.body != nil && cap(*x.body) <= maxPooledBody {
		bodies.Put(x.body)
	}
	x.body, x.short = nil, nil
}

func (x *exchange) bodyBytes() []byte {
	if x.body == nil {
		return x.short
	}
	return *x.body
}

func bodyFault(err error) *awsapi.Error {
	var timeout net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || (errors.As(err, &timeout) && timeout.Timeout()):
		return errBodyTimeout
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.As(err, &timeout):
		return errGoneMidway
	default:
		return errBadBody
	}
}
