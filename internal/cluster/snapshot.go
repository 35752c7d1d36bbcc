package cluster

import (
	"context"
	"fmt"
	"io"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

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
	slots model.Tablet // whose slots it holds
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
	slots, _ := n.Catalog().TabletByID(r.id)
	if slots == nil {
		return fmt.Errorf("the catalog does not hold the tablet")
	}
	m = proto.Clone(m).(*pb.Message)
	m.Snapshot = &pb.Snapshot{Metadata: state.Metadata()}
	raw, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	spans, err := tabletSpans(snap, slots)
	if err != nil {
		return err
	}
	header := state.Append(nil)
	header = model.AppendBytes(model.AppendBytes(nil, raw), header)
	header = slots.Append(header)
	return n.transport.SendSnapshot(ctx, to, header, func(w io.Writer) error { return storage.Export(snap, spans, w) })
}

// Snapshot implements transport.Handler: it stages the stream and then shows
// raft the message, which decides whether to install it.
func (h *handler) Snapshot(_ model.NodeID, header []byte, body io.Reader) error {
	n := (*Node)(h)
	s := &staged{}
	m := &pb.Message{}
	d := model.NewDecoder(header)
	raw, state := d.Bytes(), d.Bytes()
	s.slots.Decode(d)
	if err := d.Done(); err != nil {
		return err
	}
	if err := proto.Unmarshal(raw, m); err != nil {
		return err
	}
	if err := s.state.Decode(state); err != nil {
		return err
	}
	r, err := n.replicaFor(s.slots.ID)
	if err != nil || r == nil {
		return fmt.Errorf("cannot take a snapshot of tablet %v: %w", s.slots.ID, err)
	}
	if s.data, err = n.db.Stage(body); err != nil {
		return fmt.Errorf("cannot stage a snapshot of tablet %v: %w", r.id, err)
	}
	r.lane.do(r, func(t *tablet.Tablet) {
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
	spans, err := tabletSpans(n.view, &s.slots)
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
	r.machine = machine.New(r.id, s.slots.Lo, s.slots.Hi)
	if err := r.machine.Load(n.view); err != nil {
		return err
	}
	r.notePosition(n)
	r.ready.Store(true)
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
func tabletSpans(r machine.Reader, t *model.Tablet) ([]storage.Span, error) {
	var spans []storage.Span
	lo, hi := keys.DataSpan()
	for {
		it, err := r.Scan(lo, hi, false)
		if err != nil {
			return nil, err
		}
		more := it.Next()
		var id model.ResourceID
		if more {
			id, _, _, _, _ = keys.SplitData(it.Key())
		}
		if err := it.Close(); err != nil {
			return nil, err
		}
		if !more {
			break
		}
		spanLo, spanHi := keys.ResourceSpan(id, t.Lo, t.Hi)
		spans = append(spans, storage.Span{spanLo, spanHi})
		_, lo = keys.ResourceAll(id)
	}
	lo, hi = keys.TabletSpan(t.ID)
	return append(spans, storage.Span{lo, hi}), nil
}
