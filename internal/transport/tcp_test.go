package transport

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/model"
)

func newTestKey(t testing.TB) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func appendMsg(n uint64, data int) *raftpb.Message {
	return &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), From: proto.Uint64(1), To: proto.Uint64(2), Term: proto.Uint64(3),
		LogTerm: proto.Uint64(3), Index: proto.Uint64(n), Commit: proto.Uint64(n),
		Entries: []*raftpb.Entry{{
			Type: raftpb.EntryNormal.Enum(), Term: proto.Uint64(3), Index: proto.Uint64(n + 1),
			Data: bytes.Repeat([]byte{byte(n)}, data),
		}},
	}
}

func TestRaftMessagesArriveInOrder(t *testing.T) {
	w := newWorld(t)
	h := newRecorder()
	a := w.start(1, newRecorder(), nil)
	w.start(2, h, nil)
	const count = 1000
	for n := uint64(0); n < count; n++ {
		m := appendMsg(n, 100)
		a.Send(2, 7, []*raftpb.Message{m})
		*m.Index = 1 << 60 // marshalled before Send returned, so this changes nothing
		if n%10 == 0 {
			a.Flush()
		}
	}
	a.Flush()
	for n := uint64(0); n < count; n++ {
		if m := <-h.raft; m.GetIndex() != n || !proto.Equal(m, appendMsg(n, 100)) {
			t.Fatalf("message %d is %v", n, m)
		}
	}
	s := a.Stats()
	if s.RaftSent != count || s.RaftDropped != 0 || s.Writes > count/2 {
		t.Fatalf("stats %+v", s)
	}
}

func TestCalls(t *testing.T) {
	w := newWorld(t)
	h := newRecorder()
	h.call = func(from model.NodeID, req []byte, reply func([]byte, error)) {
		switch {
		case from != 1:
			reply(nil, fmt.Errorf("from %v", from))
		case string(req) == "known":
			reply(nil, &model.Error{Kind: model.ErrConditionFailed, Message: "no", Item: []byte{1, 2}})
		case string(req) == "other":
			reply(nil, errors.New("odd"))
		default:
			go reply(req, nil)
		}
	}
	a := w.start(1, newRecorder(), nil)
	b := w.start(2, h, nil)

	for _, size := range []int{0, 1, 200, partBytes - 1, partBytes, partBytes + 1, 5 * partBytes, MaxCallBytes} {
		req := make([]byte, size)
		_, _ = rand.Read(req)
		if got := mustCall(t, a, 2, req); !bytes.Equal(got, req) {
			t.Fatalf("%d bytes came back as %d others", size, len(got))
		}
	}
	_, err := call(a, 2, []byte("known"), time.Second)
	var known *model.Error
	if !errors.As(err, &known) || known.Kind != model.ErrConditionFailed || known.Message != "no" || !bytes.Equal(known.Item, []byte{1, 2}) {
		t.Fatalf("known error came as %#v", err)
	}
	_, err = call(a, 2, []byte("other"), time.Second)
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Message != "odd" {
		t.Fatalf("other error came as %#v", err)
	}
	for _, c := range []struct {
		to      model.NodeID
		size    int
		timeout time.Duration
	}{{1, 1, time.Second}, {2, MaxCallBytes + 1, time.Second}, {2, 1, 0}, {9, 1, time.Second}} {
		if _, err := call(a, c.to, make([]byte, c.size), c.timeout); !errors.Is(err, ErrNotSent) {
			t.Errorf("call %+v ended with %v", c, err)
		}
	}
	mustCall(t, b, 1, []byte("back"))
}

func TestCallTimeoutIsUnknown(t *testing.T) {
	w := newWorld(t)
	h := newRecorder()
	asked := make(chan func([]byte, error), 1)
	h.call = func(_ model.NodeID, req []byte, reply func([]byte, error)) {
		if len(req) > 0 {
			reply(req, nil)
			return
		}
		asked <- reply
	}
	a := w.start(1, newRecorder(), nil)
	w.start(2, h, nil)
	mustCall(t, a, 2, []byte("up"))
	begin := time.Now()
	_, err := call(a, 2, nil, 50*time.Millisecond)
	if !errors.Is(err, ErrUnknown) || time.Since(begin) < 50*time.Millisecond {
		t.Fatalf("after %v: %v", time.Since(begin), err)
	}
	(<-asked)([]byte("late"), nil) // is ignored
	mustCall(t, a, 2, []byte("still up"))
}

func TestQueueIsBounded(t *testing.T) {
	w := newWorld(t)
	stuck := make(chan struct{})
	h := newRecorder()
	h.call = func(_ model.NodeID, req []byte, reply func([]byte, error)) {
		if string(req) == "block" {
			<-stuck
		}
		reply(nil, nil)
	}
	a := w.start(1, newRecorder(), func(o *Options) { o.QueueBytes = 1 << 20 })
	w.start(2, h, nil)
	defer close(stuck)
	mustCall(t, a, 2, []byte("up"))
	a.Call(2, []byte("block"), time.Minute, func([]byte, error) {})
	// The sockets take some MB, the queue 1 MiB, then everything is refused. The
	// system may give the sockets more room once more, in which a call goes.
	for range 20 {
		dropped := a.Stats().RaftDropped
		for range 1 << 14 {
			a.Send(2, 1, []*raftpb.Message{appendMsg(1, 4<<10)})
			a.Flush()
			if a.Stats().RaftDropped > dropped {
				break
			}
		}
		if s := a.Stats(); s.RaftDropped == dropped || s.Peers[0].QueuedBytes > 1<<20 {
			t.Fatalf("stats %+v", s)
		}
		_, err := call(a, 2, make([]byte, 8<<10), time.Second)
		if errors.Is(err, ErrNotSent) {
			return
		}
		if !errors.Is(err, ErrUnknown) {
			t.Fatalf("call beyond the bound: %v", err)
		}
	}
	t.Fatal("every call beyond the bound was sent")
}

