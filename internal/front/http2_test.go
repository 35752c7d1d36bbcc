package front

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// client2 speaks HTTP/2 in clear text with a server on a port.
func client2(t testing.TB) *http.Client {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	c := &http.Client{Transport: &http.Transport{Protocols: &p, DisableCompression: true}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestHTTP2(t *testing.T) {
	f := start(t, func(o *Options) { o.Limits.MaxBodyBytes = 1 << 20 }, withKey)
	url, client := "http://"+f.addr+"/", client2(t)
	for i := range 3 {
		body := strings.Repeat("x", 1+i*400_000)
		resp, err := client.Do(signedRequest(t, url, "Echo", "dynamodb", body))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || string(got) != body || resp.ProtoMajor != 2 || resp.ContentLength != int64(len(body)) {
			t.Fatalf("%s %d, %d bytes", resp.Proto, resp.StatusCode, len(got))
		}
		if id := f.dynamo.last(t).requestID; resp.Header.Get("X-Amzn-Requestid") != id || resp.Header.Get("X-Amz-Crc32") != "1234" || resp.Header.Get("Date") == "" {
			t.Errorf("%v, door saw %q", resp.Header, id)
		}
	}
	got := f.dynamo.last(t)
	if got.principal != "alice" || got.region != "eu-west-1" || got.attempt != 2 || got.host != f.addr || got.scheme != "http" || got.path != "/" {
		t.Errorf("%+v", got)
	}
	first := got.invocation // the same as in HTTP/1.1
	do(t, http.DefaultClient, signedRequest(t, url, "Echo", "dynamodb", strings.Repeat("x", 800_001)))
	if second := f.dynamo.last(t).invocation; first != second {
		t.Errorf("invocation %s, in HTTP/1.1 %s", first, second)
	}
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		status int
		text   string
	}{
		{"tampered", func(r *http.Request) { r.Header.Set("X-Amz-Target", "DynamoDB_20120810.DeleteTable") }, 400, "InvalidSignatureException"},
		{"unsigned", func(r *http.Request) { r.Header.Del("Authorization") }, 400, "MissingAuthenticationTokenException"},
		{"two targets", func(r *http.Request) { r.Header.Add("X-Amz-Target", "DynamoDB_20120810.Echo") }, 400, "given more than once"},
		{"compressed", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, "without Content-Encoding"},
		{"large, declared", func(r *http.Request) { large(r, 2<<20) }, 413, "larger"},
		{"large, not declared", func(r *http.Request) { large(r, 2<<20); r.ContentLength = -1 }, 413, "larger"},
		{"many headers", func(r *http.Request) { r.Header["X-Many"] = make([]string, 300) }, 400, "too many header lines"},
		{"health", func(r *http.Request) { r.URL.Path, r.Method, r.Body = "/healthz", "GET", nil }, 200, "ok\n"},
		{"unknown service", func(r *http.Request) { r.Header.Set("X-Amz-Target", "Nobody_2000.Echo") }, 400, "UnknownOperationException"},
	} {
		r := signedRequest(t, url, "Echo", "dynamodb", "{}")
		c.change(r)
		if status, body := do(t, client, r); status != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
	}
	if status, body := do(t, client, signedRequest(t, url, "Panic", "dynamodb", "{}")); status != 500 || !strings.Contains(body, "InternalFailure") {
		t.Errorf("panic: %d %s", status, body)
	}
	if st := f.Stats(); st.BodyBytesInUse != 0 || st.Active != 0 || st.Panics != 1 {
		t.Errorf("%+v", st)
	}
}

func large(r *http.Request, n int64) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(make([]byte, n))), n
}

// TestHTTP2OverTLS: who asks for h2 gets it, others HTTP/1.1.
func TestHTTP2OverTLS(t *testing.T) {
	secure, roots := certificate(t)
	f := start(t, func(o *Options) { o.TLS = secure }, withKey)
	for _, major := range []int{1, 2} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableCompression: true, ForceAttemptHTTP2: major == 2}
		client := &http.Client{Transport: transport}
		for range 2 {
			resp, err := client.Do(signedRequest(t, "https://"+f.addr+"/", "Echo", "dynamodb", "hello"))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(body) != "hello" || resp.ProtoMajor != major {
				t.Errorf("%s: %s", resp.Proto, body)
			}
		}
		if got := f.dynamo.last(t); got.scheme != "https" || got.principal != "alice" {
			t.Errorf("%+v", got)
		}
		transport.CloseIdleConnections()
	}
}

