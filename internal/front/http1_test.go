package front

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answers reads n answers, and what their bodies are.
func answers(t *testing.T, r *bufio.Reader, n int) (bodies []string) {
	t.Helper()
	for range n {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("after %q: %v", bodies, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("after %q: %d %q, %v", bodies, resp.StatusCode, body, err)
		}
		bodies = append(bodies, string(body))
	}
	return bodies
}

// padded is a request whose head has about that many bytes.
func padded(raw string, size int) string {
	return strings.Replace(raw, "\r\n\r\n", "\r\nX-Pad: "+strings.Repeat("p", max(0, size-strings.Index(raw, "\r\n\r\n")-13))+"\r\n\r\n", 1)
}

// TestRequestsInPieces: requests of all forms, one after the other, are the
// same in whatever pieces they come, wherever they are in the input's memory.
func TestRequestsInPieces(t *testing.T) {
	s, door, _ := newServer(nil, open)
	chunked := strings.Replace(echo(""), "Content-Length: 0", "Transfer-Encoding: chunked", 1)
	letters := strings.Repeat("abcdefghijklmnopqrstuvwxyz", 400)
	inChunks := func(body string, size int) (raw string) {
		for at := 0; at < len(body); at += size {
			piece := body[at:min(at+size, len(body))]
			raw += fmt.Sprintf("%x;n=%d\r\n%s\r\n", len(piece), at, piece)
		}
		return raw + "0\r\nX-T: " + strings.Repeat("t", 200) + "\r\n\r\n"
	}
	raw, want := "", []string{}
	for i, head := range []int{0, 5_000, MaxHeadBytes, MaxHeadBytes - 100, 200, MaxHeadBytes - 5_000} {
		for _, body := range []string{"", letters[:5], letters[:prefetched], letters[:prefetched+1], letters} {
			raw += padded(echo(body), head) + padded(chunked, head) + inChunks(body, 1+i*777)
			want = append(want, body, body)
		}
	}
	for _, step := range []int{7, 100, 1460, 16 << 10, 1 << 20} {
		memory := &memoryConn{in: []byte(raw), step: step}
		c := &conn{Conn: memory, srv: s}
		if err := s.serveHTTP1(c, c); err != nil {
			t.Fatal(err)
		}
		if got := answers(t, bufio.NewReader(&memory.out), len(want)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in pieces of %d: %d answers are not what was sent", step, len(got))
		}
		if memory.out.Len() > 0 {
			t.Errorf("in pieces of %d: %d bytes more", step, memory.out.Len())
		}
	}
	if n := s.Stats().BodyBytesInUse; n != 0 || door.count() != 5*len(want) {
		t.Errorf("%d bytes of bodies are held after %d requests", n, door.count())
	}
}

// TestHeadSize: a head of 16 KiB is taken, and none of a byte more.
func TestHeadSize(t *testing.T) {
	f := start(t, nil, open)
	for extra, want := range []int{200, 431} {
		raw := padded(echo(""), MaxHeadBytes+extra)
		if len(raw) != MaxHeadBytes+extra {
			t.Fatal(len(raw))
		}
		if status, body, closed := f.send(t, raw); status != want || closed != (want != 200) {
			t.Errorf("%d bytes: %d %q close=%v", len(raw), status, body, closed)
		}
	}
}

var requestIDs = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// TestFraming: what is about a request and its answer, in all bytes but those
// that differ from answer to answer.
func TestFraming(t *testing.T) {
	f := start(t, func(o *Options) { o.Clock = fixedClock{at: testTime} }, open)
	const ok = "HTTP/1.1 200 OK|Content-Type: application/x-amz-json-1.0|Date: Sun, 01 Mar 2026 12:30:45 GMT|x-amzn-RequestId: ?|"
	const echoed = ok + "x-amz-crc32: 1234|"
	old := strings.Replace(echo("x"), "1.1", "1.0", 1)
	healthy := strings.Replace(ok, "application/x-amz-json-1.0", "text/plain; charset=utf-8", 1)
	with := func(raw, header string) string { return strings.Replace(raw, "\r\nHost", "\r\n"+header+"\r\nHost", 1) }
	for _, c := range []struct{ name, raw, want string }{
		{"plain", echo("x"), echoed + "Content-Length: 1||x"},
		{"after an empty line", "\r\n" + echo("x"), echoed + "Content-Length: 1||x"},
		{"close", with(echo("x"), "Connection: a, CLOSE"), echoed + "Content-Length: 1|Connection: close||x."},
		{"close, in the second of two lines", with(echo("x"), "Connection: a\r\nConnection: close"), echoed + "Content-Length: 1|Connection: close||x."},
		{"http/1.0", old, echoed + "Content-Length: 1|Connection: close||x."},
		{"http/1.0, to be kept", with(old, "Connection: Keep-Alive"), echoed + "Content-Length: 1|Connection: keep-alive||x"},
		{"http/1.0 does not wait to go on", with(old, "Expect: 100-continue"), echoed + "Content-Length: 1|Connection: close||x."},
		{"head", "HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n" + echo("y"), healthy + "Content-Length: 3||" + echoed + "Content-Length: 1||y"},
		{"another expectation", with(echo("x"), "Expect: a miracle"), echoed + "Content-Length: 1||x"},
		{"gone before the end", echo("hello")[:len(echo("hello"))-1], "HTTP/1.1 400 Bad Request|"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, r := f.dial(t)
			if _, err := io.WriteString(conn, c.raw); err != nil {
				t.Fatal(err)
			}
			want, closed := strings.CutSuffix(c.want, ".")
			if c.name == "gone before the end" {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			raw, got := "", ""
			for len(got) < len(want) {
				b, err := r.ReadByte()
				if err != nil {
					t.Fatalf("%q, %v", got, err)
				}
				raw += string(rune(b))
				got = requestIDs.ReplaceAllString(strings.ReplaceAll(strings.TrimSuffix(raw, "\r"), "\r\n", "|"), "?")
			}
			if got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if closed {
				if b, err := r.ReadByte(); err != io.EOF {
					t.Errorf("%q, %v after the last answer", b, err)
				}
			}
		})
	}
}

