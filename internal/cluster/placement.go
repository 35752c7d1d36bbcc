package cluster

import (
	"slices"

	"weir.dev/weir/internal/model"
)

// replicationFactor is how many voters a tablet gets when there are nodes
// enough.
const replicationFactor = 3

// wanted says which nodes shall hold a tablet. Existing voters stay. Further
// ones are chosen among the nodes that are up, so that one which was admitted
// and never came does not hold up the others; of those, the ones with the
// fewest tablets come first. The number of voters is odd: with two nodes the
// second is a learner, because two voters would be down when either is. The
// catalog is held by every node.
func wanted(c *model.Catalog, t *model.Tablet, up func(model.NodeID) bool) (voters, learners []model.NodeID) {
	count := map[model.NodeID]int{}
	for i := range c.Tablets {
		for _, id := range c.Tablets[i].Voters {
			count[id]++
		}
	}
	voters = slices.Clone(t.Voters)
	var ready, others []model.NodeID
	for _, m := range c.Nodes {
		switch {
		case slices.Contains(voters, m.ID):
		case up(m.ID):
			ready = append(ready, m.ID)
		default:
			others = append(others, m.ID)
		}
	}
	slices.SortStableFunc(ready, func(a, b model.NodeID) int { return count[a] - count[b] })
	target := min(replicationFactor, len(voters)+len(ready))
	if target%2 == 0 {
		target--
	}
	if more := target - len(voters); more > 0 {
		voters = append(voters, ready[:more]...)
		ready = ready[more:]
	}
	switch {
	case t.ID == model.CatalogTablet:
		learners = append(ready, others...)
	case len(voters) < replicationFactor:
		learners = keepLearners(t.Learners, voters, ready)
	}
	slices.Sort(voters)
	slices.Sort(learners)
	return voters, learners
}

// keepLearners fills the places of missing voters with learners: those there
// are, up or not, before others that are up.
func keepLearners(now, voters, ready []model.NodeID) (learners []model.NodeID) {
	for _, id := range slices.Concat(now, ready) {
		if len(voters)+len(learners) < replicationFactor && !slices.Contains(voters, id) && !slices.Contains(learners, id) {
			learners = append(learners, id)
		}
	}
	return learners
}

// preferredLeader spreads the tablets' leaders over their voters.
func preferredLeader(t *model.Tablet) model.NodeID {
	return t.Voters[int(t.ID)%len(t.Voters)]
}
