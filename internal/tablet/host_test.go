package tablet

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"weir.dev/weir/internal/model"
)

// group is one tablet's replicas and the messages between them. Nothing
// happens by itself: a script, or settle, says what is delivered, written and
// applied next.
type group struct {
	t     testing.TB
	nodes map[model.NodeID]*host
	ids   []model.NodeID
	pool  []*pb.Message // sent and not yet delivered
	trace strings.Builder
}

// host is what a lane, a journal and a machine are to one replica. Its machine
// keeps the bodies of the commands it has applied.
type host struct {
	group   *group
	id      model.NodeID
	tablet  *Tablet
	log     *memLog
	applied Applied
	state   []string // one for each command applied
	now     time.Time
	run     uint64

	appends   []*Append // handed out, not yet written
	applies   []*Apply
	snapshots []*pb.Message
	arrived   *host // whose state the last snapshot carried
}

// What commands at level async may be ahead in scripts.
const (
	asyncWindow = 500 * time.Millisecond
	asyncWrites = 3
)

// known is what scripts know of a command's result before it is applied.
func known(cmd *model.Command) (model.Result, bool) {
	return model.Result{Body: append([]byte("known "), cmd.Body...)}, !strings.HasPrefix(string(cmd.Body), "if ")
}

// epoch is when all clocks start.
var epoch = time.UnixMilli(1000)

func newGroup(t testing.TB) *group {
	return &group{t: t, nodes: map[model.NodeID]*host{}}
}

// add makes a replica. With voters it holds the tablet's first state, at index
// 1; without, it is empty and waits for a snapshot.
func (g *group) add(id model.NodeID, voters []model.NodeID) *host {
	h := &host{group: g, id: id, log: &memLog{}, now: epoch}
	if len(voters) > 0 {
		h.applied = Applied{Index: 1, Term: 1, Conf: Members{Voters: voters}, Hi: model.SlotCount}
		h.log.reset(1, 1)
		h.log.hard = &pb.HardState{Term: proto.Uint64(1), Commit: proto.Uint64(1)}
	}
	g.nodes[id] = h
	g.ids = append(g.ids, id)
	h.open()
	return h
}

// open starts the replica's next run on what its log and state hold.
func (h *host) open() {
	h.run++
	t, err := Open(Config{
		ID: 7, Node: h.id, Log: h.log, Applied: h.applied, Now: func() time.Time { return h.now },
		Nonce: uint64(h.id)<<16 + h.run, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Async: Async{Known: known, Bound: func() (time.Duration, int) { return asyncWindow, asyncWrites }},
	})
	if err != nil {
		h.group.t.Fatal(err)
	}
	h.tablet = t
	h.appends, h.applies, h.snapshots, h.arrived = nil, nil, nil, nil
}

func (g *group) notef(format string, args ...any) { fmt.Fprintf(&g.trace, format+"\n", args...) }

// turn collects the replica's effects; verbose tells of each.
func (h *host) turn(verbose bool) bool {
	e := h.tablet.Effects()
	h.snapshots = append(h.snapshots, e.Snapshots...)
	for _, a := range e.Appends {
		if a.MustSync {
			h.appends = append(h.appends, a)
		}
	}
	h.applies = append(h.applies, e.Applies...)
	h.group.pool = append(h.group.pool, e.Send...)
	if verbose {
		for _, m := range e.Send {
			h.group.notef("  send %s", describe(m))
		}
		for _, a := range e.Appends {
			if a.MustSync {
				h.group.notef("  to write %s", describeEntries(a.Entries))
			}
		}
		for _, a := range e.Applies {
			h.group.notef("  to apply %s", describeEntries(a.Entries))
		}
		for _, m := range e.Snapshots {
			h.group.notef("  to send a snapshot to %d", m.GetTo())
		}
	}
	return len(e.Send)+len(e.Appends)+len(e.Applies)+len(e.Snapshots) > 0
}

