package cluster

import (
	"slices"

	"weir.dev/weir/internal/model"
)

// replicationFactor is how many voters a tablet gets when there are nodes
// enough.
const replicationFactor = 3

// wanted says which nodes shall hold a tablet. Existing voters stay. The
// number of voters is odd: with two nodes the second is a learner, because two
// voters would be down when either is. The catalog is held by every node; of
// the others, those with the fewest tablets come first.
func wanted(c *model.Catalog, t *model.Tablet) (voters, learners []model.NodeID) {
	count := map[model.NodeID]int{}
	for i := range c.Tablets {
		for _, id := range c.Tablets[i].Voters {
			count[id]++
		}
	}
	voters = slices.Clone(t.Voters)
	var others []model.NodeID
	for _, m := range c.Nodes {
		if !slices.Contains(voters, m.ID) {
			others = append(others, m.ID)
		}
	}
	slices.SortStableFunc(others, func(a, b model.NodeID) int { return count[a] - count[b] })
	target := min(replicationFactor, len(c.Nodes))
	if target%2 == 0 {
		target--
	}
	if more := target - len(voters); more > 0 {
		voters = append(voters, others[:more]...)
		others = others[more:]
	}
	switch {
	case t.ID == model.CatalogTablet:
		learners = others
	case len(voters) < replicationFactor:
		learners = others[:min(len(others), replicationFactor-len(voters))]
	}
	slices.Sort(voters)
	slices.Sort(learners)
	return voters, learners
}

// preferredLeader spreads the tablets' leaders over their voters.
func preferredLeader(t *model.Tablet) model.NodeID {
	return t.Voters[int(t.ID)%len(t.Voters)]
}
