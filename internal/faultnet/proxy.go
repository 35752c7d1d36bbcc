// Package faultnet is a TCP proxy that breaks on command: it delays, stalls,
// slows, cuts and refuses. Tests of real processes put one between each two
// nodes where network namespaces are not to be had.
//
// It works on streams, not packets: what is lost in a network is late here,
// as it is for TCP, whose sender repeats it until the network heals. It is for
// tests only and knows nothing of what it carries.
//
// All methods may be called from any goroutine. Start with Listen; stream.go
// holds what happens to the bytes.
package faultnet

import (
	"fmt"
	"net"
	"sync"
	"time"

	"weir.dev/weir/internal/base"
)

// Direction is which way bytes go. Directions may be or-ed.
type Direction uint8

// The directions.
const (
	ToTarget Direction = 1 << iota // from whoever connects to the target
	ToClient                       // back
	Both     = ToTarget | ToClient
)

// Fault is what happens to one direction. The zero Fault is a sound network.
type Fault struct {
	Stall          bool          // nothing passes; it does later, when the stall is over
	Delay          time.Duration // from arrival to departure
	BytesPerSecond int           // of each connection; 0 is no limit
}

// Proxy passes connections on to one target.
type Proxy struct {
	listener net.Listener
	clock    base.Clock
	running  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	target  string
	faults  [2]Fault      // to the target, to the client
	changed chan struct{} // closed and replaced when faults change
	refuse  bool
	links   map[*link]struct{}
	closed  bool
}

// link is one connection through the proxy.
type link struct {
	client net.Conn
	target net.Conn      // nil while not connected yet
	done   chan struct{} // closed when the link ends
	once   sync.Once
}

// Listen starts a proxy on a free loopback port that passes connections on to
// target, HOST:PORT, which need not be there yet.
func Listen(target string, clock base.Clock) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot start proxy: %w", err)
	}
	p := &Proxy{listener: l, clock: clock, target: target, changed: make(chan struct{}), links: make(map[*link]struct{})}
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens, HOST:PORT.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTarget changes where new connections go.
func (p *Proxy) SetTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Set applies a fault to open and new connections, from now on; bytes already
// on their way are subject to it too.
func (p *Proxy) Set(dir Direction, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.faults {
		if dir&(1<<i) != 0 {
			p.faults[i] = f
		}
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut stalls a direction: to both ends the network looks like a black hole.
func (p *Proxy) Cut(dir Direction) { p.Set(dir, Fault{Stall: true}) }

// Refuse closes new connections at once, or, with false, no longer. Open ones
// stay.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Reset ends all open connections; both ends see a reset.
func (p *Proxy) Reset() {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	p.mu.Unlock()
	for _, l := range links {
		p.end(l, true)
	}
}

// Heal ends all faults; what was held back arrives.
func (p *Proxy) Heal() {
	p.Refuse(false)
	p.Set(Both, Fault{})
}

// Connections is the number of open connections.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Close ends the proxy and all connections, and waits for its goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Reset()
	p.running.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		l := &link{client: client, done: make(chan struct{})}
		if !p.begin(l) {
			_ = client.Close()
			continue
		}
		p.running.Go(func() { p.serve(l) })
	}
}

// begin registers a link; false when it is refused.
func (p *Proxy) begin(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.refuse {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

// serve connects to the target, once the way there is open, and carries both
// directions until both have ended.
func (p *Proxy) serve(l *link) {
	defer p.end(l, false)
	if !p.passable(l, 0) {
		return
	}
	p.mu.Lock()
	addr := p.target
	p.mu.Unlock()
	target, err := net.Dial("tcp", addr)
	if err != nil {
		p.end(l, true)
		return
	}
	if !p.connected(l, target) {
		_ = target.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.carry(l, 0, l.client, target) })
	both.Go(func() { p.carry(l, 1, target, l.client) })
	both.Wait()
}

// connected notes a link's other end; false when the link has ended meanwhile.
func (p *Proxy) connected(l *link, target net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, open := p.links[l]; !open {
		return false
	}
	l.target = target
	return true
}

// end closes both ends of a link, with a reset or in order.
func (p *Proxy) end(l *link, reset bool) {
	l.once.Do(func() {
		p.mu.Lock()
		delete(p.links, l)
		target := l.target
		p.mu.Unlock()
		close(l.done)
		for _, c := range []net.Conn{l.client, target} {
			if c == nil {
				continue
			}
			if tcp, ok := c.(*net.TCPConn); ok && reset {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}
