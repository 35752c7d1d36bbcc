// Package mesh is a network of IP packets in user space that harms what it
// carries: packets are late, lost, doubled, out of order, held to a rate, or cut
// off, each way for itself. It does for tests of real processes what the
// kernel's netem does, on kernels without it: what is lost here is sent again by
// the kernel's own TCP.
//
// Each place in the mesh is an IPv4 address with a device behind it, which is a
// TUN device in a network namespace, or anything else that reads and writes
// whole packets. It is for tests only and looks at nothing of a packet but where
// it goes.
//
// All methods may be called from any goroutine. Start with New; line.go holds
// what happens to a packet, tun_linux.go the devices of the kernel.
package mesh

import (
	"errors"
	"io"
	"net/netip"
	"sync"
	"time"
)

// Device reads and writes whole IP packets, one with each call. Read blocks;
// Close ends it.
type Device = io.ReadWriteCloser

const (
	// maxPacketBytes is the most that IPv4 has.
	maxPacketBytes = 64 << 10
	// maxUnderWay bounds the packets that are on their way to one place: some
	// seconds of a full gigabit line.
	maxUnderWay = 1 << 16
)

// Mesh carries packets between places.
type Mesh struct {
	seed    uint64
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	places map[netip.Addr]*place
	ways   map[[2]netip.Addr]*way
	sent   int // packets
	closed bool
}

// place is an address and the packets that will arrive there.
type place struct {
	addr    netip.Addr
	device  Device
	packets packets       // guarded by the mesh's lock
	changed chan struct{} // holds one when there is something to look at
	done    chan struct{} // closed by Close
}

// New makes a mesh without places. The seed decides which packets are lost, late
// and doubled: of two meshes with the same seed that are given the same packets
// in the same order the same ones are.
func New(seed uint64) *Mesh {
	return &Mesh{seed: seed, places: make(map[netip.Addr]*place), ways: make(map[[2]netip.Addr]*way)}
}

// Attach makes a device the place of an address, which must be new, and carries
// what it sends from now on. The mesh owns the device.
func (m *Mesh) Attach(addr netip.Addr, device Device) error {
	p := &place{addr: addr, device: device, changed: make(chan struct{}, 1), done: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || !addr.Is4() || m.places[addr] != nil {
		return errors.Join(errors.New("cannot attach "+addr.String()+" to the mesh"), device.Close())
	}
	m.places[addr] = p
	m.running.Go(func() { m.collect(p) })
	m.running.Go(func() { m.deliver(p) })
	return nil
}

// Set changes what happens to packets from one place to another, from now on.
func (m *Mesh) Set(from, to netip.Addr, line Line) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.way(from, to).line = line
}

// Count is what has happened to packets from one place to another so far.
func (m *Mesh) Count(from, to netip.Addr) Count {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.way(from, to).count
}

// Close closes all devices and waits for the mesh's goroutines.
func (m *Mesh) Close() error {
	m.mu.Lock()
	var errs []error
	if !m.closed {
		m.closed = true
		for _, p := range m.places { // their order is no matter
			close(p.done)
			errs = append(errs, p.device.Close())
		}
	}
	m.mu.Unlock()
	m.running.Wait()
	return errors.Join(errs...)
}

// way finds the way between two places; the lock is held.
func (m *Mesh) way(from, to netip.Addr) *way {
	ends := [2]netip.Addr{from, to}
	w := m.ways[ends]
	if w == nil {
		w = newWay(m.seed, from, to)
		m.ways[ends] = w
	}
	return w
}

// collect takes what a place sends until its device is closed.
func (m *Mesh) collect(p *place) {
	buf := make([]byte, maxPacketBytes)
	for {
		n, err := p.device.Read(buf)
		if err != nil {
			return // closed, by Close or with its namespace
		}
		to, ok := destination(buf[:n])
		if !ok {
			continue
		}
		m.send(p.addr, to, append([]byte(nil), buf[:n]...))
	}
}

// send puts a packet on its way, as often as it shall arrive.
func (m *Mesh) send(from, to netip.Addr, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	target := m.places[to]
	if target == nil {
		return
	}
	w := m.way(from, to)
	arrivals := w.pass(time.Now(), len(data))
	for _, at := range arrivals {
		if len(target.packets) >= maxUnderWay {
			w.count.Lost++
			continue
		}
		m.sent++
		target.packets.add(packet{at: at, number: m.sent, way: w, data: data})
	}
	if len(arrivals) > 0 {
		select {
		case target.changed <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// deliver hands a place its packets when their time has come.
func (m *Mesh) deliver(p *place) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		data, pause := m.due(p)
		if data != nil {
			_, _ = p.device.Write(data) // a device that is down loses it, as a cable does
			continue
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-p.changed:
		case <-p.done:
			return
		}
	}
}

// idle is how long deliver waits when nothing is under way: changed ends it.
const idle = time.Hour

// due takes the packet whose time has come, or tells how long it is until the
// next one's.
func (m *Mesh) due(p *place) (data []byte, pause time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(p.packets) > 0 && !m.closed {
		if pause := time.Until(p.packets[0].at); pause > 0 {
			return nil, pause
		}
		next := p.packets.take()
		if next.way.line.Cut { // since it was sent
			next.way.count.Lost++
			continue
		}
		next.way.count.Arrived++
		return next.data, 0
	}
	return nil, idle
}

// destination is where an IPv4 packet goes.
func destination(data []byte) (to netip.Addr, ok bool) {
	const headerBytes, at = 20, 16
	if len(data) < headerBytes || data[0]>>4 != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(data[at : at+4])), true
}
