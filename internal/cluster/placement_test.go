package cluster

import (
	"fmt"
	"math/rand/v2"
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

// with changes nodes of a catalog.
func with(c *model.Catalog, change func(n *model.Node), of ...model.NodeID) *model.Catalog {
	for _, id := range of {
		change(&c.Nodes[id-1])
	}
	return c
}

func drains(n *model.Node)   { n.Draining = true }
func leaves(n *model.Node)   { n.Draining, n.Leaving = true, true }
func readOnly(n *model.Node) { n.ReadOnly = true }
func zone(z string) func(n *model.Node) {
	return func(n *model.Node) { n.Zone = z }
}

// seen is a sight in which these are down, and those gone for good; memberships
// follow the catalog at once.
func seen(c *model.Catalog, down, gone []model.NodeID) sight {
	return sight{
		empty: func(id model.NodeID) bool {
			return !slices.ContainsFunc(c.Tablets, func(t model.Tablet) bool {
				return t.ID != model.CatalogTablet && (slices.Contains(t.Voters, id) || slices.Contains(t.Learners, id))
			})
		},
		up:   func(id model.NodeID) bool { return !slices.Contains(down, id) && !slices.Contains(gone, id) },
		gone: func(id model.NodeID) bool { return slices.Contains(gone, id) },
	}
}

func TestWanted(t *testing.T) {
	full := [][]model.NodeID{ids(1, 2, 3), ids(1, 2, 3)}
	for _, c := range []struct {
		name             string
		catalog          *model.Catalog
		tablet           int
		voters, learners []model.NodeID
		down, gone       []model.NodeID
	}{
		{"one node, catalog", catalogOf(1, ids(1), ids(1)), 0, ids(1), nil, nil, nil},
		{"one node", catalogOf(1, ids(1), ids(1)), 1, ids(1), nil, nil, nil},
		{"two nodes, catalog: two voters would be down when either is", catalogOf(2, ids(1), ids(1)), 0, ids(1), ids(2), nil, nil},
		{"two nodes", catalogOf(2, ids(1), ids(1)), 1, ids(1), ids(2), nil, nil},
		{"three nodes, catalog", catalogOf(3, ids(1), ids(1)), 0, ids(1, 2, 3), nil, nil, nil},
		{"three nodes", catalogOf(3, ids(1), ids(1)), 1, ids(1, 2, 3), nil, nil, nil},
		{"three nodes, the voter is the last", catalogOf(3, ids(3), ids(3)), 1, ids(1, 2, 3), nil, nil, nil},
		{"five nodes, catalog: everybody holds it", catalogOf(5, ids(1, 2, 3), ids(1)), 0, ids(1, 2, 3), ids(4, 5), nil, nil},
		{"five nodes: those with the fewest tablets", catalogOf(5, ids(1, 2, 3), ids(1, 2, 3), ids(1)), 2, ids(1, 4, 5), nil, nil, nil},
		{"five nodes, as it is", catalogOf(5, ids(1, 2, 3), ids(2, 4, 5)), 1, ids(2, 4, 5), nil, nil, nil},
		{"three nodes, one never came: two voters would be down when either is", catalogOf(3, ids(1), ids(1)), 1, ids(1), ids(3), ids(2), nil},
		{"three nodes, one never came, catalog", catalogOf(3, ids(1), ids(1)), 0, ids(1), ids(2, 3), ids(2), nil},
		{"four nodes, one never came", catalogOf(4, ids(1), ids(1)), 1, ids(1, 3, 4), nil, ids(2), nil},
		{"a voter is down and stays", catalogOf(4, full...), 1, ids(1, 2, 3), nil, ids(2), nil},
		{"a voter is lost and made anew", catalogOf(4, full...), 1, ids(1, 3, 4), nil, nil, ids(2)},
		{"a voter is lost, catalog", catalogOf(4, full...), 0, ids(1, 3, 4), ids(2), nil, ids(2)},
		{"a voter is lost and nobody can take its place", catalogOf(3, full...), 1, ids(1, 2, 3), nil, nil, ids(2)},
		{"a voter is lost, and its node is to leave", with(catalogOf(3, full...), leaves, 2), 1, ids(1, 3), nil, nil, ids(2)},
		{"a node leaves, catalog: it goes last", with(catalogOf(4, full...), leaves, 2), 0, ids(1, 3, 4), ids(2), nil, nil},
		{"a node leaves that holds nothing else, catalog", with(catalogOf(4, ids(1, 2, 3), ids(1, 3, 4)), leaves, 2), 0, ids(1, 3, 4), nil, nil, nil},
		{"a node has left, catalog: it does not come back", with(catalogOf(4, ids(1, 3, 4), ids(1, 2, 3)), leaves, 2), 0, ids(1, 3, 4), nil, nil, nil},
		{"a node leaves, and who could take its place is down", with(catalogOf(4, full...), leaves, 2), 1, ids(1, 2, 3), nil, ids(4), nil},
		{"a node leaves, and who could take its place is lost", with(catalogOf(4, full...), leaves, 2), 1, ids(1, 3), nil, nil, ids(4)},
		{"a node drains", with(catalogOf(4, full...), drains, 2), 1, ids(1, 3, 4), nil, nil, nil},
		{"a node drains and nobody can take its place", with(catalogOf(3, full...), drains, 2), 1, ids(1, 2, 3), nil, nil, nil},
		{"two of three leave", with(catalogOf(3, full...), leaves, 1, 2), 1, ids(3), nil, nil, nil},
		{"all leave: somebody stays", with(catalogOf(3, full...), leaves, 1, 2, 3), 1, ids(1, 2, 3), nil, nil, nil},
		{"a read-only node holds learners", with(catalogOf(4, full...), readOnly, 4), 1, ids(1, 2, 3), ids(4), nil, nil},
		{"a read-only node is no voter", with(catalogOf(3, ids(1), ids(1)), readOnly, 3), 1, ids(1), ids(2, 3), nil, nil},
		{"a zone that holds none yet", with(with(catalogOf(4, ids(1), ids(1)), zone("a"), 1, 2), zone("b"), 3), 1, ids(1, 3, 4), nil, nil, nil},
		{"two zones for three voters", with(with(catalogOf(4, ids(1), ids(1)), zone("a"), 1, 2), zone("b"), 3, 4), 1, ids(1, 2, 3), nil, nil, nil},
	} {
		voters, learners := wanted(c.catalog, &c.catalog.Tablets[c.tablet], seen(c.catalog, c.down, c.gone))
		if !slices.Equal(voters, c.voters) || !slices.Equal(learners, c.learners) {
			t.Errorf("%s: voters %d, learners %d, want %d and %d", c.name, voters, learners, c.voters, c.learners)
		}
	}
}

// settle places again and again until nothing changes any more.
func settle(t *testing.T, name string, c *model.Catalog, see sight) {
	t.Helper()
	for round := 0; ; round++ {
		if round > 300 {
			t.Fatalf("%s: placement does not come to rest: %+v", name, c.Tablets)
		}
		changed := false
		for i := range c.Tablets {
			x := &c.Tablets[i]
			before := fmt.Sprint(x.Voters)
			voters, learners := wanted(c, x, see)
			if fmt.Sprint(x.Voters) != before {
				t.Fatal("wanted changed its input")
			}
			changed = changed || !slices.Equal(voters, x.Voters) || !slices.Equal(learners, x.Learners)
			x.Voters, x.Learners = voters, learners
		}
		if changed {
			continue
		}
		better, ok := improve(c, see)
		if !ok {
			return
		}
		c.Tablets[better.ID].Voters, c.Tablets[better.ID].Learners = better.Voters, better.Learners
	}
}

// TestPlacementSettles grows clusters: the placement comes to rest, with three
// voters each, evenly spread.
func TestPlacementSettles(t *testing.T) {
	for _, nodes := range []int{1, 2, 3, 4, 5, 7} {
		name := fmt.Sprintf("%d nodes", nodes)
		c := catalogOf(nodes, ids(1), ids(1), ids(1), ids(1), ids(1), ids(1), ids(1))
		settle(t, name, c, seen(c, nil, nil))
		checkPlaces(t, name, c, seen(c, nil, nil))
	}
}

// checkPlaces looks at a placement at rest: enough voters, on nodes that take
// them, in as many zones as there are, and evenly spread where zones allow it.
func checkPlaces(t *testing.T, name string, c *model.Catalog, see sight) {
	t.Helper()
	takers, zones, zoned := 0, map[string]bool{}, false
	for i := range c.Nodes {
		if n := &c.Nodes[i]; see.takes(n) && see.up(n.ID) {
			takers++
			z := n.Zone
			if z == "" {
				z = n.ID.String()
			}
			zones[z] = true
			zoned = zoned || n.Zone != ""
		}
	}
	held := map[model.NodeID]int{}
	for _, x := range c.Tablets {
		used, good := map[string]bool{}, 0
		for _, id := range x.Voters {
			n, ok := c.Node(id)
			if !ok || !slices.IsSorted(x.Voters) || slices.Contains(x.Learners, id) {
				t.Fatalf("%s: tablet %v has the voters %d and learners %d", name, x.ID, x.Voters, x.Learners)
			}
			if x.ID != model.CatalogTablet {
				held[id]++
			}
			if see.takes(n) && see.up(id) {
				good++
				z := n.Zone
				if z == "" {
					z = id.String()
				}
				used[z] = true
			}
		}
		if want := min(3, takers); want != 2 && good < want || good < 1 && takers > 0 {
			t.Errorf("%s: tablet %v has %d good voters of %d: %d", name, x.ID, good, takers, x.Voters)
		}
		if want := min(3, len(zones)); takers >= 3 && len(used) < want {
			t.Errorf("%s: tablet %v is in %d zones of %d: %d", name, x.ID, len(used), want, x.Voters)
		}
	}
	if takers < 3 || zoned {
		return
	}
	least, most := 1<<30, 0
	for i := range c.Nodes {
		if n := &c.Nodes[i]; see.takes(n) && see.up(n.ID) {
			least, most = min(least, held[n.ID]), max(most, held[n.ID])
		}
	}
	if most > least+1 {
		t.Errorf("%s: nodes hold from %d to %d voters: %v", name, least, most, held)
	}
}

// TestPlacementRandom lets clusters live: nodes come, drain, leave, die and
// return, in zones or not. Whatever happened, the placement comes to rest in a
// good order.
func TestPlacementRandom(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := catalogOf(1, ids(1), ids(1), ids(1), ids(1), ids(1), ids(1), ids(1))
		var gone []model.NodeID
		for step := range 30 {
			id := c.Nodes[rng.IntN(len(c.Nodes))].ID
			at := slices.IndexFunc(c.Nodes, func(n model.Node) bool { return n.ID == id })
			switch rng.IntN(6) {
			case 0, 1:
				n := model.Node{ID: c.Nodes[len(c.Nodes)-1].ID + 1, ReadOnly: rng.IntN(8) == 0}
				if seed%2 == 0 {
					n.Zone = string(rune('a' + rng.IntN(4)))
				}
				c.Nodes = append(c.Nodes, n)
			case 2:
				c.Nodes[at].Draining = !c.Nodes[at].Draining || c.Nodes[at].Leaving
			case 3:
				c.Nodes[at].Draining, c.Nodes[at].Leaving = true, true
			case 4:
				gone = append(gone, id)
			case 5:
				gone = nil
			}
			see, name := seen(c, nil, gone), fmt.Sprintf("seed %d, step %d", seed, step)
			settle(t, name, c, see)
			checkPlaces(t, name, c, see)
			c.Nodes = slices.DeleteFunc(c.Nodes, func(n model.Node) bool {
				return n.Leaving && !slices.ContainsFunc(c.Tablets, func(x model.Tablet) bool {
					return slices.Contains(x.Voters, n.ID) || slices.Contains(x.Learners, n.ID)
				})
			})
		}
	}
}

