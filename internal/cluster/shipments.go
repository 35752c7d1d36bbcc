package cluster

import (
	"cmp"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/model"
)

// shipments are the snapshots that this node is sending, and counts of all that
// it has sent and received.
type shipments struct {
	mu       sync.Mutex // guards underWay
	underWay []*shipment

	sent, failed, received, bytes atomic.Uint64
}

// shipment is one snapshot on its way to another node.
type shipment struct {
	what      Shipment // without Bytes
	bytesSent atomic.Uint64
	all       *atomic.Uint64 // of all shipments
}

// begin notes a snapshot; end must follow.
func (s *shipments) begin(id model.TabletID, to model.NodeID, about uint64, now time.Time) *shipment {
	sh := &shipment{what: Shipment{Tablet: id, To: to, About: about, BegunMs: now.UnixMilli()}, all: &s.bytes}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay = append(s.underWay, sh)
	return sh
}

func (s *shipments) end(sh *shipment, err error) {
	if err != nil {
		s.failed.Add(1)
	} else {
		s.sent.Add(1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay = slices.DeleteFunc(s.underWay, func(x *shipment) bool { return x == sh })
}

// list are those under way, by tablet and receiver.
func (s *shipments) list() (list []Shipment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.underWay {
		at := sh.what
		at.Bytes = sh.bytesSent.Load()
		list = append(list, at)
	}
	slices.SortFunc(list, func(a, b Shipment) int { return cmp.Or(cmp.Compare(a.Tablet, b.Tablet), cmp.Compare(a.To, b.To)) })
	return list
}

// counting counts what is written.
func (sh *shipment) counting(w io.Writer) io.Writer { return countingWriter{w, sh} }

type countingWriter struct {
	io.Writer
	shipment *shipment
}

// Write implements io.Writer.
func (c countingWriter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.shipment.bytesSent.Add(uint64(n))
	c.shipment.all.Add(uint64(n))
	return n, err
}

// Shipment is a snapshot on its way from the node that tells of it to another.
type Shipment struct {
	Tablet  model.TabletID
	To      model.NodeID
	Bytes   uint64 // sent so far
	About   uint64 // what the state takes on disk; it is compressed there, so more may be sent
	BegunMs int64
}
