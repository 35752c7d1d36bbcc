package cluster

import (
	"fmt"
	"slices"
	"testing"

	"weir.dev/weir/internal/model"
)

func ids(ids ...model.NodeID) []model.NodeID { return ids }

// catalogOf has nodes 1 to n and the tablets with these voters; the first is
// the catalog.
func catalogOf(n int, voters ...[]model.NodeID) *model.Catalog {
	c := &model.Catalog{}
	for i := range n {
		c.Nodes = append(c.Nodes, model.Node{ID: model.NodeID(i + 1)})
	}
	for i, v := range voters {
		c.Tablets = append(c.Tablets, model.Tablet{ID: model.TabletID(i), Voters: v})
	}
	return c
}

func TestWanted(t *testing.T) {
	for _, c := range []struct {
		name             string
		catalog          *model.Catalog
		tablet           int
		voters, learners []model.NodeID
		down             model.NodeID // admitted, but not there
	}{
		{"one node, catalog", catalogOf(1, ids(1), ids(1)), 0, ids(1), nil, 0},
		{"one node", catalogOf(1, ids(1), ids(1)), 1, ids(1), nil, 0},
		{"two nodes, catalog: two voters would be down when either is", catalogOf(2, ids(1), ids(1)), 0, ids(1), ids(2), 0},
		{"two nodes", catalogOf(2, ids(1), ids(1)), 1, ids(1), ids(2), 0},
		{"three nodes, catalog", catalogOf(3, ids(1), ids(1)), 0, ids(1, 2, 3), nil, 0},
		{"three nodes", catalogOf(3, ids(1), ids(1)), 1, ids(1, 2, 3), nil, 0},
		{"three nodes, the voter is the last", catalogOf(3, ids(3), ids(3)), 1, ids(1, 2, 3), nil, 0},
		{"five nodes, catalog: everybody holds it", catalogOf(5, ids(1, 2, 3), ids(1)), 0, ids(1, 2, 3), ids(4, 5), 0},
		{"five nodes: those with the fewest tablets", catalogOf(5, ids(1, 2, 3), ids(1, 2, 3), ids(1)), 2, ids(1, 4, 5), nil, 0},
		{"five nodes, as it is", catalogOf(5, ids(1, 2, 3), ids(2, 4, 5)), 1, ids(2, 4, 5), nil, 0},
		{"three nodes, one never came: two voters would be down when either is", catalogOf(3, ids(1), ids(1)), 1, ids(1), ids(3), 2},
		{"three nodes, one never came, catalog", catalogOf(3, ids(1), ids(1)), 0, ids(1), ids(2, 3), 2},
		{"four nodes, one never came", catalogOf(4, ids(1), ids(1)), 1, ids(1, 3, 4), nil, 2},
		{"three nodes, a voter is down and stays", catalogOf(3, ids(1, 2, 3), ids(1, 2, 3)), 1, ids(1, 2, 3), nil, 2},
	} {
		voters, learners := wanted(c.catalog, &c.catalog.Tablets[c.tablet], func(id model.NodeID) bool { return id != c.down })
		if !slices.Equal(voters, c.voters) || !slices.Equal(learners, c.learners) {
			t.Errorf("%s: voters %d, learners %d, want %d and %d", c.name, voters, learners, c.voters, c.learners)
		}
	}
}

// TestPlacementSettles applies what is wanted again and again: it comes to
// rest, with three voters each, evenly spread, and the inputs untouched.
func TestPlacementSettles(t *testing.T) {
	for _, nodes := range []int{1, 2, 3, 4, 5, 7} {
		c := catalogOf(nodes, ids(1), ids(1), ids(1), ids(1), ids(1), ids(1), ids(1))
		for round := 0; ; round++ {
			if round > 50 {
				t.Fatalf("%d nodes: placement does not come to rest", nodes)
			}
			changed := false
			for i := range c.Tablets {
				x := &c.Tablets[i]
				before := fmt.Sprint(x.Voters)
				voters, learners := wanted(c, x, func(model.NodeID) bool { return true })
				if fmt.Sprint(x.Voters) != before {
					t.Fatal("wanted changed its input")
				}
				changed = changed || !slices.Equal(voters, x.Voters) || !slices.Equal(learners, x.Learners)
				x.Voters, x.Learners = voters, learners
			}
			if !changed {
				break
			}
		}
		held := map[model.NodeID]int{}
		for _, x := range c.Tablets {
			want := min(3, nodes)
			if want == 2 {
				want = 1
			}
			if len(x.Voters) != want || !slices.IsSorted(x.Voters) {
				t.Errorf("%d nodes: tablet %v has the voters %d", nodes, x.ID, x.Voters)
			}
			if x.ID != model.CatalogTablet {
				for _, id := range append(slices.Clone(x.Voters), x.Learners...) {
					held[id]++
				}
			}
		}
		if nodes > 2 {
			for id := model.NodeID(2); int(id) <= nodes; id++ {
				if held[id] == 0 {
					t.Errorf("%d nodes: node %v holds nothing: %v", nodes, id, held)
				}
			}
		}
	}
}

func TestPreferredLeader(t *testing.T) {
	leads := map[model.NodeID]int{}
	for i := range 6 {
		leads[preferredLeader(&model.Tablet{ID: model.TabletID(i + 1), Voters: ids(1, 2, 3)})]++
	}
	if leads[1] != 2 || leads[2] != 2 || leads[3] != 2 {
		t.Errorf("six tablets are led by %v", leads)
	}
}
