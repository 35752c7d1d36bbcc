package front

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// memoryListener hands out in-memory connections, which obey synctest's clock.
type memoryListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	clients sync.WaitGroup // goroutines of the test that write
	dialed  atomic.Int32
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "memory"} }

func (l *memoryListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	l.dialed.Add(1)
	return client
}

// virtual runs f in a bubble with a server on a memoryListener.
func virtual(t *testing.T, f func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor)) {
	synctest.Test(t, func(t *testing.T) {
		s, door, _ := newServer(nil, open)
		ln := newMemoryListener()
		served := make(chan error, 1)
		go func() { served <- s.Serve(ln) }()
		f(t, s, ln, door)
		if !s.stopping() {
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		ln.clients.Wait()
		if st := s.Stats(); st.Connections != 0 || st.Active != 0 || st.BodyBytesInUse != 0 {
			t.Errorf("left over: %+v", st)
		}
	})
}

// answer reads one answer and the end of the connection.
func answer(t *testing.T, c net.Conn) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, _ := io.ReadAll(resp.Body)
	return resp, string(body)
}

func TestSlowHead(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		begun := time.Now()
		c := ln.dial()
		ln.clients.Go(func() { // one byte per second never finishes a head
			for _, b := range []byte(echo("x")) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		resp, _ := answer(t, c)
		if resp.StatusCode != 408 || time.Since(begun) != DefaultHeaderTimeout {
			t.Errorf("%d after %v", resp.StatusCode, time.Since(begun))
		}
		c.Close()
	})
}

func TestSlowBody(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		begun := time.Now()
		c := ln.dial()
		ln.clients.Go(func() {
			head := strings.Replace(echo(""), "Content-Length: 0", "Content-Length: 1000000", 1)
			_, _ = io.WriteString(c, head+strings.Repeat("x", prefetched))
			for range 100 {
				if _, err := c.Write([]byte("y")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		resp, _ := answer(t, c)
		if resp.StatusCode != 408 || time.Since(begun) != DefaultBodyTimeout || door.count() != 0 {
			t.Errorf("%d after %v", resp.StatusCode, time.Since(begun))
		}
		c.Close()
	})
}

// TestSteadyBody: a large body that keeps coming is not cut off.
func TestSteadyBody(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		c := ln.dial()
		const size = 4 << 20
		ln.clients.Go(func() {
			_, _ = io.WriteString(c, strings.Replace(echo(""), "Content-Length: 0", "Content-Length: 4194304", 1))
			for range size / (256 << 10) {
				_, _ = io.WriteString(c, strings.Repeat("x", 256<<10))
				time.Sleep(6 * time.Second)
			}
		})
		if resp, body := answer(t, c); resp.StatusCode != 200 || len(body) != size {
			t.Errorf("%d, %d bytes", resp.StatusCode, len(body))
		}
		c.Close()
	})
}

func TestIdleConnectionIsClosed(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		c := ln.dial()
		go io.WriteString(c, echo("x"))
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body)
		begun := time.Now()
		if _, err := r.ReadByte(); err != io.EOF || time.Since(begun) != DefaultIdleTimeout {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

func TestUnusedConnectionIsClosedSilently(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		c := ln.dial()
		begun := time.Now()
		if got, err := io.ReadAll(c); err != nil || len(got) != 0 || time.Since(begun) != DefaultHeaderTimeout {
			t.Errorf("%q, %v after %v", got, err, time.Since(begun))
		}
	})
}

func TestHandleTimeout(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		c := ln.dial()
		begun := time.Now()
		go io.WriteString(c, request("Wait", ""))
		resp, body := answer(t, c)
		if after := time.Since(begun); body != errTimeout.Error() || after < DefaultHandleTimeout || after > DefaultHandleTimeout+watchInterval {
			t.Errorf("%d %q after %v", resp.StatusCode, body, after)
		}
		// The connection, its deadline and its next context are as good as new.
		time.Sleep(time.Minute)
		for range 2 {
			go io.WriteString(c, echo("again"))
			if resp, body := answer(t, c); resp.StatusCode != 200 || body != "again" {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
		}
		c.Close()
	})
}

// TestClientGone: a request whose client has left ends soon.
func TestClientGone(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		c := ln.dial()
		go io.WriteString(c, request("Wait", ""))
		<-door.waiting
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if s.Stats().Active != 1 {
			t.Fatal("the request has ended by itself")
		}
		c.Close()
		synctest.Wait()
		if s.Stats().Active != 0 {
			t.Error("the request goes on for nobody")
		}
	})
}

// TestClientGoneAtOnce: a door that is about to wait has the connection watched
// from then on, not from half a second later.
func TestClientGoneAtOnce(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		for _, operation := range []string{"Watch", "Wait"} {
			c := ln.dial()
			go io.WriteString(c, request(operation, ""))
			<-door.waiting
			begun := time.Now()
			c.Close()
			synctest.Wait()
			if operation == "Watch" && s.Stats().Active != 0 {
				t.Error("the request goes on for nobody")
			}
			for s.Stats().Active > 0 {
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
			if took := time.Since(begun); operation == "Watch" && took > 0 || took > 2*watchInterval {
				t.Errorf("%s: noticed after %v", operation, took)
			}
			door.mu.Lock()
			if !door.gone {
				t.Errorf("%s: the door is not told that the client is gone", operation)
			}
			door.mu.Unlock()
		}
		c := ln.dial() // one that stays until the server stops is not gone
		go io.WriteString(c, request("Watch", ""))
		<-door.waiting
		ln.clients.Go(func() {
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		if _, body := answer(t, c); body != errStopping.Error() {
			t.Errorf("answered %q", body)
		}
		door.mu.Lock()
		defer door.mu.Unlock()
		if door.gone {
			t.Error("a client that waits for its answer counts as gone")
		}
		c.Close()
		ln.clients.Wait()
	})
}

// TestEarlySecondRequest: bytes that come while a request is watched are kept.
func TestEarlySecondRequest(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		c := ln.dial()
		ln.clients.Go(func() {
			_, _ = io.WriteString(c, request("Wait", ""))
			time.Sleep(5 * time.Second)
			_, _ = io.WriteString(c, echo("second"))
		})
		r := bufio.NewReader(c)
		for _, want := range []string{errTimeout.Error(), "second"} {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(resp.Body); string(body) != want {
				t.Errorf("got %q, want %q", body, want)
			}
		}
		c.Close()
	})
}

func TestShutdownEndsLongPolls(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		var clients sync.WaitGroup
		for range 20 {
			c := ln.dial()
			go io.WriteString(c, request("Wait", ""))
			<-door.waiting
			clients.Go(func() {
				if resp, body := answer(t, c); resp.StatusCode != 200 || body != errStopping.Error() || !resp.Close {
					t.Errorf("%d %q close=%v", resp.StatusCode, body, resp.Close)
				}
				c.Close()
			})
		}
		begun := time.Now()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		clients.Wait()
		if after := time.Since(begun); after < DefaultDrainTime || after > DefaultDrainTime+time.Second {
			t.Errorf("after %v", after)
		}
		if err := s.Serve(newMemoryListener()); err == nil {
			t.Error("a stopped server serves")
		}
	})
}

func TestShutdownInAHurry(t *testing.T) {
	virtual(t, func(t *testing.T, s *Server, ln *memoryListener, door *fakeDoor) {
		c := ln.dial()
		go io.WriteString(c, request("Wait", ""))
		<-door.waiting
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err == nil {
			t.Error("no error")
		}
		c.Close()
	})
}