// write makes the replica's next append durable; false when there is none.
func (h *host) write() bool {
	if len(h.appends) == 0 {
		return false
	}
	a := h.appends[0]
	h.appends = h.appends[1:]
	if a.Replaces != 0 {
		h.noteLost(a.Replaces)
	}
	if a.Snapshot != nil {
		md := a.Snapshot.GetMetadata()
		h.applied = h.arrived.applied
		h.state = append([]string(nil), h.arrived.state...)
		h.log.reset(md.GetIndex(), md.GetTerm())
	}
	h.log.append(a.Entries)
	if a.Hard != nil {
		h.log.hard = a.Hard
	}
	h.tablet.AppendDone(a)
	return true
}

// noteLost tells what was answered early in entries that leave the log.
func (h *host) noteLost(first model.Index) {
	last, _ := h.log.LastIndex()
	start, _ := h.log.FirstIndex()
	if uint64(first) > last {
		return
	}
	entries, err := h.log.Entries(max(uint64(first), start), last+1, 1<<30)
	if err != nil {
		h.group.t.Fatal(err)
	}
	lost, err := h.tablet.Lost(entries)
	if err != nil {
		h.group.t.Fatal(err)
	}
	for i := range lost {
		h.group.notef("  %d loses %q at %d/%d.%d, answered %v", h.id, lost[i].Command.Body, lost[i].Term, lost[i].Index, lost[i].Ordinal, lost[i].Answered)
	}
}

// apply applies the replica's next run of entries; false when there is none.
func (h *host) apply() bool {
	if len(h.applies) == 0 {
		return false
	}
	a := h.applies[0]
	h.applies = h.applies[1:]
	var results []BatchResult
	for _, e := range a.Entries {
		if model.Index(e.GetIndex()) <= h.applied.Index {
			continue
		}
		if e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 {
			if r, mine := h.applyBatch(e); mine {
				results = append(results, r)
			}
		}
		if m, ok := a.Members[e.GetIndex()]; ok {
			h.applied.Conf = m
		}
		h.applied.Index, h.applied.Term, h.applied.Ordinal = model.Index(e.GetIndex()), model.Term(e.GetTerm()), 0
	}
	h.tablet.ApplyDone(a, h.applied, results)
	return true
}

func (h *host) applyBatch(e *pb.Entry) (BatchResult, bool) {
	b, err := DecodeBatch(e.GetData())
	if err != nil {
		h.group.t.Fatal(err)
	}
	r := BatchResult{Number: b.Number, Index: model.Index(e.GetIndex())}
	var cmd model.Command
	for ordinal := uint32(1); b.Next(&cmd); ordinal++ {
		if ordinal <= h.applied.Ordinal {
			continue
		}
		if cmd.Stamp <= h.applied.Stamp {
			h.group.t.Errorf("node %d: stamp %s of %q follows %s", h.id, stampText(cmd.Stamp), cmd.Body, stampText(h.applied.Stamp))
		}
		h.applied.Stamp = cmd.Stamp
		h.state = append(h.state, fmt.Sprintf("%s@%s", cmd.Body, stampText(cmd.Stamp)))
		r.Results = append(r.Results, model.Result{Body: []byte(fmt.Sprintf("%d.%d %s", e.GetIndex(), ordinal, cmd.Body))})
	}
	if b.Err() != nil {
		h.group.t.Fatal(b.Err())
	}
	return r, b.Nonce == h.tablet.Nonce()
}

// proposeAt proposes commands with these bodies; their answers go to the trace.
func (h *host) proposeAt(level model.Level, bodies ...string) {
	for _, body := range bodies {
		h.tablet.Propose(Proposal{Command: &model.Command{Kind: model.CmdPutItem, Body: []byte(body)}, Level: level, Done: func(res model.Result, at model.Index, err error) {
			if errors.Is(err, ErrNotOnAll) {
				h.group.notef("  %s: done at %d, %q: %v", body, at, res.Body, err)
				return
			}
			if errors.Is(err, ErrOnlyHere) {
				h.group.notef("  %s: early at %d, %q", body, at, res.Body)
				return
			}
			if err != nil {
				h.group.notef("  %s: %v", body, err)
				return
			}
			h.group.notef("  %s: done at %d, %q", body, at, res.Body)
		}})
	}
}

