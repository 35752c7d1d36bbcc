package front

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fakeStream sends the pieces that it is given, until it is given none.
type fakeStream struct {
	pieces chan string
	fail   error         // at the end; nil is io.EOF
	bug    bool          // panic at the end
	cause  error         // why the context ended, if it did
	closed chan struct{} // closed by Close
}

func newFakeStream() *fakeStream {
	return &fakeStream{pieces: make(chan string), closed: make(chan struct{})}
}

func (s *fakeStream) Next(ctx context.Context, dst []byte) ([]byte, error) {
	select {
	case piece, more := <-s.pieces:
		switch {
		case more:
			return append(dst, piece...), nil
		case s.bug:
			panic("told to")
		case s.fail != nil:
			return dst, s.fail
		}
		return dst, io.EOF
	case <-ctx.Done():
		s.cause = context.Cause(ctx)
		return dst, ctx.Err()
	}
}

func (s *fakeStream) Close(context.Context) { close(s.closed) }

// feed sends pieces of a size, one every so often, and the end after them.
func (s *fakeStream) feed(n, size int, every time.Duration) {
	for range n {
		select {
		case s.pieces <- strings.Repeat("x", size):
			time.Sleep(every)
		case <-s.closed:
			return
		}
	}
	close(s.pieces)
}

// client is a client on in-memory connections.
func (l *memoryListener) client(two bool) *http.Client {
	var p http.Protocols
	p.SetHTTP1(!two)
	p.SetUnencryptedHTTP2(two)
	return &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil },
		Protocols:   &p, DisableCompression: true,
	}}
}

func call(t *testing.T, ctx context.Context, c *http.Client, operation, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "POST", "http://localhost/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// streams runs f in both versions of HTTP.
func streams(t *testing.T, f func(t *testing.T, s *Server, ln *memoryListener, stream *fakeStream, client *http.Client)) {
	for _, two := range []bool{false, true} {
		name := map[bool]string{false: "HTTP1", true: "HTTP2"}[two]
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
				stream := newFakeStream()
				door.stream = stream
				client := ln.client(two)
				f(t, s, ln, stream, client)
				client.CloseIdleConnections()
				<-stream.closed
			})
		})
	}
}

// TestStreamIsSentInPieces: the head and each piece arrive as they are made,
// for longer than a door may take, and the connection is good afterwards.
func TestStreamIsSentInPieces(t *testing.T) {
	streams(t, func(t *testing.T, s *Server, ln *memoryListener, stream *fakeStream, client *http.Client) {
		resp := call(t, t.Context(), client, "Stream", "{}")
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/vnd.amazon.eventstream" || resp.ContentLength != -1 ||
			len(resp.Header.Get("X-Amzn-Requestid")) != 36 || resp.Header.Get("Date") == "" || resp.Header.Get("X-Amz-Crc32") != "1234" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
		const pieces, size = 50, 10_000
		ln.clients.Go(func() { stream.feed(pieces, size, 6*time.Second) })
		begun := time.Now()
		buf := make([]byte, size)
		for i := range pieces {
			if _, err := io.ReadFull(resp.Body, buf); err != nil {
				t.Fatal(i, err)
			}
			if at := time.Since(begun); at != time.Duration(i)*6*time.Second {
				t.Fatalf("piece %d came after %v", i, at)
			}
		}
		if n, err := resp.Body.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("%d bytes, %v at the end", n, err)
		}
		<-stream.closed
		if resp := call(t, t.Context(), client, "Echo", "again"); resp.StatusCode != 200 {
			t.Error(resp.Status)
		} else if body, err := io.ReadAll(resp.Body); string(body) != "again" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		if st := s.Stats(); st.Connections != 1 || st.Active != 0 || ln.dialed.Load() != 1 {
			t.Errorf("%+v after %d dials", st, ln.dialed.Load())
		}
	})
}

func TestStreamEndsWhenTheClientGoes(t *testing.T) {
	streams(t, func(t *testing.T, s *Server, ln *memoryListener, stream *fakeStream, client *http.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp := call(t, ctx, client, "Stream", "{}")
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if s.Stats().Active != 1 {
			t.Error("the stream has ended by itself")
		}
		cancel()
		_ = resp.Body.Close()
		synctest.Wait()
		if s.Stats().Active != 0 || stream.cause == nil {
			t.Errorf("the stream goes on for nobody: %v", stream.cause)
		}
	})
}

// TestStreamToASlowReader: who does not take a piece in time is let go.
func TestStreamToASlowReader(t *testing.T) {
	streams(t, func(t *testing.T, s *Server, ln *memoryListener, stream *fakeStream, client *http.Client) {
		resp := call(t, t.Context(), client, "Stream", "{}")
		begun := time.Now()
		ln.clients.Go(func() { stream.feed(1000, 8<<20, 0) }) // more than any window
		<-stream.closed
		if at := time.Since(begun); at < DefaultWriteTimeout || at > DefaultWriteTimeout+time.Second {
			t.Errorf("let go after %v", at)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Error("the client takes this for the end")
		}
	})
}

func TestStreamEndsWithTheServer(t *testing.T) {
	streams(t, func(t *testing.T, s *Server, ln *memoryListener, stream *fakeStream, client *http.Client) {
		resp := call(t, t.Context(), client, "Stream", "{}")
		ln.clients.Go(func() {
			if _, err := io.ReadAll(resp.Body); err != nil {
				t.Errorf("the end was not clean: %v", err)
			}
			client.CloseIdleConnections()
		})
		begun := time.Now()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if at := time.Since(begun); at > 2*time.Second || stream.cause != errStopping {
			t.Errorf("ended after %v: %v", at, stream.cause)
		}
	})
}

func TestStreamTimeout(t *testing.T) {
	streams(t, func(t *testing.T, s *Server, ln *memoryListener, stream *fakeStream, client *http.Client) {
		resp := call(t, t.Context(), client, "Stream", "{}")
		begun := time.Now()
		if _, err := io.ReadAll(resp.Body); err != nil || time.Since(begun) != DefaultStreamTimeout || stream.cause != errTimeout {
			t.Errorf("%v after %v: %v", err, time.Since(begun), stream.cause)
		}
	})
}

// TestStreamThatFails: what breaks off is not taken for the end.
func TestStreamThatFails(t *testing.T) {
	for _, bug := range []bool{false, true} {
		streams(t, func(t *testing.T, s *Server, ln *memoryListener, stream *fakeStream, client *http.Client) {
			stream.fail, stream.bug = errors.New("the disk is gone"), bug
			resp := call(t, t.Context(), client, "Stream", "{}")
			ln.clients.Go(func() { stream.feed(1, 10, time.Second) })
			body, err := io.ReadAll(resp.Body)
			if err == nil || !bytes.Equal(body, []byte("xxxxxxxxxx")) || strings.Contains(err.Error(), "disk") {
				t.Errorf("%q, %v", body, err)
			}
			if n := s.Stats().Panics; (n == 1) != bug {
				t.Errorf("%d panics", n)
			}
		})
	}
}
