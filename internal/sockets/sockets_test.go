package sockets

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pair is both ends of a TCP connection; the first is quick.
func pair(t *testing.T) (quickOne, other net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	other, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	quickOne = Quick(accepted)
	t.Cleanup(func() { _ = quickOne.Close(); _ = other.Close() })
	return quickOne, other
}

func TestCarriesAllBytes(t *testing.T) {
	a, b := pair(t)
	sent := make([]byte, 8<<20) // more than the sockets hold
	rand.NewChaCha8([32]byte{1}).Read(sent)
	var wait sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		wait.Go(func() {
			if n, err := way[0].Write(sent); n != len(sent) || err != nil {
				t.Errorf("wrote %d bytes, %v", n, err)
			}
			if half, ok := way[0].(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
				t.Error("cannot end one direction")
			}
		})
		wait.Go(func() {
			got, err := io.ReadAll(way[1])
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("read %d bytes of %d, %v", len(got), len(sent), err)
			}
		})
	}
	wait.Wait()
}

func TestCopies(t *testing.T) {
	a, b := pair(t)
	go func() {
		_, _ = io.Copy(a, bytes.NewReader([]byte("there and back")))
		_ = a.(interface{ CloseWrite() error }).CloseWrite()
	}()
	go func() {
		_, _ = io.Copy(b, b)
		_ = b.Close()
	}()
	var got bytes.Buffer
	if n, err := io.Copy(&got, a); err != nil || got.String() != "there and back" {
		t.Fatalf("%d bytes, %q, %v", n, &got, err)
	}
}

func TestDeadlines(t *testing.T) {
	a, _ := pair(t)
	if err := a.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := a.Read(make([]byte, 1))
	var timeout net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("reading gives %v", err)
	}
	n, err := a.Write(make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n >= 64<<20 {
		t.Errorf("writing %d bytes gives %v", n, err)
	}
}

func TestEnds(t *testing.T) {
	a, b := pair(t)
	if n, err := a.Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing gives %d, %v", n, err)
	}
	blocked := make(chan error)
	go func() {
		_, err := a.Read(make([]byte, 1))
		blocked <- err
	}()
	_ = b.(*net.TCPConn).SetLinger(0) // a reset
	_ = b.Close()
	if err := <-blocked; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reading from a connection that was reset gives %v", err)
	}
	_ = a.Close()
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading from a closed connection gives %v", err)
	}
	if _, err := a.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing to a closed connection gives %v", err)
	}
}

func TestCloseWakes(t *testing.T) {
	a, _ := pair(t)
	blocked := make(chan error)
	go func() {
		_, err := a.Read(make([]byte, 1))
		blocked <- err
	}()
	_ = a.Close()
	if err := <-blocked; !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading gives %v", err)
	}
}

func TestOthersStay(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Quick(a) != a {
		t.Error("a pipe was changed")
	}
}

// lender counts what is lent.
type lender struct {
	mu         sync.Mutex
	memory     []byte
	lent, back int
}

func (l *lender) Lend() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lent++
	return l.memory
}

func (l *lender) TakeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.back++
}

// TestReadLent: memory is lent while something is read, and only then where the
// connection is quick.
func TestReadLent(t *testing.T) {
	a, b := pair(t)
	_, isQuick := a.(*net.TCPConn)
	isQuick = !isQuick
	l := &lender{memory: make([]byte, 8)}
	for _, sent := range []string{"hello", "again, and more", ""} {
		got := make(chan string)
		go func() {
			var text []byte
			for len(text) < len(sent) || sent == "" {
				n, err := ReadLent(a, l)
				text = append(text, l.memory[:n]...)
				if err != nil {
					text = append(text, err.Error()...)
					break
				}
			}
			got <- string(text)
		}()
		for deadline := time.Now().Add(10 * time.Second); ; {
			l.mu.Lock()
			waits := l.lent > 0 && (!isQuick || l.back == l.lent)
			l.mu.Unlock()
			if waits {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("memory is held while nothing comes")
			}
			runtime.Gosched()
		}
		if sent == "" {
			_ = b.Close()
			sent = "EOF"
		} else if _, err := b.Write([]byte(sent)); err != nil {
			t.Fatal(err)
		}
		if text := <-got; text != sent {
			t.Errorf("read %q, want %q", text, sent)
		}
		l.lent, l.back = 0, 0
	}
	_ = a.Close()
	if n, err := ReadLent(a, l); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%d, %v", n, err)
	}
	if l.lent != l.back {
		t.Errorf("lent %d times, given back %d times", l.lent, l.back)
	}
}

// TestWriteWithin: a write waits for a slow reader, but not for ever, and what
// it leaves does not end the next one.
func TestWriteWithin(t *testing.T) {
	a, b := pair(t)
	large := make([]byte, 64<<20)
	rand.NewChaCha8([32]byte{2}).Read(large)
	begun := time.Now()
	n, err := WriteWithin(a, large, 20*time.Millisecond)
	if took := time.Since(begun); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == len(large) || took < 20*time.Millisecond {
		t.Fatalf("%d bytes, %v after %v", n, err, took)
	}
	read := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(b)
		read <- all
	}()
	rest := large[n:]
	for _, part := range [][]byte{nil, rest[:1], rest[1 : len(rest)/2], rest[len(rest)/2:]} {
		if n, err := WriteWithin(a, part, 10*time.Second); n != len(part) || err != nil {
			t.Fatalf("%d of %d bytes, %v", n, len(part), err)
		}
	}
	_ = a.Close()
	if got := <-read; !bytes.Equal(got, large) {
		t.Errorf("%d bytes arrived, and %d were sent, or they differ", len(got), len(large))
	}
	if _, err := WriteWithin(a, []byte("x"), time.Second); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing to a closed connection gives %v", err)
	}
}
