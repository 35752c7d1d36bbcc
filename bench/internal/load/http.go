package load

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"time"
)

// callTimeout bounds one request, so that a server that hangs ends the run
// with an error.
const callTimeout = 10 * time.Second

// Conn is one HTTP/1.1 connection that reads as little of a response as it
// can: the status, the length and the body. It belongs to one goroutine.
type Conn struct {
	nc         net.Conn
	buf        []byte
	r, w       int // unread bytes are buf[r:w]
	deadlineAt time.Time
}

// Dial connects to a server.
func Dial(addr string) (*Conn, error) {
	nc, err := net.DialTimeout("tcp", addr, callTimeout)
	if err != nil {
		return nil, err
	}
	return &Conn{nc: nc, buf: make([]byte, 64<<10)}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.nc.Close() }

// Call sends a whole request and returns the status and the body, which is
// good until the next Call.
func (c *Conn) Call(request []byte) (status int, body []byte, err error) {
	c.extendDeadline()
	if _, err := c.nc.Write(request); err != nil {
		return 0, nil, err
	}
	c.r, c.w = 0, 0
	head, err := c.until([]byte("\r\n\r\n"))
	if err != nil {
		return 0, nil, err
	}
	if len(head) < 12 || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) {
		return 0, nil, fmt.Errorf("not a response: %.40q", head)
	}
	status = int(head[9]-'0')*100 + int(head[10]-'0')*10 + int(head[11]-'0')
	n, chunked := bodyLength(head)
	if chunked {
		body, err = c.chunks()
		return status, body, err
	}
	body, err = c.exactly(n)
	return status, body, err
}

// allow gives the next call so long.
func (c *Conn) allow(d time.Duration) {
	c.deadlineAt = time.Now().Add(d)
	_ = c.nc.SetDeadline(c.deadlineAt) // fails only on a closed connection, which the write then says
}

// extendDeadline moves the deadline once a second rather than at every call:
// it is a timer of the runtime, and a call here is shorter than setting it.
func (c *Conn) extendDeadline() {
	now := time.Now()
	if c.deadlineAt.Sub(now) > callTimeout-time.Second {
		return
	}
	c.allow(callTimeout)
}

// bodyLength finds Content-Length, or that the body is chunked.
func bodyLength(head []byte) (n int, chunked bool) {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		switch {
		case hasName(line, "content-length:"):
			for _, d := range line[len("content-length:"):] {
				if '0' <= d && d <= '9' {
					n = n*10 + int(d-'0')
				}
			}
			return n, false
		case hasName(line, "transfer-encoding:"):
			return 0, true
		}
	}
	return 0, false
}

func hasName(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)-1] == ':' && bytes.EqualFold(line[:len(name)], []byte(name))
}

// until reads up to and with mark.
func (c *Conn) until(mark []byte) ([]byte, error) {
	from := c.r
	for {
		if i := bytes.Index(c.buf[from:c.w], mark); i >= 0 {
			out := c.buf[c.r : from+i+len(mark)]
			c.r = from + i + len(mark)
			return out, nil
		}
		from = max(c.r, c.w-len(mark)+1)
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

func (c *Conn) exactly(n int) ([]byte, error) {
	for c.w-c.r < n {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	out := c.buf[c.r : c.r+n]
	c.r += n
	return out, nil
}

func (c *Conn) fill() error {
	if c.w == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.nc.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// chunks reads a chunked body; only peers of the slow kind send one.
func (c *Conn) chunks() (body []byte, err error) {
	for {
		line, err := c.until([]byte("\r\n"))
		if err != nil {
			return nil, err
		}
		var n int
		if _, err := fmt.Sscanf(string(line), "%x", &n); err != nil {
			return nil, fmt.Errorf("not a chunk: %.20q", line)
		}
		part, err := c.exactly(n + 2)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return body, nil
		}
		body = append(body, part[:n]...)
	}
}
