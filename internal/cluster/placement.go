package cluster

import (
	"cmp"
	"slices"

	"weir.dev/weir/internal/model"
)

// replicationFactor is how many voters a tablet gets when there are nodes
// enough.
const replicationFactor = 3

// sight is what the catalog's leader sees of the members.
type sight struct {
	up   func(model.NodeID) bool // it answers and holds some of the catalog already
	gone func(model.NodeID) bool // it has been away for longer than the cluster waits
	// empty tells of a node that leaves that it is a member of no data tablet any
	// more.
	empty func(model.NodeID) bool
}

// takes reports whether a node is to hold voters: it stays, and it is not
// lost.
func (s *sight) takes(n *model.Node) bool { return !n.Draining && !n.ReadOnly && !s.gone(n.ID) }

// wanted says which nodes shall hold a tablet.
//
// Voters stay where they are as long as their nodes stay. Missing ones, and
// those on nodes that drain or are lost, are made anew on nodes that are up, so
// that one which was admitted and never came does not hold up the others: on
// zones that hold none yet before others, then on nodes that hold the fewest.
// When there is no such node a voter stays where it is, unless its node is to
// leave the cluster and nobody is there who could come up and take its place.
// Voters are added up to an odd number: with two nodes the second is a learner,
// because two voters would be down when either is.
//
// The catalog is held by every node, by one that leaves until it holds nothing
// else; and everything by a read-only one.
func wanted(c *model.Catalog, t *model.Tablet, see sight) (voters, learners []model.NodeID) {
	p := newPlacing(c, see)
	var spare []model.NodeID // voters on nodes that they should leave
	for _, id := range t.Voters {
		if n, ok := c.Node(id); ok && see.takes(n) {
			voters = append(voters, id)
		} else if ok && (!n.Leaving || p.late(t)) {
			spare = append(spare, id)
		}
	}
	free := p.free(t)
	target := min(replicationFactor, len(voters)+len(free))
	if target%2 == 0 && target > len(voters) {
		target--
	}
	for len(voters) < target {
		best := p.best(free, voters)
		voters = append(voters, best)
		free = slices.DeleteFunc(free, func(id model.NodeID) bool { return id == best })
	}
	for len(voters) < replicationFactor && len(spare) > 0 {
		voters, spare = append(voters, spare[0]), spare[1:]
	}
	if len(voters) == 0 { // everybody is to leave: somebody must stay
		voters = slices.Clone(t.Voters)
	}
	learners = p.learners(t, voters, free)
	slices.Sort(voters)
	slices.Sort(learners)
	return voters, learners
}

// placing is what the choice of nodes rests on.
type placing struct {
	catalog *model.Catalog
	see     sight
	holds   map[model.NodeID]int // voters of data tablets
	zone    map[model.NodeID]string
}

func newPlacing(c *model.Catalog, see sight) *placing {
	p := &placing{catalog: c, see: see, holds: map[model.NodeID]int{}, zone: map[model.NodeID]string{}}
	for i := range c.Tablets {
		if c.Tablets[i].ID != model.CatalogTablet {
			for _, id := range c.Tablets[i].Voters {
				p.holds[id]++
			}
		}
	}
	for i := range c.Nodes {
		p.zone[c.Nodes[i].ID] = c.Nodes[i].Zone
	}
	return p
}

// free are the nodes that could take a voter of the tablet and hold none.
func (p *placing) free(t *model.Tablet) (free []model.NodeID) {
	for i := range p.catalog.Nodes {
		if n := &p.catalog.Nodes[i]; p.see.takes(n) && p.see.up(n.ID) && !slices.Contains(t.Voters, n.ID) {
			free = append(free, n.ID)
		}
	}
	return free
}

// late reports whether a node that could take a voter of the tablet, and holds
// none, is not up.
func (p *placing) late(t *model.Tablet) bool {
	return slices.ContainsFunc(p.catalog.Nodes, func(n model.Node) bool {
		return p.see.takes(&n) && !p.see.up(n.ID) && !slices.Contains(t.Voters, n.ID)
	})
}

// best is the node among free that goes best with the voters.
func (p *placing) best(free, voters []model.NodeID) model.NodeID {
	return slices.MinFunc(free, func(a, b model.NodeID) int {
		return cmp.Or(cmp.Compare(p.clashes(a, voters), p.clashes(b, voters)), cmp.Compare(p.holds[a], p.holds[b]), cmp.Compare(a, b))
	})
}