// TestCallsEndOnce kills connections under load: each call ends exactly once,
// one that was not sent was not carried out, and one that succeeded was.
func TestCallsEndOnce(t *testing.T) {
	w := newWorld(t)
	var carried sync.Map
	h := newRecorder()
	h.call = func(_ model.NodeID, req []byte, reply func([]byte, error)) {
		if _, again := carried.LoadOrStore(string(req[:16]), true); again {
			t.Errorf("carried out twice")
		}
		go reply(req, nil)
	}
	a := w.start(1, newRecorder(), nil)
	b := w.start(2, h, nil)
	mustCall(t, a, 2, []byte("0123456789abcdef"))

	const callers, each = 16, 200
	var wg sync.WaitGroup
	var outcomes [3]atomic.Int64
	for c := range callers {
		wg.Go(func() {
			for n := range each {
				name := fmt.Sprintf("%06d-%09d", c, n)
				req := append([]byte(name), make([]byte, (n%3)*partBytes/2)...)
				ends := make(chan error, 2)
				a.Call(2, req, 10*time.Second, func(resp []byte, err error) {
					if err == nil && !bytes.Equal(resp, req) {
						err = errors.New("another answer")
					}
					ends <- err
				})
				err := <-ends
				_, done := carried.Load(name)
				switch {
				case err == nil && done:
					outcomes[0].Add(1)
				case errors.Is(err, ErrNotSent) && !done:
					outcomes[1].Add(1)
				case errors.Is(err, ErrUnknown):
					outcomes[2].Add(1)
				default:
					t.Errorf("%s ended with %v, carried out %v", name, err, done)
				}
				if len(ends) != 0 {
					t.Errorf("%s ended twice", name)
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	for victim := a; ; {
		select {
		case <-over:
			t.Logf("succeeded %d, not sent %d, unknown %d", outcomes[0].Load(), outcomes[1].Load(), outcomes[2].Load())
			if outcomes[0].Load() == 0 {
				t.Fatal("nothing succeeded")
			}
			return
		case <-time.After(20 * time.Millisecond):
			victim.mu.Lock()
			for c := range victim.conns {
				c.fail(errors.New("killed by the test"))
				break
			}
			victim.mu.Unlock()
			if victim == a {
				victim = b
			} else {
				victim = a
			}
		}
	}
}

func TestCloseEndsCalls(t *testing.T) {
	w := newWorld(t)
	h := newRecorder()
	asked := make(chan struct{}, 1)
	h.call = func(_ model.NodeID, _ []byte, _ func([]byte, error)) { asked <- struct{}{} }
	a := w.start(1, newRecorder(), nil)
	w.start(2, h, nil)
	ended := make(chan error, 1)
	a.Call(2, nil, time.Minute, func(_ []byte, err error) { ended <- err })
	<-asked
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, ErrUnknown) {
			t.Fatal(err)
		}
	default:
		t.Fatal("the call is still open")
	}
	if _, err := call(a, 2, nil, time.Second); !errors.Is(err, ErrNotSent) {
		t.Fatal(err)
	}
	a.Send(2, 1, []*raftpb.Message{appendMsg(1, 1)})
	a.Flush()
}

// TestRestartedPeer: a later start of a node replaces its connections, an
// earlier one is turned away.
func TestRestartedPeer(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, newRecorder(), nil)
	b1 := w.start(2, newRecorder(), nil)
	mustCall(t, a, 2, []byte("x"))
	mustCall(t, b1, 1, []byte("x"))
	b2 := w.start(2, newRecorder(), func(o *Options) { o.Incarnation = 2 })
	mustCall(t, b2, 1, []byte("x"))
	mustCall(t, a, 2, []byte("x"))
	eventually(t, "the old start is refused", func() bool {
		_, err := call(b1, 1, nil, time.Second)
		s := b1.Stats()
		return errors.Is(err, ErrNotSent) && len(s.Peers) > 0 && bytes.Contains([]byte(s.Peers[0].LastError), []byte("a later start"))
	})
}

func TestRemovedPeerIsCutOff(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, newRecorder(), nil)
	b := w.start(2, newRecorder(), nil)
	mustCall(t, a, 2, []byte("x"))
	mustCall(t, b, 1, []byte("x"))
	w.remove(2)
	eventually(t, "the removed node is refused", func() bool {
		_, err := call(b, 1, nil, time.Second)
		return errors.Is(err, ErrNotSent) && bytes.Contains([]byte(err.Error()), []byte("not a member"))
	})
}
