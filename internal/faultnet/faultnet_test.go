package faultnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir.dev/weir/internal/base"
)

// echo is a target that sends back what it gets and half-closes at the end.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func start(t *testing.T, target string) *Proxy {
	p, err := Listen(target, base.SystemClock{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v, want %q", got, err, text)
	}
}

// silent checks that nothing comes for a moment.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := c.Read(make([]byte, 1))
	var late net.Error
	if n != 0 || !errors.As(err, &late) || !late.Timeout() {
		t.Fatalf("read %d, %v, want silence", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
}

func TestSoundNetwork(t *testing.T) {
	p := start(t, echo(t))
	c := dial(t, p)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	go func() {
		_, _ = c.Write(data)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestCutAndHeal(t *testing.T) {
	p := start(t, echo(t))
	for _, dir := range []Direction{ToTarget, ToClient, Both} {
		c := dial(t, p)
		send(t, c, "a")
		expect(t, c, "a")
		p.Cut(dir)
		send(t, c, "b")
		silent(t, c)
		p.Heal()
		expect(t, c, "b")
	}
	p.Cut(Both)
	c := dial(t, p) // is taken in, as far as the client can tell
	send(t, c, "c")
	silent(t, c)
	p.Heal()
	expect(t, c, "c")
}

func TestResetAndRefuse(t *testing.T) {
	p := start(t, echo(t))
	c := dial(t, p)
	send(t, c, "a")
	expect(t, c, "a")
	p.Refuse(true)
	if _, err := dial(t, p).Read(make([]byte, 1)); err == nil {
		t.Fatal("a refused connection talks")
	}
	send(t, c, "b")
	expect(t, c, "b")
	p.Reset()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("after a reset: %v", err)
	}
	p.Heal()
	c = dial(t, p)
	send(t, c, "c")
	expect(t, c, "c")
}

func TestTargetThatIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	_ = l.Close()
	p := start(t, gone)
	if c, err := net.Dial("tcp", p.Addr()); err == nil { // a reset may come before that
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Fatal("nobody answered")
		}
		_ = c.Close()
	}
	p.SetTarget(echo(t))
	c := dial(t, p)
	send(t, c, "a")
	expect(t, c, "a")
	if n := p.Connections(); n != 1 {
		t.Fatalf("%d connections", n)
	}
}

// lineTest runs one direction over virtual time.
func lineTest(t *testing.T, f Fault, run func(p *Proxy, in, out net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		p := &Proxy{clock: base.SystemClock{}, changed: make(chan struct{}), links: make(map[*link]struct{})}
		p.Set(ToTarget, f)
		in, src := net.Pipe()
		dst, out := net.Pipe()
		l := &link{client: src, target: dst, done: make(chan struct{})}
		p.running.Go(func() { p.carry(l, 0, src, dst) })
		run(p, in, out)
		p.end(l, false)
		p.running.Wait()
	})
}

func TestDelay(t *testing.T) {
	lineTest(t, Fault{Delay: 80 * time.Millisecond}, func(_ *Proxy, in, out net.Conn) {
		begin := time.Now()
		for _, text := range []string{"a", "b", "c"} {
			send(t, in, text)
		}
		for _, text := range []string{"a", "b", "c"} {
			expect(t, out, text)
		}
		if d := time.Since(begin); d != 80*time.Millisecond {
			t.Errorf("three pieces took %v", d)
		}
	})
}

func TestBandwidth(t *testing.T) {
	lineTest(t, Fault{BytesPerSecond: 64 << 10}, func(_ *Proxy, in, out net.Conn) {
		begin := time.Now()
		go func() { _, _ = in.Write(make([]byte, 128<<10)) }()
		_, _ = io.ReadFull(out, make([]byte, 128<<10))
		if d := time.Since(begin); d != 2*time.Second {
			t.Errorf("128 KiB at 64 KiB/s took %v", d)
		}
	})
}

func TestFaultChangesUnderWay(t *testing.T) {
	lineTest(t, Fault{Delay: time.Hour}, func(p *Proxy, in, out net.Conn) {
		begin := time.Now()
		send(t, in, "a")
		synctest.Wait()
		p.Heal()
		expect(t, out, "a")
		if d := time.Since(begin); d != 0 {
			t.Errorf("took %v", d)
		}
	})
}