func (h *host) read(name string) {
	h.tablet.Read(Read{Done: func(at model.Index, err error) {
		if err != nil {
			h.group.notef("  %s: %v", name, err)
			return
		}
		h.group.notef("  %s: good at %d, the state is at %d", name, at, h.applied.Index)
	}})
}

// deliver gives the messages that match to their replicas and returns how many
// there were. Lost ones are only taken out.
func (g *group) deliver(match func(*pb.Message) bool, lose, verbose bool) int {
	var kept, out []*pb.Message
	for _, m := range g.pool {
		if match(m) {
			out = append(out, m)
		} else {
			kept = append(kept, m)
		}
	}
	g.pool = kept
	for _, m := range out {
		if verbose {
			g.notef("  %s", describe(m))
		}
		if h := g.nodes[model.NodeID(m.GetTo())]; h != nil && !lose {
			h.tablet.Step(proto.Clone(m).(*pb.Message))
		}
	}
	return len(out)
}

// install sends a replica's waiting snapshot, which carries its state of now.
func (h *host) install(m *pb.Message) {
	sender := h.group.nodes[h.id]
	m = proto.Clone(m).(*pb.Message)
	m.Snapshot = &pb.Snapshot{Metadata: h.applied.Metadata()}
	to := h.group.nodes[model.NodeID(m.GetTo())]
	to.arrived = &host{applied: sender.applied, state: append([]string(nil), sender.state...)}
	to.tablet.Step(m)
	h.tablet.SnapshotSent(to.id, true)
}

// settle lets everything happen until nothing is left to do, but for the
// replicas that are cut off.
func (g *group) settle(cut map[model.NodeID]bool) {
	for busy, rounds := true, 0; busy; rounds++ {
		if rounds > 10000 {
			g.t.Fatal("the group does not come to rest")
		}
		busy = false
		for _, id := range g.ids {
			h := g.nodes[id]
			busy = h.turn(false) || busy
			busy = h.write() || busy
			busy = h.apply() || busy
			for _, m := range h.snapshots {
				if cut[id] || cut[model.NodeID(m.GetTo())] {
					h.tablet.SnapshotSent(model.NodeID(m.GetTo()), false)
				} else {
					h.install(m)
				}
				busy = true
			}
			h.snapshots = nil
		}
		g.deliver(func(m *pb.Message) bool { return cut[model.NodeID(m.GetFrom())] || cut[model.NodeID(m.GetTo())] }, true, false)
		busy = g.deliver(func(*pb.Message) bool { return true }, false, false) > 0 || busy
	}
}

func describe(m *pb.Message) string {
	s := fmt.Sprintf("%d->%d %v term %d", m.GetFrom(), m.GetTo(), m.GetType(), m.GetTerm())
	switch m.GetType() {
	case pb.MsgApp:
		s += fmt.Sprintf(" after %d commit %d %s", m.GetIndex(), m.GetCommit(), describeEntries(m.GetEntries()))
	case pb.MsgAppResp:
		s += fmt.Sprintf(" index %d", m.GetIndex())
	}
	if m.GetReject() {
		s += " reject"
	}
	return s
}

func describeEntries(entries []*pb.Entry) string {
	var parts []string
	for _, e := range entries {
		parts = append(parts, fmt.Sprintf("%d/%d:%s", e.GetTerm(), e.GetIndex(), describeData(e)))
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func describeData(e *pb.Entry) string {
	if e.GetType() == pb.EntryConfChangeV2 {
		return "members"
	}
	if len(e.GetData()) == 0 {
		return "-"
	}
	b, err := DecodeBatch(e.GetData())
	if err != nil {
		return err.Error()
	}
	var bodies []string
	var cmd model.Command
	for b.Next(&cmd) {
		bodies = append(bodies, string(cmd.Body))
	}
	return strings.Join(bodies, ",")
}

// stampText is a stamp as milliseconds and count.
func stampText(s model.Stamp) string { return fmt.Sprintf("%d+%d", s.Millis(), uint64(s)&0xffff) }
