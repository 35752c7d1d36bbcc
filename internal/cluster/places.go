package cluster

import (
	"context"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// keepPlaces brings every tablet led here to its wanted members and leader;
// the catalog's leader also decides what is wanted, lets nodes leave, and
// removes the data of deleted resources.
func (n *Node) keepPlaces() {
	p := &places{node: n, absent: map[model.NodeID]time.Time{}, empty: map[model.NodeID]bool{}}
	for round := 1; n.sleep(n.opts.HousekeepingEvery); round++ {
		n.steer()
		if r := n.replica(model.CatalogTablet); r != nil && r.leads.Load() {
			p.place(round%restRounds == 0)
			n.removeDeleted()
		} else {
			clear(p.absent)
			clear(p.empty)
		}
		if round%strayRounds == 0 {
			n.dropStrays()
		}
	}
}

// steer moves the tablets led here towards what the catalog wants.
func (n *Node) steer() {
	n.tellPresence()
	n.tellStory()
	c := n.Catalog()
	preferred := preferredLeaders(c)
	for _, r := range n.allReplicas() {
		t, ok := c.TabletByID(r.id)
		if !ok || !r.leads.Load() {
			continue
		}
		r.lane.do(r, func(rt *tablet.Tablet) {
			n.presence.note(rt)
			rt.Steer(t.Voters, t.Learners)
			rt.HandOver(preferred[t.ID])
		})
	}
}

// places decides where tablets shall be. It belongs to keepPlaces.
type places struct {
	node   *Node
	absent map[model.NodeID]time.Time // since when members have not answered, as this leader saw it
	empty  map[model.NodeID]bool      // nodes that leave, and had nothing but the catalog at the last look at all
}

// How many rounds of housekeeping pass between two looks at the whole cluster,
// which ask every member: whether it is at rest, and whether replicas here
// belong elsewhere.
const (
	restRounds  = 4
	strayRounds = 8
)

// place writes into the catalog which nodes shall hold which tablet. With
// improving it also lets nodes leave, and moves a voter to a better place, one at
// a time, while the cluster is at rest otherwise.
func (p *places) place(improving bool) {
	n := p.node
	see, ok := p.look()
	if !ok {
		return
	}
	changed := false
	for i := range n.Catalog().Tablets {
		t := n.Catalog().Tablets[i] // it changes with every tablet placed
		voters, learners := wanted(n.Catalog(), &t, see)
		if slices.Equal(voters, t.Voters) && slices.Equal(learners, t.Learners) {
			continue
		}
		changed = true
		if !n.setPlaces(t.ID, voters, learners) {
			return
		}
	}
	if changed || !improving {
		return
	}
	better, improvable := improve(n.Catalog(), see)
	leaving := slices.ContainsFunc(n.Catalog().Nodes, func(m model.Node) bool { return m.Leaving })
	if !improvable && !leaving {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	status := n.Status(ctx)
	p.letLeave(status)
	if improvable && atRest(status) {
		n.setPlaces(better.ID, better.Voters, better.Learners)
	}
}

func (n *Node) setPlaces(id model.TabletID, voters, learners []model.NodeID) bool {
	c := n.Catalog()
	t := model.Tablet{ID: id, Voters: voters, Learners: learners}
	if old, ok := c.TabletByID(id); ok && slices.Contains(voters, old.Lead) {
		t.Lead = old.Lead
	}
	op := model.CatalogOp{Kind: model.OpSetTablet, Version: c.Version, Tablet: t}
	return n.proposeHousekeeping(&model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}, model.CatalogTablet)
}

// look tells what the catalog's leader sees; false when this node is not it.
func (p *places) look() (see sight, ok bool) {
	n := p.node
	r := n.replica(model.CatalogTablet)
	got := make(chan tablet.Status, 1)
	r.lane.do(r, func(t *tablet.Tablet) { got <- t.Status() })
	var s tablet.Status
	select {
	case s = <-got:
	case <-n.stopping:
		return see, false
	}
	now := n.clock.Now()
	for _, m := range n.Catalog().Nodes {
		if s.Active[m.ID] {
			delete(p.absent, m.ID)
		} else if _, known := p.absent[m.ID]; !known {
			p.absent[m.ID] = now
		}
	}
	patience := time.Duration(n.Catalog().Settings.ReplaceAfterMs) * time.Millisecond
	see.up = func(id model.NodeID) bool { return s.Active[id] && s.Matched[id] > 0 }
	see.empty = func(id model.NodeID) bool { return p.empty[id] }
	see.gone = func(id model.NodeID) bool {
		since, absent := p.absent[id]
		return absent && patience > 0 && now.Sub(since) >= patience
	}
	return see, s.Leader == n.opts.Node
}

// atRest reports whether every tablet has a leader, and the members that are
// wanted.
func atRest(s *ClusterStatus) bool {
	for i := range s.Tablets {
		if t := &s.Tablets[i]; t.Leader == 0 || !t.Settled {
			return false
		}
	}
	return true
}

// letLeave ends the membership of nodes that are to leave, when every tablet is
// settled without them; the catalog's goes last.
func (p *places) letLeave(s *ClusterStatus) {
	n := p.node
	clear(p.empty)
	for _, m := range n.Catalog().Nodes {
		if !m.Leaving {
			continue
		}
		involves := func(t *TabletView) bool { return t.Leader == 0 || !t.Settled || t.Members.Has(m.ID) }
		catalog := false
		p.empty[m.ID] = true
		for i := range s.Tablets {
			if t := &s.Tablets[i]; t.ID == model.CatalogTablet {
				catalog = involves(t)
			} else if involves(t) {
				p.empty[m.ID] = false
			}
		}
		if catalog || !p.empty[m.ID] {
			continue
		}
		op := model.CatalogOp{Kind: model.OpRemoveNode, Node: model.Node{ID: m.ID}}
		if n.proposeHousekeeping(&model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}, model.CatalogTablet) {
			n.log.Info("a node has left the cluster", "node", m.ID, "address", m.PeerAddr)
		}
	}
}
