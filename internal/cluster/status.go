package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// statusTimeout bounds how long another node may take to tell its status.
const statusTimeout = 2 * time.Second

// NodeStatus is what one node tells of itself.
type NodeStatus struct {
	Node      model.NodeID
	Replicas  []tablet.Status
	StartedMs int64
	Heard     map[model.NodeID]int64 // when it last heard from others, in Unix milliseconds
	Disk      DiskStatus
	Sending   []Shipment
}

// DiskStatus is how full the disk of a node's journal is.
type DiskStatus struct {
	Free, Total, Reserve uint64 // bytes; all 0 when it cannot be told
	Full                 bool   // the reserve is touched: no new data is taken
}

// ClusterStatus is what is known of the cluster from one node.
type ClusterStatus struct {
	ClusterID string
	Asked     model.NodeID
	NowMs     int64 // Unix milliseconds, by the clock of the node that was asked
	Nodes     []NodeView
	Tablets   []TabletView
	Troubles  []Trouble // the worst first
	Settings  model.ClusterSettings
}

// NodeView is one member.
type NodeView struct {
	ID      model.NodeID
	Address string
	Zone    string
	Starts  uint64 // how often it was started
	State   string // active, read-only, draining or leaving
	Up      bool   // it answered
	Leads   int    // tablets
	Holds   int    // replicas
	// HeardMs is when a node that is up last heard from this one, in Unix
	// milliseconds; 0 when none has since it started.
	HeardMs int64
	Disk    DiskStatus
}

// TabletView is one tablet.
type TabletView struct {
	ID       model.TabletID
	Lo, Hi   uint32
	Leader   model.NodeID // zero: no leader answers, the tablet takes no writes
	Wanted   model.NodeID // the leader that an operator asked for; zero: any
	Term     model.Term
	Last     model.Index
	Replicas []ReplicaView
	Members  tablet.Members // as the leader has them now
	Settled  bool           // they are the wanted ones, and most of its voters follow that leader
}

// ReplicaView is one copy of a tablet.
type ReplicaView struct {
	Node     model.NodeID
	Voter    bool
	Up       bool
	Lag      uint64 // entries behind the leader's log; of a node that is down, as far as the leader knows
	LagBytes uint64 // about what these take
	// Doing is why it is behind: down, snapshot, new, log, or nothing when it is
	// not.
	Doing    string
	Snapshot *Shipment // under way to it
}

// What a replica that is behind is doing.
const (
	DoingDown     = "down"     // its node does not answer
	DoingSnapshot = "snapshot" // it receives a snapshot
	DoingNew      = "new"      // it holds nothing yet: it waits for a snapshot
	DoingLog      = "log"      // it catches up from the log
)

// calmLag is how many entries a replica may be behind under load without being
// called behind: they are on their way.
const calmLag = 1000

// Status asks every member and puts the answers together.
func (n *Node) Status(ctx context.Context) *ClusterStatus {
	c := n.Catalog()
	answers := make([]chan answer, len(c.Nodes))
	for i, m := range c.Nodes {
		answers[i] = make(chan answer, 1)
		if m.ID == n.opts.Node {
			answers[i] <- n.statusAnswer()
			continue
		}
		n.ask(m.ID, &call{kind: callStatus}, statusTimeout, func(a answer) { answers[i] <- a })
	}
	s := &ClusterStatus{ClusterID: c.ClusterID, Asked: n.opts.Node, NowMs: n.clock.Now().UnixMilli(), Settings: c.Settings}
	told := map[model.NodeID]*NodeStatus{}
	for i, m := range c.Nodes {
		v := NodeView{ID: m.ID, Address: m.PeerAddr, Zone: m.Zone, Starts: m.Start.Count(), State: stateOf(&m)}
		a := n.await(ctx, answers[i], nil)
		ns := &NodeStatus{}
		if a.err == nil && json.Unmarshal(a.result.Body, ns) == nil {
			told[m.ID], v.Up, v.Holds, v.Disk = ns, true, len(ns.Replicas), ns.Disk
		}
		s.Nodes = append(s.Nodes, v)
	}
	s.assemble(c, told)
	return s
}

// assemble puts together what the nodes told.
func (s *ClusterStatus) assemble(c *model.Catalog, told map[model.NodeID]*NodeStatus) {
	for i := range c.Tablets {
		s.Tablets = append(s.Tablets, viewTablet(&c.Tablets[i], told))
	}
	for i := range s.Nodes {
		v := &s.Nodes[i]
		for _, t := range s.Tablets {
			if t.Leader == v.ID {
				v.Leads++
			}
		}
		for _, ns := range told {
			v.HeardMs = max(v.HeardMs, ns.Heard[v.ID])
		}
	}
	s.Troubles = troubles(s)
}

