package transport

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// stream writes size bytes that differ by position.
func stream(w io.Writer, size int, sum hash.Hash) error {
	buf := make([]byte, 77777)
	for sent := 0; sent < size; sent += len(buf) {
		for i := range buf {
			buf[i] = byte((sent + i) * 2654435761 >> 13)
		}
		part := buf[:min(len(buf), size-sent)]
		sum.Write(part)
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

func TestSnapshotStreamsInBoundedMemory(t *testing.T) {
	const size = 100 << 20
	w := newWorld(t)
	h := newRecorder()
	received := sha256.New()
	var n int64
	var header string
	h.snapshot = func(from model.NodeID, head []byte, body io.Reader) (err error) {
		header = string(head)
		n, err = io.Copy(received, body)
		return err
	}
	a := w.start(1, newRecorder(), nil)
	w.start(2, h, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sent := sha256.New()
	err := a.SendSnapshot(context.Background(), 2, []byte("head"), func(w io.Writer) error { return stream(w, size, sent) })
	runtime.ReadMemStats(&after)
	if err != nil || n != size || header != "head" || string(sent.Sum(nil)) != string(received.Sum(nil)) {
		t.Fatalf("%v after %d bytes, header %q", err, n, header)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Fatalf("allocated %d MiB for a snapshot of %d", grown>>20, size>>20)
	}
}

func TestSnapshotEnds(t *testing.T) {
	w := newWorld(t)
	h := newRecorder()
	begun, bodyErr := make(chan bool, 8), make(chan error, 1)
	h.snapshot = func(_ model.NodeID, head []byte, body io.Reader) error {
		begun <- true
		switch string(head) {
		case "refuse":
			return model.Errorf(model.ErrOverLimit, "no room")
		case "early":
			_, err := body.Read(make([]byte, 10))
			return err
		}
		_, err := io.Copy(io.Discard, body)
		bodyErr <- err
		return err
	}
	a := w.start(1, newRecorder(), nil)
	w.start(2, h, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	large := func(w io.Writer) error { return stream(w, 8<<20, sha256.New()) }

	var known *model.Error
	if err := a.SendSnapshot(ctx, 2, []byte("refuse"), large); !errors.As(err, &known) || known.Kind != model.ErrOverLimit {
		t.Fatalf("refused snapshot: %v", err)
	}
	wantError(t, a.SendSnapshot(ctx, 2, []byte("early"), large), errBodyShort.Error())
	if err := a.SendSnapshot(ctx, 2, nil, func(io.Writer) error { return nil }); err != nil || <-bodyErr != nil {
		t.Fatalf("empty snapshot: %v", err)
	}

	broken := errors.New("disk")
	<-begun // those of the three before
	<-begun
	<-begun
	err := a.SendSnapshot(ctx, 2, nil, func(w io.Writer) error {
		_, _ = w.Write(make([]byte, 1<<20))
		<-begun
		return broken
	})
	if got := <-bodyErr; !errors.Is(err, broken) || got == nil {
		t.Fatalf("broken body: %v here, %v there", err, got)
	}
	err = a.SendSnapshot(ctx, 2, nil, func(w io.Writer) error {
		_, _ = w.Write(make([]byte, 1<<20))
		<-begun
		cancel()
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	})
	if got := <-bodyErr; !errors.Is(err, context.Canceled) || got == nil {
		t.Fatalf("cancelled: %v here, %v there", err, got)
	}
	if err := a.SendSnapshot(context.Background(), 9, nil, large); err == nil {
		t.Fatal("sent to nobody")
	}
}

func TestLimiterSpreadsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limiter{clock: base.SystemClock{}, bytesPerSecond: 1 << 20}
		begin := time.Now()
		for sent := 0; sent < 4<<20; sent += l.piece() {
			if err := l.wait(t.Context(), l.piece()); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begin); d < 3800*time.Millisecond || d > 4100*time.Millisecond {
			t.Fatalf("4 MiB at 1 MiB/s took %v", d)
		}
		l.next = time.Now().Add(time.Hour) // the clock went back an hour
		if l.reserve(1) > 0 {
			t.Fatal("a jump of the clock stops the snapshot")
		}
	})
}
