package faultnet

import (
	"io"
	"time"
)

const (
	pieceBytes = 16 << 10
	// pieces is how many may be on their way in one direction of a connection:
	// 4 MiB, as in the buffers of a long line.
	pieces = 256
)

// piece is some bytes on their way.
type piece struct {
	data    []byte
	arrived time.Time
}

// carry moves one direction of a link; way is 0 to the target, 1 to the client.
func (p *Proxy) carry(l *link, way int, src io.Reader, dst io.Writer) {
	onWay := make(chan piece, pieces)
	p.running.Go(func() {
		defer close(onWay)
		for {
			buf := make([]byte, pieceBytes)
			n, err := src.Read(buf)
			if n > 0 {
				select {
				case onWay <- piece{buf[:n], p.clock.Now()}:
				case <-l.done:
					return
				}
			}
			if err != nil {
				if err != io.EOF {
					p.end(l, true)
				}
				return
			}
		}
	})
	p.deliver(l, way, onWay, dst)
}

// deliver hands on pieces when their time has come, then the end of the stream.
func (p *Proxy) deliver(l *link, way int, onWay <-chan piece, dst io.Writer) {
	var free time.Time // when the line has sent what it was given
	for m := range onWay {
		var ok bool
		if free, ok = p.due(l, way, m, free); !ok {
			return
		}
		if _, err := dst.Write(m.data); err != nil {
			p.end(l, true)
			return
		}
	}
	if !p.passable(l, way) {
		return
	}
	if half, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// due waits until a piece may go, under the faults of the moment, and returns
// when the line is free again; false when the link has ended.
func (p *Proxy) due(l *link, way int, m piece, free time.Time) (time.Time, bool) {
	for {
		f, changed := p.fault(way)
		if f.Stall {
			select {
			case <-changed:
				continue
			case <-l.done:
				return free, false
			}
		}
		goes := m.arrived.Add(f.Delay)
		if f.BytesPerSecond > 0 {
			if free.After(goes) {
				goes = free
			}
			goes = goes.Add(time.Duration(float64(len(m.data)) / float64(f.BytesPerSecond) * float64(time.Second)))
		}
		pause := goes.Sub(p.clock.Now())
		if pause <= 0 {
			return goes, l.open()
		}
		over := make(chan struct{})
		timer := p.clock.AfterFunc(pause, func() { close(over) })
		select {
		case <-over:
		case <-changed:
			timer.Stop()
		case <-l.done:
			timer.Stop()
			return free, false
		}
	}
}

// passable waits until a direction is not stalled; false when the link ended.
func (p *Proxy) passable(l *link, way int) bool {
	for {
		f, changed := p.fault(way)
		if !f.Stall {
			return l.open()
		}
		select {
		case <-changed:
		case <-l.done:
			return false
		}
	}
}

func (l *link) open() bool {
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

// fault is the fault of the moment, and what is closed when it changes.
func (p *Proxy) fault(way int) (Fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults[way], p.changed
}
