package transport

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/faultnet"
	"weir.dev/weir/internal/model"
)

// tickClock makes the transport's ticks, and so its patience, a fifth as long.
type tickClock struct{ base.SystemClock }

const tickFactor = 5

func (c tickClock) AfterFunc(d time.Duration, f func()) base.Timer {
	if d == CallTick {
		d /= tickFactor
	}
	return c.SystemClock.AfterFunc(d, f)
}

func impatient(o *Options) { o.Clock = tickClock{} }

// through puts a proxy before a node's peer port.
func (w *world) through(node model.NodeID) *faultnet.Proxy {
	addr, _ := w.addr(node)
	p, err := faultnet.Listen(addr, base.SystemClock{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = p.Close() })
	w.setAddr(node, p.Addr())
	return p
}

// TestSilentPeer: a peer behind a black hole is given up within seconds, in
// whichever direction the hole is; calls to it end as unknown long before
// their timeout, and everything works again once it heals.
func TestSilentPeer(t *testing.T) {
	for name, dir := range map[string]faultnet.Direction{
		"there": faultnet.ToTarget, "back": faultnet.ToClient, "both": faultnet.Both,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.start(1, newRecorder(), impatient)
			b := w.start(2, newRecorder(), impatient)
			to2, to1 := w.through(2), w.through(1)
			mustCall(t, a, 2, []byte("x"))
			mustCall(t, b, 1, []byte("x"))
			to2.Cut(dir)
			// The connection that 2 made runs the other way, from the target's
			// point of view.
			to1.Cut(map[faultnet.Direction]faultnet.Direction{
				faultnet.ToTarget: faultnet.ToClient, faultnet.ToClient: faultnet.ToTarget, faultnet.Both: faultnet.Both,
			}[dir])
			begin := time.Now()
			_, err := call(a, 2, []byte("lost"), time.Minute)
			if d := time.Since(begin); !errors.Is(err, ErrUnknown) || d > 15*time.Second {
				t.Fatalf("after %v: %v", d, err)
			}
			to1.Heal()
			to2.Heal()
			mustCall(t, a, 2, []byte("x"))
			mustCall(t, b, 1, []byte("x"))
		})
	}
}

// TestSlowReceiver: a snapshot whose receiver is busy for longer than a peer
// may be silent goes on.
func TestSlowReceiver(t *testing.T) {
	w := newWorld(t)
	h := newRecorder()
	h.snapshot = func(_ model.NodeID, _ []byte, body io.Reader) error {
		_, _ = io.ReadFull(body, make([]byte, 100))
		timer := time.NewTimer((deafAfterTicks + 5) * CallTick / tickFactor)
		<-timer.C
		_, err := io.Copy(io.Discard, body)
		return err
	}
	a := w.start(1, newRecorder(), impatient)
	w.start(2, h, impatient)
	err := a.SendSnapshot(context.Background(), 2, nil, func(w io.Writer) error {
		_, err := w.Write(make([]byte, 32<<20))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLostConnections: connections that break under load are made again.
func TestLostConnections(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, newRecorder(), nil)
	b := w.start(2, newRecorder(), nil)
	to2 := w.through(2)
	for range 5 {
		mustCall(t, a, 2, []byte("x"))
		mustCall(t, b, 1, []byte("x"))
		to2.Reset()
	}
	to2.Refuse(true)
	to2.Reset()
	eventually(t, "the peer is out of reach", func() bool {
		_, err := call(a, 2, []byte("x"), time.Second)
		return errors.Is(err, ErrNotSent)
	})
	to2.Heal()
	mustCall(t, a, 2, []byte("x"))
}