// TestHalfClosed: a client that has no more to send gets its answers, and the
// end of the connection after them.
func TestHalfClosed(t *testing.T) {
	f := start(t, nil, open)
	c, r := f.dial(t)
	if _, err := io.WriteString(c, echo("a")+echo("b")); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := answers(t, r, 2); got[0]+got[1] != "ab" {
		t.Errorf("%q", got)
	}
	if b, err := r.ReadByte(); err != io.EOF {
		t.Errorf("%q, %v", b, err)
	}
}

// TestDeadlinesOfLaterRequests: a deadline that was set for one request is not
// that of another.
func TestDeadlinesOfLaterRequests(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		c := ln.dial()
		r := bufio.NewReader(c)
		for i := range 40 { // for ten minutes, each a different time after the one before
			time.Sleep(time.Duration(i) * time.Second)
			ln.clients.Go(func() { _, _ = io.WriteString(c, echo("x")) })
			answers(t, r, 1)
		}
		time.Sleep(DefaultIdleTimeout - time.Second)
		begun := time.Now()
		raw := echo("hello")
		for _, part := range []string{raw[:1], raw[1:100], raw[100 : len(raw)-1]} {
			ln.clients.Go(func() { _, _ = io.WriteString(c, part) })
			time.Sleep(time.Second)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 408 || time.Since(begun) != DefaultHeaderTimeout {
			t.Errorf("%v, %v after %v", resp, err, time.Since(begun))
		}
		c.Close()

		c = ln.dial() // and a large body has its time, whatever was set
		r = bufio.NewReader(c)
		for range 3 {
			ln.clients.Go(func() {
				_, _ = io.WriteString(c, strings.Replace(echo(""), "Content-Length: 0", "Content-Length: 100000", 1))
				for range 10 {
					_, _ = io.WriteString(c, strings.Repeat("x", 10_000))
					time.Sleep(2500 * time.Millisecond)
				}
			})
			answers(t, r, 1)
			time.Sleep(DefaultIdleTimeout - 30*time.Second)
		}
		c.Close()
	})
}

// TestSlowReader: who does not take an answer in time is let go.
func TestSlowReader(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		for _, size := range []int{10, 100_000} { // in one piece with the head, and by itself
			c := ln.dial()
			begun := time.Now()
			ln.clients.Go(func() { _, _ = io.WriteString(c, echo(strings.Repeat("x", size))) })
			synctest.Wait()
			for s.Stats().Connections > 0 {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if took := time.Since(begun); took < DefaultWriteTimeout || took > DefaultWriteTimeout+time.Second {
				t.Errorf("%d bytes: let go after %v", size, took)
			}
			c.Close()
		}
	})
}

// TestPipelinedIsNotIdle: a request that has been read with the one before it
// is not cut off when the server stops.
func TestPipelinedIsNotIdle(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		c := ln.dial()
		ln.clients.Go(func() { _, _ = io.WriteString(c, echo("first")+request("Wait", "")) })
		r := bufio.NewReader(c)
		answers(t, r, 1)
		<-door.waiting
		ln.clients.Go(func() {
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if got := answers(t, r, 1); got[0] != errStopping.Error() {
			t.Errorf("%q", got)
		}
		c.Close()
	})
}

// TestTLSInPieces: over TLS, too, requests come in any pieces, and the end is said.
func TestTLSInPieces(t *testing.T) {
	secure, roots := certificate(t)
	f := start(t, func(o *Options) { o.TLS = secure }, open)
	raw, _ := f.dial(t)
	c := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	text := echo("first") + strings.Replace(echo("last"), "Host", "Connection: close\r\nHost", 1)
	for _, b := range []byte(text) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	r := bufio.NewReader(c)
	if got := answers(t, r, 2); got[0] != "first" || got[1] != "last" {
		t.Errorf("%q", got)
	}
	if _, err := r.ReadByte(); err != io.EOF { // a connection that is cut is another error
		t.Error(err)
	}
}

func TestControlCharacters(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			value := []byte(strings.Repeat("v", 20))
			value[at] = byte(c)
			if got, want := hasControl(value), c < ' ' && c != '\t' || c == 0x7f; got != want {
				t.Errorf("%#x at %d: %v", c, at, got)
			}
		}
	}
}

// TestHeadersOfAnswers: nothing that a door says can begin another header.
func TestHeadersOfAnswers(t *testing.T) {
	h := &http1{x: &exchange{}}
	h.addHeader("x-a", "b\r\nx-c: d\n")
	if got := string(h.x.out); got != "x-a: b  x-c: d \r\n" {
		t.Errorf("%q", got)
	}
}
