package front

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// memoryConn reads what it is given, a few bytes at a time, and keeps what is
// written.
type memoryConn struct {
	net.Conn // nil: nothing else is used
	in       []byte
	step     int
	out      bytes.Buffer
}

func (c *memoryConn) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in[:min(len(c.in), c.step)])
	c.in = c.in[n:]
	return n, nil
}

func (c *memoryConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "memory"} }
func (c *memoryConn) Close() error                     { return nil }

// plain is a request as two servers must agree on it.
type plain struct {
	method, target, body string
	headers              string // sorted
	blank                bool   // with an empty line before it, which net/http does not take
}

func (p plain) String() string {
	return fmt.Sprintf("%q %q %q %q", p.method, p.target, p.headers, p.body)
}

// readPlain reads requests as the server does, until one is refused.
func readPlain(s *Server, raw []byte, step int) (list []plain) {
	memory := &memoryConn{in: raw, step: step}
	c := &conn{Conn: memory, srv: s}
	h := &http1{srv: s, conn: c, in: input{conn: c, nc: c}}
	for h.awaitRequest(time.Time{}.Add(time.Hour)) == nil && !h.last {
		x := s.exchanges.Get().(*exchange)
		h.x, x.via = x, h
		blank := bytes.HasPrefix(h.in.waiting(), []byte("\r"))
		fault := x.readHead()
		if fault == nil {
			fault = x.readBody()
		}
		if fault != nil {
			h.forget()
			return list
		}
		p := plain{method: string(x.signed.Method), target: x.path.text, body: string(x.bodyBytes()), blank: blank}
		if x.signed.Query != nil {
			p.target += "?" + string(x.signed.Query)
		}
		var headers []string
		for _, line := range x.signed.Headers {
			if line.Is("transfer-encoding") {
				line.Value = bytes.ToLower(line.Value)
			}
			headers = append(headers, http.CanonicalHeaderKey(string(line.Name))+": "+string(line.Value))
		}
		p.headers = sorted(headers)
		if !h.request.whole {
			panic("a body was accepted that was not read")
		}
		h.forget()
		list = append(list, p)
	}
	h.in.finish()
	return list
}

// readAsNetHTTP reads the next request as net/http does.
func readAsNetHTTP(r *bufio.Reader) (p plain, err error) {
	q, err := http.ReadRequest(r)
	if err != nil {
		return p, err
	}
	p.method, p.target = q.Method, q.RequestURI
	body, err := io.ReadAll(q.Body)
	p.body = string(body)
	headers := []string{"Host: " + q.Host}
	if q.TransferEncoding != nil {
		headers = append(headers, "Transfer-Encoding: "+q.TransferEncoding[0])
	}
	for name, values := range q.Header {
		for _, value := range values {
			headers = append(headers, name+": "+value)
		}
	}
	p.headers = sorted(headers)
	return p, err
}

func sorted(lines []string) string {
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// requestSeeds are requests, good ones and bad.
func requestSeeds() []string {
	chunked := strings.Replace(echo(""), "Content-Length: 0", "Transfer-Encoding: chunked", 1)
	return []string{
		echo("hello") + echo("") + echo("again"),
		chunked + "3;a=b\r\nabc\r\n0005;x\r\ndefgh\r\n0\r\nX-T: x\r\n\r\n" + echo("next"),
		chunked + "0\r\n\r\n" + "GET / HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n" + echo("x"),
		chunked + "3\r\nabcd\r\n0\r\n\r\n", chunked + "3\nabc\n0\n\n", chunked + "-1\r\n", chunked + "3 \r\nabc\r\n0\r\n\r\n", chunked + "3 ;a\r\nabc\r\n0\r\n\r\n",
		"\r\nGET /a/b?c=%20d&e HTTP/1.1\r\nhost:h\r\nA: \t b \r\nA:\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\nTransfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"PUT / HTTP/1.1\nHost: h\n\n", "GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
	}
}

// FuzzRequests: what we take for requests, net/http takes for the same ones, so
// that whoever stands before us cannot be made to see others; and it does not
// matter in what pieces they come.
func FuzzRequests(f *testing.F) {
	for _, seed := range requestSeeds() {
		f.Add([]byte(seed), byte(0))
		f.Add([]byte(seed), byte(3))
	}
	s, _, _ := newServer(func(o *Options) { o.Limits.MaxBodyBytes = 1 << 20 }, open)
	f.Fuzz(func(t *testing.T, raw []byte, step byte) {
		list := readPlain(s, raw, 1+int(step))
		if whole := readPlain(s, raw, len(raw)+1); fmt.Sprint(whole) != fmt.Sprint(list) {
			t.Fatalf("at once %v\nin pieces of %d %v", whole, 1+int(step), list)
		}
		r := bufio.NewReader(bytes.NewReader(raw))
		for _, p := range list {
			if p.blank {
				if empty, err := r.Peek(2); err != nil || string(empty) != "\r\n" {
					t.Fatalf("after %v: %q, %v", list, empty, err)
				}
				_, _ = r.Discard(2)
				p.blank = false
			}
			other, err := readAsNetHTTP(r)
			if err != nil && strings.Contains(err.Error(), "parse ") {
				return // it wants more of a URL than we do
			}
			if p.String() != other.String() || err != nil {
				t.Fatalf("we read      %v\nnet/http has %v, %v", p, other, err)
			}
		}
	})
}

func FuzzChunkSize(f *testing.F) {
	f.Add([]byte("1f;name=value"))
	f.Add([]byte("0000000000000000"))
	f.Add([]byte("ffffffffffffffff"))
	f.Fuzz(func(t *testing.T, line []byte) {
		size, ok := parseChunkSize(line)
		var want int
		if ok {
			digits, _, _ := strings.Cut(string(line), ";")
			if n, err := fmt.Sscanf(digits, "%x", &want); n != 1 || err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		if size < 0 || ok && size != want || size > 16*maxChunkBytes {
			t.Fatalf("%q is %d", line, size)
		}
	})
}