func TestHTTP2Timeouts(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		client := ln.client(true)
		begun := time.Now()
		if body, _ := io.ReadAll(call(t, t.Context(), client, "Wait", "").Body); string(body) != errTimeout.Error() || time.Since(begun) != DefaultHandleTimeout {
			t.Errorf("%q after %v", body, time.Since(begun))
		}
		for _, c := range []struct {
			declared, sent int
			wait           time.Duration
		}{{1000, 10, DefaultHeaderTimeout}, {100_000, 10, DefaultBodyTimeout}, {100_000, 2 * prefetched, DefaultBodyTimeout}} {
			pr, pw := io.Pipe()
			ln.clients.Go(func() { _, _ = pw.Write(make([]byte, c.sent)) }) // and no more
			r, _ := http.NewRequest("POST", "http://localhost/", pr)
			r.Header.Set("X-Amz-Target", "DynamoDB_20120810.Echo")
			r.ContentLength = int64(c.declared)
			begun = time.Now()
			resp, err := client.Do(r)
			if err != nil || resp.StatusCode != 408 || time.Since(begun) != c.wait {
				t.Errorf("%v, %v after %v", resp, err, time.Since(begun))
			}
			pw.Close()
		}
		begun = time.Now()
		c := ln.dial()
		go io.WriteString(c, preface[:10])
		if _, err := io.ReadAll(c); err != nil || time.Since(begun) != DefaultHeaderTimeout {
			t.Errorf("half a preface: %v after %v", err, time.Since(begun))
		}
		time.Sleep(DefaultIdleTimeout)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := s.Stats().Connections; n != 0 {
			t.Errorf("%d idle connections are still open", n)
		}
	})
}

func TestHTTP2ClientGone(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		client := ln.client(true)
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "POST", "http://localhost/", nil)
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810.Wait")
		ln.clients.Go(func() {
			if _, err := client.Do(r); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		<-door.waiting
		cancel()
		synctest.Wait()
		if s.Stats().Active != 0 || s.Stats().Connections != 1 {
			t.Errorf("%+v", s.Stats())
		}
		client.CloseIdleConnections()
	})
}

// TestHTTP2Shutdown: requests finish, long ones after a while; the clients are
// told to go elsewhere.
func TestHTTP2Shutdown(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		client := ln.client(true)
		for range 20 {
			ln.clients.Go(func() {
				if body, err := io.ReadAll(call(t, t.Context(), client, "Wait", "").Body); string(body) != errStopping.Error() || err != nil {
					t.Errorf("%q, %v", body, err)
				}
			})
			<-door.waiting
		}
		idle := ln.client(true)
		_, _ = io.ReadAll(call(t, t.Context(), idle, "Echo", "").Body)
		begun := time.Now()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if at := time.Since(begun); at < DefaultDrainTime || at > DefaultDrainTime+2*time.Second {
			t.Errorf("after %v", at)
		}
	})
}

// TestHTTP2Limits: requests are bounded as connections are.
func TestHTTP2Limits(t *testing.T) {
	f := start(t, func(o *Options) { o.Limits.MaxConnsPerAddress = 3 }, open)
	client := client2(t)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, "POST", "http://"+f.addr+"/", nil)
			r.Header.Set("X-Amz-Target", "DynamoDB_20120810.Wait")
			if _, err := client.Do(r); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		<-f.dynamo.waiting
	}
	r, _ := http.NewRequest("GET", "http://"+f.addr+"/healthz", nil)
	if status, body := do(t, client, r); status != 503 || !strings.Contains(body, "ThrottlingException") {
		t.Errorf("%d %s", status, body)
	}
	cancel()
	waiting.Wait()
	if f.Stats().RefusedConns != 1 {
		t.Errorf("%+v", f.Stats())
	}
}