// clashes counts the voters in the node's zone. A node without a zone fails
// alone.
func (p *placing) clashes(id model.NodeID, voters []model.NodeID) (n int) {
	for _, v := range voters {
		if v != id && p.zone[id] != "" && p.zone[v] == p.zone[id] {
			n++
		}
	}
	return n
}

// learners are the tablet's learners: those that fill the places of missing
// voters, and those that a node's kind asks for.
func (p *placing) learners(t *model.Tablet, voters, free []model.NodeID) (learners []model.NodeID) {
	holds := func(id model.NodeID) bool { return slices.Contains(voters, id) || slices.Contains(learners, id) }
	for _, id := range slices.Concat(t.Learners, free) {
		n, ok := p.catalog.Node(id)
		if ok && p.see.takes(n) && len(voters)+len(learners) < replicationFactor && !holds(id) {
			learners = append(learners, id)
		}
	}
	for i := range p.catalog.Nodes {
		n := &p.catalog.Nodes[i]
		stays := !n.Leaving && n.ReadOnly && !n.Draining
		if t.ID == model.CatalogTablet { // the last that a node gives away: it needs it for the others
			has := slices.Contains(t.Voters, n.ID) || slices.Contains(t.Learners, n.ID)
			stays = !n.Leaving || has && !p.see.empty(n.ID)
		}
		if stays && !holds(n.ID) {
			learners = append(learners, n.ID)
		}
	}
	return learners
}

// improve finds one voter to move so that fewer tablets have two in one zone,
// or that the nodes hold more equal numbers. It is for a cluster at rest, and
// comes to rest itself: each move makes the placement better.
func improve(c *model.Catalog, see sight) (better model.Tablet, ok bool) {
	p := newPlacing(c, see)
	for i := range c.Tablets {
		t := &c.Tablets[i]
		for _, from := range t.Voters {
			if p.clashes(from, t.Voters) == 0 {
				continue
			}
			others := without(t.Voters, from)
			for _, to := range p.free(t) {
				if p.clashes(to, others) == 0 {
					return moved(t, from, to), true
				}
			}
		}
	}
	return p.balance()
}

// balance moves a voter from a node that holds at least two more than another.
func (p *placing) balance() (better model.Tablet, ok bool) {
	for i := range p.catalog.Tablets {
		t := &p.catalog.Tablets[i]
		if t.ID == model.CatalogTablet {
			continue
		}
		for _, from := range t.Voters {
			others := without(t.Voters, from)
			for _, to := range p.free(t) {
				if p.holds[from] >= p.holds[to]+2 && p.clashes(to, others) <= p.clashes(from, others) && p.most(from) {
					return moved(t, from, to), true
				}
			}
		}
	}
	return better, false
}

// most reports whether no node holds more than this one.
func (p *placing) most(id model.NodeID) bool {
	for i := range p.catalog.Nodes {
		if p.holds[p.catalog.Nodes[i].ID] > p.holds[id] {
			return false
		}
	}
	return true
}

func without(ids []model.NodeID, id model.NodeID) []model.NodeID {
	return slices.DeleteFunc(slices.Clone(ids), func(v model.NodeID) bool { return v == id })
}

func moved(t *model.Tablet, from, to model.NodeID) model.Tablet {
	b := *t
	b.Voters = append(without(t.Voters, from), to)
	slices.Sort(b.Voters)
	b.Learners = without(t.Learners, to)
	return b
}

// preferredLeaders spreads the tablets' leaders over their voters: each node
// leads about as many as any other, and one that drains leads none. Where an
// operator has named a leader, that one comes before the balance.
func preferredLeaders(c *model.Catalog) map[model.TabletID]model.NodeID {
	leads := map[model.NodeID]int{}
	preferred := make(map[model.TabletID]model.NodeID, len(c.Tablets))
	for i := range c.Tablets {
		t := &c.Tablets[i]
		voters := slices.DeleteFunc(slices.Clone(t.Voters), func(id model.NodeID) bool {
			n, ok := c.Node(id)
			return !ok || n.Draining
		})
		if len(voters) == 0 {
			voters = t.Voters
		}
		if slices.Contains(voters, t.Lead) {
			leads[t.Lead]++
			preferred[t.ID] = t.Lead
			continue
		}
		// Of those that lead the fewest, another one for each tablet.
		best := voters[i%len(voters)]
		for k := range voters {
			if id := voters[(i+k)%len(voters)]; leads[id] < leads[best] {
				best = id
			}
		}
		leads[best]++
		preferred[t.ID] = best
	}
	return preferred
}
