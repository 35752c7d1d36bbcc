package cluster

import (
	"context"
	"fmt"
	"io"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/storage"
	"weir.dev/weir/internal/tablet"
)

// staged is a snapshot that has arrived in whole and is not installed yet.
type staged struct {
	data  *storage.Staged
	state tablet.Applied
}

func (s *staged) discard() {
	if s != nil {
		s.data.Discard()
	}
}

// sendSnapshot streams the tablet's state to the follower that m is for, and
// tells raft how it went. The state may be newer than the message says; what
// is sent names its own index.
func (n *Node) sendSnapshot(r *replica, m *pb.Message) {
	to := model.NodeID(m.GetTo())
	err := n.streamSnapshot(r, to, m)
	if err != nil {
		n.log.Warn("cannot send a snapshot", "tablet", r.id, "to", to, "error", err)
	} else {
		n.log.Info("sent a snapshot", "tablet", r.id, "to", to)
	}
	r.lane.do(r, func(t *tablet.Tablet) { t.SnapshotSent(to, err == nil) })
}

func (n *Node) streamSnapshot(r *replica, to model.NodeID, m *pb.Message) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-n.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	snap := n.db.Snapshot()
	defer snap.Close() // a snapshot only read has nothing to report
	value, ok, err := snap.Get(r.appliedKey)
	if err != nil || !ok {
		return fmt.Errorf("cannot read how far the state is: %w", err)
	}
	var state tablet.Applied
	if err := state.Decode(value); err != nil {
		return err
	}
	m = proto.Clone(m).(*pb.Message)
	m.Snapshot = &pb.Snapshot{Metadata: state.Metadata()}
	raw, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	spans, err := tabletSpans(snap, r.id, &state)
	if err != nil {
		return err
	}
	header := model.AppendUvarint(nil, uint64(r.id))
	header = model.AppendBytes(header, raw)
	header = model.AppendBytes(header, state.Append(nil))
	about, err := n.db.DiskUsage(spans)
	if err != nil {
		return err
	}
	sh := n.shipments.begin(r.id, to, about, n.clock.Now())
	err = n.transport.SendSnapshot(ctx, to, header, func(w io.Writer) error { return storage.Export(snap, spans, sh.counting(w)) })
	n.shipments.end(sh, err)
	return err
}

// Snapshot implements transport.Handler: it stages the stream and then shows
// raft the message, which decides whether to install it.
func (h *handler) Snapshot(_ model.NodeID, header []byte, body io.Reader) error {
	n := (*Node)(h)
	s := &staged{}
	m := &pb.Message{}
	d := model.NewDecoder(header)
	id, raw, state := model.TabletID(d.Uvarint()), d.Bytes(), d.Bytes()
	if err := d.Done(); err != nil {
		return err
	}
	if err := proto.Unmarshal(raw, m); err != nil {
		return err
	}
	if err := s.state.Decode(state); err != nil {
		return err
	}
	r, err := n.replicaFor(id)
	if err != nil || r == nil {
		return fmt.Errorf("cannot take a snapshot of tablet %v: %w", id, err)
	}
	if s.data, err = n.db.Stage(body); err != nil {
		return fmt.Errorf("cannot stage a snapshot of tablet %v: %w", r.id, err)
	}
	if n, err := io.Copy(io.Discard, body); n > 0 || err != nil { // to the end: only then the sender knows that all arrived
		s.discard()
		return fmt.Errorf("cannot stage a snapshot of tablet %v: %d bytes too many, %w", r.id, n, err)
	}
	r.lane.do(r, func(t *tablet.Tablet) {
		if r.deaf {
			s.discard()
			return
		}
		r.staged.discard()
		r.staged = s
		t.Step(m)
	})
	return nil
}

// install replaces the tablet's state by the staged one, on the applier, after
// everything that it was given before.
func (l *lane) install(r *replica, a *tablet.Append) {
	s := r.staged
	r.staged = nil
	l.applier.submit(work{replica: r, run: func() {
		if err := l.node.installSnapshot(r, s); err != nil {
			l.node.fatal(fmt.Errorf("cannot install a snapshot of tablet %v: %w", r.id, err))
			return
		}
		l.post(event{kind: evInstalled, replica: r, append: a})
	}})
}

func (n *Node) installSnapshot(r *replica, s *staged) error {
	spans, err := tabletSpans(n.view, r.id, &s.state)
	if err != nil {
		return err
	}
	// One ingestion replaces the old state, the applied record with it. After a
	// crash there is the old state or the new one; should the journal not know
	// of the new one, openReplica tells it.
	if err := s.data.Install(spans); err != nil {
		return err
	}
	r.state = s.state
	r.machine = machine.New(r.id, r.state.Lo, r.state.Hi)
	if !base.Bug("snapshotbare") || r.id == model.CatalogTablet {
		if err := r.machine.Load(n.view); err != nil {
			return err
		}
	}
	r.notePosition(n)
	r.ready.Store(true)
	n.shipments.received.Add(1)
	n.log.Info("installed a snapshot", "tablet", r.id, "index", r.state.Index)
	return nil
}

// installed writes to the journal that the log starts after the snapshot, and
// what was held back meanwhile.
func (l *lane) installed(r *replica, a *tablet.Append) {
	md := a.Snapshot.GetMetadata()
	r.installing = false
	l.write(r, a, &journal.LogStart{Index: model.Index(md.GetIndex()), Term: model.Term(md.GetTerm())})
	held := r.held
	r.held = nil
	for _, h := range held {
		l.append(r, h)
	}
}

// tabletSpans finds the spans that hold a tablet's state: its private keys,
// and its slots of every resource that has data there.
func tabletSpans(r machine.Reader, id model.TabletID, state *tablet.Applied) ([]storage.Span, error) {
	var spans []storage.Span
	lo, hi := keys.DataSpan()
	for state.Lo < state.Hi { // the catalog has no slots
		it, err := r.Scan(lo, hi, false)
		if err != nil {
			return nil, err
		}
		more := it.Next()
		var resource model.ResourceID
		if more {
			resource, _, _, _, _ = keys.SplitData(it.Key())
		}
		if err := it.Close(); err != nil {
			return nil, err
		}
		if !more {
			break
		}
		spanLo, spanHi := keys.ResourceSpan(resource, state.Lo, state.Hi)
		spans = append(spans, storage.Span{spanLo, spanHi})
		_, lo = keys.ResourceAll(resource)
	}
	lo, hi = keys.TabletSpan(id)
	return append(spans, storage.Span{lo, hi}), nil
}
