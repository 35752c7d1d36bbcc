package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/transport"
)

// network carries everything between the simulated nodes: it delays, loses,
// duplicates and reorders, and cuts links one way or both, all from its seed.
type network struct {
	mu      sync.Mutex // guards what follows
	rng     *rand.Rand
	ports   map[model.NodeID]*port
	cut     map[link]bool
	faults  faults
	traffic traffic
}

// faults are the network's bad habits; percentages are of all deliveries.
type faults struct {
	losePercent      int
	duplicatePercent int
	maxDelay         time.Duration
}

// traffic counts what went over the network.
type traffic struct{ sent, lost, duplicated int }

type link struct{ from, to model.NodeID }

func newNetwork(seed uint64, f faults) *network {
	return &network{rng: rand.New(rand.NewPCG(seed, 1)), ports: map[model.NodeID]*port{}, cut: map[link]bool{}, faults: f}
}

// setCut cuts or heals the way from one node to another.
func (n *network) setCut(from, to model.NodeID, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[link{from, to}] = cut
}

// heal ends all cuts.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

// calm makes the network fast and reliable.
func (n *network) calm() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	n.faults = faults{maxDelay: 2 * time.Millisecond}
}

// port is one node's transport, from its start to its crash.
type port struct {
	net     *network
	node    model.NodeID
	handler transport.Handler
	closed  chan struct{}

	mu    sync.Mutex // guards what follows
	calls map[uint64]func([]byte, error)
	next  uint64
}

func (n *network) attach(id model.NodeID, h transport.Handler) *port {
	p := &port{net: n, node: id, handler: h, closed: make(chan struct{}), calls: map[uint64]func([]byte, error){}}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ports[id] = p
	return p
}

// carry delivers by calling deliver with the port that to has by then, after
// a delay, perhaps never, perhaps twice.
func (n *network) carry(from, to model.NodeID, deliver func(*port)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.traffic.sent++
	times := 1
	if n.rng.IntN(100) < n.faults.losePercent {
		n.traffic.lost++
		times = 0
	} else if n.rng.IntN(100) < n.faults.duplicatePercent {
		n.traffic.duplicated++
		times = 2
	}
	for range times {
		// A nanosecond of jitter keeps two deliveries from falling on the same
		// instant, whose order the runtime would choose.
		d := 100*time.Microsecond + time.Duration(n.rng.Int64N(int64(n.faults.maxDelay)))
		time.AfterFunc(d, func() {
			n.mu.Lock()
			p, cut := n.ports[to], n.cut[link{from, to}]
			n.mu.Unlock()
			if p != nil && !cut {
				deliver(p)
			}
		})
	}
}

// Send implements transport.Transport.
func (p *port) Send(to model.NodeID, tablet model.TabletID, msgs []*pb.Message) {
	for _, m := range msgs {
		raw, err := proto.Marshal(m)
		if err != nil {
			panic("BUG: a raft message cannot be encoded: " + err.Error())
		}
		p.net.carry(p.node, to, func(dst *port) {
			got := &pb.Message{}
			if err := proto.Unmarshal(raw, got); err != nil {
				panic("BUG: a raft message cannot be decoded: " + err.Error())
			}
			dst.handler.Raft(p.node, tablet, got)
		})
	}
}

// Flush implements transport.Transport.
func (p *port) Flush() {}

// Call implements transport.Transport. A duplicated request is carried out
// twice; only its first answer counts.
func (p *port) Call(to model.NodeID, req []byte, timeout time.Duration, done func([]byte, error)) {
	p.mu.Lock()
	p.next++
	id := p.next
	p.calls[id] = done
	p.mu.Unlock()
	if p.isClosed() {
		p.finish(id, nil, transport.ErrNotSent)
		return
	}
	raw := bytes.Clone(req)
	p.net.carry(p.node, to, func(dst *port) {
		dst.handler.Call(p.node, bytes.Clone(raw), func(resp []byte, err error) {
			copied := bytes.Clone(resp)
			p.net.carry(to, p.node, func(*port) { p.finish(id, copied, remote(err)) })
		})
	})
	p.net.mu.Lock()
	jitter := time.Duration(p.net.rng.Int64N(int64(time.Millisecond)))
	p.net.mu.Unlock()
	time.AfterFunc(timeout+jitter, func() { p.finish(id, nil, transport.ErrUnknown) })
}

// remote is an error as it looks after it crossed the network.
func remote(err error) error {
	var known *model.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &transport.RemoteError{Message: err.Error()}
}

func (p *port) finish(id uint64, resp []byte, err error) {
	p.mu.Lock()
	done := p.calls[id]
	delete(p.calls, id)
	p.mu.Unlock()
	if done != nil {
		done(resp, err)
	}
}

func (p *port) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// SendSnapshot implements transport.Transport.
func (p *port) SendSnapshot(ctx context.Context, to model.NodeID, header []byte, body func(io.Writer) error) error {
	var stream bytes.Buffer
	if err := body(&stream); err != nil {
		return err
	}
	answer := make(chan error, 2)
	p.net.carry(p.node, to, func(dst *port) {
		err := dst.handler.Snapshot(p.node, bytes.Clone(header), bytes.NewReader(stream.Bytes()))
		p.net.carry(to, p.node, func(*port) { answer <- err })
	})
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("no answer to a snapshot")
	}
}

// Close implements transport.Transport.
func (p *port) Close() error {
	p.net.mu.Lock()
	if p.net.ports[p.node] == p {
		delete(p.net.ports, p.node)
	}
	p.net.mu.Unlock()
	close(p.closed)
	p.mu.Lock()
	open := p.calls
	p.calls = map[uint64]func([]byte, error){}
	p.mu.Unlock()
	for id := uint64(1); id <= p.next; id++ {
		if done := open[id]; done != nil {
			done(nil, transport.ErrUnknown)
		}
	}
	return nil
}