// stateOf is what a member is there for.
func stateOf(m *model.Node) string {
	switch {
	case m.Leaving:
		return "leaving"
	case m.Draining:
		return "draining"
	case m.ReadOnly:
		return "read-only"
	default:
		return "active"
	}
}

// viewTablet puts together what the nodes told of one tablet.
func viewTablet(t *model.Tablet, told map[model.NodeID]*NodeStatus) TabletView {
	v := TabletView{ID: t.ID, Lo: t.Lo, Hi: t.Hi, Wanted: t.Lead}
	members := map[model.NodeID]tablet.Status{}
	for id, ns := range told {
		for _, r := range ns.Replicas {
			if r.Tablet == t.ID {
				members[id] = r
				if r.Leader == id && r.Matched != nil && r.Term >= v.Term {
					v.Leader, v.Term, v.Last, v.Members = id, r.Term, r.Last, r.Members
				}
			}
		}
	}
	add := func(ids []model.NodeID, voter bool) {
		for _, id := range ids {
			rv := viewReplica(&v, id, members, told)
			rv.Voter = voter
			v.Replicas = append(v.Replicas, rv)
		}
	}
	add(t.Voters, true)
	add(t.Learners, false)
	v.Settled = v.Members.Are(t.Voters, t.Learners) && v.followed(members)
	return v
}

// followed reports whether most voters are in the leader's term: one that has
// been deposed and does not know it yet, and so may tell of members of the past,
// has no majority.
func (v *TabletView) followed(members map[model.NodeID]tablet.Status) bool {
	n := 0
	for _, id := range v.Members.Voters {
		if m, ok := members[id]; ok && m.Term == v.Term {
			n++
		}
	}
	return 2*n > len(v.Members.Voters)
}

// viewReplica is a node's copy of the tablet, as it and the leader tell of it.
func viewReplica(v *TabletView, id model.NodeID, members map[model.NodeID]tablet.Status, told map[model.NodeID]*NodeStatus) ReplicaView {
	own, holds := members[id]
	lead := members[v.Leader]
	_, up := told[id]
	rv := ReplicaView{Node: id, Up: up && holds}
	at := own.Applied
	if !up {
		at = lead.Matched[id]
	}
	if v.Last > at {
		rv.Lag = uint64(v.Last - at)
	}
	rv.LagBytes = lead.LacksBytes[id]
	if sender := told[v.Leader]; sender != nil {
		for i := range sender.Sending {
			if sh := &sender.Sending[i]; sh.Tablet == v.ID && sh.To == id {
				rv.Snapshot = sh
			}
		}
	}
	switch {
	case !up:
		rv.Doing = DoingDown
	case rv.Snapshot != nil:
		rv.Doing = DoingSnapshot
	case v.Leader != 0 && (lead.Snapshot[id] || own.Last == 0):
		rv.Doing = DoingNew
	case rv.Lag > calmLag:
		rv.Doing = DoingLog
	}
	return rv
}

// statusAnswer is this node's own status.
func (n *Node) statusAnswer() answer {
	s := NodeStatus{Node: n.opts.Node, StartedMs: n.startedMs, Heard: n.presence.times(), Sending: n.shipments.list()}
	s.Disk.Free, s.Disk.Total, s.Disk.Reserve = n.journal.Space()
	s.Disk.Full = n.journal.Full()
	for _, r := range n.allReplicas() {
		got := make(chan tablet.Status, 1)
		r.lane.do(r, func(t *tablet.Tablet) { got <- t.Status() })
		select {
		case st := <-got:
			s.Replicas = append(s.Replicas, st)
		case <-n.stopping:
			return answer{err: tablet.ErrNotLeader}
		}
	}
	body, err := json.Marshal(s)
	return answer{result: model.Result{Body: body}, err: err}
}

// Counts sums up this node's replicas.
type Counts struct{ Held, Led, Leaderless int }

// Counts tells how many tablets this node holds and leads.
func (n *Node) Counts() (c Counts) {
	for _, r := range n.allReplicas() {
		c.Held++
		if r.leads.Load() {
			c.Led++
		}
		if r.lead.Load() == 0 {
			c.Leaderless++
		}
	}
	return c
}

// Healthy is nil when the node can serve requests: it holds the catalog, and
// some tablet that it holds has a leader.
func (n *Node) Healthy() error {
	if n.isClosed() {
		return errors.New("the node is stopping")
	}
	if r := n.replica(model.CatalogTablet); r == nil || !r.ready.Load() {
		return errors.New("the node has not received the catalog yet")
	}
	if c := n.Counts(); c.Leaderless == c.Held {
		return fmt.Errorf("none of the %d tablets held here has a leader", c.Held)
	}
	return nil
}
