package sockets

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
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