// hostile begins a connection of HTTP/2 whose frames the test writes itself.
func (f *fixture) hostile(t *testing.T) (*http2.Framer, net.Conn) {
	c, r := f.dial(t)
	if _, err := io.WriteString(c, preface); err != nil {
		t.Fatal(err)
	}
	fr := http2.NewFramer(c, r)
	if err := fr.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return fr, c
}

func headers(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // to memory
	}
	return b.Bytes()
}

// ended reads to a GOAWAY or the connection's end, and says which stream was
// reset, if one was.
func ended(t *testing.T, fr *http2.Framer) (code http2.ErrCode, reset bool) {
	t.Helper()
	for {
		f, err := fr.ReadFrame()
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			return f.ErrCode, false
		case *http2.RSTStreamFrame:
			return f.ErrCode, true
		}
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the server neither answers nor hangs up")
			}
			return http2.ErrCodeNo, false
		}
	}
}

// TestHostileHTTP2: what no honest client sends ends the connection or the
// stream, and the server is as good as new.
func TestHostileHTTP2(t *testing.T) {
	f := start(t, nil, open)
	wait := headers(":method", "POST", ":scheme", "http", ":path", "/", ":authority", "localhost", "x-amz-target", "DynamoDB_20120810.Wait")
	for _, c := range []struct {
		name  string
		write func(fr *http2.Framer, c net.Conn)
	}{
		{"rapid reset", func(fr *http2.Framer, _ net.Conn) {
			for id := uint32(1); id < 20_000; id += 2 {
				if fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: wait, EndStream: true, EndHeaders: true}) != nil ||
					fr.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
					return
				}
			}
			_ = fr.WriteGoAway(0, http2.ErrCodeNo, nil)
		}},
		{"too many streams", func(fr *http2.Framer, _ net.Conn) {
			for id := uint32(1); id < 2*(maxStreams+2); id += 2 {
				_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: wait, EndStream: true, EndHeaders: true})
			}
		}},
		{"endless head", func(fr *http2.Framer, _ net.Conn) {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: wait})
			for range 10_000 {
				if fr.WriteContinuation(1, false, headers("x", strings.Repeat("x", 8<<10))) != nil {
					return
				}
			}
		}},
		{"upper case", func(fr *http2.Framer, _ net.Conn) {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: append(wait, headers("X-Bad", "x")...)})
		}},
		{"no scheme", func(fr *http2.Framer, _ net.Conn) {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true,
				BlockFragment: headers(":method", "POST", ":path", "/")})
		}},
		{"even stream", func(fr *http2.Framer, _ net.Conn) {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 2, EndHeaders: true, EndStream: true, BlockFragment: wait})
		}},
		{"body that is longer than declared", func(fr *http2.Framer, _ net.Conn) {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: append(wait, headers("content-length", "3")...)})
			_ = fr.WriteData(1, true, []byte("hello"))
		}},
		{"window overflow", func(fr *http2.Framer, _ net.Conn) {
			_ = fr.WriteWindowUpdate(0, 1<<31-1)
			_ = fr.WriteWindowUpdate(0, 1<<31-1)
		}},
		{"huge frame", func(_ *http2.Framer, c net.Conn) { _, _ = c.Write([]byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1}) }},
		{"garbage", func(_ *http2.Framer, c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("\xa5junk", 10_000)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			fr, conn := f.hostile(t)
			go func() {
				c.write(fr, conn)
				_ = conn.(*net.TCPConn).CloseWrite()
			}()
			ended(t, fr)
			conn.Close()
		})
	}
	for deadline := time.Now().Add(10 * time.Second); f.Stats().Connections > 0 || f.Stats().Active > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", f.Stats())
		}
	}
	resp := call(t, t.Context(), client2For(t, f), "Echo", "fine")
	if body, _ := io.ReadAll(resp.Body); string(body) != "fine" || f.Stats().Panics != 0 {
		t.Errorf("afterwards: %s %+v", body, f.Stats())
	}
}

// client2For is a client2 that reaches the server under any name.
func client2For(t *testing.T, f *fixture) *http.Client {
	c := client2(t)
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", f.addr)
	}
	return c
}
