package model

import "testing"

func TestCatalogLookups(t *testing.T) {
	c := &Catalog{
		Nodes: []Node{{ID: 2}, {ID: 5}, {ID: 1 << 60}},
		Tablets: []Tablet{
			{ID: 0}, {ID: 1, Lo: 0, Hi: 21845}, {ID: 2, Lo: 21845, Hi: 43690}, {ID: 9, Lo: 43690, Hi: 65536},
		},
		Resources: NewResources(
			&Resource{ID: 4, Kind: KindTable, Name: "a"}, &Resource{ID: 1, Kind: KindTable, Name: "b"},
			&Resource{ID: 3, Kind: KindQueue, Name: "a"}, &Resource{ID: 2, Kind: KindPipe, Name: "z"},
		),
		Deleted: []*Resource{{ID: 8, Kind: KindTable, Name: "gone"}},
	}
	for slot, want := range map[Slot]TabletID{0: 1, 21844: 1, 21845: 2, 43690: 9, 65535: 9} {
		if got, ok := c.TabletOf(slot); !ok || got.ID != want {
			t.Errorf("slot %d: %v, %v, want %v", slot, got, ok, want)
		}
	}
	for _, id := range []TabletID{0, 1, 2, 9} {
		if got, ok := c.TabletByID(id); !ok || got.ID != id {
			t.Errorf("tablet %v: %v, %v", id, got, ok)
		}
	}
	for _, id := range []TabletID{3, 10} {
		if _, ok := c.TabletByID(id); ok {
			t.Errorf("there is a tablet %v", id)
		}
	}
	for r := range c.Resources.All() {
		if got, ok := c.Resource(r.Kind, r.Name); !ok || got.ID != r.ID {
			t.Errorf("%d %s: %v, %v", r.Kind, r.Name, got, ok)
		}
		if got, ok := c.ResourceByID(r.ID); !ok || got.Name != r.Name {
			t.Errorf("resource %d: %v, %v", r.ID, got, ok)
		}
	}
	for _, missing := range []Resource{{Kind: KindTable, Name: "aa"}, {Kind: KindQueue, Name: "b"}, {Kind: KindStream, Name: "a"}, {Kind: KindPipe, Name: "zz"}, {Kind: KindTable, Name: "gone"}} {
		if r, ok := c.Resource(missing.Kind, missing.Name); ok {
			t.Errorf("%d %s is there: %v", missing.Kind, missing.Name, r)
		}
	}
	if _, ok := c.ResourceByID(8); ok {
		t.Error("a deleted resource is found")
	}
	for id, want := range map[NodeID]bool{2: true, 5: true, 1 << 60: true, 1: false, 3: false, 1<<60 + 1: false} {
		if _, ok := c.Node(id); ok != want {
			t.Errorf("node %v: %v", id, ok)
		}
	}
}
