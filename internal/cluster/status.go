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
	Node     model.NodeID
	Replicas []tablet.Status
}

// ClusterStatus is what is known of the cluster from one node.
type ClusterStatus struct {
	ClusterID string
	Asked     model.NodeID
	Nodes     []NodeView
	Tablets   []TabletView
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
}

// TabletView is one tablet.
type TabletView struct {
	ID       model.TabletID
	Lo, Hi   uint32
	Leader   model.NodeID // zero: no leader answers, the tablet takes no writes
	Term     model.Term
	Last     model.Index
	Replicas []ReplicaView
	Members  tablet.Members // as the leader has them now
	Settled  bool           // they are the wanted ones
}

// ReplicaView is one copy of a tablet.
type ReplicaView struct {
	Node  model.NodeID
	Voter bool
	Up    bool
	Lag   uint64 // entries behind the leader's log
}

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
	s := &ClusterStatus{ClusterID: c.ClusterID, Asked: n.opts.Node, Settings: c.Settings}
	told := map[model.NodeID]*NodeStatus{}
	for i, m := range c.Nodes {
		v := NodeView{ID: m.ID, Address: m.PeerAddr, Zone: m.Zone, Starts: m.Start.Count(), State: stateOf(&m)}
		a := n.await(ctx, answers[i], nil)
		ns := &NodeStatus{}
		if a.err == nil && json.Unmarshal(a.result.Body, ns) == nil {
			told[m.ID], v.Up, v.Holds = ns, true, len(ns.Replicas)
		}
		s.Nodes = append(s.Nodes, v)
	}
	for i := range c.Tablets {
		s.Tablets = append(s.Tablets, viewTablet(&c.Tablets[i], told))
	}
	for i := range s.Nodes {
		for _, t := range s.Tablets {
			if t.Leader == s.Nodes[i].ID {
				s.Nodes[i].Leads++
			}
		}
	}
	return s
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
	v := TabletView{ID: t.ID, Lo: t.Lo, Hi: t.Hi}
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
			r, up := members[id]
			rv := ReplicaView{Node: id, Voter: voter, Up: up}
			if up && v.Last > r.Applied {
				rv.Lag = uint64(v.Last - r.Applied)
			}
			v.Replicas = append(v.Replicas, rv)
		}
	}
	add(t.Voters, true)
	add(t.Learners, false)
	v.Settled = v.Members.Are(t.Voters, t.Learners)
	return v
}

// statusAnswer is this node's own status.
func (n *Node) statusAnswer() answer {
	s := NodeStatus{Node: n.opts.Node}
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

// Healthy is nil when the node can serve requests: it holds the catalog and
// every tablet that it holds has a leader.
func (n *Node) Healthy() error {
	if n.isClosed() {
		return errors.New("the node is stopping")
	}
	if r := n.replica(model.CatalogTablet); r == nil || !r.ready.Load() {
		return errors.New("the node has not received the catalog yet")
	}
	if c := n.Counts(); c.Leaderless > 0 {
		return fmt.Errorf("%d of the %d tablets held here have no leader", c.Leaderless, c.Held)
	}
	return nil
}
