package cluster

import (
	"context"
	"errors"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
	"weir.dev/weir/internal/transport"
)

// handler is the node as other nodes see it: a transport.Handler.
type handler Node

// Members is what a transport may ask of its handler: where members are.
type Members interface {
	Address(model.NodeID) (string, bool)
	Catalog() *model.Catalog
}

// Address implements Members.
func (h *handler) Address(id model.NodeID) (string, bool) { return (*Node)(h).Address(id) }

// Catalog implements Members.
func (h *handler) Catalog() *model.Catalog { return (*Node)(h).Catalog() }

// Join implements transport.Joiner.
func (h *handler) Join(ctx context.Context, req *transport.JoinRequest) (*transport.JoinGrant, error) {
	return (*Node)(h).join(ctx, req)
}

// Raft implements transport.Handler.
func (h *handler) Raft(_ model.NodeID, id model.TabletID, m *pb.Message) {
	n := (*Node)(h)
	if tablet.AsksForVote(m) && n.replica(id) == nil {
		return // an empty replica would not vote
	}
	r, err := n.replicaFor(id)
	if err != nil {
		n.fatal(err)
		return
	}
	if r != nil {
		r.lane.post(event{kind: evMessage, replica: r, message: m})
	}
}

// replicaFor returns the replica of a tablet, which it makes, empty, when
// another member speaks to it: the tablet's leader has made this node a
// learner and will send a snapshot. Where a replica was removed before, the new
// one keeps its term, and does not vote until it has the snapshot.
func (n *Node) replicaFor(id model.TabletID) (*replica, error) {
	if r := n.replica(id); r != nil {
		return r, nil
	}
	n.opening.Lock()
	defer n.opening.Unlock()
	if r := n.replica(id); r != nil || n.isClosed() {
		return r, nil
	}
	return n.openReplica(id, tablet.Applied{})
}

// Call implements transport.Handler.
func (h *handler) Call(from model.NodeID, req []byte, reply func([]byte, error)) {
	n := (*Node)(h)
	c, err := decodeCall(req)
	if err != nil {
		reply(nil, err)
		return
	}
	done := func(a answer) { reply(a.encode(), nil) }
	if c.kind == callStatus {
		n.start(func() { done(n.statusAnswer()) })
		return
	}
	if c.kind == callTell {
		n.told(c.query.Body)
		done(answer{})
		return
	}
	if c.kind == callLeave {
		n.visits.cancel(visit{from, c.number})
		done(answer{})
		return
	}
	r := n.replica(c.tablet)
	if r == nil {
		done(answer{err: tablet.ErrNotLeader})
		return
	}
	done = func(a answer) {
		if errors.Is(a.err, tablet.ErrNotLeader) && !r.stray.Load() {
			a.leader = model.NodeID(r.lead.Load())
		}
		reply(a.encode(), nil)
	}
	if c.kind.waits() {
		ctx, end := n.visits.begin(visit{from, c.number})
		n.start(func() {
			a := n.waitHere(ctx, r, c)
			end()
			done(a)
		})
		return
	}
	switch c.kind {
	case callPropose:
		n.proposeTo(r, &c.command, c, done)
	case callReadIndex:
		r.readIndex(done)
	case callRead:
		if !c.strong {
			n.start(func() { done(n.queryHere(r, &c.query)) })
			return
		}
		r.readIndex(func(a answer) {
			if a.err != nil {
				done(a)
				return
			}
			n.start(func() { done(n.queryHere(r, &c.query)) })
		})
	}
}

// proposeTo hands a call's command to a replica's lane, unless the disk is too
// full for what it adds. Deletes still go through: they make room.
func (n *Node) proposeTo(r *replica, cmd *model.Command, c *call, done func(answer)) {
	if addsData(cmd.Kind) && n.journal.Full() {
		r.refused.note(errDiskFull)
		done(answer{err: errDiskFull})
		return
	}
	level := max(c.level, n.levels.of(cmd.Resource))
	links, needs, err := n.shipping.of(cmd, c.regions)
	switch {
	case err != nil:
		done(answer{err: err})
	case len(needs) > 0:
		n.proposeAbroad(r, cmd, level, links, needs, done)
	default:
		r.propose(cmd, level, done)
	}
}

func addsData(k model.CommandKind) bool {
	switch k {
	case model.CmdPutItem, model.CmdUpdateItem, model.CmdBatchWrite, model.CmdSend, model.CmdPutRecords, model.CmdPipeApply, model.CmdApplyChanges:
		return true
	default:
		return false
	}
}

// errDiskFull: surely not applied, and trying again at once does not help.
var errDiskFull = model.Errorf(model.ErrUnavailable, "the disk of the node that leads this data is nearly full: it takes no new data until there is room; deletes still work")

// propose hands a command to the replica's lane.
func (r *replica) propose(cmd *model.Command, level model.Level, done func(answer)) {
	r.lane.post(event{kind: evPropose, replica: r, proposal: tablet.Proposal{Command: cmd, Level: level, Done: func(res model.Result, at model.Index, err error) {
		if err != nil {
			r.refused.note(err)
		}
		done(proposed(level, res, at, err))
	}}})
}

// proposed is the answer to a proposal that asked for a level.
func proposed(level model.Level, res model.Result, at model.Index, err error) answer {
	a := answer{result: res, index: at, ready: err == nil, err: err}
	switch {
	case errors.Is(err, tablet.ErrNotOnAll):
		a.ready, a.err, a.short = true, nil, level == model.LevelAll
	case errors.Is(err, tablet.ErrOnlyHere):
		a.ready, a.err, a.level = true, nil, model.LevelAsync
	case err == nil && level > model.LevelQuorum:
		a.level = model.LevelAll
	}
	return a
}

// readIndex asks for a moment at which the replica's state is good for a
// strong read.
func (r *replica) readIndex(done func(answer)) {
	r.lane.post(event{kind: evRead, replica: r, read: tablet.Read{Done: func(at model.Index, err error) {
		done(answer{index: at, err: err})
	}}})
}

// queryHere answers a query from this node's state.
func (n *Node) queryHere(r *replica, q *model.Query) answer {
	if !r.ready.Load() {
		return answer{err: tablet.ErrNotLeader}
	}
	res, err := machine.Query(n.view, q)
	if !r.ready.Load() { // the replica was removed meanwhile, perhaps with half of what was read
		return answer{err: tablet.ErrNotLeader}
	}
	return answer{result: res, index: model.Index(r.applied.Load()), err: err}
}
