package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

const testCluster = "0123456789abcdef0123456789abcdef"

var errTestRefused = errors.New("the token is not valid")

// recorder is a Handler that echoes calls and collects the rest.
type recorder struct {
	raft     chan *raftpb.Message
	call     func(from model.NodeID, req []byte, reply func([]byte, error))
	snapshot func(from model.NodeID, header []byte, body io.Reader) error
}

func newRecorder() *recorder {
	return &recorder{
		raft: make(chan *raftpb.Message, 1<<14),
		call: func(_ model.NodeID, req []byte, reply func([]byte, error)) { reply(req, nil) },
	}
}

func (r *recorder) Raft(_ model.NodeID, _ model.TabletID, m *raftpb.Message) { r.raft <- m }

func (r *recorder) Call(from model.NodeID, req []byte, reply func([]byte, error)) {
	r.call(from, req, reply)
}

func (r *recorder) Snapshot(from model.NodeID, header []byte, body io.Reader) error {
	return r.snapshot(from, header, body)
}

// world is a few transports that know each other.
type world struct {
	t     testing.TB
	root  *Identity
	mu    sync.Mutex // guards addrs and gone
	addrs map[model.NodeID]string
	gone  map[model.NodeID]bool
}

func newWorld(t testing.TB) *world {
	root, err := NewIdentity(testCluster, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, root: root, addrs: map[model.NodeID]string{}, gone: map[model.NodeID]bool{}}
}

// identity certifies a node by the world's authority.
func (w *world) identity(node model.NodeID) *Identity {
	if node == w.root.node {
		return w.root
	}
	key := newTestKey(w.t)
	id, err := newIssuedIdentity(testCluster, node, w.root.authorityCertificate().Raw, w.root.caKey, key, nil, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) addr(id model.NodeID) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.addrs[id]
	return a, ok
}

func (w *world) setAddr(id model.NodeID, addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addrs[id] = addr
}

func (w *world) remove(id model.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone[id] = true
}

func (w *world) allow(id model.NodeID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.gone[id]
}

func listen(t testing.TB) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start runs a transport; adjust may change its options.
func (w *world) start(node model.NodeID, h Handler, adjust func(*Options)) *TCP {
	o := Options{
		Identity: w.identity(node), Incarnation: 1, Listener: listen(w.t),
		Addr: w.addr, Allow: w.allow,
	}
	w.setAddr(node, o.Listener.Addr().String())
	if adjust != nil {
		adjust(&o)
	}
	tr, err := New(o, h)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// call waits for a call's end.
func call(t *TCP, to model.NodeID, req []byte, timeout time.Duration) ([]byte, error) {
	type end struct {
		resp []byte
		err  error
	}
	ended := make(chan end, 1)
	t.Call(to, req, timeout, func(resp []byte, err error) { ended <- end{resp, err} })
	e := <-ended
	return e.resp, e.err
}

// mustCall calls until the peer is reachable.
func mustCall(tb testing.TB, t *TCP, to model.NodeID, req []byte) []byte {
	tb.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := call(t, to, req, 5*time.Second)
		if err == nil {
			return resp
		}
		if time.Now().After(deadline) || !errors.Is(err, ErrNotSent) && !errors.Is(err, ErrUnknown) {
			tb.Fatalf("call: %v", err)
		}
	}
}

// eventually waits for a state that has no event of its own.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("never: %s", what)
		}
	}
}

func wantError(tb testing.TB, err error, part string) {
	tb.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		tb.Fatalf("error %v, want one with %q", err, part)
	}
}