func TestPreferredLeaders(t *testing.T) {
	var voters [][]model.NodeID
	for range 7 {
		voters = append(voters, ids(1, 2, 3))
	}
	for _, c := range []struct {
		catalog *model.Catalog
		want    map[model.NodeID]int
	}{
		{catalogOf(3, voters...), map[model.NodeID]int{1: 3, 2: 2, 3: 2}},
		{with(catalogOf(3, voters...), drains, 2), map[model.NodeID]int{1: 4, 3: 3}},
		{catalogOf(4, ids(1, 2, 3), ids(1, 2, 4), ids(1, 2, 4), ids(1, 3, 4)), map[model.NodeID]int{1: 1, 2: 1, 3: 1, 4: 1}},
	} {
		leads := map[model.NodeID]int{}
		for _, id := range preferredLeaders(c.catalog) {
			leads[id]++
		}
		if fmt.Sprint(leads) != fmt.Sprint(c.want) {
			t.Errorf("leaders %v, want %v", leads, c.want)
		}
	}
	pinned := catalogOf(3, voters...)
	for i := range pinned.Tablets {
		pinned.Tablets[i].Lead = 2
	}
	for id, lead := range preferredLeaders(pinned) {
		if lead != 2 {
			t.Errorf("tablet %v, which node 2 shall lead, is led by %v", id, lead)
		}
	}
	for id, lead := range preferredLeaders(with(pinned, drains, 2)) {
		if lead == 2 {
			t.Errorf("tablet %v is led by a node that drains", id)
		}
	}
}
